"""Mix a clip with noise, denoise it hop by hop as live, time every hop, and write audio and a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from rtdenoise.demo.noise import room_noise
from rtdenoise.disk.atomic import make_folder, remove_empty, require_folder
from rtdenoise.disk.names import is_there, plain
from rtdenoise.errors import AudioFileError
from rtdenoise.evaluate.measures.metrics import si_sdr_db
from rtdenoise.evaluate.report.drawing import can_draw
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ, mix_at_snr, read_mono
from rtdenoise.files.report import latency_parts_ms
from rtdenoise.files.setup import Setup, Streams
from rtdenoise.plot import plot_pair
from rtdenoise.sound.encoding import Encoding
from rtdenoise.sound.writer import Target
from rtdenoise.typing import F32, Denoiser

DEMO_PRESET = "balanced"
FOLDER = "rtdenoise-demo"
SNR_DB = 5.0
_LEVEL_DB = -26.0
_SEED = 2025
_SOUNDS = ("clean.wav", "noisy.wav", "denoised.wav")
_PICTURE = "demo.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """Results of the demonstration; the budget is the time until the next hop is due."""

    method: str
    preset: str
    network: str | None
    engine: str | None
    folder: str
    files: tuple[str, ...]
    seconds: float
    sample_rate: int
    snr_db: float
    si_sdr_before_db: float
    si_sdr_after_db: float
    latency_ms: dict[str, float]
    hops: int
    compute_us: dict[str, float]
    budget_percent: dict[str, float]
    rtf: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = plain(asdict(self))
        return values


def fresh_folder(folder: Path | None, *, overwrite: bool) -> Path:
    """The folder to write into: `folder`, or ``rtdenoise-demo`` with the first free number.

    With `overwrite`, ``rtdenoise-demo`` itself, whose files are replaced.

    Raises
    ------
    AudioFileError
        If `folder` holds files of an earlier run and `overwrite` is not set.
    """
    if folder is None and overwrite:
        return Path(FOLDER)
    if folder is None:
        candidates = (Path(f"{FOLDER}-{i}" if i > 1 else FOLDER) for i in range(1, 10_000))
        return next(path for path in candidates if not is_there(path))
    taken = [name for name in (*_SOUNDS, _PICTURE) if is_there(folder / name)]
    if taken and not overwrite:
        raise AudioFileError(
            f"{folder / taken[0]}: exists already; --overwrite replaces it, --output names another folder"
        )
    return folder


def run_demo(
    setup: Setup, folder: Path, *, overwrite: bool = False, on_ready: Callable[[], None] = lambda: None
) -> DemoReport:
    """Run the demonstration and write its files into `folder`, creating it; no picture without matplotlib.

    Parameters
    ----------
    setup : Setup
    folder : Path
    overwrite : bool
        Replace files of an earlier run.
    on_ready : callable
        Called once the method is built.

    Raises
    ------
    AudioFileError
        If the folder cannot be written.
    """
    require_folder(folder)
    speech = read_mono(Path(__file__).with_name("clip.flac"))
    clean, noisy = mix_at_snr(speech, room_noise(len(speech), SAMPLE_RATE_HZ, _SEED), SNR_DB, _LEVEL_DB)
    denoiser, _ = Streams(setup).get("the clip", SAMPLE_RATE_HZ, 1)
    on_ready()
    denoised, compute_ns = stream_hops(denoiser, noisy)
    network, engine = setup.network_and_engine()
    title = f"{setup.settings.method} {network or setup.preset}"
    made = make_folder(folder)
    try:
        for name, samples in zip(_SOUNDS, (clean, noisy, denoised), strict=True):
            _write(folder / name, samples, overwrite=overwrite)
        if can_draw():
            plot_pair(
                folder / "noisy.wav", folder / "denoised.wav", folder / _PICTURE, title=title, overwrite=overwrite
            )
    except BaseException:
        remove_empty(made)
        raise
    hop_us = denoiser.hop / SAMPLE_RATE_HZ * 1e6
    compute_us = _spread(compute_ns / 1e3)
    return DemoReport(
        method=setup.settings.method,
        preset=setup.preset,
        network=network,
        engine=engine,
        folder=str(folder),
        files=tuple(str(folder / name) for name in (*_SOUNDS, _PICTURE)[: 3 + can_draw()]),
        seconds=len(noisy) / SAMPLE_RATE_HZ,
        sample_rate=SAMPLE_RATE_HZ,
        snr_db=SNR_DB,
        si_sdr_before_db=round(si_sdr_db(clean, noisy), 2),
        si_sdr_after_db=round(si_sdr_db(clean, denoised), 2),
        latency_ms=latency_parts_ms(denoiser),
        hops=len(compute_ns),
        compute_us={name: round(value, 1) for name, value in compute_us.items()},
        budget_percent={name: round(100.0 * value / hop_us, 3) for name, value in compute_us.items()},
        rtf=round(float(compute_ns.sum()) / (len(compute_ns) * hop_us * 1e3), 6),
    )


def stream_hops(denoiser: Denoiser, noisy: F32) -> tuple[F32, np.ndarray[Any, np.dtype[np.int64]]]:
    """Feed a signal to a denoiser one hop at a time, as a sound card would.

    Parameters
    ----------
    denoiser : Denoiser
        New or reset, mono.
    noisy : (n,) float32, read

    Returns
    -------
    denoised : (n,) float32
        Aligned with `noisy`.
    compute_ns : (hops,) int64
        Time each hop took.
    """
    hop, late, n = denoiser.hop, denoiser.latency_samples, len(noisy)
    n_hops = -(-(n + late) // hop)
    padded = np.zeros(n_hops * hop, np.float32)
    padded[:n] = noisy
    out = np.empty_like(padded)
    compute_ns = np.zeros(n_hops, np.int64)
    for i in range(n_hops):
        started = perf_counter_ns()
        denoiser.process(padded[i * hop : (i + 1) * hop], out[i * hop : (i + 1) * hop])
        compute_ns[i] = perf_counter_ns() - started
    return out[late : late + n], compute_ns


def _spread(values: np.ndarray[Any, np.dtype[Any]]) -> dict[str, float]:
    return {"p50": float(np.median(values)), "p99": float(np.percentile(values, 99)), "max": float(values.max())}


def _write(path: Path, samples: F32, *, overwrite: bool) -> None:
    encoding = Encoding("WAV", "PCM_16", "FILE", SAMPLE_RATE_HZ, 1)
    with Target(path, encoding, {}, overwrite=overwrite) as target:
        target.write(samples.reshape(-1, 1))
