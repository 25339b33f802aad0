"""What is far above its floor in a clean recording: against its float64 twin, and at the edges."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.kernels.clean_speech import clarity
from tests.tolerances import KERNEL_RTOL

N_BINS = 33
psd = arrays(np.float32, N_BINS, elements=st.floats(2.0**-20, 2.0**20, width=32))
gains = arrays(np.float32, N_BINS, elements=st.floats(0.0, 1.0, width=32))


@given(recent=psd, lowest=psd, floor=psd, gain=gains, clearness=st.floats(0.0, 1.0, width=32))
def test_spared_bins_match_their_twin(recent, lowest, floor, gain, clearness):
    over_db = 10 * np.log10(recent.astype(float) / np.minimum(lowest, floor))
    expected = gain + clearness * np.clip((over_db - 4) / 5, 0, 1) * (1.0 - gain)
    clarity.spare_clear(recent, lowest, floor, gain, np.float32(clearness))
    assert_allclose(gain, expected, rtol=KERNEL_RTOL, atol=2e-5)


def test_nothing_is_spared_in_noise_and_everything_far_above_a_clean_floor():
    floor, gain = np.ones(N_BINS, np.float32), np.full(N_BINS, 0.2, np.float32)
    recent = np.where(np.arange(N_BINS) % 2, 2.0, 10.0).astype(np.float32)
    clarity.spare_clear(recent, floor, floor, gain, np.float32(0))
    assert_array_equal(gain, np.float32(0.2))
    clarity.spare_clear(recent, floor, floor, gain, np.float32(1))
    assert_allclose(gain[::2], 1.0, rtol=KERNEL_RTOL)
    assert_array_equal(gain[1::2], np.float32(0.2))
