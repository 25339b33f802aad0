"""Means with confidence intervals over clips, and differences of systems on the same clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rtdenoise.typing import F64

_RESAMPLES = 2000
_RESAMPLES_OF_RATIO = 4000
_SEED = 0


def mean_interval(values: Sequence[float]) -> dict[str, float]:
    """``mean``, ``low``, ``high`` and ``n`` of finite values: 95 % by percentile bootstrap over clips, seeded.

    `low` and `high` are the mean itself for one value; all are NaN for none.
    """
    finite = np.array([v for v in values if np.isfinite(v)], np.float64)
    if finite.size == 0:
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0}
    low, high = interval(resampled(finite).mean(axis=1))
    return {"mean": float(finite.mean()), "low": low, "high": high, "n": int(finite.size)}


def resampled(values: F64, rng: np.random.Generator | None = None, count: int = _RESAMPLES) -> F64:
    """Draw ``(n,)`` values with replacement, ``(count, n)``; without `rng` the same draws in every call for one n."""
    rng = rng or np.random.default_rng(_SEED)
    return np.asarray(values[rng.integers(values.size, size=(count, values.size))])


def interval(estimates: F64) -> tuple[float, float]:
    """The 95 % interval of what was estimated from each draw."""
    low, high = np.percentile(estimates, (2.5, 97.5))
    return float(low), float(high)


def ratio_interval(old: F64, new: F64) -> tuple[float, float, float]:
    """Ratio of the medians, new to old, with its 95 % interval over independent draws of both."""
    rng = np.random.default_rng(_SEED)
    before, after = (np.median(resampled(values, rng, _RESAMPLES_OF_RATIO), axis=1) for values in (old, new))
    return float(np.median(new) / np.median(old)), *interval(after / before)


def paired_interval(values: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """`mean_interval` of ``values - reference``, clip by clip."""
    return mean_interval([a - b for a, b in zip(values, reference, strict=True)])


def column(rows: Sequence[Mapping[str, float]], metric: str) -> list[float]:
    """One metric of every row, NaN where it is missing."""
    return [float(row.get(metric, float("nan"))) for row in rows]


def metrics_of(rows: Sequence[Mapping[str, float]], order: Sequence[str]) -> list[str]:
    """Metrics that at least one row has, in the given order."""
    present = {key for row in rows for key in row}
    return [name for name in order if name in present]


def summary(rows: Sequence[Mapping[str, float]], order: Sequence[str]) -> dict[str, dict[str, float]]:
    """`mean_interval` of every metric."""
    return {name: mean_interval(column(rows, name)) for name in metrics_of(rows, order)}


def grouped(
    rows: Sequence[Mapping[str, float]], groups: Sequence[Any], order: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """`summary` for each group, in the order in which groups first appear."""
    table = {}
    for group in dict.fromkeys(groups):
        members = [row for row, own in zip(rows, groups, strict=True) if own == group]
        table[str(group)] = summary(members, order)
    return table
