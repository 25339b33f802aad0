"""Compile a network for the audio callback in a process of its own: the audio process never loads the compiler."""

from __future__ import annotations

import subprocess
import sys

from rtdenoise.child.scheduling import end_with_parent
from rtdenoise.errors import DeviceError, RtDenoiseError
from rtdenoise.live_audio.callback.programs import network_is_kept, process_callback, start_of
from rtdenoise.live_audio.messages import unpacked

_COMPILE_SECONDS = 300.0


def compile_outside(plan: str, rate: int) -> None:
    """Have everything on disk that the callback needs to run the network of a plan.

    Parameters
    ----------
    plan : str
        `rtdenoise.live_audio.messages.packed`.
    rate : int
        Of the device, in Hz.

    Raises
    ------
    DeviceError
        If it cannot be compiled, or not within five minutes.
    ModelError
        If there is no such network.
    """
    asked = unpacked(plan)
    if network_is_kept(asked.settings, rate, asked.channels):
        return
    command = [sys.executable, "-m", "rtdenoise.live_audio.callback.outside", plan, str(rate)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{asked.settings.can.model} was not compiled within {_COMPILE_SECONDS:.0f} s") from error
    if done.returncode != 0:
        last_line = done.stderr.strip().splitlines()[-1:]
        raise DeviceError(" ".join(last_line) or "the process that compiles it ended without a message")


def main(plan: str, rate: int) -> None:
    """Compile in this process."""
    end_with_parent()
    asked = unpacked(plan)
    try:
        process_callback(start_of(asked.settings, rate, asked.channels, with_network=True))
    except RtDenoiseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
