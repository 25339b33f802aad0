"""Peak memory of denoising a file of many hours: it must not depend on the length.

Example::

    python benchmarks/memory.py --hours 10

Makes the file in a temporary folder (1.2 GB for 10 h of 16 kHz mono, and as much again for the output), denoises it in
a process of its own, and prints that process's peak beside the peak for one minute.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

WORK = """
import json, pathlib, sys
from rtdenoise.files import denoise_file
report = denoise_file(sys.argv[1], sys.argv[2], method=sys.argv[3], preset=sys.argv[4])
status = pathlib.Path("/proc/self/status").read_text()
print(json.dumps({"status": status, "rtf": report.rtf, "seconds": report.seconds}))
"""
WARM_UP = "import sys, rtdenoise; rtdenoise.stream(sys.argv[1], sample_rate=int(sys.argv[2]), preset=sys.argv[3])"


def main() -> int:
    """Run the benchmark; exit code 1 if the peak is over the limit."""
    options = parse()
    setup = (options.method, options.preset)
    subprocess.run([sys.executable, "-c", WARM_UP, options.method, str(options.rate), options.preset], check=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        minute = measure(Path(folder), 1 / 60, options.rate, setup)
        whole = measure(Path(folder), options.hours, options.rate, setup)
    result = {
        "method": options.method,
        "preset": options.preset,
        "sample_rate": options.rate,
        "hours": options.hours,
        "peak_mb_one_minute": minute["peak_mb"],
        "peak_mb": whole["peak_mb"],
        "rtf": whole["rtf"],
    }
    print(json.dumps(result, indent=1))
    return int(whole["peak_mb"] > options.limit_mb)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=16000)
    parser.add_argument("--method", default="WF")
    parser.add_argument("--preset", default="quality")
    parser.add_argument("--limit-mb", type=float, default=300.0)
    parser.add_argument("--folder", type=Path, help="where the files are made")
    return parser.parse_args()


def measure(folder: Path, hours: float, rate: int, setup: tuple[str, str]) -> dict[str, float]:
    """Peak memory in MB and real-time factor for a file of so many hours."""
    source, target = folder / "noisy.wav", folder / "clean.wav"
    second = np.rint(np.random.default_rng(0).normal(0, 800, rate * 10)).astype("<i2")
    with soundfile.SoundFile(source, "w", samplerate=rate, channels=1, subtype="PCM_16") as file:
        for _ in range(max(1, round(hours * 360))):
            file.write(second)
    command = [sys.executable, "-c", WORK, str(source), str(target), *setup]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    source.unlink()
    target.unlink()
    found = re.search(r"VmHWM:\s*(\d+) kB", done["status"])
    if found is None:
        raise SystemExit("the peak of memory is read from Linux's /proc/self/status")
    return {"peak_mb": round(int(found[1]) / 1024, 1), "rtf": done["rtf"]}


if __name__ == "__main__":
    sys.exit(main())
