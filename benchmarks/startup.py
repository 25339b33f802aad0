"""From starting Python to the first clean hop: time, processor time and memory, beside the floor of importing numba.

Run ``python benchmarks/startup.py``; with ``--fresh`` every start has an empty cache, as the first use of an
installation has: what was compiled while it was installed is there, everything else is compiled at every start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOP = """
import numpy as np, rtdenoise
d = rtdenoise.build({arguments})
b = np.zeros((d.hop, d.channels)[: 1 + (d.channels > 1)], np.float32)
d.process(b, b)
"""
FILE = """
import sys, rtdenoise.cli
sys.argv = ["rtdenoise", "-f", "noisy.wav", "-o", "clean.wav", "--overwrite", *{arguments!r}]
try:
    rtdenoise.cli.main()
except SystemExit:
    pass
"""
WARM = """
import time, rtdenoise
rtdenoise.stream({method!r}, 16000)
times = []
for _ in range(15):
    started = time.process_time()
    rtdenoise.stream({method!r}, 16000)
    times.append(1e3 * (time.process_time() - started))
print(sorted(times)[7])
"""
CASES = {
    "import rtdenoise": "import rtdenoise",
    "rtdenoise --help": "import sys; sys.argv = ['rtdenoise', '--help']; import rtdenoise.cli; rtdenoise.cli.main()",
    "floor: import numba, numpy": "import numba, numpy",
    "WF low, first hop at 16 kHz": HOP.format(arguments="'WF', 16000, preset='low'"),
    "WF low, first hop at 48 kHz": HOP.format(arguments="'WF', 48000, preset='low'"),
    "WF quality, stereo, first hop at 44.1 kHz": HOP.format(arguments="'WF', 44100, preset='quality', channels=2"),
    "can-live, first hop": HOP.format(arguments="'CAN', 16000"),
    "can-small, first hop": HOP.format(arguments="model='can-small', sample_rate=16000"),
    "can-ultra, first hop": HOP.format(arguments="model='can-ultra', sample_rate=16000"),
    "can-wave, first hop at 48 kHz": HOP.format(arguments="model='can-wave', sample_rate=48000"),
    "a file of 10 s with WF, whole command": FILE.format(arguments=["-a", "WF"]),
    "a file of 10 s with can-live, whole command": FILE.format(arguments=["-a", "CAN"]),
}
COUNTED = """
import atexit, re, resource
def count():
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/status") as file:
        memory = dict(re.findall(r"(VmRSS|VmHWM):\\s*(\\d+)", file.read()))
    numbers = used.ru_utime + used.ru_stime, int(memory["VmRSS"]) / 1024, int(memory["VmHWM"]) / 1024
    with open("counted", "w") as file:
        file.write(" ".join(map(str, numbers)))
atexit.register(count)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each starts, in turns (default 7)")
    parser.add_argument("--fresh", action="store_true", help="with an empty cache each time")
    options = parser.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        make_file(Path(folder) / "noisy.wav")
        for turn in range(options.rounds + 1):
            for name, script in CASES.items():
                numbers = start(script, Path(folder), options.fresh)
                if turn:  # the first turn compiles and warms the disk
                    found[name].append(numbers)
        print("| start | median s | min s | processor s | resident MB | peak MB |\n|---|---:|---:|---:|---:|---:|")
        for name, numbers in found.items():
            wall, processor, resident, peak = (statistics.median(column) for column in zip(*numbers, strict=True))
            least = min(wall for wall, *_ in numbers)
            print(f"| {name} | {wall:.2f} | {least:.2f} | {processor:.2f} | {resident:.0f} | {peak:.0f} |")
        for method in ("WF", "CAN"):
            command = [sys.executable, "-c", WARM.format(method=method)]
            warm = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout
            print(f"stream({method!r}) in a warm process: {float(warm):.1f} ms of processor time")


def start(script: str, folder: Path, fresh: bool) -> tuple[float, ...]:
    """Seconds by the clock and of processor time, resident and peak memory in MB of one start."""
    variables = {}
    if fresh:
        variables = {"RTDENOISE_CACHE_DIR": tempfile.mkdtemp(dir=folder)}
    started = time.perf_counter()
    command = [sys.executable, "-c", COUNTED + script]
    environment = os.environ | variables
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=environment)
    return time.perf_counter() - started, *map(float, (folder / "counted").read_text().split())


def make_file(path: Path) -> None:
    """Write 10 s of noise."""
    import numpy as np
    import soundfile

    soundfile.write(path, np.random.default_rng(0).normal(0.0, 0.05, 160000), 16000)


if __name__ == "__main__":
    main()
