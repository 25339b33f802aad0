"""Read manifests: tables of recordings, for evaluation and training."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from rtdenoise.errors import ConfigError


def read_manifest(table: Path, columns: Iterable[str] = ("path",)) -> list[dict[str, str]]:
    """Rows of a CSV file with a header; a cell that a row lacks is missing or empty, its path never is.

    Parameters
    ----------
    table : Path
    columns : iterable of str
        Those that must be there.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no such table, or lacks a column or a path.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = set(columns) - set(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise ConfigError(f"{table}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{table}: not text in UTF-8 ({error.reason}); save it in that encoding") from error
    except csv.Error as error:
        raise ConfigError(f"{table}: not a table of comma-separated values ({error})") from error
    if missing:
        raise ConfigError(f"{table}: no column {min(missing)!r}")
    for number, row in enumerate(rows, 1):
        if not row["path"]:
            raise ConfigError(f"{table}: no path in row {number}")
    return rows
