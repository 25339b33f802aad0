"""From arguments to an exit code: every error a person can cause becomes one line on stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from rtdenoise.errors import RtDenoiseError

PROGRAM = "rtdenoise"
_OPTIONS = {"overwrite=True": "--overwrite", "target=": "--output"}
FAILED, INTERRUPTED, TERMINATED = 1, 130, 143


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns
    -------
    exit code
        0, 1 after an error, 2 for a wrong command line, 130 after Ctrl-C, 143 after SIGTERM.
    """
    _have_standard_streams()
    _speak_utf8()
    signal.signal(signal.SIGTERM, _terminate)
    return _invoke(arguments)


def _have_standard_streams() -> None:
    """Give what the caller closed to nobody: else the next file or ring gets its number, and a child its contents."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the end


def _invoke(arguments: Sequence[str]) -> int:
    from rtdenoise.cli.app import app

    if f"_{PROGRAM.upper()}_COMPLETE" in os.environ:
        app.main(list(arguments), prog_name=PROGRAM)  # prints a completion for the shell and exits
    try:
        with app.make_context(PROGRAM, list(arguments)) as context:
            result = app.invoke(context)
            return result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        return int(end.exit_code)
    except BrokenPipeError:
        return 0  # whoever read our output has had enough
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted", kind="note")
        return INTERRUPTED
    except (click.ClickException, RtDenoiseError, OSError, MemoryError) as error:
        complain(_message(error))
        return error.exit_code if isinstance(error, click.ClickException) else FAILED


def _message(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and not isinstance(error, RtDenoiseError):
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    return str(error)


def as_options(message: str) -> str:
    """A message of the library, its keywords replaced by the options that stand for them."""
    for keyword, option in _OPTIONS.items():
        message = message.replace(keyword, option)
    return message


def complain(message: str, kind: str = "error") -> None:
    """Write ``rtdenoise: error: message`` on stderr, in one line whatever the message holds."""
    click.echo(f"{PROGRAM}: {kind}: {' '.join(as_options(message).split())}", err=True)


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
        return f"{PROGRAM}: {record.levelname.lower()}: {' '.join(record.getMessage().split())}"


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _speak_utf8() -> None:
    """Never fail at a file name or a table because the terminal's encoding lacks a character."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
