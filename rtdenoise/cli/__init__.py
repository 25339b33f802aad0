"""The command line: one small module per command, nothing heavy until it is needed."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code."""
    import sys

    try:
        from rtdenoise.cli.entry import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while the command line itself is being imported
        sys.stderr.write("rtdenoise: note: interrupted\n")
        code = 130
    sys.exit(code)
