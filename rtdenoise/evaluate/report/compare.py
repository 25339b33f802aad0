"""Find metrics that became worse since an old evaluation of the same clips, beyond the noise between clips."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.report.old_record import load_record, without_nan
from rtdenoise.evaluate.report.record import SCHEMA
from rtdenoise.evaluate.report.statistics import paired_interval
from rtdenoise.evaluate.report.tables import COLUMNS, markdown_table, number

WORSE, BETTER, SAME = "worse", "better", "same"

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
"""Stands in for a metric: clips that lost all scores."""


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of one system: mean difference over the clips of both records, its 95 % interval, and the verdict.

    If clips lost their score there is no difference, and `note` says what happened; `metric` is `LOST` if all did.
    """

    system: str
    metric: str
    clips: int
    difference: float
    low: float
    high: float
    verdict: str
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All fields; None for what is undefined."""
        return without_nan(asdict(self))


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
    nan = float("nan")
    note = "scored before, failed or missing now" if metric == LOST else "defined before, undefined now"
    return [Change(system, metric, clips, nan, nan, nan, WORSE, note)]


def _value(row: Mapping[str, Any], metric: str) -> float:
    found = row.get(metric)
    return float("nan") if found is None else float(found)


def _change(system: str, metric: str, found: Mapping[str, float], tolerance: float) -> Change:
    verdict = WORSE if found["high"] < -tolerance else BETTER if found["low"] > tolerance else SAME
    return Change(system, metric, int(found["n"]), found["mean"], found["low"], found["high"], verdict)


def changes_table(changes: list[Change]) -> str:
    """The result of `compare` as Markdown."""
    rows = []
    for change in changes:
        heading, digits = COLUMNS.get(change.metric, (change.metric, 0))
        cells = [number(v, digits, sign=True) for v in (change.difference, change.low, change.high)]
        verdict = f"{change.verdict}: {change.note}" if change.note else change.verdict
        rows.append([change.system, heading, str(change.clips), cells[0], f"{cells[1]} to {cells[2]}", verdict])
    return markdown_table(("system", "metric", "clips", "new - old", "95 % interval", "verdict"), rows)
