"""Find metrics that became worse since an old evaluation of the same clips, beyond the noise between clips."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.report.comparison import Change, judge, load_record, without_figures
from rtdenoise.evaluate.report.record import SCHEMA
from rtdenoise.evaluate.report.statistics import paired_interval
from rtdenoise.evaluate.report.tables import COLUMNS, markdown_table

WORSE, BETTER = "worse", "better"

TOLERANCES = {
    "pesq_wb": 0.02,
    "pesq_nb": 0.02,
    "estoi": 0.005,
    "stoi": 0.005,
    "si_sdr_db": 0.2,
    "segmental_snr_db": 0.2,
    "covl": 0.03,
    "dnsmos_ovrl": 0.03,
}
"""Inaudible differences; smaller changes are ignored, however significant."""

LOST = "clips"
"""Stands in for a metric in the subject of a change: clips that lost all scores."""


def load_evaluation(path: Path) -> dict[str, Any]:
    """A record of `rtdenoise evaluate` with the scores of single clips.

    Raises
    ------
    AudioFileError, ConfigError
        As `load_record`.
    """
    return load_record(path, SCHEMA, {"systems": dict, "scores": dict})


def compare(old: Mapping[str, Any], new: Mapping[str, Any], systems: Collection[str] = ()) -> list[Change]:
    """Compare each metric of each own system that both records have, paired clip by clip.

    A system that lost a score it had before, on a clip that the new run had, is worse, whatever its means.

    Parameters
    ----------
    old, new
        Records of `evaluate`.
    systems
        Systems the new run was restricted to; empty: all of the old record.

    Raises
    ------
    ConfigError
        If they have no clip and own system in common.
    """
    tried = [name for name in old["scores"] if name in new["scores"] or name in new.get("left_out", {})]
    changes = []
    for system, entry in old["systems"].items():
        if entry["kind"] != "own" or (systems and system not in systems):
            continue
        rows = [(old["scores"][name].get(system), new["scores"].get(name, {}).get(system)) for name in tried]
        pairs = [(before, after) for before, after in rows if before and after]
        changes += _lost(system, LOST, sum(bool(before and not after) for before, after in rows))
        for metric, tolerance in TOLERANCES.items():
            values = [(_value(a, metric), _value(b, metric)) for a, b in pairs]
            undefined = [
                metric in b and not math.isfinite(y) and math.isfinite(x)
                for (_, b), (x, y) in zip(pairs, values, strict=True)
            ]
            changes += _lost(system, metric, sum(undefined))
            found = paired_interval([after for _, after in values], [before for before, _ in values])
            if found["n"]:
                changes.append(_change(system, metric, found, tolerance))
    if not changes:
        raise ConfigError("the two records have no clip and method in common; evaluate the same material")
    return changes


def _lost(system: str, metric: str, clips: int) -> list[Change]:
    """The change of a system that lost all its scores, or one metric, on this many clips."""
    if not clips:
        return []
    note = "scored before, failed or missing now" if metric == LOST else "defined before, undefined now"
    return [without_figures(_subject(system, metric, clips), "difference", WORSE, note)]


def _subject(system: str, metric: str, clips: int) -> dict[str, str | int]:
    return {"system": system, "metric": metric, "clips": clips}


def _value(row: Mapping[str, Any], metric: str) -> float:
    found = row.get(metric)
    return float("nan") if found is None else float(found)


def _change(system: str, metric: str, found: Mapping[str, float], tolerance: float) -> Change:
    verdict = judge(found["low"], found["high"], (-tolerance, tolerance), (WORSE, BETTER))
    subject = _subject(system, metric, int(found["n"]))
    return Change(subject, "difference", found["mean"], found["low"], found["high"], verdict)


def changes_table(changes: list[Change]) -> str:
    """The result of `compare` as Markdown."""
    rows = []
    for change in changes:
        system, metric, clips = change.subject.values()
        heading, digits = COLUMNS.get(str(metric), (str(metric), 0))
        verdict = f"{change.verdict}: {change.note}" if change.note else change.verdict
        rows.append([str(system), heading, str(clips), *change.cells(digits, sign=True), verdict])
    return markdown_table(("system", "metric", "clips", "new - old", "95 % interval", "verdict"), rows)
