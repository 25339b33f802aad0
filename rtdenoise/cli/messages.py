"""One-line messages on standard error, and exit codes."""

from __future__ import annotations

import contextlib
import logging

import click

from rtdenoise.disk.names import shown

PROGRAM = "rtdenoise"
FAILED, INTERRUPTED, NOBODY_READS = 1, 130, 141


def complain(message: str, kind: str = "error") -> None:
    """Write ``rtdenoise: error: message`` on stderr, in one line whatever the message holds.

    An unwritable standard error is ignored: it could not be reported.
    """
    with contextlib.suppress(OSError):
        click.echo(f"{PROGRAM}: {kind}: {one_line(message)}", err=True)


def one_line(message: str) -> str:
    """Collapse white space in a message and escape control and unprintable characters."""
    return shown(" ".join(message.split()))


def configure_logging(verbosity: int, *, quiet: bool) -> None:
    """Show the library's log on stderr: warnings, from ``-v`` on more, with ``--quiet`` nothing."""
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logger = logging.getLogger(PROGRAM)
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.CRITICAL if quiet else levels[min(verbosity, 2)])
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells about its font cache


class _OneLine(logging.Formatter):
    """``rtdenoise: warning: message``."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{PROGRAM}: {record.levelname.lower()}: {one_line(record.getMessage())}"
