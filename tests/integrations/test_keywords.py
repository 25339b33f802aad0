"""What every call lets its caller choose, frameworks let, too."""

from __future__ import annotations

import dataclasses
import inspect
import sys

import pytest

from rtdenoise.choice import Choice

FIELDS = [field.name for field in dataclasses.fields(Choice)]
CALLS = {"pipecat": "RtDenoiseFilter", "livekit": "noise_suppression", "aiortc": "DenoisedTrack"}


@pytest.mark.parametrize("module", CALLS)
def test_frameworks_spell_them_out_too(module):
    if "tensorflow" in sys.modules:  # aiortc crashes beside it
        pytest.skip("TensorFlow is loaded: run tests/integrations by itself")
    ours = pytest.importorskip(f"rtdenoise.integrations.{module}", exc_type=ImportError)
    parameters = inspect.signature(getattr(ours, CALLS[module])).parameters
    assert set(FIELDS) <= set(parameters)
    assert {name: parameters[name].default for name in FIELDS} == dict.fromkeys(FIELDS) | {"preset": "low"}
