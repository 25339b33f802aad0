"""Find what became slower since an older record, beyond the noise of the two runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.report.comparison import SAME, Change, judge, load_record, without_figures
from rtdenoise.evaluate.report.statistics import ratio_interval
from rtdenoise.typing import F64

SLOWER, FASTER = "slower", "faster"
TOLERANCE = 0.05
"""Median agreement of two runs on a quiet machine; smaller differences are no change."""

_NOTED = {"paced p99": (1.5, "us"), "delay": (1.01, "ms"), "memory": (1.2, "MB"), "start": (1.5, "s")}
"""Other figures than the cost: the factor of change worth a note, and the unit."""


def load_bench(path: Path, schema: str) -> dict[str, Any]:
    """Load a record of `bench` whose rows can be compared.

    Raises
    ------
    AudioFileError, ConfigError
        As `load_record`.
    """
    record = load_record(path, schema, {"rows": list})
    if not all(_comparable(row) for row in record["rows"]):
        raise ConfigError(f"{path}: holds a row without name, rate, engine, verdict or costs; measure it anew")
    return record


def _comparable(row: Any) -> bool:
    if not isinstance(row, dict) or not {"name", "rate_hz", "engine", "holds"} <= row.keys():
        return False
    steady = row.get("back_to_back", {})
    return "error" in row or bool(steady.get("rounds_us") and steady.get("reference_us"))


def check_tolerance(tolerance: float) -> None:
    """Raise before anything is measured.

    Raises
    ------
    ConfigError
        If `tolerance` is negative or NaN.
    """
    if not 0.0 <= tolerance < math.inf:
        raise ConfigError(f"tolerance={tolerance} must be a number from 0 on, such as 0.05 for 5 %")


def compare(
    old: Mapping[str, Any], new: Mapping[str, Any], tolerance: float = TOLERANCE, names: Collection[str] = ()
) -> list[Change]:
    """Compare every row that both records have, and report rows missing from the new one.

    The cost of a round is paired with a fixed reference workload run alongside it, which cancels a slowdown of the
    whole machine; the interval of the ratio of medians is bootstrapped over the rounds of both runs.

    Parameters
    ----------
    old, new
        Records of `bench`.
    tolerance : float
        Smaller changes are ignored, however significant.
    names
        Rows the new run was restricted to, at the rates it has; empty: every row of the old record.

    Raises
    ------
    ConfigError
        If the records have no row in common.
    """
    before, after = ({_key(row): row for row in record["rows"]} for record in (old, new))
    pairs = [(before[key], row) for key, row in after.items() if key in before]
    if not pairs:
        raise ConfigError("the two records have no row in common; measure the same methods")
    rates = [record.get("settings", {}).get("rate_hz") for record in (old, new)]
    rates_now = {row["rate_hz"] for row in new["rows"]}
    gone = [
        without_figures(_subject(row), "ratio", SLOWER, "measured before, missing now")
        for key, row in before.items()
        if key not in after
        and "error" not in row
        and rates[0] == rates[1]
        and (not names or (row["name"] in names and row["rate_hz"] in rates_now))
    ]
    return [*(_change(first, second, tolerance) for first, second in pairs), *gone]


def agreement(old: Mapping[str, Any], new: Mapping[str, Any], changes: Collection[Change]) -> dict[str, Any]:
    """Agreement of two records.

    Over the `rows` with figures in both: ``median_difference`` and ``largest_difference`` of the cost ratios from 1,
    and ``verdicts_differ``, the rows that hold in real time in only one of them.
    """
    before = {_key(row): row["holds"] for row in old["rows"] if "error" not in row}
    both = [row for row in new["rows"] if "error" not in row and _key(row) in before]
    off = [abs(change.value - 1.0) for change in changes if not math.isnan(change.value)]
    return {
        "rows": len(both),
        "median_difference": float(np.median(off)) if off else None,
        "largest_difference": max(off, default=None),
        "verdicts_differ": [f"{r['name']} at {r['rate_hz']} Hz" for r in both if r["holds"] != before[_key(r)]],
    }


def _key(row: Mapping[str, Any]) -> tuple[str, int, str]:
    return row["name"], row["rate_hz"], row["engine"]


def _subject(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": row["name"], "rate_hz": row["rate_hz"]}


def _change(old: Mapping[str, Any], new: Mapping[str, Any], tolerance: float) -> Change:
    if "error" in new or "error" in old:
        verdict = SLOWER if "error" in new and "error" not in old else SAME
        return without_figures(_subject(new), "ratio", verdict, str(new.get("error", old.get("error"))))
    ratio, low, high = ratio_interval(_relative(old), _relative(new))
    verdict = judge(low, high, (1.0 / (1.0 + tolerance), 1.0 + tolerance), (FASTER, SLOWER))
    notes = _notes(_figures(old), _figures(new))
    if old["holds"] and not new["holds"]:
        verdict, notes = SLOWER, ["held live before, does not now", *notes]
    return Change(_subject(new), "ratio", ratio, low, high, verdict, "; ".join(notes))


def _figures(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures named in `_NOTED` that the row has."""
    parts = row.get("latency_ms", {})
    return {
        "paced p99": row.get("paced", {}).get("us", {}).get("p99"),
        "delay": sum(parts.get(name, 0.0) for name in ("block", "algorithm", "queue")),
        "memory": row.get("memory_mb", {}).get("peak"),
        "start": row.get("startup_seconds"),
    }


def _notes(old: Mapping[str, float | None], new: Mapping[str, float | None]) -> list[str]:
    found = []
    for name, (factor, unit) in _NOTED.items():
        before, after = old[name], new[name]
        if before and after and not 1.0 / factor <= after / before <= factor:
            found.append(f"{name} {before:.4g}, now {after:.4g} {unit}")
    return found


def _relative(row: Mapping[str, Any]) -> F64:
    steady = row["back_to_back"]
    return np.array(steady["rounds_us"], np.float64) / np.array(steady["reference_us"], np.float64)
