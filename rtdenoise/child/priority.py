"""Try real-time priority in a throwaway process, because an ordinary user cannot give it up again.

The grant sets reset-on-fork, which only a privileged process may clear; rtkit also requires a limit on processor time,
which cannot be raised again and kills a process that exceeds it.
"""

from __future__ import annotations

from rtdenoise.child.questions import answer, ask
from rtdenoise.child.scheduling import PRIORITY_AUDIO, Grant, request_priority

_TIMEOUT_SECONDS = 20.0


def try_priority() -> Grant:
    """What an audio thread would be granted; this process is unchanged.

    Raises
    ------
    DeviceError
        If the system does not respond.
    """
    grant: Grant = ask(
        "rtdenoise.child.priority", timeout_seconds=_TIMEOUT_SECONDS, what="real-time priority cannot be asked for"
    )
    return grant


if __name__ == "__main__":
    answer(lambda: request_priority(0, PRIORITY_AUDIO))
