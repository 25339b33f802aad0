"""From starting Python to the first clean hop, with compiled code on disk; beside the floor of importing numba alone.

Run ``python benchmarks/startup.py``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

CASES = {
    "import rtdenoise": "import rtdenoise",
    "rtdenoise --help": "import sys; sys.argv = ['rtdenoise', '--help']; import rtdenoise.cli; rtdenoise.cli.main()",
    "floor: import numba, numpy": "import numba, numpy",
    "WF low, first hop at 16 kHz": "import numpy as np, rtdenoise\n"
    "d = rtdenoise.build('WF', sample_rate=16000, preset='low')\n"
    "b = np.zeros(d.hop, np.float32); d.process(b, b)",
    "WF low, first hop at 48 kHz": "import numpy as np, rtdenoise\n"
    "d = rtdenoise.build('WF', sample_rate=48000, preset='low')\n"
    "b = np.zeros(d.hop, np.float32); d.process(b, b)",
    "CAN can-live, first hop": "import numpy as np, rtdenoise\n"
    "d = rtdenoise.build('CAN', sample_rate=16000)\n"
    "b = np.zeros(d.hop, np.float32); d.process(b, b)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each starts, in turns (default 7)")
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for turn in range(rounds + 1):
        for name, script in CASES.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
            if turn:  # the first turn compiles and warms the disk
                seconds[name].append(time.perf_counter() - started)
    print("| start | median s | min s | max s |\n|---|---:|---:|---:|")
    for name, values in seconds.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    main()
