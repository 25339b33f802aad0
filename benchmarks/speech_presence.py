"""How well streams know where speech is (`Stream.speech_probability`, `Stream.snr_db`), beside other detectors.

    python -m benchmarks.speech_presence --data data/manifest.csv --json presence.json
    python -m benchmarks.speech_presence --data data/manifest.csv --fit models/presence

Clean utterances with pauses between them are mixed with noise; a frame of 10 ms is speech where the clean signal is
less than 35 dB below its active level.  Silero (`pip install silero-vad`) and WebRTC VAD (`pip install
webrtcvad-wheels`) run on the same mixtures where they are installed.  Every detector may come late: its labels are
shifted by what suits it best, up to 80 ms.  ``--fit`` fits the constants that ship, on training rows of the manifest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rtdenoise
from rtdenoise.errors import RtDenoiseError, SignalError
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.report import tables
from rtdenoise.evaluate.signals import (
    SAMPLE_RATE_HZ,
    active_speech_level_db,
    mix_at_snr,
    noise_of_length,
    read_mono,
)
from rtdenoise.methods.spectral import denoiser as spectral
from rtdenoise.methods.spectral.denoiser import SpectralDenoiser
from rtdenoise.streaming.presence.bands import pooling
from rtdenoise.streaming.presence.reading import SNR_MAX_DB, SNR_MIN_DB
from rtdenoise.typing import F32

FRAME = SAMPLE_RATE_HZ // 100
SNRS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)
_WINDOW = 3 * FRAME
_BELOW_DB = 35.0
_LATEST = 8  # frames that a detector may come late
_FFT = 512
_RIDGE = 3.0
_FIT_SEED = 7
_FITTED = {
    "spectral": (24, ("WF:balanced", "WF:low", "SS:balanced")),
    "networks": (12, ("CAN:can-small", "CAN:can-live")),
}
"""Clips at each SNR, and the systems that take turns at them."""

Detector = Callable[[F32], np.ndarray]
"""From (n * FRAME,) samples to a score per frame."""


@dataclass(frozen=True)
class Clip:
    """A mixture; `speech` is the label of every frame, `clean` and `noisy` are whole frames long."""

    snr_db: float
    clean: F32
    noisy: F32
    speech: np.ndarray


def main() -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="manifest.csv with speech and noise")
    parser.add_argument("--methods", default="WF:low,WF:balanced,SS:balanced,CAN:can-small,CAN:can-live")
    parser.add_argument("--clips", type=int, default=10, help="at each SNR, of 20 s (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--fit", type=Path, help="fit the constants and write them to this folder")
    options = parser.parse_args()
    try:
        if options.fit:
            fit(options.data, options.fit)
            return 0
        made = list(clips(options.data, "dev", options.clips, options.seed))
    except RtDenoiseError as error:
        print(f"speech_presence: {error}", file=sys.stderr)
        return 1
    rows = []
    for name, detector in detectors(options.methods.split(",")):
        row = score(name, made, [detector(clip.noisy) for clip in made])
        if isinstance(detector, StreamDetector):
            row["snr_error_db"] = snr_error_db(made, detector.snrs_db)
        rows.append(row)
        print(f"speech_presence: {name} done", file=sys.stderr)
    share = float(np.mean(np.concatenate([clip.speech for clip in made])))
    head = ["speech presence", "AUC", *(f"{snr:g} dB" for snr in SNRS_DB), "late ms", "right at 0.5", "SNR off by dB"]
    print(tables.markdown_table(head, [cells(row) for row in rows]))
    print(f"\n{len(made)} clips, {share:.0%} of their frames speech; version {rtdenoise.__version__}.")
    if options.json:
        what = {"version": rtdenoise.__version__, "clips": len(made), "seed": options.seed, "speech_share": share}
        options.json.write_text(json.dumps({**what, "systems": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def cells(row: dict[str, Any]) -> list[str]:
    right, off = row["balanced_accuracy"], row["snr_error_db"]
    return [
        row["system"],
        f"{row['auc']:.3f}",
        *(f"{row['auc_by_snr'][f'{snr:g}']:.3f}" for snr in SNRS_DB),
        str(row["late_ms"]),
        "-" if right is None else f"{right:.3f}",
        "-" if off is None else f"{off:.1f}",
    ]


def clips(manifest: Path, split: str, each: int, seed: int, seconds: float = 20.0) -> Iterator[Clip]:
    """Mixtures, `each` at every SNR, the same for the same seed."""
    rng = np.random.default_rng(seed)
    speech = [s.path for s in mixing.find_sources(manifest, "speech", split, ["A"])]
    noises = [s.path for s in mixing.find_sources(manifest, "noise", split)]
    n = int(seconds * SAMPLE_RATE_HZ) // FRAME * FRAME
    for snr_db in SNRS_DB:
        made = 0
        while made < each:
            clean = with_pauses(speech, n, rng)
            try:
                noise = noise_of_length(read_mono(Path(rng.choice(noises))), n, rng)
                clean_mixed, noisy = mix_at_snr(clean, noise, snr_db, float(rng.uniform(-35.0, -20.0)))
            except SignalError:  # a silent recording
                continue
            made += 1
            yield Clip(snr_db, clean_mixed, noisy, labels(clean_mixed))


def with_pauses(paths: list[str], n: int, rng: np.random.Generator) -> np.ndarray:
    """Utterances of several speakers at one level, 0.5 to 2.5 s apart."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < n:
        found = read_mono(Path(rng.choice(paths)))[: 6 * SAMPLE_RATE_HZ]
        if not np.any(found):
            continue
        level = active_speech_level_db(found, SAMPLE_RATE_HZ)
        parts += [np.zeros(int(rng.uniform(0.5, 2.5) * SAMPLE_RATE_HZ)), found * 10.0 ** ((-26.0 - level) / 20.0)]
    return np.concatenate(parts)[:n]


