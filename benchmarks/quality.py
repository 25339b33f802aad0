r"""Quality of methods and peers on seeded mixtures: one table, and a JSON with every breakdown.

Example::

    python benchmarks/quality.py --speech data/manifest.csv --noise data/manifest.csv --split dev \
        --clips 150 --methods WF:balanced,SS:balanced --peers --json quality.json

Scores are kept per clip and system under ``--cache``, so that only what changed is computed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import rtdenoise
from rtdenoise.errors import RtDenoiseError
from rtdenoise.evaluate import metrics, mixing, peers

DEFAULT_LABELS = (
    "babble,airplane,engine,helicopter,train,vacuum_cleaner,washing_machine,rain,wind,sea_waves,"
    "fire_crackling,keyboard_typing,brushing_teeth,clapping,chainsaw"
)
TABLE = ("pesq_wb", "estoi", "stoi", "si_sdr_db", "segmental_snr_db", "dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak")
HEADINGS = ("PESQ-wb", "eSTOI", "STOI", "SI-SDR dB", "segSNR dB", "OVRL", "SIG", "BAK")
DIGITS = (3, 3, 3, 2, 2, 2, 2, 2)

Scores = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    options = parse(arguments)
    try:
        plan = make_plan(options)
        systems = choose_systems(options)
        report = evaluate(plan, systems, options)
    except RtDenoiseError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    print(markdown(report))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder or manifest.csv of clean speech")
    parser.add_argument("--noise", type=Path, required=True, help="folder or manifest.csv of noise")
    parser.add_argument("--split", default="", help="rows of a manifest to use, for example dev")
    parser.add_argument("--tiers", default="A,B", help="speech tiers of a manifest to use (default %(default)s)")
    parser.add_argument(
        "--labels", default="", help="noise labels, comma-separated; 'all'; default: 15 everyday noises of a manifest"
    )
    parser.add_argument("--clips", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a clip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--snr", default="-5,0,5,10,15", help="dB, comma-separated (default %(default)s)")
    parser.add_argument("--methods", default="WF:balanced,SS:balanced", help="METHOD:PRESET, comma-separated")
    parser.add_argument(
        "--peers", nargs="?", const=",".join(peers.PEERS), default="", help="all, or a comma-separated list"
    )
    parser.add_argument("--no-dnsmos", action="store_true", help="leave out DNSMOS, by far the slowest metric")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=Path("runs/quality"))
    parser.add_argument("--json", type=Path, default=None, metavar="OUT")
    return parser.parse_args(arguments)


def make_plan(options: argparse.Namespace) -> list[mixing.Mixture]:
    """The recipes of all clips."""
    tiers = tuple(filter(None, options.tiers.split(",")))
    speech = mixing.find_sources(options.speech, "speech", options.split, tiers)
    noise = mixing.find_sources(options.noise, "noise", options.split)
    labels = options.labels or (DEFAULT_LABELS if options.noise.suffix == ".csv" else "all")
    snrs = [float(v) for v in options.snr.split(",")]
    return mixing.plan_mixtures(
        speech,
        noise,
        clips=options.clips,
        seed=options.seed,
        snrs_db=snrs,
        seconds=options.seconds,
        labels=() if labels == "all" else labels.split(","),
    )


def choose_systems(options: argparse.Namespace) -> list[str]:
    """Names of what is measured; peers that cannot run here are named on stderr and left out."""
    chosen = ["noisy", *filter(None, options.methods.split(","))]
    for name in filter(None, options.peers.split(",")):
        reason = peers.missing_reason(name)
        if reason:
            print(f"quality: peer {name} skipped: {reason}", file=sys.stderr)
        else:
            chosen.append(name)
    return chosen


def system(name: str) -> Callable[[Any], Any]:
    """The function behind a name: ``noisy``, a peer, or ``METHOD:PRESET``."""
    if name == "noisy":
        return lambda noisy: noisy
    if name in peers.PEERS:
        return peers.peer(name)
    method, _, preset = name.partition(":")
    return partial(
        rtdenoise.denoise, sample_rate=mixing.SAMPLE_RATE_HZ, method=method, **({"preset": preset} if preset else {})
    )


def evaluate(plan: Sequence[mixing.Mixture], systems: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Score every system on every clip.

    Returns
    -------
    dict
        ``systems`` -> name -> ``mean``, ``by_noise``, ``by_snr`` and per-clip ``clips``; ``plan`` holds the recipes.
    """
    versions = {name: _version(name) for name in systems}
    work = partial(score_clip, systems=versions, cache=options.cache, with_dnsmos=not options.no_dnsmos)
    if options.jobs > 1:
        with ProcessPoolExecutor(options.jobs) as pool:
            scored = list(pool.map(work, plan))
    else:
        scored = [work(recipe) for recipe in plan]
    report: dict[str, Any] = {
        "clips": len(plan),
        "seed": options.seed,
        "plan": [asdict(recipe) for recipe in plan],
        "systems": {},
    }
    for name in systems:
        rows = [scores[name] for scores in scored]
        report["systems"][name] = {
            "mean": mean_scores(rows),
            "by_noise": _grouped(rows, [recipe.noise_label for recipe in plan]),
            "by_snr": _grouped(rows, [f"{recipe.snr_db:g}" for recipe in plan]),
            "clips": {recipe.name: row for recipe, row in zip(plan, rows, strict=True)},
        }
    return report


