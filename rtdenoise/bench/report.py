"""Benchmark report: figures and a page with histograms, the latency breakdown and the stream capacity."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtdenoise.bench.tables import label, markdown, smallest_line
from rtdenoise.disk.atomic import make_folder, remove_empty, write_text
from rtdenoise.errors import AudioFileError
from rtdenoise.evaluate.report import html
from rtdenoise.evaluate.report.drawing import COLOURS, NO_PICTURES, can_draw, make_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)

_PARTS = ("block", "algorithm", "queue", "compute")


def write_report(record: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Write ``bench.json``, ``report.md``, ``index.html`` and, with matplotlib, three PNGs.

    Raises
    ------
    AudioFileError
        If the folder cannot be written.
    """
    rows = [row for row in record["rows"] if "error" not in row]
    if not can_draw():
        _log.warning("%s; the report comes without", NO_PICTURES)
    drawers = (("times.png", _times), ("latency.png", _latency), ("capacity.png", _capacity))
    made = make_folder(folder)
    try:
        drawn = []
        for name, draw in drawers:
            figure = draw(rows) if rows and can_draw() else None
            if figure is not None:
                save_figure(figure, folder / name)
                drawn.append(name)
        contents = {
            "bench.json": json.dumps(record, indent=1) + "\n",
            "report.md": markdown(record),
            "index.html": _page(record, drawn),
        }
        for name, content in contents.items():
            write_text(folder / name, content)
    except AudioFileError:
        remove_empty(made)
        raise
    return tuple(folder / name for name in (*contents, *drawn))


def _times(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Compute time of a paced hop: one histogram per row, with the block duration as the limit."""
    figure = make_figure(9.0, 1.0 + 0.75 * len(rows))
    grid = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for index, (axes, row) in enumerate(zip(grid, rows, strict=True)):
        found = row["paced"]["histogram"]
        axes.stairs(found["counts"], found["edges_us"], fill=True, color=COLOURS[index % len(COLOURS)])
        axes.axvline(1e3 * row["hop_ms"], color="0.3", linestyle="--", linewidth=1)
        axes.axvline(row["paced"]["us"]["p99"], color="0.3", linestyle=":", linewidth=1)
        axes.set_yticks([])
        axes.set_ylabel(f"{label(row)}\n{row['rate_hz'] // 1000} kHz", rotation=0, ha="right", va="center", fontsize=8)
    grid[-1].set_xscale("log")
    grid[-1].set_xlabel("time of one hop in us; dotted: 99th percentile, dashed: the time there is")
    return figure


def _latency(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Latency as a waterfall: one bar per row, its parts end to end."""
    figure = make_figure(9.0, 1.2 + 0.35 * len(rows))
    axes = figure.subplots()
    for line, row in enumerate(rows):
        left = 0.0
        for colour, part in zip(COLOURS, _PARTS, strict=False):
            inside = part == "compute" and row["latency_ms"]["queue"] > 0.0  # computing happens within the queue's time
            width = 0.0 if inside else row["latency_ms"][part]
            axes.barh(line, width, left=left, color=colour, label=part if line == 0 else None)
            left += width
        axes.annotate(f"{left:.1f}", (left, line), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [f"{label(row)}, {row['rate_hz'] // 1000} kHz" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("ms, without the devices")
    figure.legend(loc="outside upper center", ncols=len(_PARTS), frameon=False)
    return figure


def _capacity(rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Share of a block's duration that one hop of all streams takes, against streams; None if no row has a curve."""
    curves = [row for row in rows if row["capacity"]]
    if not curves:
        return None
    figure = make_figure(8.0, 5.0)
    axes = figure.subplots()
    for index, row in enumerate(curves):
        streams = [point["streams"] for point in row["capacity"]]
        share = [point["p50"] / (1e3 * row["hop_ms"]) for point in row["capacity"]]
        name = f"{label(row)}, {row['rate_hz'] // 1000} kHz: {row['streams_per_core']} streams"
        axes.plot(streams, share, marker="o", markersize=4, color=COLOURS[index % len(COLOURS)], label=name)
    axes.axhline(1.0, color="0.3", linestyle="--", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("streams on one core")
    axes.set_ylabel("median, share of the time there is")
    axes.legend(fontsize=8, frameon=False)
    return figure


def _page(record: Mapping[str, Any], pictures: Sequence[str]) -> str:
    blocks = [_block(block) for block in markdown(record).split("\n\n")]
    head = f"<h1>Bench</h1><p><strong>{escape(smallest_line(record))}</strong></p>"
    return html.document("rtdenoise bench", "".join([head, *blocks, *map(html.picture, pictures)]))


def _block(block: str) -> str:
    """Convert one block of our own Markdown to HTML: a table or a paragraph."""
    if not block.startswith("|"):
        return f"<p>{escape(block)}</p>"
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
    return html.table(lines[0], lines[2:])
