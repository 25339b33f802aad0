"""Score every system on every clip: in parallel, each score cached immediately, every failure reported."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.child.endings import follow_parent, spawning
from rtdenoise.disk.atomic import remove_living
from rtdenoise.errors import RtDenoiseError, reason
from rtdenoise.evaluate.cache import Cache, digest
from rtdenoise.evaluate.clips import Clip, render, render_full_band
from rtdenoise.evaluate.compared.external import end_command
from rtdenoise.evaluate.compared.systems import System, enhancer, fingerprint
from rtdenoise.evaluate.measures import full_band, metrics
from rtdenoise.typing import F32

_files_log = logging.getLogger("rtdenoise.sound")

Scores = dict[str, float]
Progress = Callable[[int, int], None]

_DNSMOS = ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak")


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Scores of one clip by system.

    `error`: why the clip was left out; `failed`: why a system failed; `remarks`: anything unusual about its files.
    """

    clip: Clip
    rate_hz: int = 0
    scores: dict[str, Scores] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    error: str = ""
    remarks: tuple[str, ...] = ()


class _Remarks(logging.Handler):
    """Collects log messages about files while a clip is read, in any process, for the parent to log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.found.append(record.getMessage())

    def __enter__(self) -> _Remarks:
        _files_log.addHandler(self)
        _files_log.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        _files_log.propagate = True
        _files_log.removeHandler(self)


def score_all(
    clips: Sequence[Clip],
    systems: Sequence[System],
    cache: Path,
    *,
    jobs: int,
    with_dnsmos: bool = True,
    progress: Progress | None = None,
) -> list[ClipScores]:
    """Score every system on every clip, in the order of the clips.

    Parameters
    ----------
    clips, systems
    cache : Path
        Folder of cached scores, which are not computed again.
    jobs : int
        Number of processes.
    with_dnsmos : bool
    progress : callable, optional
        Called with the number of clips done and the total.
    """
    done: dict[int, ClipScores] = {}
    tell = progress or (lambda _done, _total: None)
    tell(0, len(clips))
    for index, scored in _run(clips, systems, cache, jobs, with_dnsmos):
        done[index] = scored
        tell(len(done), len(clips))
    return [done[index] for index in range(len(clips))]


def _run(
    clips: Sequence[Clip], systems: Sequence[System], cache: Path, jobs: int, with_dnsmos: bool
) -> Iterator[tuple[int, ClipScores]]:
    """Yield scores as they complete.  Python peers may crash their process, so they never run in this one."""
    Cache(cache)
    jobs = min(jobs, len(clips))
    if jobs <= 1 and not any(system.kind == "peer" for system in systems):
        for index, clip in enumerate(clips):
            yield index, score_clip(clip, systems, cache, with_dnsmos)
        return
    waiting = deque(enumerate(clips))
    while waiting:
        suspects = yield from _until_one_dies(waiting, jobs, systems, cache, with_dnsmos)
        for suspect in suspects:  # one at a time: a crash then identifies its clip
            if (yield from _until_one_dies(deque([suspect]), 1, systems, cache, with_dnsmos)):
                index, clip = suspect
                yield index, ClipScores(clip, error="the process that scored it died")


def _until_one_dies(
    waiting: deque[tuple[int, Clip]], jobs: int, systems: Sequence[System], cache: Path, with_dnsmos: bool
) -> Generator[tuple[int, ClipScores], None, list[tuple[int, Clip]]]:
    """Score clips from `waiting` in a pool; return those in flight when one of its processes died."""
    context = get_context("spawn")
    with spawning():  # also starts the resource tracker
        stop = context.Event()
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(stop,))
    running: dict[Future[ClipScores], tuple[int, Clip]] = {}
    lost: list[tuple[int, Clip]] = []
    try:
        while running or (waiting and not lost):
            while waiting and not lost and len(running) < jobs:  # few in flight, so that few are suspects
                index, clip = waiting.popleft()
                try:
                    with spawning():
                        running[pool.submit(score_clip, clip, systems, cache, with_dnsmos)] = index, clip
                except BrokenProcessPool:
                    lost.append((index, clip))
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index, clip = running.pop(future)
                try:
                    yield index, future.result()
                except BrokenProcessPool:
                    lost.append((index, clip))
    except BaseException:
        stop.set()  # a metric or a peer may take minutes
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return sorted(lost, key=lambda entry: entry[0])


def _begin(stop: Any) -> None:
    """Initialise a worker: leave signals to the parent, and use one thread."""
    follow_parent(_leave_nothing, hears_sigterm=True, stop=stop)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _leave_nothing() -> None:
    """Clean up before a worker exits early."""
    end_command()
    remove_living()


def score_clip(clip: Clip, systems: Sequence[System], cache: Path, with_dnsmos: bool) -> ClipScores:
    """Scores of every system on one clip; errors become part of the result."""
    with _Remarks() as heard:
        try:
            clean, noisy, rate_hz = render(clip)
            full = render_full_band(clip)
        except (RtDenoiseError, OSError) as error:
            return ClipScores(clip, error=str(error), remarks=tuple(dict.fromkeys(heard.found)))
    result = ClipScores(clip, rate_hz, remarks=tuple(dict.fromkeys(heard.found)))
    for system in systems:
        try:
            scores = _score(system, (clean, noisy), rate_hz, Cache(cache), with_dnsmos)
            if full is not None:
                scores |= _score_full_band(system, *full, Cache(cache))
            result.scores[system.name] = scores
        except Exception as error:  # noqa: BLE001  # any error of a peer is reported, and the rest goes on
            result.failed[system.name] = reason(error)[:200]
    return result


def _score(system: System, pair: tuple[F32, F32], rate_hz: int, cache: Cache, with_dnsmos: bool) -> Scores:
    """Scores from the cache; only missing ones are computed."""
    clean, noisy = pair
    system_digest = fingerprint(system)
    run_key = digest("run", system_digest, str(rate_hz), clean, noisy)
    score_key = str(cache.get(run_key).get("scores", "")) if system_digest else ""
    enhanced = None
    if not score_key:
        enhanced = enhance(system, noisy, rate_hz)
        score_key = digest("scores", str(rate_hz), clean, noisy, enhanced)
        if system_digest:
            cache.put(run_key, {"scores": score_key})
    scores: Scores = cache.get(score_key)
    wanted = metrics.possible_names(rate_hz, with_dnsmos=with_dnsmos)
    lacking = [name for name in wanted if name not in scores]
    if lacking:
        enhanced = enhance(system, noisy, rate_hz) if enhanced is None else enhanced
        if not set(lacking) <= set(_DNSMOS):
            scores |= metrics.measure(clean, enhanced, noisy=noisy, rate_hz=rate_hz, with_dnsmos=False)
        if set(lacking) & set(_DNSMOS):
            scores |= metrics.dnsmos(enhanced)
        cache.put(score_key, scores)
    return {name: scores[name] for name in wanted if name in scores}


def _score_full_band(system: System, clean: F32, noisy: F32, rate_hz: int, cache: Cache) -> Scores:
    """Scores at the clip's own rate, from the cache if the system is one that cannot have changed."""
    system_digest = fingerprint(system)
    key = digest("full band", system_digest, str(rate_hz), clean, noisy)
    scores: Scores = cache.get(key) if system_digest else {}
    if not scores:
        scores = full_band.at_own_rate(clean, enhance(system, noisy, rate_hz), rate_hz)
        if system_digest:
            cache.put(key, scores)
    return scores


def enhance(system: System, noisy: F32, rate_hz: int) -> F32:
    """Output of the system for a noisy signal."""
    with np.errstate(all="ignore"):  # peers may divide by zero
        return np.asarray(enhancer(system, rate_hz)(noisy), dtype=np.float32)
