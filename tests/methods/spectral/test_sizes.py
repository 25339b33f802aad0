"""What is compiled for one preset and rate runs all others, live as well."""

from __future__ import annotations

import numba
import pytest
from numba.core import event

import rtdenoise
from rtdenoise.config import load_settings
from rtdenoise.live_audio.callback.programs import start_of

PRESETS = ("quality", "balanced", "low", "ultra")
RATES_HZ = (8000, 11025, 16000, 44100, 96000, 192000)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("channels", [1, 2])
def test_another_preset_rate_or_method_compiles_nothing(channels):
    """Not even code that lies on the disk is read."""
    rtdenoise.build("WF", sample_rate=16000, preset="low", channels=channels)
    with event.install_recorder("numba:compile") as recorder:
        for number, rate_hz in enumerate(RATES_HZ):
            for method in ("SS", "WF"):
                rtdenoise.build(method, sample_rate=rate_hz, preset=PRESETS[number % 4], channels=channels)
        if channels > 1:
            rtdenoise.build("WF", sample_rate=16000, channels=7)
    assert not recorder.buffer, recorder.buffer


def test_another_preset_and_rate_run_the_same_callback():
    layouts = {
        start_of(load_settings(method=method, preset=preset), rate_hz, channels).layout
        for method in ("SS", "WF")
        for preset, rate_hz, channels in (("quality", 44100, 1), ("low", 48000, 2), ("ultra", 16000, 8))
    }
    assert len(layouts) == 1
