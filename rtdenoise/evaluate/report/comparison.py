"""Compare with the record of an earlier run: load it, judge one figure, and show the verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.evaluate.report.tables import number

SAME = "same"
"""Verdict on a change within the noise, or too small to matter."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of two runs, with its 95 % interval and the verdict.

    ``value``, ``low`` and ``high`` are NaN where one run has no figure; then ``note`` says why.
    """

    subject: Mapping[str, str | int]
    """What was measured, by column."""
    figure: str
    """What ``value`` is: ratio or difference."""
    value: float
    low: float
    high: float
    verdict: str
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All fields in one row for JSON, which has no NaN: None in its place."""
        figures = {self.figure: self.value, "low": self.low, "high": self.high}
        found = {name: None if math.isnan(value) else value for name, value in figures.items()}
        return {**self.subject, **found, "verdict": self.verdict, "note": self.note}

    def cells(self, digits: int, *, sign: bool = False) -> list[str]:
        """The value and its interval, for a table."""
        value, low, high = (number(each, digits, sign=sign) for each in (self.value, self.low, self.high))
        return [value, f"{low} to {high}"]


def without_figures(subject: Mapping[str, str | int], figure: str, verdict: str, note: str) -> Change:
    """A change that only the note describes."""
    return Change(subject, figure, math.nan, math.nan, math.nan, verdict, note)


def judge(low: float, high: float, limits: tuple[float, float], words: tuple[str, str]) -> str:
    """The verdict on a 95 % interval: the first word wholly below the limits, the second wholly above, else `SAME`."""
    return words[0] if high < limits[0] else words[1] if low > limits[1] else SAME


def load_record(path: Path, schema: str, sections: Mapping[str, type]) -> dict[str, Any]:
    """A record of the given schema that has these sections, each of that type.

    Raises
    ------
    AudioFileError
        If the file cannot be read.
    ConfigError
        If it is not such a record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON ({error})") from error
    if not isinstance(record, dict) or record.get("schema") != schema:
        raise ConfigError(f"{path}: is no record of {schema}")
    missing = [name for name, kind in sections.items() if not isinstance(record.get(name), kind)]
    if missing:
        raise ConfigError(f"{path}: is a record of {schema} without {', '.join(missing)}; make it anew")
    return record
