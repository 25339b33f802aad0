"""Run one query in a child process, so that a hanging sound system can be abandoned."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rtdenoise.child.lines import decode, encode
from rtdenoise.child.scheduling import end_with_parent
from rtdenoise.errors import DeviceError


def ask(module: str, *arguments: str, timeout_seconds: float, what: str) -> Any:
    """Result of the query ``python -m module arguments``: what JSON can hold, and messages (`child.lines`).

    Parameters
    ----------
    module : str
        Calls `answer` when it is run.
    what : str
        Begins the message if the process ends without an answer.

    Raises
    ------
    DeviceError
        With the message of the process, or if there was no answer in time.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"the sound system did not answer within {timeout_seconds:.0f} s; restart its server"
        ) from error
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        reason = done.stderr.strip().splitlines()[-1:] or [silent_end(done.returncode)]
        raise DeviceError(f"{what}: {reason[0]}")
    said = decode(lines[-1])
    if "error" in said:
        raise DeviceError(said["error"])
    return said["answer"]


def silent_end(code: int) -> str:
    """Describe why a process ended without output; `code` is its exit code, negative for a signal."""
    if code >= 0:
        return "no reason given"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"it crashed ({name}), as where there is no sound device; connect one, or start PipeWire or JACK"


def answer(question: Callable[[], Any]) -> None:
    """Print what `question` returns, or the error it raises, for `ask`; a hanging query ends with its parent."""
    end_with_parent()
    try:
        said = {"answer": question()}
    except DeviceError as error:
        said = {"error": str(error)}
    sys.stdout.write(encode(said).decode())
