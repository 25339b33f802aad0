"""Format a benchmark record as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rtdenoise.evaluate.report.comparison import Change
from rtdenoise.evaluate.report.tables import markdown_table


def rows_table(record: Mapping[str, Any]) -> str:
    """All rows: verdict, margin, compute, lateness, cost, capacity, start, memory."""
    headings = (
        "method", "rate", "block ms", "live", "margin", "p50 us", "p95", "p99", "p99.9", "max", "jitter p99 us", "late",
        "us per 10 ms", "RTF", "streams per core", "start s", "MB", "allocations",
    )  # fmt: skip
    return markdown_table(headings, [_cells(row, len(headings)) for row in record["rows"]])


def _cells(row: Mapping[str, Any], count: int) -> list[str]:
    if "error" in row:
        return [label(row), str(row["rate_hz"]), "-", f"failed: {row['error']}", *["-"] * (count - 4)]
    paced, steady, us = row["paced"], row["back_to_back"], row["paced"]["us"]
    memory, found = row["memory_mb"]["peak"], row["allocations"]
    compiled = found["compiled_per_hop"]
    return [
        label(row),
        str(row["rate_hz"]),
        f"{row['hop_ms']:g}",
        "yes" if row["holds"] else "no",
        f"{100 * row['margin']:.1f} %",
        *(f"{us[name]:.0f}" for name in ("p50", "p95", "p99", "p99.9", "max")),
        f"{paced['jitter_us']['p99']:.0f}",
        f"{paced['late_blocks']} of {paced['hops']}",
        f"{steady['us_per_10ms']:.1f}",
        f"{steady['rtf']:.5f}",
        str(row["streams_per_core"]),
        f"{row['startup_seconds']:.1f}",
        "-" if memory is None else f"{memory:.0f}",
        f"{found['python_bytes_per_hop']:.0f} B" if compiled is None else f"{compiled:g}",
    ]


def label(row: Mapping[str, Any]) -> str:
    """Name of a row, with its engine where that is not obvious."""
    return str(row["name"]) if row["engine"] in ("native", "python") else f"{row['name']} ({row['engine']})"


def latency_table(record: Mapping[str, Any]) -> str:
    """Latency by part in ms, excluding the devices."""
    rows = []
    for row in record["rows"]:
        if "error" in row:
            continue
        parts = row["latency_ms"]
        cells = [f"{parts[name]:.2f}" for name in ("block", "algorithm", "queue", "compute", "total")]
        rows.append([label(row), str(row["rate_hz"]), *cells])
    return markdown_table(("latency in ms", "rate", "block", "algorithm", "queue", "compute p99", "total"), rows)


def gpu_table(record: Mapping[str, Any]) -> str:
    """Concurrent streams on a GPU, or why there is no such table."""
    gpu = record["gpu"]
    if gpu["why_none"]:
        return f"No GPU rows: {gpu['why_none']}."
    rows = []
    for row in gpu["rows"]:
        if "error" in row:
            rows.append([row["model"], f"failed: {row['error']}", *["-"] * 5])
            continue
        for point in row["batches"]:
            if "error" in point:
                rows.append([row["model"], str(point["streams"]), f"failed: {point['error']}", *["-"] * 4])
                continue
            us = point["us"]
            rows.append(
                [
                    f"{row['model']} on {row['device']}",
                    str(point["streams"]),
                    f"{us['p50']:.0f}",
                    f"{us['p99']:.0f}",
                    "yes" if point["holds"] else "no",
                    f"{point['copies_per_step']:.0f}",
                    str(row["streams_per_device"]),
                ]
            )
    headings = ("model", "streams at once", "step p50 us", "p99 us", "live", "copies per step", "streams per GPU")
    return markdown_table(headings, rows)


def smallest_line(record: Mapping[str, Any]) -> str:
    """The lowest latency this machine sustains, as a sentence."""
    found = record["smallest"]
    if found is None:
        return "Nothing that was measured holds live here."
    return (
        f"Least delay that holds here: {found['name']} at {found['rate_hz']} Hz in blocks of {found['block_ms']:g} ms, "
        f"{found['latency_ms']:.1f} ms without the devices."
    )


def markdown(record: Mapping[str, Any]) -> str:
    """All tables."""
    machine, settings = record["machine"], record["settings"]
    beside = ", beside a busy core and a Python thread that never rests" if settings["loaded"] else ""
    head = (
        f"rtdenoise {record['version']} on {machine['processor']}, {machine['cores']} cores, Python {machine['python']}"
        f"; paced for {settings['paced_seconds']:g} s{beside}."
    )
    parts = [head, rows_table(record), smallest_line(record), latency_table(record), gpu_table(record)]
    return "\n\n".join(parts) + "\n"


def changes_table(changes: Sequence[Change]) -> str:
    """The result of `compare`."""
    rows = [[*map(str, c.subject.values()), *c.cells(3), c.verdict, c.note] for c in changes]
    return markdown_table(("method", "rate", "cost, new / old", "95 % interval", "verdict", "note"), rows)


def agreement_line(found: Mapping[str, Any]) -> str:
    """Agreement of two records, in a sentence or two."""
    if not found["rows"]:
        return "No row has figures in both records."
    differing = ", ".join(found["verdicts_differ"])
    verdicts = f"live verdicts differ on {differing}" if differing else f"live verdicts agree on all {found['rows']}"
    return (
        f"{found['rows']} rows with figures in both: cost differs by {100 * found['median_difference']:.1f} % at the "
        f"median, by {100 * found['largest_difference']:.1f} % at most; {verdicts}."
    )
