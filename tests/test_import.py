"""Importing is cheap: heavy packages come with the first use, and only those that the use needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numba", "tensorflow", "keras", "scipy", "matplotlib", "sounddevice", "soundfile", "ai_edge_litert")


def loaded_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("statement", ["import rtdenoise", "import rtdenoise; rtdenoise.ConfigError; dir(rtdenoise)"])
def test_import_loads_nothing_heavy(statement):
    assert not loaded_after(statement) & {*HEAVY, "numpy", "yaml", "click"}


def test_wiener_filter_needs_neither_tensorflow_nor_a_sound_card():
    loaded = loaded_after("import numpy, rtdenoise; rtdenoise.denoise(numpy.zeros(999, 'f4'), 16000, 'WF')")
    assert not loaded & {"tensorflow", "keras", "matplotlib", "sounddevice", "soundfile", "ai_edge_litert"}


def test_configuration_needs_no_compiler():
    assert "numba" not in loaded_after("from rtdenoise.config import load_settings; load_settings(preset='low')")


def test_unknown_attribute_is_an_attribute_error():
    import rtdenoise

    with pytest.raises(AttributeError, match="no attribute 'denoize'"):
        _ = rtdenoise.denoize


def test_a_start_does_not_wait_for_scipy_signal():
    script = "import sys, rtdenoise.files.single, rtdenoise.cli.live.route; sys.exit('scipy.signal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
