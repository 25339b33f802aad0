"""Kernels whose machine code is on disk run without the compiler, and give the same samples to the bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rtdenoise
from rtdenoise.cache import machine_code
from rtdenoise.cache.machine_code import MachineCode
from rtdenoise.kernels.jit import COMPILES, Kernel, ready
from rtdenoise.kernels.overlap_add import apply_gain
from rtdenoise.methods.can.compiled.records import initial_records
from rtdenoise.methods.can.compiled.state import weights_dtype
from rtdenoise.methods.can.models import open_model

pytestmark = pytest.mark.skipif(not COMPILES, reason="nothing is compiled")

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, sys
import numpy as np
import rtdenoise
from rtdenoise.cache import machine_code

if sys.argv[1] == "compiler":
    machine_code.load_function = lambda name: None
rng, bits = np.random.default_rng(0), hashlib.sha256()
noise = rng.normal(0, 0.1, (9001, 2)).astype(np.float32)
for rate, channels, settings in (
    (16000, 1, {"method": "WF"}),
    (44100, 1, {"method": "SS", "preset": "low", "attenuation_limit_db": 9.0}),
    (48000, 2, {"method": "WF", "preset": "quality", "channel_mode": "linked"}),
    (8000, 2, {"method": "WF", "channel_mode": "each", "mix": 0.5}),
    (22050, 1, {"method": "WF", "config": {"processing_rate_hz": 16000}}),
    (16000, 2, {"method": "bypass"}),
    *((24000, 1, {"model": name}) for name in sys.argv[2:]),
):
    signal = noise[:, 0] if channels == 1 else noise
    with rtdenoise.stream(sample_rate=rate, channels=channels, **settings) as stream:
        for _ in range(2):
            for chunk in np.split(signal, (1, 100, 3333, 3334, 8000)):
                bits.update(stream.process(chunk).tobytes())
            bits.update(f"{stream.speech_probability}".encode())
            bits.update(stream.flush().tobytes())
            stream.reset()
print(bits.hexdigest(), "numba" in sys.modules, "scipy" in sys.modules)
"""


def run(*arguments: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.parametrize("models", [(), ("can-live", "can-wave")])
def test_the_same_samples_without_the_compiler(models):
    run("disk", *models)  # what is not on the disk yet is compiled
    bits, *loaded = run("disk", *models)
    assert loaded == ["False", "False"]
    assert run("compiler", *models) == [bits, "True", "True"]


def test_a_file_is_denoised_without_the_compiler(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "noisy.wav", noise, 16000)
    rtdenoise.denoise_file(tmp_path / "noisy.wav", tmp_path / "here.wav")
    script = """
import sys
from rtdenoise.cli import main
sys.argv = ["rtdenoise", "-f", "noisy.wav", "-o", "there.wav"]
try:
    main()
finally:
    print([name for name in ("numba", "scipy", "matplotlib") if name in sys.modules])
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
    assert (tmp_path / "there.wav").read_bytes() == (tmp_path / "here.wav").read_bytes()


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel whose machine code is in a folder of its own, and what it is called with."""
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path))
    gain, spectrum = np.full(5, 0.5, np.float32), np.ones(5, np.complex64)
    ready(Kernel(apply_gain.py_func, apart=True), gain, spectrum)
    return Kernel(apply_gain.py_func, apart=True), gain, spectrum


def test_code_from_the_disk_does_what_the_kernel_does(kernel):
    fresh, gain, spectrum = kernel
    found = ready(fresh, gain, spectrum)
    assert "made" not in vars(fresh), "the compiler was not asked"
    found(gain, spectrum)
    assert spectrum.tolist() == [0.5] * 5
    assert ready(fresh, gain, spectrum) is found


@pytest.mark.parametrize(
    "change", [{"symbol": "no_such_function"}, {"environment": "no_such_place"}, {"needed": ("no_such_name",)}]
)
def test_what_cannot_be_loaded_is_compiled(kernel, monkeypatch, change):
    fresh, gain, spectrum = kernel
    found = machine_code._find

    def changed(name: str) -> MachineCode:
        code = found(name)
        names = ("content", "symbol", "needed", "libraries", "environment")
        return MachineCode(**({key: getattr(code, key) for key in names} | change))

    monkeypatch.setattr(machine_code, "_find", changed)
    ready(fresh, gain, spectrum)(gain, spectrum)
    assert "made" in vars(fresh)
    assert spectrum.tolist() == [0.5] * 5


def test_arguments_of_another_kind_are_other_code(kernel):
    fresh, gain, spectrum = kernel
    ready(fresh, gain, spectrum.astype(np.complex128))
    assert "made" in vars(fresh)


def test_networks_of_equal_layers_share_their_code():
    kinds = []
    for name in ("can-live", "can-ultra", "can-wave"):
        spec = open_model(name).spec
        records = initial_records(spec, 16000)
        kinds.append(machine_code.layout(weights_dtype(spec), records.stream.dtype))
    assert kinds[0] == kinds[2] != kinds[1]
