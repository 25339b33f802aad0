r"""Quality of methods and peers on seeded mixtures: tables against noisy and every peer, and a JSON record.

Example::

    python benchmarks/quality.py --data data/manifest.csv --clips 150 \
        --methods WF:quality,WF:balanced,SS:balanced,CAN:can-live --workers 2 --json quality.json

Printed: the mean of every system; own methods minus RNNoise, noise by noise; what happens to clean speech.  Scores are
kept under ``--cache`` by what was compared, so that only what sounds different is scored again.  `METHOD:PRESET` may
carry parameters: ``WF:balanced+attenuation_limit_db=24``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.material import add_material, check_material
from rtdenoise.errors import RtDenoiseError
from rtdenoise.evaluate import clips as clip_sets
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.compared.systems import choose
from rtdenoise.evaluate.report import tables
from rtdenoise.evaluate.report.record import make_record, to_json
from rtdenoise.evaluate.scoring import score_all

DEFAULT_LABELS = (
    "babble,airplane,engine,helicopter,train,vacuum_cleaner,washing_machine,rain,wind,sea_waves,"
    "fire_crackling,keyboard_typing,brushing_teeth,clapping,chainsaw"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    options = parse(arguments)
    try:
        record = run(options)
    except RtDenoiseError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    print(report(record, options.reference))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(to_json(record), encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material(parser, tiers="A,B", labels="15 everyday noises of a manifest")
    parser.add_argument("--clips", type=int, default=150)
    parser.add_argument("--clean-clips", type=int, default=24, help="clips that also go in without noise")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a clip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--snr", default="-5,0,5,10,15", help="dB, comma-separated (default %(default)s)")
    parser.add_argument(
        "--methods", default="WF:balanced,SS:balanced", help="METHOD:PRESET or CAN:MODEL, comma-separated"
    )
    parser.add_argument("--peers", default="all", help="all (default), none, or a comma-separated list")
    parser.add_argument("--reference", default="rnnoise", help="whom own methods are compared with, noise by noise")
    parser.add_argument("--no-dnsmos", action="store_true", help="leave out DNSMOS, by far the slowest metric")
    parser.add_argument("--workers", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=Path("runs/quality"))
    parser.add_argument("--json", type=Path, default=None, metavar="OUT")
    options = parser.parse_args(arguments)
    check_material(parser, options)
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Score everything."""
    plan = make_plan(options)
    others = {"all": list(peers.PEERS), "none": []}.get(options.peers, options.peers.split(","))
    systems, missing = choose([name for name in options.methods.split(",") if name], others)
    for name, reason in missing.items():
        print(f"quality: peer {name} skipped: {reason}", file=sys.stderr)
    noisy = clip_sets.from_mixtures(plan)
    every = noisy + clip_sets.clean_inputs(noisy, options.clean_clips)
    scored = score_all(
        every,
        systems,
        options.cache,
        jobs=options.workers,
        with_dnsmos=not options.no_dnsmos,
        progress=show_progress,
    )
    material = {
        "kind": "mixtures",
        "clips": len(noisy),
        "seed": options.seed,
        "seconds": options.seconds,
        "snrs_db": [float(v) for v in options.snr.split(",")],
        "split": options.split,
    }
    return make_record(scored, systems, material=material, missing=missing)


def make_plan(options: argparse.Namespace) -> list[mixing.Mixture]:
    """The recipes of all clips."""
    tiers = tuple(filter(None, options.tiers.split(",")))
    found = mixing.find_material(
        options.speech, options.noise, split=options.split, tiers=tiers, labels=options.labels, usual=DEFAULT_LABELS
    )
    return mixing.plan_mixtures(
        found.speech,
        found.noise,
        clips=options.clips,
        seed=options.seed,
        snrs_db=[float(v) for v in options.snr.split(",")],
        seconds=options.seconds,
        labels=found.labels,
    )


def show_progress(done: int, total: int) -> None:
    """One line on a terminal, every tenth clip elsewhere."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total} clips", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif done == total or (done and done % 25 == 0):
        print(f"{done} of {total} clips", file=sys.stderr, flush=True)


def report(record: dict[str, Any], reference: str) -> str:
    """The tables."""
    parts = [
        tables.quality(record),
        tables.distances(record, reference),
        tables.clean_speech(record) if record["clean_in"] else "",
    ]
    parts += [f"left out: {name}: {reason}" for name, reason in record["left_out"].items()]
    parts += [f"failed: {name}: {len(found)} clips" for name, found in record["failed"].items()]
    return "\n\n".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
