"""Positions that two processes share."""

from __future__ import annotations

import numba
import numpy as np

from rtdenoise.live_audio.engine.positions import publish, samples_in
from rtdenoise.live_audio.record import LIVE


def test_positions_are_read_and_written_where_the_record_has_them():
    live = np.zeros(1, LIVE)
    live["n_in"], live["engine_n"] = 4711, 17
    assert samples_in(live) == 4711
    publish(live, 4096)
    assert live["engine_n"][0] == 4096 and live["n_in"][0] == 4711


def test_a_fence_stands_between_position_and_samples():
    """A full fence is in the code of each, so that no processor shows the one without the other."""
    live = np.zeros(1, LIVE)
    for kernel, arguments in ((samples_in, (live,)), (publish, (live, 1))):
        compiled = numba.njit(kernel.py_func)  # what comes from the cache cannot be looked into
        compiled(*arguments)
        assert "fence seq_cst" in "".join(compiled.inspect_llvm().values()), kernel
