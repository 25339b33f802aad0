"""The record of an evaluation: JSON, documented in docs/benchmarks.md, and a CSV of individual scores."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rtdenoise.disk.names import as_text, plain
from rtdenoise.evaluate.clips import CLEAN
from rtdenoise.evaluate.compared.systems import NOISY, System, latency_ms
from rtdenoise.evaluate.machine import origin
from rtdenoise.evaluate.measures.metrics import ALL_NAMES
from rtdenoise.evaluate.report.statistics import column, grouped, metrics_of, paired_interval, summary
from rtdenoise.evaluate.scoring import ClipScores, Scores

SCHEMA = "rtdenoise.evaluate/1"


def make_record(
    scored: Sequence[ClipScores],
    systems: Sequence[System],
    *,
    material: Mapping[str, Any],
    missing: Mapping[str, str],
    costs: Mapping[str, Mapping[str, float]] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """All results, as plain values.

    Parameters
    ----------
    scored
        One entry per clip.
    systems
        The noisy input first.
    material
        Description of the clips, for the reader.
    missing
        Peers that could not run, with the reason.
    costs
        By system: ``us_per_10ms`` and ``rtf``.
    left_out
        Unreadable recordings, with the reason; clips that could not be measured are added.
    """
    usable = [entry for entry in scored if not entry.error]
    noisy_in = [entry for entry in usable if entry.clip.noise != CLEAN]
    clean_in = [entry for entry in usable if entry.clip.noise == CLEAN]
    return {
        "schema": SCHEMA,
        **origin(),
        "material": dict(material),
        "missing": dict(missing),
        "left_out": {**(left_out or {}), **{entry.clip.name: entry.error for entry in scored if entry.error}},
        "failed": {
            system.name: found
            for system in systems
            if (found := {e.clip.name: e.failed[system.name] for e in usable if system.name in e.failed})
        },
        "clips": [_clip(entry) for entry in usable],
        "systems": {s.name: _system(s, noisy_in, (costs or {}).get(s.name, {})) for s in systems},
        "clean_in": {s.name: summary(_rows(clean_in, s.name), ALL_NAMES) for s in systems} if clean_in else {},
        "scores": {e.clip.name: e.scores for e in usable},
    }


def _clip(entry: ClipScores) -> dict[str, Any]:
    clip = entry.clip
    return {
        "name": clip.name,
        "noise": clip.noise,
        "snr_db": clip.snr_db,
        "speaker": clip.speaker,
        "rate_hz": entry.rate_hz,
    }


def _rows(entries: Sequence[ClipScores], name: str) -> list[Scores]:
    return [entry.scores.get(name, {}) for entry in entries]


def _system(system: System, entries: Sequence[ClipScores], cost: Mapping[str, float]) -> dict[str, Any]:
    rows, reference = _rows(entries, system.name), _rows(entries, NOISY)
    clips = [entry.clip for entry in entries]
    snrs = ["unknown" if clip.snr_db is None else f"{clip.snr_db:g}" for clip in clips]
    return {
        "kind": system.kind,
        "latency_ms": latency_ms(system),
        **cost,
        "mean": summary(rows, ALL_NAMES),
        "over_noisy": {
            name: paired_interval(column(rows, name), column(reference, name)) for name in metrics_of(rows, ALL_NAMES)
        },
        "by_snr": grouped(rows, snrs, ALL_NAMES),
        "by_noise": grouped(rows, [clip.noise for clip in clips], ALL_NAMES),
        "by_speaker": grouped(rows, [clip.speaker for clip in clips], ALL_NAMES),
    }


def to_json(record: Mapping[str, Any]) -> str:
    """The record as JSON: numbers to six digits, undefined ones as null."""
    return json.dumps(plain(_plain(record)), indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def to_csv(record: Mapping[str, Any]) -> str:
    """One row per clip and system."""
    scored = [row for rows in record["scores"].values() for row in rows.values()]
    names = [name for name in ALL_NAMES if any(name in row for row in scored)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["clip", "noise", "snr_db", "speaker", "rate_hz", "system", *names])
    for clip in record["clips"]:
        for system, row in record["scores"][clip["name"]].items():
            values = [_cell(row.get(name)) for name in names]
            head = [clip["name"], clip["noise"], _cell(clip["snr_db"]), clip["speaker"], clip["rate_hz"], system]
            writer.writerow([*head, *values])
    return as_text(out.getvalue())


def _cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
