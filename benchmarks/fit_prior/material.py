"""Mixtures to fit on, and what the package's own compiled kernels see in them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numba import njit

from rtdenoise.errors import RtDenoiseError
from rtdenoise.evaluate.mixing import BABBLE, Mixture, find_sources, plan_mixtures, render_mixture
from rtdenoise.kernels import fine
from rtdenoise.kernels.overlap_add import analyse, spectrum_power
from rtdenoise.kernels.prior import spread
from rtdenoise.methods.spectral.params import SpectralParams, WienerParams
from rtdenoise.methods.spectral.prior import context_shapes, load_constants
from rtdenoise.methods.spectral.rules import gain_frame, read_bands, track_noise
from rtdenoise.methods.spectral.state import CONTEXT, FINE, initial_state
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.typing import F32

RATE_HZ = 16_000
SECONDS = 4.0
HARD_SNRS_DB = (-5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0, 15.0)
EASY_SNRS_DB = (15.0, 22.0, 30.0, 45.0)


def make_mixtures(
    location: Path, folder: Path, clips: int, seed: int, skipped: tuple[str, ...], steady: tuple[str, ...]
) -> None:
    """Write ``clean.npy`` and ``noisy.npy``, (clips, samples) float32 at unit level of the speech, if not there yet.

    A fifth are nearly clean; half start inside speech, since a stream may.
    """
    if (folder / "noisy.npy").exists():
        return
    speech = find_sources(location, "speech", "train", ("A", "B"))
    noise = [s for s in find_sources(location, "noise", "train") if not s.label.startswith(skipped)]
    names = sorted({s.label for s in noise})
    names += [name for name in names if name.startswith(steady)] * 3
    names += [BABBLE] * (len(names) // 8)
    plan: list[Mixture] = []
    for n, snr_db in enumerate((*HARD_SNRS_DB, *EASY_SNRS_DB)):
        count = clips // 10 if n < len(HARD_SNRS_DB) else clips // 20
        labels = [str(name) for name in np.random.default_rng(seed + n).permutation(names)]
        plan += plan_mixtures(
            speech, noise, clips=count, seed=seed + n, snrs_db=(snr_db,), seconds=SECONDS + 2, labels=labels
        )
    with ProcessPoolExecutor() as pool:
        pairs = [pair for pair in pool.map(_render, plan, chunksize=16) if pair is not None]
    rng = np.random.default_rng(seed + 2)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [pairs[i] for i in rng.permutation(len(pairs))]
    length = int(SECONDS * RATE_HZ)
    clean, noisy = (np.empty((len(pairs), length), np.float32) for _ in range(2))
    for i, (c, x) in enumerate(pairs):
        start = int(rng.integers(2 * RATE_HZ)) if rng.random() < 0.5 else 0
        scale = 1.0 / np.sqrt(np.mean(c[start : start + length] ** 2) + 1e-9)
        clean[i], noisy[i] = c[start : start + length] * scale, x[start : start + length] * scale
    np.save(folder / "clean.npy", clean)
    np.save(folder / "noisy.npy", noisy)


def _render(mixture: Mixture) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        return render_mixture(mixture)
    except RtDenoiseError:  # a silent stretch of a recording
        return None


@njit(error_model="numpy", nogil=True)
def context_features(
    signal: F32,
    hop: int,
    states: np.ndarray,
    spectra: np.ndarray,
    bases: F32,
    features: F32,
    for_subtraction: bool,
) -> None:
    """Per frame: the spectrum, ``1/2 ln(xi_dd + .001)`` or ``1/2 ln(Y / N)`` per bin, and the band features."""
    state = states[0]
    for t in range(spectra.shape[0]):
        analyse(signal[t * hop : (t + 1) * hop], state)
        spectrum_power(state.spectrum, state.power)
        track_noise(state)
        read_bands(state)
        for k in range(state.power.size):
            noise = max(state.noise_psd[k], np.float32(1e-20))
            gamma = min(state.power[k] / noise, np.float32(1e8))
            xi = state.alpha * state.clean_psd[k] / noise
            xi += (np.float32(1) - state.alpha) * max(gamma - np.float32(1), np.float32(0))
            decided = max(xi / (np.float32(1) + xi), np.float32(0.178))
            state.clean_psd[k] = decided * decided * state.power[k]
            smoothed = (
                state.smoothing_power * state.smoothed[k] + (np.float32(1) - state.smoothing_power) * state.power[k]
            )
            state.smoothed[k] = smoothed
            ratio = smoothed / noise if for_subtraction else xi + np.float32(0.001)
            bases[t, k] = np.float32(0.5) * np.log(max(ratio, np.float32(1e-6)))
            spectra[t, k] = state.spectrum[k]
        features[t] = state.band_features
        state.n_frames += 1


@njit(error_model="numpy", nogil=True)
def fine_features(signal: F32, hop: int, states: np.ndarray, spectra: np.ndarray, maps: F32, scalars: F32) -> None:
    """Per frame: the spectrum and what the per-bin regression reads."""
    state = states[0]
    n_bins = state.power.size
    for t in range(spectra.shape[0]):
        analyse(signal[t * hop : (t + 1) * hop], state)
        spectrum_power(state.spectrum, state.power)
        gain_frame(state, state)
        for k in range(n_bins):
            spectra[t, k] = state.spectrum[k]
            for j in range(maps.shape[1]):
                maps[t, j, k] = state.fine_maps[j, k + fine.REACH]
        scalars[t] = state.fine_scalars


def extract(signal: np.ndarray, framing: tuple[int, int, int], purpose: str) -> tuple[np.ndarray, ...]:
    """Features of one signal for "context", "snr" or "fine"; `framing` is frame, span and hop in samples."""
    has_fine = purpose == "fine"
    frame, span, hop = framing
    params = SpectralParams(wiener=WienerParams(rule="fine" if has_fine else "context"))
    scheme = Framing(sample_rate=RATE_HZ, frame=frame, span=span, hop=hop)
    states = initial_state(scheme, params, FINE if has_fine else CONTEXT)
    n_frames, n_bins = signal.size // hop, frame // 2 + 1
    spectra = np.empty((n_frames, n_bins), np.complex64)
    if has_fine:
        for key, value in load_constants("context", context_shapes()).items():
            states[f"fine_band_{key}"] = value
        maps = np.empty((n_frames, fine.N_MAPS, n_bins), np.float32)
        scalars = np.empty((n_frames, fine.N_SCALARS), np.float32)
        fine_features(signal, hop, states, spectra, maps, scalars)
        return spectra, maps, scalars
    bases = np.empty((n_frames, n_bins), np.float32)
    features = np.empty((n_frames, 7, 20), np.float32)
    context_features(signal, hop, states, spectra, bases, features, purpose == "snr")
    return spectra, bases, features


def write_features(folder: Path, name: str, framing: tuple[int, int, int], clips: range, purpose: str) -> None:
    """Write the features of these clips as ``NAME_0.npy`` to ``NAME_2.npy`` (halves where a bin needs no more)."""
    target = folder / f"{name}_2.npy"
    if target.exists():
        return
    noisy = np.load(folder / "noisy.npy", mmap_mode="r")
    stores: list[np.ndarray] = []
    for row, i in enumerate(clips):
        found = extract(np.ascontiguousarray(noisy[i]), framing, purpose)
        if not stores:
            kinds = (np.complex64, np.float16, np.float32)
            stores = [
                np.lib.format.open_memmap(
                    folder / f"{name}_{j}{'' if j < 2 else '.tmp'}.npy", "w+", kinds[j], (len(clips), *found[j].shape)
                )
                for j in range(3)
            ]
        for store, values in zip(stores, found, strict=True):
            store[row] = values
    for store in stores:
        store.flush()
    (folder / f"{name}_2.tmp.npy").rename(target)


def read_features(folder: Path, name: str) -> list[np.ndarray]:
    """The three arrays of `write_features`, mapped."""
    return [np.load(folder / f"{name}_{j}.npy", mmap_mode="r") for j in range(3)]


def interpolation(framing: tuple[int, int, int]) -> np.ndarray:
    """Matrix (20, n_bins) of `rtdenoise.kernels.prior.spread`."""
    frame, span, hop = framing
    state = initial_state(Framing(sample_rate=RATE_HZ, frame=frame, span=span, hop=hop), SpectralParams(), CONTEXT)[0]
    rows = np.empty((20, frame // 2 + 1), np.float32)
    for band in range(20):
        spread(np.eye(20, dtype=np.float32)[band], state["share_above"], state["first_bin"], rows[band])
    return rows
