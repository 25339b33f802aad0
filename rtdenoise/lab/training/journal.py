"""Log of a run: CSV tables, and TensorBoard events if TensorFlow is the backend."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rtdenoise.lab.network.keras_network import import_keras

_LOG = logging.getLogger(__name__)
_REASON_LENGTH = 120


class Journal:
    """Tables of one run.

    Parameters
    ----------
    folder : Path
        Gets ``NAME.csv`` per table, and ``events.out.tfevents.*``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        if import_keras().backend.backend() == "tensorflow":
            import tensorflow as tf

            self._tf = tf
            try:
                self._writer = tf.summary.create_file_writer(str(folder))
            except tf.errors.OpError as error:
                self._do_without(error)

    def rewind(self, step: int) -> None:
        """Drop rows after `step`: the run resumes from a checkpoint older than its last report."""
        for path in self._folder.glob("*.csv"):
            head, rows = _read(path)
            if head:
                _write(path, head, (row for row in rows if row["step"].isdigit() and int(row["step"]) <= step))

    def add(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Append a row to `table`, flushed to disk; columns added later or discontinued leave empty fields."""
        path = self._folder / f"{table}.csv"
        row = {"step": step, **values}
        head = _head(path)
        new = [name for name in row if name not in head]
        if new:
            _write(path, [*head, *new], _read(path)[1] if head else [])
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, [*head, *new], restval="").writerow(row)
        if self._writer is not None:
            kind = self._tf.compat.v1.Summary
            scalars = [kind.Value(tag=f"{table}/{name}", simple_value=value) for name, value in values.items()]
            try:
                with self._writer.as_default():  # as raw records: tf.summary.scalar needs TensorBoard itself installed
                    self._tf.summary.experimental.write_raw_pb(kind(value=scalars).SerializeToString(), step=step)
                self._writer.flush()
            except self._tf.errors.OpError as error:
                self._do_without(error)

    def _do_without(self, error: Exception) -> None:
        """Disable events; the tables and the run itself continue."""
        self._writer = None
        reason = str(error).splitlines()[0][:_REASON_LENGTH]
        _LOG.warning("%s: no TensorBoard events from here on (%s)", self._folder, reason)


def _head(path: Path) -> list[str]:
    """Column names of a table; none if the table is missing or empty."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows; a truncated row has empty fields."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restval="")
        rows = [{name: row[name] for name in row if name is not None} for row in reader]
        return list(reader.fieldnames or []), [row for row in rows if "step" in row]


def _write(path: Path, head: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace a table atomically: an interruption leaves the previous one."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, head, restval="")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)
