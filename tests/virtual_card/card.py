"""The virtual microphone and speaker in a process of their own, so that a server that dies takes no test with it."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

_READY_SECONDS = 30.0
_CLOSE_SECONDS = 2.0


class VirtualCard:
    """Two JACK clients that PortAudio lists as devices: `LocalCard` in another process, with its arguments and methods.

    Attributes
    ----------
    rate, period : int
        Of the server: Hz, samples.
    """

    def __init__(self, server: str, microphone: str = "virtual_microphone", speaker: str = "virtual_speaker") -> None:
        self._arguments = (server, microphone, speaker)
        self.rate = self.period = 0

    def _ask(self, name: str, *arguments: Any, timeout_seconds: float = _READY_SECONDS, **options: Any) -> Any:
        self._pipe.send((name, arguments, options))
        if not self._pipe.poll(timeout_seconds):
            raise TimeoutError(f"the virtual card did not answer {name}")
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def set_idle(self, signal: np.ndarray) -> None:
        """What the microphone gives, over and over, while nothing is played."""
        self._ask("set_idle", signal)

    def set_feedback(self, share: float, resonance: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """Let the microphone hear this much of the speaker, through a filter of the room."""
        self._ask("set_feedback", share, resonance)

    def wait_connected(self, timeout_seconds: float = 30.0) -> None:
        """Return when a program uses both devices."""
        self._ask("wait_connected", timeout_seconds, timeout_seconds=timeout_seconds + 5.0)

    def play_record(self, signal: np.ndarray, tail_seconds: float = 0.5, *, fast: bool = False) -> np.ndarray:
        """Play a mono signal; what the speaker got from the cycle of its first sample on.  See `LocalCard`."""
        patience = (len(signal) / self.rate + tail_seconds) * 3 + 20
        heard: np.ndarray = self._ask("play_record", signal, tail_seconds, timeout_seconds=patience, fast=fast)
        return heard

    def __enter__(self) -> VirtualCard:
        context = multiprocessing.get_context("forkserver")  # it imports numpy and JACK once for all cards of a process
        context.set_forkserver_preload(["tests.virtual_card.clients"])
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_READY_SECONDS):
            raise TimeoutError("the virtual card did not start")
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        self.rate, self.period = answer
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._pipe.send(None)
        self._process.join(_CLOSE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_CLOSE_SECONDS)
        self._process.close()
        self._pipe.close()


def serve(pipe: Connection, server: str, microphone: str, speaker: str) -> None:
    """The other process: do what is asked until it ends."""
    from tests.virtual_card.clients import LocalCard

    try:
        with LocalCard(server, microphone, speaker) as card:
            pipe.send((card.rate, card.period))
            while (asked := pipe.recv()) is not None:
                name, arguments, options = asked
                try:
                    pipe.send(getattr(card, name)(*arguments, **options))
                except (RuntimeError, TimeoutError, ValueError) as error:
                    pipe.send(error)
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - handed to the test
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
