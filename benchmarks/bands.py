"""Speech whose band ends below 8 kHz, or that was coded: what networks trained on full-band speech make of it.

    python -m benchmarks.bands --data data/manifest.csv
    python -m benchmarks.bands --data data/manifest.csv --methods CAN:can-live --cases full,telephone --json bands.json
    python -m benchmarks.bands --data data/manifest.csv --clean

The same noisy mixtures (those of quality.py) in every case.  *3.4*, *4*, *6*, *7.6*: nothing above so many kHz, in
speech and noise.  *telephone*: sampled at 8 kHz, G.711 (mu-law).  *opus*: Opus at about 16 kbit/s.  *at 48 kHz*:
raised to 48 kHz, processed there, and brought down again.  *at 8 kHz*: processed and measured at 8 kHz (PESQ-nb); *to 8
kHz*: processed at 16 kHz, and only what comes out is brought down and measured so, which is what *at 8 kHz* could be at
best.  Measured against the clean speech with the same band, which was not coded.  Figures: means of PESQ-wb, eSTOI and
SI-SDR in dB.  With ``--clean`` the clean speech itself is the input.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy import signal

from benchmarks.material import add_material, check_cases, check_material
from benchmarks.quality import DEFAULT_LABELS
from rtdenoise.errors import RtDenoiseError
from rtdenoise.evaluate import clips as clip_sets
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.compared.systems import System, choose, enhancer
from rtdenoise.evaluate.machine import origin
from rtdenoise.evaluate.measures import metrics
from rtdenoise.evaluate.report import tables
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ
from rtdenoise.lab.data.mixtures import LAWS, companded
from rtdenoise.rates import resample
from rtdenoise.typing import F32

Pair = tuple[F32, F32]
EDGES_KHZ = (3.4, 4.0, 6.0, 7.6)
METHODS = ("CAN:can-live", "CAN:can-ultra", "CAN:can-small", "CAN:can-wave", "WF:balanced")
MIXTURES = 75  # every label at every SNR once
_MU_LAW = LAWS[0]
_OPUS_LEVEL = 0.96  # libsndfile's scale from 256 (0) to 6 kbit/s (1)
_TAPS = 511


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    options = parse(arguments)
    others = {"all": list(peers.PEERS), "none": []}.get(options.peers, options.peers.split(","))
    try:
        systems, missing = choose([name for name in options.methods.split(",") if name], others)
        pairs = mixtures(options)
        rows = [row(case, pairs, system) for case in options.cases for system in systems]
    except RtDenoiseError as error:
        print(f"bands: {error}", file=sys.stderr)
        return 1
    for name, reason in missing.items():
        print(f"bands: peer {name} skipped: {reason}", file=sys.stderr)
    print(report(rows))
    if options.json:
        record = {"schema": "rtdenoise.bands/1", **origin(), "seed": options.seed, "every": options.every}
        record |= {"clips": len(pairs), "rows": rows}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material(parser, tiers="A,B", labels="as in quality.py")
    parser.add_argument(
        "--methods", default=",".join(METHODS), help="METHOD:PRESET or CAN:MODEL (default: %(default)s)"
    )
    parser.add_argument("--peers", default="none", help="all, none, or a comma-separated list (default %(default)s)")
    parser.add_argument("--cases", default=",".join(CASES), help="which cases (default %(default)s)")
    parser.add_argument("--clean", action="store_true", help="clean speech in: what is lost of it")
    parser.add_argument("--every", type=int, default=1, help="one in so many of 75 mixtures (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a clip (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, metavar="OUT", help="write the record here")
    options = parser.parse_args(arguments)
    check_material(parser, options)
    check_cases(parser, options, CASES)
    if options.every < 1:
        parser.error(f"--every {options.every} must be 1 or more")
    return options


def mixtures(options: argparse.Namespace) -> list[Pair]:
    """Clean and noisy signals."""
    tiers = tuple(filter(None, options.tiers.split(",")))
    found = mixing.find_material(
        options.speech, options.noise, split=options.split, tiers=tiers, labels=options.labels, usual=DEFAULT_LABELS
    )
    plan = mixing.plan_mixtures(
        found.speech, found.noise, clips=MIXTURES, seed=options.seed, seconds=options.seconds, labels=found.labels
    )
    pairs = [clip_sets.render(clip)[:2] for clip in clip_sets.from_mixtures(plan[:: options.every])]
    return [(clean, clean) for clean, _ in pairs] if options.clean else pairs


def low_passed(edge_khz: float) -> Callable[[Pair], Pair]:
    """Both without what lies above an edge; linear phase, not delayed, 100 Hz wide."""
    taps = signal.firwin(_TAPS, 1e3 * edge_khz, fs=SAMPLE_RATE_HZ)

    def change(pair: Pair) -> Pair:
        clean, noisy = (signal.fftconvolve(samples, taps, "same").astype(np.float32) for samples in pair)
        return clean, noisy

    return change


def telephoned(pair: Pair) -> Pair:
    """Both at 8 kHz, the mixture through G.711 as well."""
    clean, noisy = (resample(samples, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 2) for samples in pair)
    coded = companded(noisy.astype(np.float32), *_MU_LAW)
    back = (resample(s, SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ)[: pair[0].size] for s in (clean, coded))
    clean, noisy = (np.asarray(samples, np.float32) for samples in back)
    return clean, noisy


def through_opus(pair: Pair) -> Pair:
    """The mixture coded and decoded, aligned by the decoder."""
    clean, noisy = pair
    file = io.BytesIO()
    soundfile.write(file, noisy, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=_OPUS_LEVEL)
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32")[0][: noisy.size]
    return clean, np.pad(decoded, (0, noisy.size - decoded.size))


def at(rate_hz: int) -> Callable[[Pair], Pair]:
    """Both at another rate."""

    def change(pair: Pair) -> Pair:
        clean, noisy = (np.asarray(resample(each, SAMPLE_RATE_HZ, rate_hz), np.float32) for each in pair)
        return clean, noisy

    return change


CASES: dict[str, Callable[[Pair], Pair]] = {
    "full": lambda pair: pair,
    **{f"{edge:g}": low_passed(edge) for edge in reversed(EDGES_KHZ)},
    "telephone": telephoned,
    "opus": through_opus,
    "at 48 kHz": at(48000),
    "to 8 kHz": lambda pair: pair,
    "at 8 kHz": at(8000),
}
RATES_HZ = {"at 48 kHz": (48000, SAMPLE_RATE_HZ), "to 8 kHz": (SAMPLE_RATE_HZ, 8000), "at 8 kHz": (8000, 8000)}
"""Rates at which cases are processed and measured, if not both at 16 kHz."""


def row(case: str, pairs: Sequence[Pair], system: System) -> dict[str, Any]:
    """Mean figures of one system on one case."""
    rate_hz, measured_hz = RATES_HZ.get(case, (SAMPLE_RATE_HZ, SAMPLE_RATE_HZ))
    run, found = enhancer(system, rate_hz), []
    for clean, noisy in map(CASES[case], pairs):
        both = (np.asarray(resample(each, rate_hz, measured_hz), np.float32) for each in (clean, run(noisy)))
        found.append(figures(*both, measured_hz))
    means = {name: float(np.nanmean([each[name] for each in found])) for name in found[0]}
    return {"case": case, "system": system.name} | {name: round(mean, 4) for name, mean in means.items()}


def figures(clean: F32, enhanced: F32, rate_hz: int) -> dict[str, float]:
    """What is measured of a clip: PESQ-wb at 16 kHz, PESQ-nb at 8 kHz."""
    wide = rate_hz == SAMPLE_RATE_HZ
    pesq = metrics.pesq_wideband(clean, enhanced) if wide else metrics.pesq_narrowband(clean, enhanced, rate_hz)
    return {
        "pesq_wb" if wide else "pesq_nb": pesq,
        "estoi": metrics.stoi(clean, enhanced, extended=True, rate_hz=rate_hz),
        "si_sdr_db": metrics.si_sdr_db(clean, enhanced),
    }


def cell(row: dict[str, Any]) -> str:
    """The figures of a row of the record."""
    pesq = row["pesq_wb"] if "pesq_wb" in row else row["pesq_nb"]
    return f"{pesq:.2f} / {row['estoi']:.3f} / {row['si_sdr_db']:.1f}"


def report(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each system, a column for each case."""
    cases = list(dict.fromkeys(each["case"] for each in rows))
    found = {(each["system"], each["case"]): each for each in rows}
    lines = []
    for system in dict.fromkeys(each["system"] for each in rows):
        cells = [found[system, case] for case in cases]
        lines.append([system, *map(cell, cells)])
    return tables.markdown_table(["PESQ-wb / eSTOI / SI-SDR dB", *cases], lines)


if __name__ == "__main__":
    sys.exit(main())