def labels(clean: F32) -> np.ndarray:
    """Whether there is speech in each frame: its level, over 30 ms around it, against the active level."""
    power = np.convolve(np.square(clean.astype(np.float64)), np.ones(_WINDOW) / _WINDOW, "same")
    frames = power.reshape(-1, FRAME)[:, FRAME // 2]
    threshold_db = active_speech_level_db(clean.astype(np.float64), SAMPLE_RATE_HZ) - _BELOW_DB
    return frames > 10.0 ** (threshold_db / 10.0)


def built(name: str) -> Any:
    """A denoiser by METHOD:PRESET or CAN:NETWORK."""
    method, _, which = name.partition(":")
    keyword: dict[str, Any] = {"model": which} if method == "CAN" else {"preset": which}
    return rtdenoise.build(method, SAMPLE_RATE_HZ, **keyword)


def each_frame(stream: rtdenoise.Stream, noisy: F32) -> Iterator[None]:
    """Push a new signal through the stream, frame by frame."""
    stream.reset()
    for start in range(0, len(noisy), FRAME):
        stream.process(noisy[start : start + FRAME])
        yield


def detectors(methods: list[str]) -> Iterator[tuple[str, Detector]]:
    """Streams first, then the detectors that are installed."""
    for name in methods:
        yield name, StreamDetector(name)
    for name, make in (("Silero", silero), ("WebRTC VAD", webrtc)):
        try:
            yield name, make()
        except ImportError as error:
            print(f"speech_presence: {name} skipped: {error}", file=sys.stderr)


class StreamDetector:
    """`speech_probability` of a stream; keeps `snr_db`, too."""

    def __init__(self, name: str) -> None:
        self.stream = rtdenoise.Stream(built(name))
        self.snrs_db: list[np.ndarray] = []

    def __call__(self, noisy: F32) -> np.ndarray:
        """Score every frame."""
        found, snrs = [], []
        for _ in each_frame(self.stream, noisy):
            found.append(self.stream.speech_probability)
            snrs.append(self.stream.snr_db)
        self.snrs_db.append(np.array(snrs))
        return np.array(found)


def silero() -> Detector:
    """Silero's network, 32 ms at a time; its answer holds for the frames that end in them."""
    from silero_vad import load_silero_vad

    model, block = load_silero_vad(onnx=True), 512
    import torch

    def detect(noisy: F32) -> np.ndarray:
        model.reset_states()
        scores, n_blocks = [], len(noisy) // block
        for k in range(n_blocks):
            scores.append(float(model(torch.from_numpy(noisy[k * block : (k + 1) * block].copy()), SAMPLE_RATE_HZ)))
        ends = (np.arange(len(noisy) // FRAME) + 1) * FRAME
        known = np.clip(ends // block - 1, -1, n_blocks - 1)  # the last block that is complete
        return np.where(known < 0, 0.0, np.array(scores)[np.maximum(known, 0)])

    return detect


def webrtc() -> Detector:
    """WebRTC's detector: how many of its four modes hear speech."""
    import webrtcvad

    def detect(noisy: F32) -> np.ndarray:
        data = np.rint(np.clip(noisy, -1.0, 32767 / 32768) * 32768).astype("<i2").tobytes()
        modes = [webrtcvad.Vad(mode) for mode in range(4)]
        width = 2 * FRAME
        return np.array(
            [
                sum(vad.is_speech(data[at : at + width], SAMPLE_RATE_HZ) for vad in modes) / 4.0
                for at in range(0, len(data), width)
            ]
        )

    return detect


def score(name: str, made: list[Clip], found: list[np.ndarray]) -> dict[str, Any]:
    """Area under the curve at the best shift, for all clips and for each SNR."""

    def joined(late: int, of: list[int]) -> tuple[np.ndarray, np.ndarray]:
        speech = np.concatenate([made[k].speech[: len(found[k]) - late] for k in of])
        return speech, np.concatenate([found[k][late:] for k in of])

    everything = list(range(len(made)))
    late = max(range(_LATEST + 1), key=lambda shift: auc(*joined(shift, everything)))
    speech, scores = joined(late, everything)
    by_snr = {
        f"{snr:g}": round(auc(*joined(late, [k for k in everything if made[k].snr_db == snr])), 4) for snr in SNRS_DB
    }
    at_half = 0.5 * (np.mean(scores[speech] >= 0.5) + np.mean(scores[~speech] < 0.5))
    return {
        "system": name,
        "auc": round(auc(speech, scores), 4),
        "auc_by_snr": by_snr,
        "late_ms": 10 * late,
        "balanced_accuracy": None if name.startswith("WebRTC") else round(float(at_half), 4),
        "snr_error_db": None,
    }


def auc(speech: np.ndarray, scores: np.ndarray) -> float:
    """Probability that a frame of speech scores higher than one without; ties count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    n, m = np.count_nonzero(speech), np.count_nonzero(~speech)
    return float((ranks[speech].sum() - n * (n + 1) / 2.0) / (n * m))


def band_snrs_db(clip: Clip) -> np.ndarray:
    """True SNR of every frame in the bands, from windows of 32 ms that end with it."""
    into, window = pooling(_FFT // 2 + 1, SAMPLE_RATE_HZ), np.hanning(_FFT)

    def powers(x: np.ndarray) -> np.ndarray:
        padded = np.concatenate([np.zeros(_FFT - FRAME), x])
        frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::FRAME]
        return np.asarray(np.square(np.abs(np.fft.rfft(frames * window))) @ into + 1e-12)

    clean = clip.clean.astype(np.float64)
    return np.asarray(10.0 * np.log10(powers(clean) / powers(clip.noisy - clean)))


def snr_error_db(made: list[Clip], found: list[np.ndarray]) -> float:
    """Median distance of `snr_db` from the truth, over frames of speech and bands where that is -10 to 30 dB."""
    errors = []
    for clip, snrs_db in zip(made, found, strict=True):
        true = band_snrs_db(clip)
        counted = (true > -10.0) & (true < 30.0) & clip.speech[:, np.newaxis]
        errors.append(np.abs(snrs_db - true)[counted])
    return round(float(np.median(np.concatenate(errors))), 2)


def fit(manifest: Path, folder: Path) -> None:
    """Fit both sets of constants and write them: logits of speech, and SNRs of the bands."""
    folder.mkdir(parents=True, exist_ok=True)
    late = 2  # frames: half of the window
    for name, (each, systems) in _FITTED.items():
        made = list(clips(manifest, "train", each, _FIT_SEED))
        denoisers = [built(system) for system in systems]
        found = [features_of(denoisers[k % len(systems)], clip)[late:] for k, clip in enumerate(made)]
        x = np.concatenate(found).astype(np.float64)
        speech = np.concatenate([clip.speech[:-late] for clip in made])
        snrs_db = np.concatenate([band_snrs_db(clip)[late:] for clip in made])
        weights, offset = logistic(x, speech)
        table, offsets = linear(x, np.clip(snrs_db, SNR_MIN_DB, SNR_MAX_DB))
        np.savez(
            folder / f"{name}.npz",
            table=np.column_stack([weights, table]).astype(np.float32),
            offset=np.array([offset, *offsets], np.float32),
        )
        print(f"{name}: AUC {auc(speech, x @ weights):.4f} on what it was fitted to", flush=True)


def features_of(denoiser: Any, clip: Clip) -> np.ndarray:
    """What the probability is computed from, for every frame."""
    found = []
    for _ in each_frame(rtdenoise.Stream(denoiser), clip.noisy):
        if isinstance(denoiser, SpectralDenoiser):
            found.append(spectral.presence_features(denoiser.state[0]).copy())
        else:
            found.append(denoiser.presence_features())
    return np.array(found)


def linear(features: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear regression with a ridge, for all columns of `wanted`."""
    mean, spread = features.mean(0), features.std(0) + 1e-6
    x, middle = (features - mean) / spread, wanted.mean(0)
    table = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ (wanted - middle)) / spread[:, np.newaxis]
    return table, middle - mean @ table


def logistic(features: np.ndarray, speech: np.ndarray, steps: int = 12) -> tuple[np.ndarray, float]:
    """Logistic regression with a ridge by Newton's method, both classes weighing the same."""
    mean, spread = features.mean(0), features.std(0) + 1e-6
    x = np.concatenate([(features - mean) / spread, np.ones((len(features), 1))], 1)
    weight = np.where(speech, 0.5 / speech.mean(), 0.5 / (1.0 - speech.mean()))
    ridge = np.diag([*np.full(x.shape[1] - 1, _RIDGE), 1e-6])
    found = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-x @ found))
        slope = x.T @ (weight * (p - speech)) + ridge @ found
        curve = (x * (weight * p * (1.0 - p))[:, np.newaxis]).T @ x + ridge
        found -= np.linalg.solve(curve, slope)
    weights = found[:-1] / spread
    return weights, float(found[-1] - weights @ mean)


if __name__ == "__main__":
    sys.exit(main())
