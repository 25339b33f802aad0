"""Run any other program as a peer: WAV file in, WAV file out, its delay found by cross-correlation."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from rtdenoise.errors import AudioFileError, ConfigError, RtDenoiseError
from rtdenoise.evaluate.measures.metrics import delay_samples, shift
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ, read_mono
from rtdenoise.typing import F32

_TIMEOUT_SECONDS = 300.0
_DELAY_LIMIT_SECONDS = 1.0
_commands: dict[subprocess.Popen[bytes], str] = {}  # running processes, and the folder with each one's two files


class CommandError(RtDenoiseError, RuntimeError):
    """A program that failed, took too long or wrote nothing usable."""


def runner(command: str, delay: int) -> Callable[[F32], F32]:
    """The function ``(n,) float32 at 16 kHz -> (n,) float32`` of a command with ``{in}`` and ``{out}``.

    Parameters
    ----------
    command : str
    delay : int
        Delay of its output in samples.
    """
    return partial(_aligned, command, delay)


def _aligned(command: str, delay: int, signal: F32) -> F32:
    padded = np.concatenate([signal, np.zeros(max(delay, 0), np.float32)])
    return shift(run_command(command, padded), delay, signal.size)


def run_command(command: str, signal: F32) -> F32:
    """Output of the program for a signal, at the length it returns.

    Parameters
    ----------
    command : str
        ``{in}`` and ``{out}`` become two 16 kHz mono WAV files of 16 bits; no shell is involved.
    signal : (n,) float32

    Raises
    ------
    CommandError
        If it cannot be started, fails, takes more than five minutes or writes no audio.
    """
    with tempfile.TemporaryDirectory(prefix="rtdenoise-peer-") as folder:
        target = Path(folder) / "out.wav"
        _run_on(command, signal, folder)
        try:
            return read_mono(target).astype(np.float32)
        except AudioFileError as error:
            raise CommandError(f"{words_of(command)[0]} wrote no sound to {{out}}") from error


def ask_command(command: str, signal: F32) -> str:
    """What the program prints about a signal.

    Parameters
    ----------
    command : str
        ``{in}`` becomes a 16 kHz mono WAV file of 16 bits; no shell is involved.
    signal : (n,) float32

    Raises
    ------
    CommandError
        If it cannot be started, fails or takes more than five minutes.
    """
    with tempfile.TemporaryDirectory(prefix="rtdenoise-peer-") as folder:
        return _run_on(command, signal, folder).decode(errors="replace").strip()


def words_of(command: str, option: str = "--peer") -> list[str]:
    """The words of a command line, without a shell.

    Raises
    ------
    ConfigError
        If a quotation mark is missing.
    """
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{option} command {command!r}: {error}") from error


def _run_on(command: str, signal: F32, folder: str) -> bytes:
    """Run the program on a signal and return what it prints; ``{in}`` and ``{out}`` are in the folder."""
    import soundfile

    source, target = Path(folder) / "in.wav", Path(folder) / "out.wav"
    soundfile.write(source, np.clip(signal, -1.0, 1.0), SAMPLE_RATE_HZ, subtype="PCM_16")
    words = [w.replace("{in}", str(source)).replace("{out}", str(target)) for w in words_of(command)]
    try:
        code, printed, errors = _run(words, folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{words[0]} did not run: {error}") from error
    if code:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise CommandError(": ".join([f"{words[0]} ended with code {code}", *last]))
    return printed


def _run(words: Sequence[str], folder: str) -> tuple[int, bytes, bytes]:
    """Exit code, output and standard error of a program; it is killed if an exception is raised here."""
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # to be killed with all its children
    ) as process:
        _commands[process] = folder
        try:
            printed, errors = process.communicate(timeout=_TIMEOUT_SECONDS)
        except BaseException:
            _kill(process)
            raise
        finally:
            _commands.pop(process, None)
    return process.returncode, printed, errors


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and its children."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def end_command() -> None:
    """Kill the running command and remove its files, for a process about to exit."""
    for process, folder in tuple(_commands.items()):
        _kill(process)
        shutil.rmtree(folder, ignore_errors=True)


def delay_of(command: str, speech: F32) -> int:
    """Delay of the program's output in samples, measured with clean speech.

    Raises
    ------
    CommandError
        If it fails or returns silence.
    """
    out = shift(run_command(command, speech), 0, speech.size)
    if not np.any(out):
        raise CommandError("it gives silence for clean speech")
    # second differences emphasise the treble: high-pass filters shift the phase of the lowest harmonics
    return delay_samples(np.diff(speech, 2), np.diff(out, 2), int(_DELAY_LIMIT_SECONDS * SAMPLE_RATE_HZ))
