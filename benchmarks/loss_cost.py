r"""What a loss costs: time of a training step and memory of the process, loss by loss, each in a process of its own.

Example::

    python benchmarks/loss_cost.py configs/germain2018-causal.yaml --features models/feature-network --set batch_size=4
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from rtdenoise.errors import RtDenoiseError


def main() -> int:
    """Print one line per loss; exit code 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--features", default="feature-network")
    parser.add_argument("--channels", type=int, default=0)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--losses", default="l1,l2,stft,deep,mixture")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        if options.one:
            print(json.dumps(measure(options)))
            return 0
        print("| loss | CPU seconds a step | peak memory MB |\n| --- | ---: | ---: |")
        for name in options.losses.split(","):
            answer = subprocess.run([sys.executable, *sys.argv, "--one", name], stdout=subprocess.PIPE, check=True)
            found = json.loads(answer.stdout.splitlines()[-1])
            print(f"| {name} | {found['cpu_seconds']:.2f} | {found['megabytes']:.0f} |", flush=True)
    except (RtDenoiseError, subprocess.CalledProcessError) as error:
        print(f"loss_cost: {error}", file=sys.stderr)
        return 1
    return 0


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Median CPU time of a step on noise, and the most memory the process has held."""
    import tempfile

    from fair_trial import losses

    from rtdenoise.lab.data.batches import Batch
    from rtdenoise.lab.training.loop import Trainer
    from rtdenoise.lab.training.settings import load_settings

    base = load_settings(options.config, options.changes)
    network = dataclasses.replace(base.network, channels=options.channels or base.network.channels)
    settings = dataclasses.replace(base, network=network, loss=losses(options.features, 1000)[options.one])
    rng = np.random.default_rng(0)
    noisy, target = (rng.normal(0, 1, (settings.batch_size, settings.n_samples)).astype(np.float32) for _ in range(2))
    batch = Batch(noisy, target, np.ones((settings.batch_size, 1), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        run = Trainer(settings, Path(folder))
        times = []
        for _ in range(options.steps + 2):
            began = time.process_time()
            run.train_step(batch)
            times.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return {"cpu_seconds": float(np.median(times[2:])), "megabytes": peak}


if __name__ == "__main__":
    sys.exit(main())
