"""Speech and noise up to 24 kHz: what methods make of the band above 8 kHz, which networks were not trained on.

    python -m benchmarks.full_band_material MIRRORS OUT
    python -m benchmarks.full_band --data OUT/manifest.csv
    python -m benchmarks.full_band --speech DIR --noise DIR --methods CAN:can-live --snrs 0,10 --json full_band.json

Mixtures at 48 kHz, every noise label at every SNR, and their clean speech as the input.  Recordings whose band ends
early spoil the figures: what is missing there is neither speech nor noise.  *LSD*: log-spectral distance to the clean
signal in dB, up to and above 8 kHz (`rtdenoise.evaluate.measures.full_band` defines it; the noisy signal's is the
first row).  With ``--headless`` networks are measured without their head, too: *one gain*.  *attenuated*: of noise in
pauses, up to and above 8 kHz.  *fricatives*: change of level from 8 to 14 kHz where the clean speech has much there.
Figures are means over clips.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.material import add_material, check_material
from rtdenoise.errors import RtDenoiseError
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.compared.systems import System, choose, enhancer
from rtdenoise.evaluate.machine import origin
from rtdenoise.evaluate.measures import full_band, metrics
from rtdenoise.evaluate.report import tables
from rtdenoise.methods.can.models import ABOVE, open_model, write_checksums
from rtdenoise.typing import F32

RATE_HZ = 48000
METHODS = ("WF:balanced", "CAN:can-live", "CAN:can-ultra", "CAN:can-small", "CAN:can-wave")
CLEAN = "clean"
ONE_GAIN = ", one gain"
NAMES = (*full_band.NAMES, "si_sdr_db")
_BABBLE_SPEAKERS = 7
Clip = tuple[str, F32, F32]
"""Case, clean and noisy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    options = parse(arguments)
    others = {"all": list(peers.FULL_BAND), "none": []}.get(options.peers, options.peers.split(","))
    try:
        systems, missing = choose([name for name in options.methods.split(",") if name], others)
        clips = mixtures(options)
        with tempfile.TemporaryDirectory() as folder:
            pairs = [headless(system, Path(folder)) if options.headless else [system] for system in systems]
            rows = [each for system in chain(*pairs) for each in measured(clips, system)]
    except RtDenoiseError as error:
        print(f"full_band: {error}", file=sys.stderr)
        return 1
    for name, reason in missing.items():
        print(f"full_band: peer {name} skipped: {reason}", file=sys.stderr)
    print(report(rows))
    if options.json:
        record = {"schema": "rtdenoise.full_band/1", **origin(), "seed": options.seed, "every": options.every}
        record |= {"clips": len(clips), "seconds": options.seconds, "rows": rows}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material(parser, tiers="A", labels="all, and babble where there are enough speakers")
    parser.add_argument(
        "--methods", default=",".join(METHODS), help="METHOD:PRESET or CAN:MODEL (default: %(default)s)"
    )
    parser.add_argument("--headless", action="store_true", help="networks without their head above 8 kHz, too")
    parser.add_argument("--peers", default="all", help="all that run at 48 kHz, none, or a list (default %(default)s)")
    parser.add_argument("--snrs", default="0,5,10", help="in dB, full band (default %(default)s)")
    parser.add_argument("--every", type=int, default=1, help="one in so many mixtures (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a clip (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, metavar="OUT", help="write the record here")
    options = parser.parse_args(arguments)
    check_material(parser, options)
    try:
        options.snrs = [float(each) for each in options.snrs.split(",")]
    except ValueError:
        parser.error(f"--snrs {options.snrs!r}: give numbers of dB, comma-separated")
    if options.every < 1:
        parser.error(f"--every {options.every} must be 1 or more")
    return options


def mixtures(options: argparse.Namespace) -> list[Clip]:
    """Mixtures, and the clean speech of those at the highest SNR, which itself is the input then."""
    tiers = tuple(filter(None, options.tiers.split(",")))
    found = mixing.find_material(
        options.speech, options.noise, split=options.split, tiers=tiers, labels=options.labels, usual="all"
    )
    labels = found.labels or sorted({source.label for source in found.noise})
    if not options.labels and len({source.label for source in found.speech}) >= _BABBLE_SPEAKERS:
        labels = (*labels, mixing.BABBLE)
    plan = mixing.plan_mixtures(
        found.speech,
        found.noise,
        clips=len(labels) * len(options.snrs),
        seed=options.seed,
        snrs_db=options.snrs,
        seconds=options.seconds,
        labels=labels,
    )[:: options.every]
    rendered = [(f"{each.snr_db:g} dB", *mixing.render_mixture(each, RATE_HZ)) for each in plan]
    top = f"{max(each.snr_db for each in plan):g} dB"
    return rendered + [(CLEAN, clean, clean) for case, clean, _ in rendered if case == top]


def headless(system: System, folder: Path) -> list[System]:
    """The system and, if it is a network with a head, the same without it, from a copy in `folder`."""
    name = system.spec.partition(":")[2]
    if not system.spec.startswith("CAN:") or ABOVE not in open_model(name).parts():
        return [system]
    copy = folder / Path(name).name
    shutil.copytree(open_model(name).folder, copy)
    (copy / ABOVE).unlink()
    write_checksums(copy)
    return [System(f"{system.name}{ONE_GAIN}", "own", f"CAN:{copy}"), system]


def measured(clips: Sequence[Clip], system: System) -> list[dict[str, Any]]:
    """Mean figures of one system, case by case."""
    run = enhancer(system, RATE_HZ)
    found: dict[str, list[dict[str, float]]] = {}
    for case, clean, noisy in clips:
        found.setdefault(case, []).append(figures(clean, noisy, run(noisy)))
    return [
        {"case": case, "system": system.name, "clips": len(each)} | {name: mean(each, name) for name in NAMES}
        for case, each in found.items()
    ]


def figures(clean: F32, noisy: F32, enhanced: F32) -> dict[str, float]:
    """What is measured of a clip."""
    return full_band.full_band(clean, noisy, enhanced, RATE_HZ) | {"si_sdr_db": metrics.si_sdr_db(clean, enhanced)}


def mean(found: Sequence[dict[str, float]], name: str) -> float | None:
    """Over the clips that have this figure; None if none has."""
    values = [each[name] for each in found if math.isfinite(each[name])]
    return round(float(np.mean(values)), 4) if values else None


def report(rows: Sequence[dict[str, Any]]) -> str:
    """A table of mixtures, by SNR and over all of them, and one of clean speech."""
    cases = [case for case in dict.fromkeys(each["case"] for each in rows) if case != CLEAN]
    found = {(each["system"], each["case"]): each for each in rows}
    systems = list(dict.fromkeys(each["system"] for each in rows))
    noisy, clean = [], []
    for system in systems:
        cells = [found[system, case] for case in cases]
        above = [each["lsd_above_db"] for each in cells]
        change = _mean(above) / _mean([found[systems[0], case]["lsd_above_db"] for case in cases]) - 1.0
        rest = [_mean([each[name] for each in cells]) for name in ("lsd_below_db", *full_band.NAMES[3:], "si_sdr_db")]
        numbers = [tables.number(each, 2) for each in above]
        row = [*numbers, tables.number(100.0 * change, 0, sign=True), *(tables.number(each, 1) for each in rest)]
        noisy.append([system, *row])
        of_clean = [found[system, CLEAN][name] for name in ("lsd_above_db", "lsd_below_db", "fricatives_db")]
        clean.append([system, *(tables.number(each, 2) for each in of_clean)])
    headings = [*(f"LSD above, {case}" for case in cases), "change %", "LSD below", "attenuated below", "above"]
    first = tables.markdown_table(["in noise", *headings, "SI-SDR dB"], noisy)
    return first + "\n\n" + tables.markdown_table(["clean speech in", "LSD above", "LSD below", "fricatives dB"], clean)


def _mean(values: Sequence[float | None]) -> float:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else float("nan")


if __name__ == "__main__":
    sys.exit(main())
