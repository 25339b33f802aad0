"""How much of noise without any speech is left: every kind of noise, every method and peer.

    python benchmarks/noise_alone.py --data data/manifest.csv --methods WF:balanced,CAN:can-live
    python benchmarks/noise_alone.py --noise folder/ --peers none

Level of the output below that of the input, in dB, after the first second (in which nobody knows yet what is noise).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from rtdenoise.errors import RtDenoiseError, SignalError
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.compared.systems import System, choose, enhancer
from rtdenoise.evaluate.report import tables
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ, noise_of_length, read_mono
from rtdenoise.typing import F32
from rtdenoise.units import amplitude_from_db

_TINY = 1e-12


def main() -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", "--noise", dest="noise", type=Path, required=True, help="manifest.csv, or a folder")
    parser.add_argument("--split", default="dev", help="rows of a manifest to use (default %(default)s)")
    parser.add_argument("--methods", default="WF:balanced,SS:balanced,CAN:can-live", help="as in quality.py")
    parser.add_argument("--peers", default="rnnoise", help="all, none, or a comma-separated list (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each noise (default %(default)s)")
    parser.add_argument("--level", type=float, default=-30.0, help="dBFS (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    others = {"all": list(peers.PEERS), "none": []}.get(options.peers, options.peers.split(","))
    try:
        systems, missing = choose([name for name in options.methods.split(",") if name], others)
        noises = one_of_each(options)
    except RtDenoiseError as error:
        print(f"noise_alone: {error}", file=sys.stderr)
        return 1
    for name, reason in missing.items():
        print(f"noise_alone: peer {name} skipped: {reason}", file=sys.stderr)
    rows = []
    for system in systems[1:]:
        found = {label: reduction_db(system, noise) for label, noise in noises.items()}
        worst = min(found, key=lambda label: found[label])
        values = list(found.values())
        cells = [f"{v:.1f}" for v in (np.mean(values), np.median(values), np.percentile(values, 10))]
        rows.append([system.name, *cells, f"{found[worst]:.1f} ({worst})"])
    print(tables.markdown_table(["noise alone, dB down", "mean", "median", "10th percentile", "least"], rows))
    print(f"\n{len(noises)} kinds of noise, one recording each.")
    return 0


def one_of_each(options: argparse.Namespace) -> dict[str, F32]:
    """A stretch of one recording of every kind of noise, at the level asked for."""
    rng = np.random.default_rng(options.seed)
    by_label: dict[str, list[str]] = {}
    for source in mixing.find_sources(options.noise, "noise", options.split):
        by_label.setdefault(source.label, []).append(source.path)
    found: dict[str, F32] = {}
    for label, paths in sorted(by_label.items()):
        try:
            noise = noise_of_length(read_mono(Path(rng.choice(paths))), int(options.seconds * SAMPLE_RATE_HZ), rng)
        except SignalError:  # a silent recording
            continue
        scale = amplitude_from_db(options.level) / (np.sqrt(np.mean(noise**2)) + _TINY)
        found[label] = np.clip(noise * scale, -1.0, 1.0).astype(np.float32)
    return found


def reduction_db(system: System, noise: F32) -> float:
    """Level of the input above that of the output, after the first second."""
    enhanced = enhancer(system, SAMPLE_RATE_HZ)(noise)
    before, after = (float(np.mean(np.square(s[SAMPLE_RATE_HZ:], dtype=np.float64))) for s in (noise, enhanced))
    return 10.0 * float(np.log10((before + _TINY) / (after + _TINY)))


if __name__ == "__main__":
    sys.exit(main())
