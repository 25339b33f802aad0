"""Dask workers: a cluster inside this program, or an existing one by address."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.evaluate.machine import cores

_CONNECT_SECONDS = 10.0


@contextmanager
def connect(scheduler: str | None, jobs: int | None) -> Iterator[Any]:
    """Connect a Dask client to the scheduler at this address, or to a local cluster of `jobs` processes.

    Parameters
    ----------
    scheduler : str or None
        For example ``tcp://10.0.0.5:8786``.
    jobs : int or None
        Processes of the local cluster; None uses all cores.

    Raises
    ------
    MissingExtraError
        Without Dask.
    ConfigError
        If no scheduler responds at the address, or for less than one process.
    """
    if find_spec("distributed") is None:
        raise MissingExtraError("rtdenoise batch needs more packages: pip install 'rtdenoise[batch]'")
    from distributed import Client, LocalCluster

    for name in ("distributed", "tornado", "asyncio"):  # lost workers are reported as rows, not as log lines
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler is not None:
        client = _remote(Client, scheduler)
        try:
            yield client
        finally:
            client.close(timeout=_CONNECT_SECONDS)
        return
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs} must be at least 1")
    with (
        LocalCluster(
            n_workers=jobs or cores(),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _remote(kind: Any, scheduler: str) -> Any:
    try:
        return kind(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError, TypeError, ImportError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"scheduler {scheduler} does not answer: {why[:200]}") from error
