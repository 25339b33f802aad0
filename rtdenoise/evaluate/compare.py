"""What became worse since an old evaluation of the same clips, beyond the noise between clips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.evaluate.record import SCHEMA
from rtdenoise.evaluate.statistics import paired_interval
from rtdenoise.evaluate.tables import COLUMNS, markdown_table, number

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
"""What nobody hears; a smaller change is none, however sure."""


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of one system: mean difference over the clips of both records, its 95 % interval, what it means."""

    system: str
    metric: str
    clips: int
    difference: float
    low: float
    high: float
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def load_record(path: Path) -> dict[str, Any]:
    """A record of `rtdenoise evaluate`.

    Raises
    ------
    AudioFileError
        If the file cannot be read.
    ConfigError
        If it is no such record, or one without the scores of single clips.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON ({error})") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or "scores" not in record:
        raise ConfigError(f"{path}: is no record of {SCHEMA} with scores of single clips")
    return record


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every own system and metric that both records have, paired clip by clip.

    Raises
    ------
    ConfigError
        If they have no clip and own system in common.
    """
    shared = [name for name in new["scores"] if name in old["scores"]]
    changes = []
    for system, entry in new["systems"].items():
        if entry["kind"] != "own":
            continue
        rows = [(old["scores"][name].get(system), new["scores"][name].get(system)) for name in shared]
        pairs = [(before, after) for before, after in rows if before and after]
        for metric, tolerance in TOLERANCES.items():
            values = [(_value(a, metric), _value(b, metric)) for a, b in pairs]
            found = paired_interval([after for _, after in values], [before for before, _ in values])
            if found["n"]:
                changes.append(_change(system, metric, found, tolerance))
    if not changes:
        raise ConfigError("the two records have no clip and method in common; evaluate the same material")
    return changes


def _value(row: Mapping[str, Any], metric: str) -> float:
    found = row.get(metric)
    return float("nan") if found is None else float(found)


def _change(system: str, metric: str, found: Mapping[str, float], tolerance: float) -> Change:
    verdict = WORSE if found["high"] < -tolerance else BETTER if found["low"] > tolerance else SAME
    return Change(system, metric, int(found["n"]), found["mean"], found["low"], found["high"], verdict)


def changes_table(changes: list[Change]) -> str:
    """What `compare` found, as Markdown."""
    rows = []
    for change in changes:
        heading, digits = COLUMNS[change.metric]
        cells = [number(v, digits, sign=True) for v in (change.difference, change.low, change.high)]
        rows.append([change.system, heading, str(change.clips), cells[0], f"{cells[1]} to {cells[2]}", change.verdict])
    return markdown_table(("system", "metric", "clips", "new - old", "95 % interval", "verdict"), rows)