def score_clip(recipe: mixing.Mixture, systems: dict[str, str], cache: Path, with_dnsmos: bool) -> dict[str, Scores]:
    """Scores of every system on one clip, from the cache where it has them."""
    clip_key = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode()).hexdigest()[:20]
    pair: tuple[Any, Any] | None = None
    results = {}
    for name, version in systems.items():
        path = cache / f"{name.replace(':', '-')}-{version}" / f"{clip_key}.json"
        scores: Scores = json.loads(path.read_text()) if path.exists() else {}
        if "pesq_wb" not in scores or (with_dnsmos and "dnsmos_ovrl" not in scores):
            pair = pair or mixing.render_mixture(recipe)
            enhanced = np.asarray(system(name)(pair[1]), dtype=np.float32)
            scores |= metrics.measure(pair[0], enhanced, with_dnsmos=with_dnsmos)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(scores))
        results[name] = scores
    return results


def _version(name: str) -> str:
    """Changes when the code that makes the sound changes."""
    root = Path(rtdenoise.__file__).parent
    if name == "noisy":
        sources: Iterable[Path] = [root / "evaluate" / "mixing.py"]
    elif name in peers.PEERS:
        sources = [root / "evaluate" / "mixing.py", root / "evaluate" / "peers.py"]
    else:
        folders = ("kernels", "spectral", "stream", "can")
        sources = sorted(p for f in folders for p in (root / f).rglob("*.py")) + sorted(
            root.parent.glob("configs/*.yaml")
        )
    digest = hashlib.sha256()
    for path in (*sources, root / "evaluate" / "metrics.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def mean_scores(rows: Sequence[Scores]) -> Scores:
    """Mean of each metric over clips, undefined ones left out."""
    keys = [key for key in TABLE if any(key in row for row in rows)]
    table = {key: np.array([row.get(key, np.nan) for row in rows]) for key in keys}
    return {key: float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for key, v in table.items()}


def _grouped(rows: Sequence[Scores], groups: Sequence[str]) -> dict[str, Scores]:
    return {
        g: mean_scores([r for r, label in zip(rows, groups, strict=True) if label == g]) for g in dict.fromkeys(groups)
    }


def markdown(report: dict[str, Any]) -> str:
    """The mean of every system as a Markdown table."""
    systems = report["systems"]
    shown = [i for i, key in enumerate(TABLE) if any(key in entry["mean"] for entry in systems.values())]
    lines = ["| system | " + " | ".join(HEADINGS[i] for i in shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for name, entry in systems.items():
        cells = [f"{entry['mean'].get(TABLE[i], float('nan')):.{DIGITS[i]}f}" for i in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
