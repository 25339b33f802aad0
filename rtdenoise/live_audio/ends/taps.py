"""Copy samples from a running session to recordings, files and pipes, in threads that cannot disturb the audio."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.record import audible_delay
from rtdenoise.live_audio.session import Session
from rtdenoise.live_audio.shared_memory import Region, span_of
from rtdenoise.typing import F32

_POLL_SECONDS = 0.04
_MARGIN_SECONDS = 0.5  # of the ring that the audio thread may write next
_SLICE = 1024  # samples handed over at once: small, so that a slow sink is seen to move
_HURRY_SECONDS = 0.4  # a pipe that nobody reads must not keep it
_TELL_SECONDS = 10.0


class Sink(Protocol):
    """Where samples go."""

    def write(self, samples: F32, missing: int = 0) -> None:
        """Append (n, channels) float32; `missing` samples before them were overwritten before they were read."""


@dataclass(slots=True)
class Tap:
    """What passes one ring of a session, in order; a reopened stream continues where the last ended.

    `late`: the ring holds what is later than the input; the samples by which it is are left out, at the start of every
    stream and when another method has another delay.  `held`: give out no more than a `late` tap of the same moment
    has, so that both are of one length.  `start`: position in the input of the first sample.
    """

    session: Session
    ring: str
    late: bool = False
    held: bool = False
    start: int = 0
    _region: Region | None = None
    _position: int = 0
    _delay: int = 0
    _rings: dict[str, F32] = field(default_factory=dict)

    def follow(self, region: Region, delay: int) -> None:
        """Go to the stream of `region`, where the output is `delay` samples later than the input."""
        if region is not self._region:
            self._position = self.start if self._region is None else 0
            self._region, self._rings, self._delay = region, region.attached_rings(), 0
        if self.late:
            self._position = max(0, self._position + delay - self._delay)
        self._delay = delay

    def behind(self, oldest: int) -> int:
        """How many of the next samples are older than the `oldest`."""
        return max(0, oldest - self._position)

    def left(self, n: int) -> int:
        """How many samples there are up to the `n`-th output."""
        return max(0, (n - self._delay if self.held else n) - self._position)

    def peek(self, n: int) -> F32:
        """The samples up to the `n`-th output, (n, channels) float32."""
        return span_of(self._rings[self.ring], self._position, self._position + self.left(n))

    def move(self, n: int) -> None:
        """Leave out the next `n` samples."""
        self._position += n


def pull_together(taps: Sequence[Tap], region: Region, n: int) -> tuple[int, list[F32]]:
    """What passed every tap up to the `n`-th output since the last call.

    Returns
    -------
    missing : int
        Samples before them that were overwritten: all taps leave out as many, so that they stay aligned.
    samples : list of (n, channels) float32
    """
    live = region.live[0]
    if live["capacity"] == 0 or live["wait"] < 0:
        return 0, [np.zeros((0, max(1, int(live["channels"]))), np.float32) for _ in taps]
    delay = audible_delay(region.live)
    for tap in taps:
        tap.follow(region, delay)
    capacity, block = int(live["capacity"]), int(live["block"])
    margin = min(max(int(_MARGIN_SECONDS * float(live["rate"])), 4 * block), capacity // 2)
    missing = _behind(taps, n - capacity + margin)
    for tap in taps:
        tap.move(missing)
    samples = [tap.peek(n) for tap in taps]
    newest = int(live["n_in"]) + 2 * block  # what the audio thread may have written while we copied
    torn = min(_behind(taps, newest - capacity), max(piece.shape[0] for piece in samples))
    for tap in taps:
        tap.move(tap.left(n))
    return missing + torn, [piece[torn:] for piece in samples]


def _behind(taps: Sequence[Tap], oldest: int) -> int:
    return max(tap.behind(oldest) for tap in taps)


class Gaps:
    """Sums up gaps in a stream and reports them: the first at once, later ones every ten seconds.

    Parameters
    ----------
    words : str
        The line to tell, with ``{missing}`` and, of the first gap it is about, ``{at}``, both in seconds.
    tell : callable

    Attributes
    ----------
    seconds : float
        Missing in all.
    """

    def __init__(self, words: str, tell: Callable[[str], None]) -> None:
        self._words, self._tell = words, tell
        self.seconds = self._untold = self._at = 0.0
        self._due = -math.inf

    def add(self, seconds: float, at: float) -> None:
        """Add a gap."""
        if not self._untold:
            self._at = at
        self.seconds += seconds
        self._untold += seconds
        if time.monotonic() >= self._due:
            self.tell()

    def tell(self) -> None:
        """Report gaps not reported yet."""
        if self._untold:
            self._tell(self._words.format(missing=f"{self._untold:.2f}", at=f"{self._at:.1f}"))
            self._untold, self._due = 0.0, time.monotonic() + _TELL_SECONDS


class TapThread:
    """Carries samples from taps to sinks until told to stop; a sink that fails is left alone, the audio goes on.

    Parameters
    ----------
    pairs : iterable of (Tap, Sink)
        Of one session; they stay aligned with each other.
    tell : callable
        Gets one line if a sink fails.
    """

    def __init__(self, pairs: Iterable[tuple[Tap, Sink]], tell: Callable[[str], None]) -> None:
        self._pairs, self._tell = list(pairs), tell
        self._session = self._pairs[0][0].session
        self._region = self._session.region
        self._unsent = self._moved = 0
        self._abandoned = False
        self.failed: BaseException | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(_POLL_SECONDS):
            self._carry()
        self._carry()

    def _carry(self) -> None:
        """Handle the rest of an ended stream first."""
        before, self._region = self._region, self._session.region
        for region in (before, self._region) if before is not self._region else (before,):
            if self._pairs and not self._abandoned:
                taps = [tap for tap, _ in self._pairs]
                self._hand_over(*pull_together(taps, region, int(region.live["n"][0])))

    def _hand_over(self, missing: int, samples: list[F32]) -> None:
        """In slices, to all sinks in turn: what one of them refuses no other is far ahead of."""
        pairs = list(zip(list(self._pairs), samples, strict=True))
        self._unsent = max(piece.shape[0] for piece in samples)
        for start in range(0, self._unsent or min(missing, 1), _SLICE):
            for pair, piece in pairs:
                if pair in self._pairs and not self._abandoned:
                    self._write(pair, piece[start : start + _SLICE], missing)
            missing = 0
            self._unsent = max(0, self._unsent - _SLICE)
            self._moved += 1

    def _write(self, pair: tuple[Tap, Sink], samples: F32, missing: int) -> None:
        if samples.shape[0] == 0 and missing == 0:
            return
        try:
            pair[1].write(samples, missing)
        except (OSError, RtDenoiseError) as error:
            self._pairs.remove(pair)
            self.failed = error
            self._tell(str(error))

    def finish(self, patience_seconds: float, hurried: Callable[[], bool] = lambda: False) -> int:
        """Carry what is left and stop; give up when nothing moves for so long, or soon after `hurried` says so.

        Returns
        -------
        int
            Samples that were not carried.
        """
        self._end.set()
        moved, limit, hurry = self._moved, time.monotonic() + patience_seconds, math.inf
        while self._thread.is_alive() and time.monotonic() < min(limit, hurry):
            self._thread.join(_POLL_SECONDS)
            if self._moved != moved:
                moved, limit = self._moved, time.monotonic() + patience_seconds
            if hurry == math.inf and hurried():
                hurry = time.monotonic() + _HURRY_SECONDS
        if not self._thread.is_alive():
            return 0
        self._abandoned = True
        n = int(self._region.live["n"][0])
        return self._unsent + max((tap.left(n) for tap, _ in self._pairs), default=0)
