"""Plot a denoising result: spectrograms before and after, level and gain over time, for recordings of any length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtdenoise.disk.atomic import written
from rtdenoise.disk.names import shown
from rtdenoise.errors import AudioFileError
from rtdenoise.evaluate.report.drawing import require_drawing
from rtdenoise.files.report import FileReport
from rtdenoise.sound.opening import open_source
from rtdenoise.sound.reader import GUESSED, Source
from rtdenoise.typing import F32, F64

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRAME_SECONDS = 0.032
_COLUMNS_MAX = 1200
_FRAMES_PER_COLUMN = 2
_LEVEL_SECONDS = 0.02
_BLOCK_VALUES = 1 << 19
_ROWS_MAX = 320
_RANGE_DB = 70.0
_FLOOR_POWER = 1e-14
_BEFORE, _AFTER = "#E69F00", "#0072B2"  # orange and blue of Okabe & Ito, safe for colour blindness
_COLOURS = "magma"  # monotonic lightness: readable in greyscale and with colour blindness


def picture_path(audio: Path) -> Path:
    """Return ``clean.png`` next to ``clean.wav``."""
    return audio.with_suffix(".png")


def plot_report(report: FileReport, *, overwrite: bool = False) -> Path:
    """Plot the result of `denoise_file` next to its output file.

    Returns
    -------
    Path
        The PNG file.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AudioFileError
        If there is nothing to draw or the picture cannot be written.
    """
    picture = picture_path(Path(report.target))
    plot_pair(Path(report.source), Path(report.target), picture, title=report.title, overwrite=overwrite)
    return picture


def plot_pair(noisy: Path, clean: Path, picture: Path, *, title: str, overwrite: bool = False) -> None:
    """Plot two aligned recordings of equal sample rate to a PNG file.

    Parameters
    ----------
    noisy, clean : Path
    picture : Path
    title : str
        Description of the processing, for the heading of the second spectrogram.
    overwrite : bool

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AudioFileError
        If there is nothing to draw or the picture cannot be written.
    """
    require_drawing()
    before = _overview(noisy)
    after = _overview(clean)
    figure = _draw(before, after, (noisy.name, f"{clean.name} ({title})"))
    with written(picture, overwrite=overwrite) as file:
        figure.savefig(file, format="png", dpi=110)


@dataclass(frozen=True, slots=True)
class _Overview:
    """A recording of any length reduced to plot resolution.

    `power` is (columns, bins), the mean over the channels; `level` is the mean square in equal intervals of time.
    """

    seconds: float
    rate: int
    power: F64
    level: F64


class _Gatherer:
    """Accumulates an overview from consecutive blocks."""

    def __init__(self, n_samples: int, rate: int) -> None:
        self.frame = 2 * max(8, round(_FRAME_SECONDS * rate / 2))
        self.n_samples = n_samples
        columns = int(np.clip(2 * n_samples // self.frame, 1, _COLUMNS_MAX))
        levels = int(np.clip(n_samples / (_LEVEL_SECONDS * rate), 1, _COLUMNS_MAX))
        n_frames = columns if 2 * n_samples // self.frame <= _COLUMNS_MAX else columns * _FRAMES_PER_COLUMN
        self._starts = np.linspace(0, max(0, n_samples - self.frame), n_frames).astype(np.int64)
        self._window = np.hanning(self.frame).astype(np.float32)
        self._column_of = np.arange(n_frames) * columns // n_frames
        self.power = np.zeros((columns, self.frame // 2 + 1))
        self.energy = np.zeros(levels)
        self._held: F32 | None = None
        self._held_start = 0
        self._next = 0

    def take(self, block: F32, start: int) -> None:
        levels = len(self.energy)
        index = np.minimum(np.arange(start, start + len(block)) * levels // self.n_samples, levels - 1)
        share = np.mean(np.square(block, dtype=np.float64), axis=1)
        self.energy += np.bincount(index, share, minlength=levels)
        self._held = block if self._held is None else np.concatenate([self._held, block])
        self._take_frames(start + len(block))

    def _take_frames(self, end: int) -> None:
        assert self._held is not None
        while self._next < len(self._starts) and self._starts[self._next] + self.frame <= end:
            self._add_frame(int(self._starts[self._next]) - self._held_start)
        wanted = int(self._starts[self._next]) if self._next < len(self._starts) else end
        gone = max(0, min(wanted - self._held_start, len(self._held)))
        self._held, self._held_start = self._held[gone:], self._held_start + gone

    def _add_frame(self, offset: int) -> None:
        assert self._held is not None
        cut = self._held[offset : offset + self.frame]
        padded = np.zeros((self.frame, cut.shape[1]), np.float32)
        padded[: len(cut)] = cut
        spectrum = np.fft.rfft(padded * self._window[:, np.newaxis], axis=0)
        self.power[self._column_of[self._next]] += np.mean(np.abs(spectrum) ** 2, axis=1)
        self._next += 1

    def finish(self) -> None:
        """Add a final frame if the recording is shorter than one."""
        if self._held is not None and self._next < len(self._starts):
            self._add_frame(0)


def _count(path: Path) -> int:
    """Return samples per channel; decodes the whole file if the header holds only an estimate."""
    with open_source(path) as source:
        if isinstance(source, Source) and source.n_samples is not None and source.encoding.container not in GUESSED:
            return source.n_samples
        return sum(len(block) for block in source.blocks(max(1, _BLOCK_VALUES // source.encoding.channels)))


def _overview(path: Path) -> _Overview:
    n = _count(path)
    with open_source(path) as source:
        rate = source.encoding.sample_rate
        if n == 0:
            raise AudioFileError(f"{path}: has no samples; there is nothing to draw")
        gatherer = _Gatherer(n, rate)
        start = 0
        for block in source.blocks(max(1, _BLOCK_VALUES // source.encoding.channels)):
            gatherer.take(np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0), start)
            start += len(block)
        gatherer.finish()
    frames_per_column = np.bincount(gatherer._column_of, minlength=len(gatherer.power))
    scale = float(np.sum(gatherer._window)) ** 2 / 4.0  # a full-scale sine shows as 0 dB
    power = gatherer.power / (frames_per_column[:, np.newaxis] * scale)
    counts = np.diff(np.ceil(np.arange(len(gatherer.energy) + 1) * n / len(gatherer.energy)))
    return _Overview(n / rate, rate, _fewer_rows(power), gatherer.energy / np.maximum(counts, 1))


def _fewer_rows(power: F64) -> F64:
    """Average neighbouring bins down to at most `_ROWS_MAX` rows."""
    group = -(-power.shape[1] // _ROWS_MAX)
    rows: F64 = np.add.reduceat(power, np.arange(0, power.shape[1], group), axis=1) / group
    return rows


def _decibels(power: F64) -> F64:
    result: F64 = 10.0 * np.log10(np.maximum(power, _FLOOR_POWER))
    return result


def _draw(before: _Overview, after: _Overview, names: tuple[str, str]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 8.4), facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        4, 2, height_ratios=(3, 3, 1.5, 1.2), width_ratios=(60, 1), hspace=0.36, wspace=0.03,
        left=0.075, right=0.925, top=0.955, bottom=0.065,
    )  # fmt: skip
    axes: list[Any] = [figure.add_subplot(grid[0, 0])]
    axes += [figure.add_subplot(grid[row, 0], sharex=axes[0]) for row in (1, 2, 3)]
    top = float(np.percentile(_decibels(before.power), 99.9))
    for axis, overview, name in zip(axes[:2], (before, after), names, strict=True):
        image = _spectrogram(axis, overview, name, top)
    figure.colorbar(image, cax=figure.add_subplot(grid[0:2, 1]), label="dB re full scale")
    _levels(axes[2], before, after)
    _gain(axes[3], before, after)
    axes[0].set_xlim(0.0, max(before.seconds, 1e-3))
    for axis in axes[:3]:
        axis.tick_params(labelbottom=False)
    return figure


def _spectrogram(axis: Axes, overview: _Overview, name: str, top_db: float) -> Any:
    extent = (0.0, overview.seconds, 0.0, overview.rate / 2000.0)
    image = axis.imshow(
        _decibels(overview.power).T, origin="lower", aspect="auto", extent=extent, cmap=_COLOURS,
        vmin=top_db - _RANGE_DB, vmax=top_db, interpolation="nearest",
    )  # fmt: skip
    axis.set_ylabel("kHz")
    _title(axis, name)
    return image


def _title(axis: Axes, text: str) -> None:
    text = shown(text)
    text = text if len(text) <= 90 else f"{text[:42]} ... {text[-42:]}"
    axis.set_title(text.replace("$", r"\$"), loc="left", fontsize=10)


def _levels(axis: Axes, before: _Overview, after: _Overview) -> None:
    for overview, colour, label in ((before, _BEFORE, "noisy"), (after, _AFTER, "denoised")):
        level_db = _decibels(overview.level)
        axis.plot(_times(overview), np.maximum(level_db, -100.0), color=colour, linewidth=1.0, label=label)
    _title(axis, "Level")
    axis.set_ylabel("dBFS")
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=9, borderaxespad=0.1)
    axis.grid(alpha=0.25)
    _bare(axis)


def _gain(axis: Axes, before: _Overview, after: _Overview) -> None:
    n = min(len(before.level), len(after.level))
    heard = before.level[:n] > _FLOOR_POWER
    gain_db = np.where(heard, _decibels(after.level[:n]) - _decibels(before.level[:n]), np.nan)
    axis.axhline(0.0, color="0.6", linewidth=0.8)
    axis.plot(_times(before)[:n], gain_db, color="0.15", linewidth=1.0)
    _title(axis, "Gain (level after minus level before)")
    axis.set_ylabel("dB")
    axis.set_xlabel("s")
    axis.grid(alpha=0.25)
    _bare(axis)


def _times(overview: _Overview) -> F64:
    n = len(overview.level)
    times: F64 = (np.arange(n) + 0.5) * overview.seconds / n
    return times


def _bare(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
