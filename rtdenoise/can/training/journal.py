"""What a run leaves to be read: CSV tables, and TensorBoard events where TensorFlow is the backend."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtdenoise.can.model import import_keras


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
            self._writer = tf.summary.create_file_writer(str(folder))

    def rewind(self, step: int) -> None:
        """Forget rows after `step`: the run goes on from an earlier checkpoint than its last report."""
        for path in self._folder.glob("*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                head, *rows = csv.reader(file)
            kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([head, *kept])

    def add(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """One row of `table`, on disk when this returns."""
        path = self._folder / f"{table}.csv"
        row = {"step": step, **values}
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self._writer is not None:
            kind = self._tf.compat.v1.Summary
            scalars = [kind.Value(tag=f"{table}/{name}", simple_value=value) for name, value in values.items()]
            with self._writer.as_default():  # as raw records: tf.summary.scalar needs TensorBoard itself installed
                self._tf.summary.experimental.write_raw_pb(kind(value=scalars).SerializeToString(), step=step)
            self._writer.flush()
