"""Numbered batches: batch k depends only on the seed and k, so training resumes exactly."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import threading
from collections.abc import Generator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from multiprocessing import get_context, parent_process

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.mixtures import Mixer, rms
from rtdenoise.typing import F32

_LOOK_SECONDS = 2.0  # interval at which a waiting consumer checks that its processes are alive
_DEAD_LEVEL = 1e-5  # lower levels: digital silence, scaled as if it were at this level


@dataclass(frozen=True, slots=True)
class Batch:
    """Training pairs of one step: arrays, or tensors on their way to a GPU.

    Attributes
    ----------
    noisy, target : (batch, n_samples) float32
    scale : (batch, 1) float32
        ``1 / rms(noisy)``: brings a pair to the unit level at which the loss compares.
    """

    noisy: F32
    target: F32
    scale: F32


def make_batch(mixer: Mixer, *, seed: int, number: int, batch_size: int, n_samples: int) -> Batch:
    """Batch `number` of the endless sequence defined by `seed`."""
    pairs = [mixer.mix(np.random.default_rng([seed, number, item]), n_samples) for item in range(batch_size)]
    noisy = np.stack([a for a, _ in pairs])
    target = np.stack([b for _, b in pairs])
    scale = np.array([[1.0 / max(rms(a), _DEAD_LEVEL)] for a in noisy], np.float32)
    return Batch(noisy, target, scale)


def batches(
    mixer: Mixer, *, seed: int, first: int, batch_size: int, n_samples: int, workers: int = 0, ahead: int = 4
) -> Generator[Batch, None, None]:
    """The sequence from batch `first` on, made a few batches ahead.

    Parameters
    ----------
    workers : int
        Processes that make the batches; 0: a thread of this process.
    ahead : int
        Batches under way; at least two for each worker.
    """
    sizes = {"seed": seed, "batch_size": batch_size, "n_samples": n_samples}
    with _pool(mixer, workers) as pool:
        make = functools.partial(make_batch, mixer) if workers == 0 else _make_here
        waiting = [pool.submit(make, number=first + k, **sizes) for k in range(max(ahead, 2 * workers))]
        try:
            for number in itertools.count(first + len(waiting)):
                yield _result(waiting.pop(0), pool)
                waiting.append(pool.submit(make, number=number, **sizes))
        except BrokenExecutor as error:
            raise ConfigError(
                f"a process that makes mixtures has ended (out of memory?); {workers=} may be fewer, 0 needs none"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _result(future: Future[Batch], pool: Executor) -> Batch:
    """Wait for `future` while checking the pool's processes, because a pool does not always report a killed one."""
    while True:
        try:
            return future.result(timeout=_LOOK_SECONDS)
        except FutureTimeoutError:
            processes = getattr(pool, "_processes", {})  # None once the pool has given up
            if processes is None or not all(process.is_alive() for process in processes.values()):
                _give_up(pool)
                raise BrokenExecutor("a process has ended") from None


def _give_up(pool: Executor) -> None:
    """End all processes, and the result one was killed while sending: the pool would wait for the rest forever."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
    writer = getattr(getattr(pool, "_result_queue", None), "_writer", None)
    if writer is not None:
        writer.close()


def _pool(mixer: Mixer, workers: int) -> Executor:
    if workers == 0:
        return ThreadPoolExecutor(1)
    # spawned, because a process that computes with TensorFlow cannot be forked
    return ProcessPoolExecutor(workers, get_context("spawn"), _keep, (mixer,))


_kept: list[Mixer] = []


def _keep(mixer: Mixer) -> None:
    """Initialise a worker: store its source, exit with the run, and leave Ctrl-C to the run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _kept[:] = [mixer]


def _end_with_parent() -> None:
    """Exit when the run is gone: a killed run cannot notify its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_here(**arguments: int) -> Batch:
    return make_batch(_kept[0], **arguments)
