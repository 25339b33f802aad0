"""Figures of a record: quality against delay with one point per system, and curves over the SNR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtdenoise.evaluate.report.drawing import COLOURS, make_figure, save_figure
from rtdenoise.evaluate.report.tables import COLUMNS
from rtdenoise.typing import F32

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_CURVES = ("pesq_wb", "pesq_nb", "estoi", "si_sdr_db", "dnsmos_ovrl", "segmental_snr_db")
_CURVES_MAX = 4
_RANGE_DB = 70.0


def quality_over_delay(record: Mapping[str, Any], path: Path) -> bool:
    """Draw PESQ, or else eSTOI, with its interval against delay; False if no system has either."""
    measured = {metric for entry in record["systems"].values() for metric in entry["mean"]}
    metric = next((name for name in ("pesq_wb", "pesq_nb", "estoi") if name in measured), "pesq_wb")
    points = [
        (name, entry["latency_ms"], entry["mean"][metric])
        for name, entry in record["systems"].items()
        if entry["kind"] != "noisy" and metric in entry["mean"]
    ]
    if not points:
        return False
    figure = make_figure(8.0, 5.0)
    axes = figure.subplots()
    known = [delay for _, delay, _ in points if delay is not None]
    whole_file = 1.25 * max([*known, 10.0])
    placed = [(whole_file if delay is None else delay, found["mean"]) for _, delay, found in points]
    heights = label_heights(placed)
    for index, (name, delay, found) in enumerate(points):
        _point(axes, index, placed[index][0], found, delay is None)
        axes.annotate(
            name,
            placed[index],
            xytext=(placed[index][0] + 0.012 * whole_file, heights[index]),
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.5},
        )
    noisy = record["systems"].get("noisy", {}).get("mean", {}).get(metric)
    if noisy is not None:
        axes.axhline(noisy["mean"], color="0.5", linestyle=":", linewidth=1)
        axes.annotate("noisy input", (0.0, noisy["mean"]), xytext=(4, -12), textcoords="offset points", color="0.4")
    axes.set_xlim(0.0, 1.3 * whole_file)
    axes.set_xlabel("delay of the method in ms (block included); hollow: needs the whole file")
    axes.set_ylabel(COLUMNS[metric][0])
    save_figure(figure, path)
    return True


def label_heights(points: Sequence[tuple[float, float]]) -> list[float]:
    """Heights for labels to the right of points, so that labels at similar delays do not overlap."""
    reach = 0.25 * max(x for x, _ in points)
    values = [y for _, y in points]
    step = max(0.045 * (max(values) - min(values)), 1e-3)
    heights = list(values)
    placed: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: values[i]):
        near = [heights[other] for other in placed if abs(points[other][0] - points[index][0]) < reach]
        heights[index] = max([values[index], *(height + step for height in near)])
        placed.append(index)
    return heights


def _point(axes: Axes, index: int, delay: float, found: Mapping[str, float], hollow: bool) -> None:
    colour, marker = COLOURS[index % len(COLOURS)], _MARKERS[index % len(_MARKERS)]
    error = [[max(0.0, found["mean"] - found["low"])], [max(0.0, found["high"] - found["mean"])]]
    axes.errorbar(
        [delay],
        [found["mean"]],
        yerr=error,
        fmt=marker,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        markersize=8,
        capsize=3,
        elinewidth=1,
    )


def curves_over_snr(record: Mapping[str, Any], path: Path) -> bool:
    """Draw metrics against SNR, one line per system; False if fewer than two SNRs are known."""
    systems = record["systems"]
    labels = [label for label in next(iter(systems.values()))["by_snr"] if label != "unknown"]
    present = [m for m in _CURVES if any(m in entry["mean"] for entry in systems.values())][:_CURVES_MAX]
    if len(labels) < 2 or not present:
        return False
    labels.sort(key=float)
    figure = make_figure(10.0, 3.6 * -(-len(present) // 2))
    grid = figure.subplots(-(-len(present) // 2), 2, squeeze=False)
    for axes, metric in zip(grid.flat, present, strict=False):
        for index, (name, entry) in enumerate(systems.items()):
            values = [entry["by_snr"].get(label, {}).get(metric, {}).get("mean", np.nan) for label in labels]
            style = {"color": "0.5", "linestyle": ":"} if entry["kind"] == "noisy" else _line(index - 1)
            axes.plot([float(label) for label in labels], values, label=name, **style)
        axes.set_xlabel("SNR of the input in dB")
        axes.set_ylabel(COLUMNS[metric][0])
        axes.grid(alpha=0.25)
    for axes in grid.flat[len(present) :]:
        axes.set_visible(False)
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(5, len(names)), frameon=False, fontsize=9)
    save_figure(figure, path)
    return True


def _line(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "marker": _MARKERS[index % len(_MARKERS)], "markersize": 5}


def spectrograms(signals: Mapping[str, F32], rate_hz: int, path: Path) -> None:
    """Draw signals below each other on one scale of 70 dB.

    Parameters
    ----------
    signals
        By heading; (n,) float32.
    rate_hz : int
    path : Path
    """
    figure = make_figure(7.0, 1.5 * len(signals))
    grid = figure.subplots(len(signals), 1, squeeze=False, sharex=True)[:, 0]
    powers = {name: power_db(signal, rate_hz) for name, signal in signals.items()}
    top = max(float(power.max()) for power in powers.values())
    for axes, (name, power) in zip(grid, powers.items(), strict=True):
        seconds = signals[name].size / rate_hz
        axes.imshow(
            power.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - _RANGE_DB,
            vmax=top,
            extent=(0.0, seconds, 0.0, rate_hz / 2000.0),
        )
        axes.set_title(name, fontsize=9, loc="left", pad=2)
        axes.set_ylabel("kHz", fontsize=8)
        axes.tick_params(labelsize=8)
    grid[-1].set_xlabel("s", fontsize=8)
    save_figure(figure, path)


def power_db(signal: F32, rate_hz: int) -> F32:
    """Spectrogram in dB, (frames, bins) float32: frames of 32 ms, a quarter of one apart."""
    frame = 2 * (rate_hz * 16 // 1000)
    count = max(1, (signal.size - frame) // (frame // 4) + 1)
    padded = np.concatenate([signal, np.zeros(frame, np.float32)])
    index = np.arange(frame) + frame // 4 * np.arange(count)[:, np.newaxis]
    spectrum = np.fft.rfft(padded[index] * np.hanning(frame), axis=1)
    return np.asarray(10.0 * np.log10(np.abs(spectrum) ** 2 + 1e-12), np.float32)
