"""Load and check the record of an earlier run before anything is measured against it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtdenoise.errors import AudioFileError, ConfigError


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


def without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a comparison for JSON, which has no NaN: None in its place."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
