"""How fast training material is mixed: seconds of sound per second, in one thread and in several processes.

    python benchmarks/can_data.py configs/can-live.yaml --data DIR --workers 0 1 2

To be compared with what training takes in (``rtdenoise train`` shows it): the mixer must be well ahead of it.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

from rtdenoise.lab.data.batches import batches
from rtdenoise.lab.training.session import data_folder, default_cache, open_mixer
from rtdenoise.lab.training.settings import load_settings

WARM_UP = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="0 is a thread")
    parser.add_argument("--batches", type=int, default=60)
    options = parser.parse_args()
    settings = load_settings(options.config)
    rate = settings.network.sample_rate
    folder = data_folder(settings, options.data)
    mixer = open_mixer(folder, "train", settings.mixtures, cache=options.cache, sample_rate=rate)
    for workers in options.workers:
        sizes = {"batch_size": settings.batch_size, "n_samples": settings.n_samples, "workers": workers}
        source = batches(mixer, seed=1, first=0, **sizes)
        with contextlib.closing(source):
            for _ in range(WARM_UP):
                next(source)
            started, spent = time.perf_counter(), time.process_time()
            for _ in range(options.batches):
                next(source)
            wall, spent = time.perf_counter() - started, time.process_time() - spent
        heard = options.batches * settings.audio_seconds_per_step
        name = "a thread" if workers == 0 else f"{workers} process{'es' if workers > 1 else ''}"
        print(f"{name}: {heard / wall:.0f} audio-seconds per second; {spent / heard * 1e3:.2f} ms of this process each")


if __name__ == "__main__":
    main()
