"""What became slower since an old record, beyond the noise of the two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import AudioFileError, ConfigError

SLOWER, FASTER, SAME = "slower", "faster", "same"
TOLERANCE = 0.05
"""Two runs on a quiet machine agree this well at the median; less is no change."""

_RESAMPLES = 4000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Change:
    """One row of two records: ratio of new to old cost with its 95 % interval, and what it means."""

    name: str
    rate_hz: int
    ratio: float
    low: float
    high: float
    verdict: str
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def load_record(path: Path, schema: str) -> dict[str, Any]:
    """A record of the given schema.

    Raises
    ------
    AudioFileError
        If the file cannot be read.
    ConfigError
        If it is no such record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON ({error})") from error
    if not isinstance(record, dict) or record.get("schema") != schema:
        raise ConfigError(f"{path}: is no record of {schema}")
    return record


def compare(old: Mapping[str, Any], new: Mapping[str, Any], tolerance: float = TOLERANCE) -> list[Change]:
    """Every row that both records have.

    The cost of a round is paired with a fixed piece of work that ran beside it, so that a machine that was slower as a
    whole does not count; the interval of the ratio of medians is a bootstrap over the rounds of both runs.

    Parameters
    ----------
    old, new
        Records of `bench`.
    tolerance : float
        A change smaller than this is none, however sure.

    Raises
    ------
    ConfigError
        If no row is in both.
    """
    before = {_key(row): row for row in old["rows"]}
    pairs = [(before[_key(row)], row) for row in new["rows"] if _key(row) in before]
    if not pairs:
        raise ConfigError("the two records have no row in common; measure the same methods")
    return [_change(first, second, tolerance) for first, second in pairs]


def _key(row: Mapping[str, Any]) -> tuple[str, int, str]:
    return row["name"], row["rate_hz"], row["engine"]


def _change(old: Mapping[str, Any], new: Mapping[str, Any], tolerance: float) -> Change:
    nan = float("nan")
    if "error" in new or "error" in old:
        verdict = SLOWER if "error" in new and "error" not in old else SAME
        return Change(new["name"], new["rate_hz"], nan, nan, nan, verdict, str(new.get("error", old.get("error"))))
    ratio, low, high = ratio_interval(_relative(old), _relative(new))
    verdict = SLOWER if low > 1.0 + tolerance else FASTER if high < 1.0 / (1.0 + tolerance) else SAME
    note = ""
    if old["holds"] and not new["holds"]:
        verdict, note = SLOWER, "held live before, does not now"
    return Change(new["name"], new["rate_hz"], ratio, low, high, verdict, note)


def _relative(row: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    steady = row["back_to_back"]
    return np.array(steady["rounds_us"], np.float64) / np.array(steady["reference_us"], np.float64)


def ratio_interval(
    old: np.ndarray[Any, np.dtype[np.float64]], new: np.ndarray[Any, np.dtype[np.float64]]
) -> tuple[float, float, float]:
    """Ratio of the medians, new to old, with its 95 % interval."""
    rng = np.random.default_rng(0)
    medians = [np.median(v[rng.integers(v.size, size=(_RESAMPLES, v.size))], axis=1) for v in (old, new)]
    low, high = np.percentile(medians[1] / medians[0], _INTERVAL)
    return float(np.median(new) / np.median(old)), float(low), float(high)
