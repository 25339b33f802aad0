"""The command line: one small module per command, nothing heavy until it is needed."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code."""
    import sys

    try:
        from rtdenoise.cli.live import early
        from rtdenoise.cli.standard_streams import have_standard_streams

        have_standard_streams()  # before another file takes their numbers
        early.begin(sys.argv[1:])
        from rtdenoise.cli.entry import finish, run
    except KeyboardInterrupt:  # while the command line itself is being imported
        sys.stderr.write("rtdenoise: note: interrupted\n")
        sys.exit(130)
    try:
        code = finish(lambda: run(sys.argv[1:]))
    finally:
        early.end()
    sys.exit(code)
