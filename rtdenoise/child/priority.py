"""Try for real-time priority in a process that ends with what it got: an ordinary user cannot give it back.

What the system grants is reset in children, and only a privileged process may clear that again; rtkit wants a limit of
processor time, which cannot be raised again either and kills a process that computes for longer.
"""

from __future__ import annotations

from dataclasses import asdict

from rtdenoise.child.questions import answer, ask
from rtdenoise.child.scheduling import PRIORITY_AUDIO, Grant, request_priority

_TIMEOUT_SECONDS = 20.0


def try_priority() -> Grant:
    """What an audio thread would be granted; this process stays as it is.

    Raises
    ------
    DeviceError
        If the system does not answer.
    """
    found = ask(
        "rtdenoise.child.priority", timeout_seconds=_TIMEOUT_SECONDS, what="real-time priority cannot be asked for"
    )
    return Grant(**found)


if __name__ == "__main__":
    answer(lambda: asdict(request_priority(0, PRIORITY_AUDIO)))
