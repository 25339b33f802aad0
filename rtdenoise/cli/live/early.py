"""Start the audio process before the command line is parsed, where its words show that one will be needed."""

from __future__ import annotations

from collections.abc import Sequence

from rtdenoise.live_audio.audio.ahead import Ahead

_DEVICES = ("mic", "microphone", "speaker", "speakers")
_OTHERWISE = ("--help", "-h", "--version", "virtual-mic")  # no session, or one whose environment is set before
_begun: list[Ahead] = []


def is_live(arguments: Sequence[str]) -> bool:
    """Whether these arguments most likely mean a live session; at worst a process is started for nothing."""
    words = [word.lower() for word in arguments]
    if any(word in _OTHERWISE for word in words):
        return False
    return words[:1] == ["live"] or any(word.partition(":")[0] in _DEVICES for word in words)


def begin(arguments: Sequence[str]) -> None:
    """Start the audio process for these arguments, if it is needed."""
    if is_live(arguments):
        _begun.append(Ahead())


def take() -> Ahead:
    """The process that was started, or a new one; the caller closes it."""
    return _begun.pop() if _begun else Ahead()


def end() -> None:
    """End the process if nobody took it."""
    while _begun:
        _begun.pop().close()
