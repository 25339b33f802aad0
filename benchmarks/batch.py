"""Throughput of `rtdenoise batch`: several processes against one, on files made for it.

    python benchmarks/batch.py
    python benchmarks/batch.py --files 64 --seconds 60 --jobs 2

Rounds take turns; the start of the processes is part of each.  Read the ratio, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.batch import Request, batch
from rtdenoise.evaluate.machine import cores
from rtdenoise.files.setup import load_setup

RATE_HZ = 16000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=300.0, help="length of a file (default 300)")
    parser.add_argument("--jobs", type=int, default=cores())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", default="WF")
    options = parser.parse_args()
    setup = load_setup(options.method)
    found: dict[int, list[float]] = {1: [], options.jobs: []}
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        make_files(raw, options.files, options.seconds)
        for turn in range(options.rounds + 1):
            for jobs, paces in found.items():
                target = Path(folder) / f"clean-{turn}-{jobs}"
                report = batch(Request(source=str(raw), target=str(target), setup=setup, jobs=jobs))
                if report.count("done") != options.files:
                    print("batch: some files failed", file=sys.stderr)
                    return 1
                if turn:  # the first turn compiles
                    paces.append(report.seconds / report.elapsed_seconds)
    medians = {jobs: statistics.median(values) for jobs, values in found.items()}
    ratio = medians[options.jobs] / medians[1]
    print(json.dumps({"times_real_time": medians, "ratio": round(ratio, 3), "rounds": options.rounds}))
    return 0


def make_files(folder: Path, count: int, seconds: float) -> None:
    folder.mkdir()
    noise = 0.05 * np.random.default_rng(0).standard_normal(int(seconds * RATE_HZ))
    for index in range(count):
        soundfile.write(folder / f"{index:04d}.wav", np.roll(noise, 997 * index), RATE_HZ)


if __name__ == "__main__":
    sys.exit(main())
