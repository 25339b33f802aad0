"""Effect on noise and on speech, measured separately: noise reduction and speech distortion in dB."""

from __future__ import annotations

import numpy as np

from rtdenoise.typing import F32, F64

_FRAME_SECONDS = 0.032
_PAUSE_DB = 40.0  # frames this far below the loudest ones hold no speech
_LOUD_DB = 30.0  # cells of speech within this of the loudest ones
_CLEAR_DB = 10.0  # speech this far above the noise, which then hardly changes its level
_CELLS_MIN = 50
_FRAMES_MIN = 5


def effect(clean: F32, noisy: F32, enhanced: F32, rate_hz: int) -> dict[str, float]:
    """``noise_reduction_db`` and ``speech_distortion_db``; NaN if the clip has no suitable frames.

    Parameters
    ----------
    clean, noisy, enhanced : (n,) float, full scale 1.0
        Aligned.
    rate_hz : int

    Notes
    -----
    Noise reduction: noisy over enhanced power in frames of 32 ms whose clean speech is 40 dB below the loudest tenth.
    Speech distortion: mean absolute difference in level, enhanced against clean, of the cells of a 32 ms spectrogram
    that hold loud speech (30 dB) and little noise (10 dB below it); this includes a change in the mean level.
    """
    spectra = [power_spectrogram(signal, rate_hz) for signal in (clean, noisy, enhanced, noisy - clean)]
    if spectra[0].shape[0] == 0:
        return {"noise_reduction_db": float("nan"), "speech_distortion_db": float("nan")}
    speech, before, after, noise = spectra
    return {
        "noise_reduction_db": _noise_reduction_db(speech.sum(axis=1), before.sum(axis=1), after.sum(axis=1)),
        "speech_distortion_db": _speech_distortion_db(speech, noise, after),
    }


def power_spectrogram(signal: F32, rate_hz: int) -> F64:
    """(n_frames, n_bins) power spectrogram, half overlap."""
    frame = 2 * round(_FRAME_SECONDS * rate_hz / 2)
    count = max(0, (signal.size - frame) // (frame // 2) + 1)
    index = np.arange(frame) + frame // 2 * np.arange(count)[:, np.newaxis]
    frames = signal.astype(np.float64)[index] * np.hanning(frame)
    return np.asarray(np.abs(np.fft.rfft(frames, axis=1)) ** 2)


def _noise_reduction_db(speech: F64, before: F64, after: F64) -> float:
    pauses = speech < 10.0 ** (-_PAUSE_DB / 10.0) * np.percentile(speech, 90)
    if np.count_nonzero(pauses) < _FRAMES_MIN or float(before[pauses].sum()) <= 0.0:
        return float("nan")
    # at most 100 dB: digital silence would be infinite
    left = max(float(after[pauses].sum()), 1e-10 * float(before[pauses].sum()))
    return float(10.0 * np.log10(before[pauses].sum() / left))


def _speech_distortion_db(speech: F64, noise: F64, after: F64) -> float:
    loud = speech > 10.0 ** (-_LOUD_DB / 10.0) * np.percentile(speech.max(axis=1), 90)
    cells = loud & (speech > 10.0 ** (_CLEAR_DB / 10.0) * noise)
    if np.count_nonzero(cells) < _CELLS_MIN:
        return float("nan")
    ratio = np.maximum(after[cells], 1e-6 * speech[cells]) / speech[cells]
    return float(np.mean(np.abs(10.0 * np.log10(ratio))))
