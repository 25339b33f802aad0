"""Entry point: maps arguments to an exit code; every user error becomes one line on stderr."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from rtdenoise.child.endings import end_in_order
from rtdenoise.cli.messages import FAILED, INTERRUPTED, NOBODY_READS, PROGRAM, complain
from rtdenoise.cli.standard_streams import have_standard_streams
from rtdenoise.disk.names import as_text
from rtdenoise.errors import RtDenoiseError, reason

_NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG)


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns
    -------
    exit code
        0, 1 after an error, 2 for a wrong command line, 130 after Ctrl-C, 141 if whoever read standard output has
        closed it before the end (as shells report for SIGPIPE), 143 after SIGTERM.
    """
    have_standard_streams()
    _print_every_name()
    end_in_order()
    return _invoke(arguments)


def finish(work: Callable[[], int]) -> int:
    """Do the work, then flush standard output, so that a failure can still be reported.

    Returns
    -------
    exit code
        The work's own; 141 or 1 where that is 0 but the output did not arrive.
    """
    try:
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else FAILED
    except KeyboardInterrupt:  # before or after the work itself
        code = INTERRUPTED
    failure = _flush(sys.stdout)
    if failure is not None and code == 0:  # else it was reported already
        code = NOBODY_READS if isinstance(failure, BrokenPipeError) else FAILED
        if code == FAILED:
            complain(_message(failure))
    _flush(sys.stderr)
    return code


def _flush(stream: Any) -> OSError | None:
    """Flush a stream; if that fails, discard its buffer, so that Python does not retry at exit."""
    try:
        stream.flush()
    except ValueError:  # closed
        return None
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()
        return error
    return None


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
        return NOBODY_READS
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted", kind="note")
        return INTERRUPTED
    except (click.ClickException, RtDenoiseError, OSError, MemoryError) as error:
        complain(_message(error))
        return error.exit_code if isinstance(error, click.ClickException) else FAILED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == PROGRAM:
            raise
        complain(f"the package {error.name} is not installed; pip install 'rtdenoise[all]' brings everything")
        return FAILED


def _message(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and not isinstance(error, RtDenoiseError):
        where = "" if error.filename or error.errno not in _NO_WRITING else "standard output: cannot be written: "
        return where + reason(error)
    return reason(error) if isinstance(error, MemoryError) else str(error)


def _print_every_name() -> None:
    """Never fail at a file name or a table because the terminal's encoding lacks a character."""
    codecs.register_error(PROGRAM, _written_out)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PROGRAM)


def _written_out(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""As ``backslashreplace``, with bytes of a name that are no text as those bytes: ``\xe9``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    there = error.object[error.start : error.end]
    return as_text(there).encode("ascii", "backslashreplace").decode("ascii"), error.end
