"""Figures of a network on the mixtures that validate a run: at 16 kHz, with the band cut, at 8 kHz, and vowels.

    python -m benchmarks.validation can-small --data data
    python -m benchmarks.validation runs/can-small/last.npz --data data --power 0.75

A model by its name or folder, or a checkpoint, whose averaged weights are judged.  PESQ-wb, eSTOI and SI-SDR of the
full band and without what is above 7.6 kHz (*cut*); PESQ-nb, eSTOI and SI-SDR at 8 kHz of the full band brought down
(*to 8 kHz*), and of mixtures processed at 8 kHz (*at 8 kHz*); and the change of held vowels, second by second.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy import signal

import rtdenoise
from rtdenoise.errors import ModelError, RtDenoiseError
from rtdenoise.evaluate.measures import metrics
from rtdenoise.lab.data.validation import validation_set
from rtdenoise.lab.training.session import default_cache, open_mixer
from rtdenoise.lab.training.settings import load_settings
from rtdenoise.methods.can.models import SPEC, WEIGHTS, write_files
from rtdenoise.methods.can.spec import spec_from_mapping
from rtdenoise.methods.can.weights import rounded, weights_as_bytes
from rtdenoise.rates import resample

RATE = 16000
SECONDS = 5
VOWELS = ((220, 0.01, 1.0, 8), (110, 0.005, 1.0, 20), (300, 0.02, 1.5, 6), (150, 0.003, 0.8, 30), (450, 0.01, 1.2, 6))
"""Pitch in Hz, depth of the vibrato, fall of the harmonics and how many there are."""


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a network by its name or folder, or a checkpoint (.npz)")
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--power", type=float, help="exponent of a checkpoint's gain")
    parser.add_argument("--clips", type=int, default=40)
    options = parser.parse_args()
    is_checkpoint = Path(options.model).suffix == ".npz"
    if options.power is not None and not is_checkpoint:
        parser.error("--power is of checkpoints; a model has its own exponent")
    try:
        judge(options, is_checkpoint)
    except RtDenoiseError as error:
        raise SystemExit(f"validation: {error}") from error


def judge(options: argparse.Namespace, is_checkpoint: bool) -> None:
    """Print the figures."""
    mixtures = load_settings(Path("can-live")).mixtures
    mixer = open_mixer(options.data, "dev", mixtures, cache=default_cache(), sample_rate=RATE)
    noisy, target = validation_set(mixer, clips=options.clips, n_samples=SECONDS * RATE, cache=default_cache())
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if is_checkpoint:
            write_checkpoint(Path(model), Path(folder), options.power)
            model = folder
        for name, values in figures(noisy, target, enhancer(model)):
            print(f"{name:24}", *values, flush=True)


def write_checkpoint(checkpoint: Path, folder: Path, power: float | None) -> None:
    """Write a model folder with a run's averaged weights, for the compiled engine."""
    from rtdenoise.lab.export.model_folder import network_from_checkpoint
    from rtdenoise.lab.training.checkpoint import load_checkpoint

    facts = load_checkpoint(checkpoint).facts
    if "settings" not in facts:
        raise ModelError(f"{checkpoint} does not say of what network it is; give last.npz or best.npz of a run")
    spec = spec_from_mapping(facts["settings"]["network"] | ({} if power is None else {"mask_power": power}))
    if spec.domain != "spectral":
        raise ModelError(f"{checkpoint}: {spec.name} is not a network over spectra; export it, and give the folder")
    network = rounded(network_from_checkpoint(checkpoint, spec)[0])
    write_files(folder, {SPEC: network.spec.as_json().encode(), WEIGHTS: weights_as_bytes(network)})


Enhance = Callable[[np.ndarray, int], np.ndarray]
"""Given (clips, n) at a rate in Hz, returns what a model makes of them."""


def enhancer(model: str) -> Enhance:
    """What a model does."""
    return lambda clips, rate: np.stack([rtdenoise.denoise(clip, rate, method="CAN", model=model) for clip in clips])


def figures(noisy: np.ndarray, target: np.ndarray, enhance: Enhance) -> Iterator[tuple[str, list[str]]]:
    """Names and figures, one line after the other."""
    steep = signal.ellip(8, 0.1, 60, 7600, fs=RATE, output="sos")
    cut = [signal.sosfiltfilt(steep, x, axis=-1).astype(np.float32) for x in (noisy, target)]
    low_target, low_noisy = at_8_khz(target), at_8_khz(noisy)
    full = enhance(noisy, RATE)
    yield "noisy", scores(target, noisy)
    yield "full", scores(target, full)
    yield "cut", scores(cut[1], enhance(cut[0], RATE))
    yield "to 8 kHz", scores(low_target, at_8_khz(full), RATE // 2)
    yield "at 8 kHz", scores(low_target, enhance(low_noisy, RATE // 2), RATE // 2)
    for hz, vibrato, fall, harmonics in VOWELS:
        yield f"vowel {hz} Hz, dB", held(enhance, hz, vibrato, fall, harmonics)


def at_8_khz(clips: np.ndarray) -> np.ndarray:
    """Clips brought down to half the rate."""
    return np.stack([np.asarray(resample(clip, RATE, RATE // 2), np.float32) for clip in clips])


def scores(targets: np.ndarray, estimates: np.ndarray, rate: int = RATE) -> list[str]:
    """Means of PESQ-wb, at 8 kHz PESQ-nb, eSTOI and SI-SDR."""
    rows = []
    for target, whole in zip(targets, estimates, strict=True):
        clean = target[: whole.size]
        estimate = whole[: clean.size]
        pesq = (
            metrics.pesq_wideband(clean, estimate) if rate == RATE else metrics.pesq_narrowband(clean, estimate, rate)
        )
        heard = pesq, metrics.stoi(clean, estimate, extended=True, rate_hz=rate)
        rows.append((*heard, metrics.si_sdr_db(clean, estimate)))
    return [f"{value:.3f}" for value in np.mean(np.array(rows, float), axis=0)]


def held(enhance: Enhance, hz: float, vibrato: float, fall: float, harmonics: int) -> list[str]:
    """Change of a computed vowel in a little noise, in each of its five seconds."""
    t = np.arange(8 * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(hz * (1 + vibrato * np.sin(2 * np.pi * 5 * t))) / RATE
    vowel = sum(np.sin(k * phase) / k**fall for k in range(1, harmonics + 1)) * 0.1
    vowel[: 2 * RATE] = vowel[7 * RATE :] = 0.0
    noise = np.random.default_rng(0).standard_normal(t.size) * 0.003
    out = enhance((vowel + noise)[np.newaxis].astype(np.float32), RATE)[0]
    seconds = [slice(k * RATE, (k + 1) * RATE) for k in range(2, 7)]
    return [f"{10 * np.log10(np.sum(out[s] ** 2) / np.sum(vowel[s] ** 2)):.1f}" for s in seconds]


if __name__ == "__main__":
    main()
