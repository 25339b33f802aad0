"""Records as Markdown: means with intervals, differences to one system by noise, and the papers' table format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS: dict[str, tuple[str, int]] = {
    "pesq_wb": ("PESQ-wb", 3),
    "pesq_nb": ("PESQ-nb", 3),
    "estoi": ("eSTOI", 3),
    "stoi": ("STOI", 3),
    "si_sdr_db": ("SI-SDR dB", 2),
    "segmental_snr_db": ("segSNR dB", 2),
    "csig": ("CSIG", 2),
    "cbak": ("CBAK", 2),
    "covl": ("COVL", 2),
    "dnsmos_ovrl": ("OVRL", 2),
    "dnsmos_sig": ("SIG", 2),
    "dnsmos_bak": ("BAK", 2),
    "noise_reduction_db": ("noise -dB", 1),
    "speech_distortion_db": ("speech ±dB", 2),
    "si_sdr_full_db": ("SI-SDR full dB", 2),
    "lsd_below_db": ("LSD to 8 kHz", 2),
    "lsd_above_db": ("LSD above", 2),
}
"""Heading and digits of every metric."""

SHORT = ("pesq_wb", "pesq_nb", "estoi", "si_sdr_db", "dnsmos_ovrl")
PAPERS = ("pesq_wb", "csig", "cbak", "covl", "segmental_snr_db", "stoi")


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, with all columns but the first right-aligned."""
    lines = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """A cell; ``-`` for None or NaN."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _present(systems: Mapping[str, Any], metrics: Sequence[str], section: str = "mean") -> list[str]:
    return [m for m in metrics if any(m in entry[section] for entry in systems.values())]


def quality(record: Mapping[str, Any], metrics: Sequence[str] = tuple(COLUMNS), *, intervals: bool = False) -> str:
    """Means of every system, optionally with the half width of their 95 % intervals, delay and cost."""
    systems = record["systems"]
    shown = _present(systems, metrics)
    costs = any("us_per_10ms" in entry for entry in systems.values())
    rows = []
    for name, entry in systems.items():
        cells = [_mean_cell(entry["mean"].get(m), COLUMNS[m][1], intervals) for m in shown]
        delay = entry["latency_ms"]
        late = "-" if entry["kind"] == "noisy" else "file" if delay is None else f"{delay:.0f}"
        cost = [number(entry.get("us_per_10ms"), 1), number(entry.get("rtf"), 4)] if costs else []
        rows.append([name, *cells, late, *cost])
    headings = ["system", *(COLUMNS[m][0] for m in shown), "delay ms", *(["us per 10 ms", "RTF"] if costs else [])]
    return markdown_table(headings, rows)


def _mean_cell(found: Mapping[str, float] | None, digits: int, intervals: bool) -> str:
    if found is None:
        return "-"
    text = number(found["mean"], digits)
    if not intervals or text == "-":
        return text
    return f"{text} ±{(found['high'] - found['low']) / 2:.{digits}f}"


def papers(record: Mapping[str, Any]) -> str:
    """The table format of the VoiceBank-DEMAND papers: PESQ, CSIG, CBAK, COVL, segSNR, STOI in percent."""
    rows = []
    for name, entry in record["systems"].items():
        means = [entry["mean"].get(m, {}).get("mean") for m in PAPERS]
        digits = [2] * 5
        cells = [number(v, d) for v, d in zip(means[:5], digits, strict=True)]
        stoi = means[5]
        rows.append([name, *cells, number(None if stoi is None else 100.0 * stoi, 1)])
    return markdown_table(["method", "PESQ", "CSIG", "CBAK", "COVL", "SSNR", "STOI %"], rows)


def clean_speech(record: Mapping[str, Any], metrics: Sequence[str] = (*SHORT, "speech_distortion_db")) -> str:
    """Effect of every system on speech without noise."""
    entries = {name: {"mean": means} for name, means in record["clean_in"].items()}
    shown = _present(entries, metrics)
    rows = [[name, *(_mean_cell(e["mean"].get(m), COLUMNS[m][1], False) for m in shown)] for name, e in entries.items()]
    return markdown_table(["clean speech in", *(COLUMNS[m][0] for m in shown)], rows)


def groups(record: Mapping[str, Any], section: str, metric: str) -> str:
    """One metric by noise, SNR or speaker (`section`: "by_noise", "by_snr", "by_speaker"), systems as columns."""
    systems = record["systems"]
    labels = list(dict.fromkeys(label for entry in systems.values() for label in entry[section]))
    digits = COLUMNS[metric][1]
    rows = [[label, *(_group_cell(e, section, label, metric, digits) for e in systems.values())] for label in labels]
    return markdown_table([section.removeprefix("by_"), *systems], rows)


def _group_cell(entry: Mapping[str, Any], section: str, label: str, metric: str, digits: int) -> str:
    return number(entry[section].get(label, {}).get(metric, {}).get("mean"), digits)


def distances(record: Mapping[str, Any], reference: str, metrics: Sequence[str] = SHORT) -> str:
    """Own methods minus `reference`, by noise and overall; empty if the reference is missing."""
    systems = record["systems"]
    own = [name for name, entry in systems.items() if entry["kind"] == "own"]
    if reference not in systems or not own:
        return ""
    shown = _present(systems, metrics)
    of_reference = systems[reference]
    rows = []
    for name in own:
        rows.append([name, "all", *(_gap(systems[name]["mean"], of_reference["mean"], m) for m in shown)])
        for label, means in systems[name]["by_noise"].items():
            rows.append([name, label, *(_gap(means, of_reference["by_noise"].get(label, {}), m) for m in shown)])
    return markdown_table([f"minus {reference}", "noise", *(COLUMNS[m][0] for m in shown)], rows)


def _gap(means: Mapping[str, Any], others: Mapping[str, Any], metric: str) -> str:
    if metric not in means or metric not in others:
        return "-"
    return number(means[metric]["mean"] - others[metric]["mean"], COLUMNS[metric][1], sign=True)
