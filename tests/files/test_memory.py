"""A long file costs no more memory than a short one, and a full disk leaves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("resource", reason="memory and file sizes are limited through POSIX only")

MEASURE = """
import json, pathlib, re, sys
from rtdenoise.files import denoise_file
peaks = []
for source in sys.argv[1:]:
    denoise_file(source, method="WF", preset="low")
    status = pathlib.Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory, too
    peaks.append(int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]))
print(json.dumps(peaks))
"""

WARM_UP = """
import rtdenoise
rtdenoise.stream("WF", sample_rate=16000, preset="low")
"""

FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from rtdenoise.cli.entry import run
sys.exit(run(["--input", sys.argv[1], "--output", sys.argv[2], "--method", "bypass"]))
"""


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_length(tmp_path):
    rng = np.random.default_rng(0)
    block = np.rint(rng.normal(0, 1000, 16000 * 60)).astype("<i2")
    for name, minutes in (("short.wav", 2), ("long.wav", 45)):
        with soundfile.SoundFile(tmp_path / name, "w", samplerate=16000, channels=1, subtype="PCM_16") as file:
            for _ in range(minutes):
                file.write(block)

    warm = run_python(WARM_UP)  # compiling takes more memory than any file
    done = run_python(MEASURE, tmp_path / "short.wav", tmp_path / "long.wav")

    assert warm.returncode == 0, warm.stderr
    assert done.returncode == 0, done.stderr
    short_kb, long_kb = json.loads(done.stdout)
    assert long_kb - short_kb < 3_000  # the long file alone has 86 MB of samples
    assert long_kb < 300_000


@pytest.mark.parametrize("name", ["b.wav", "b.flac", "b.ogg", "b.mp3", "b.opus", "b.w64"])
def test_a_full_disk_is_one_line_and_leaves_nothing(make, tmp_path, name):
    source = make(samples=np.random.default_rng(0).normal(0, 0.2, 16000 * 120), rate=16000)

    done = run_python(FULL, source, tmp_path / name)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"rtdenoise: error: {tmp_path / name}: cannot be written: file too large; nothing was kept"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noisy.wav"]


def test_dev_full_as_standard_output(make):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rtdenoise", "--input", str(make()), "--output", "-", "--method", "bypass"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "rtdenoise: error: standard output: cannot be written: No space left on device\n"
