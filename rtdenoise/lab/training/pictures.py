"""Plots of a training run: a page of example training pairs, and the run's curves."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.disk.atomic import write_bytes
from rtdenoise.errors import ConfigError, MissingExtraError, reason
from rtdenoise.lab.data.batches import make_batch
from rtdenoise.lab.data.mixtures import Mixer
from rtdenoise.lab.training.settings import TrainSettings
from rtdenoise.typing import F32
from rtdenoise.units import amplitude_from_db

_LOG = logging.getLogger(__name__)
_PAIRS = 8
_RANGE_DB = 80.0
_SILENCE_DB = -120.0  # level at which a zero spectrum is drawn


def _pyplot() -> Any:
    """matplotlib.pyplot without a display."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("pictures need matplotlib: pip install 'rtdenoise[plots]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def dry_run(settings: TrainSettings, mixer: Mixer, folder: Path) -> Path:
    """Write ``page.png`` and WAV files of the first training pairs; returns the page.

    Raises
    ------
    MissingExtraError
        Without matplotlib or soundfile.
    ConfigError
        If the folder cannot be written.
    """
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("writing WAV files needs soundfile: pip install soundfile") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write_page(settings, mixer, folder, soundfile.write)
    except OSError as error:
        raise ConfigError(f"{folder}: the page cannot be written there ({reason(error)})") from error


def _write_page(settings: TrainSettings, mixer: Mixer, folder: Path, write: Callable[..., None]) -> Path:
    batch = make_batch(mixer, seed=settings.seed, number=0, batch_size=_PAIRS, n_samples=settings.n_samples)
    rate = settings.network.sample_rate
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(_PAIRS, 2, figsize=(12, 2 * _PAIRS), sharex=True, sharey=True, squeeze=False)
    for row, (noisy, target) in enumerate(zip(batch.noisy, batch.target, strict=True)):
        for axis, name, signal in zip(axes[row], ("noisy", "target"), (noisy, target), strict=True):
            memory = io.BytesIO()
            write(memory, signal, rate, format="WAV")
            write_bytes(folder / f"{row}-{name}.wav", memory.getbuffer())
            _spectrogram(axis, signal, rate, f"{row} {name}, {_level_db(signal):.0f} dBFS")
    figure.supxlabel("time in s")
    figure.supylabel("frequency in kHz")
    figure.tight_layout()
    page = folder / "page.png"
    _save(figure, page, dpi=80)
    return page


def _save(figure: Any, path: Path, *, dpi: int) -> None:
    """Write a figure atomically."""
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=dpi)
    _pyplot().close(figure)
    write_bytes(path, memory.getbuffer())


def _level_db(signal: F32) -> float:
    return float(10.0 * np.log10(np.mean(np.square(signal), dtype=np.float64) + 1e-12))


def _spectrogram(axis: Any, signal: F32, rate: int, title: str) -> None:
    frames = np.lib.stride_tricks.sliding_window_view(signal, 512)[::128] * np.hanning(512)
    level = 20.0 * np.log10(np.abs(np.fft.rfft(frames)) + amplitude_from_db(_SILENCE_DB))
    top = max(float(level.max()), _SILENCE_DB + _RANGE_DB)  # silence is dark, never the brightest of its own range
    extent = (0.0, len(signal) / rate, 0.0, rate / 2000.0)
    axis.imshow(level.T, origin="lower", aspect="auto", extent=extent, vmin=top - _RANGE_DB, vmax=top)
    axis.set_title(title, fontsize=8)


def _columns(path: Path) -> dict[str, list[float]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, restval=""))
    return {name: [float(row[name] or "nan") for row in rows] for name in (rows[0] if rows else ())}


def keep_curves(folder: Path) -> None:
    """Draw the curves if there are data and matplotlib; a plotting error must not stop a run."""
    try:
        draw_curves(folder)
    except Exception as error:  # noqa: BLE001  # a plotting error does not stop the run
        _LOG.info("no curves drawn: %s", error)


def draw_curves(folder: Path) -> Path:
    """Write ``curves.png`` from a run's CSV files; returns it.

    Raises
    ------
    ConfigError
        If the folder holds no run.
    """
    if not (folder / "train.csv").is_file():
        raise ConfigError(f"{folder}: no train.csv; give the folder of a training run")
    train = _columns(folder / "train.csv") or {"audio_hours": [], "loss": []}
    validation = _columns(folder / "validation.csv") if (folder / "validation.csv").is_file() else {}
    names = [name for name in validation if name not in ("step", "audio_hours")]
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, 1 + len(names), figsize=(4 * (1 + len(names)), 3), squeeze=False)
    axes[0, 0].plot(train["audio_hours"], train["loss"], linewidth=0.7)
    axes[0, 0].set_title("training loss")
    for axis, name in zip(axes[0, 1:], names, strict=True):
        axis.plot(validation["audio_hours"], validation[name], marker="o", markersize=3)
        axis.set_title(f"validation {name}")
    for axis in axes[0]:
        axis.set_xlabel("hours of sound heard")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    path = folder / "curves.png"
    _save(figure, path, dpi=90)
    return path
