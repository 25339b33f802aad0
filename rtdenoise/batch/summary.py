"""Batch summary as Parquet or CSV: one row per file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from rtdenoise.disk.atomic import require_folder, write_text, written
from rtdenoise.disk.names import as_text, plain
from rtdenoise.errors import AudioFileError, ConfigError, MissingExtraError

COLUMNS = (
    "name", "status", "error", "source", "target", "method", "preset", "network", "engine", "seconds", "sample_rate",
    "channels", "container", "subtype", "elapsed_seconds", "rtf", "level_before_dbfs", "level_after_dbfs",
    "noise_reduction_db", "non_finite", "clipped", "target_size", "sha256",
)  # fmt: skip
_TEXTS = frozenset([*COLUMNS[: COLUMNS.index("seconds")], "container", "subtype", "sha256"])
_WHOLE = frozenset({"sample_rate", "channels", "non_finite", "clipped", "target_size"})


def check_summary(path: Path) -> None:
    """Raise before any work is done if the summary could not be written at the end.

    Raises
    ------
    ConfigError
        If the name ends with neither .parquet nor .csv.
    MissingExtraError
        If Parquet is requested and pyarrow is missing.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"summary {path}: its name must end with .parquet or .csv")
    require_folder(path.parent)
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MissingExtraError("a Parquet summary needs pyarrow: pip install 'rtdenoise[batch]', or name a .csv")


def write_summary(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the summary atomically.

    Raises
    ------
    AudioFileError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            write_text(path, as_text(_csv(rows)))
        else:
            with written(path) as file:
                _write_parquet(plain(list(rows)), file)
    except AudioFileError:
        raise
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be written: {error.strerror or error}") from error


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _write_parquet(rows: Sequence[Mapping[str, Any]], file: IO[bytes]) -> None:
    import pyarrow
    from pyarrow import parquet

    kinds = {name: pyarrow.string() if name in _TEXTS else pyarrow.float64() for name in COLUMNS}
    kinds |= dict.fromkeys(_WHOLE, pyarrow.int64())
    schema = pyarrow.schema([(name, kinds[name]) for name in COLUMNS])
    columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
    parquet.write_table(pyarrow.table(columns, schema=schema), file)
