"""The command line: one small module per command, nothing heavy until it is needed."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code."""
    import sys

    from rtdenoise.cli.entry import run

    sys.exit(run(sys.argv[1:]))
