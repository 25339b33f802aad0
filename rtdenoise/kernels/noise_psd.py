"""Noise PSD tracking per bin, also during speech.

Speech-presence MMSE (the default) with its upper and lower limits, and the textbook mean of the first frames; the third
tracker is `rtdenoise.kernels.minimum_statistics`.  All times arrive as smoothing factors per hop, converted from
seconds by the caller.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.elementary import exponential, mean_of_17, running_mean
from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.typing import F32

_ONE = np.float32(1)
_TINY = np.float32(1e-20)  # float32-normal; far below a 24-bit noise floor
_CAP = np.float32(0.99)  # largest speech probability of a bin, so that its noise estimate never freezes
_RATIO_MAX = np.float32(60)  # an a posteriori SNR that is speech for certain
_WIDE_REACH = 8  # bins to either side, 250 Hz; fixed in `mean_of_17`
_PRIOR, _OWN, _LOCAL, _WIDE = np.float32(-4.07), np.float32(0.5), np.float32(0.354), np.float32(0.4)  # fitted
_START_REACH = 16  # bins to either side, 500 Hz: wider than the gaps between harmonics
_GROUP = 3  # windows that share one stored minimum
_START_PEAK = np.float32(0.35)  # share of a peak taken as noise at the start: hum and engines have peaks too


@kernel_apart
def track_presence(
    power: F32,
    noise_psd: F32,
    ratio: F32,
    evidence: F32,
    smoothing_noise: np.float32,
    smoothing_ratio: np.float32,
    leak_max: np.float32,
) -> None:
    """One step of the speech-presence MMSE tracker, with evidence from the neighbourhood of each bin.

    ``q = -4.07 + .5 gamma + .354 local + .4 wide``, ``P = .99 / (1 + exp(-q))``,
    ``noise = s noise + (1 - s) (P noise + (1 - P) power)``.
    `local` and `wide` are the a posteriori SNR, smoothed over time and averaged over 3 and 17 bins.

    Parameters
    ----------
    power : (n_bins,) float32, read
        ``|X|**2`` of this frame.
    noise_psd : (n_bins,) float32, read and written
    ratio : (n_bins,) float32, read and written
        A posteriori SNR ``gamma``, at most 60, smoothed over time.
    evidence : (n_bins,) float32, written
        ``q``, the log odds of speech.
    smoothing_noise, smoothing_ratio : float32 in [0, 1)
        Per hop.
    leak_max : float32
        Limit of power over noise in the update of a bin.

    Notes
    -----
    Gerkmann & Hendriks (2012), "Unbiased MMSE-based noise power estimation with low complexity and low tracking delay",
    eqs. 18 and 22.  Theirs is ``q = -ln(1 + xi) + gamma xi / (1 + xi)`` with xi = 15 dB, that is ``-3.48 + .97 gamma``;
    a single bin is weak evidence.  P never exceeds .99, so no bin counts as speech forever; their eq. 23 limits P only
    once its smoothed value exceeds the limit.
    """
    n_bins, last = power.size, power.size - 1
    for k in range(n_bins):
        gamma = min(power[k] / max(noise_psd[k], _TINY), _RATIO_MAX)
        ratio[k] = smoothing_ratio * ratio[k] + (_ONE - smoothing_ratio) * gamma
    if n_bins > 4 * _WIDE_REACH:
        mean_of_17(ratio, evidence)
    else:
        running_mean(ratio, _WIDE_REACH, evidence)
    _weigh(0, np.float32(0.5) * (ratio[0] + ratio[1]), power, noise_psd, evidence, smoothing_noise, leak_max)
    for k in range(1, last):
        local = np.float32(1 / 3) * (ratio[k - 1] + ratio[k] + ratio[k + 1])
        _weigh(k, local, power, noise_psd, evidence, smoothing_noise, leak_max)
    _weigh(
        last, np.float32(0.5) * (ratio[last] + ratio[last - 1]), power, noise_psd, evidence, smoothing_noise, leak_max
    )


@kernel
def _weigh(
    k: int, local: np.float32, power: F32, noise_psd: F32, evidence: F32, smoothing: np.float32, leak_max: np.float32
) -> None:
    """Update the log odds of speech and the noise of bin `k`; `evidence` holds `wide` on entry, ``q`` on exit."""
    gamma = min(power[k] / max(noise_psd[k], _TINY), _RATIO_MAX)
    evidence[k] = _PRIOR + _OWN * gamma + _WIDE * evidence[k] + _LOCAL * local
    p = _CAP / (_ONE + exponential(-evidence[k]))
    periodogram = p * noise_psd[k] + (_ONE - p) * min(power[k], leak_max * noise_psd[k])
    noise_psd[k] = max(smoothing * noise_psd[k] + (_ONE - smoothing) * periodogram, _TINY)


@kernel_apart
def smooth_power(power: F32, recent: F32, smoothing: np.float32) -> None:
    """``recent = s recent + (1 - s) power``; (n_bins,) float32 read, (n_bins,) float32 read and written."""
    for k in range(power.size):
        recent[k] = smoothing * recent[k] + (_ONE - smoothing) * power[k]


@kernel_apart
def limit_noise(recent: F32, noise_psd: F32, lowest: F32, floor: F32) -> None:
    """Limit the estimate: from below by the minimum power of the last windows, from above by the recent power.

    It drops at once where the recent power is more than 6 dB below it: recursive smoothing falls only 4.3 dB per time
    constant, which is slow after speech was mistaken for noise.  It rises at once to `floor`, which `raise_floor`
    derives from the minimum power of the last windows, so a fan that starts is learnt within a second or two.

    Parameters
    ----------
    recent : (n_bins,) float32, read
        Power, smoothed over some tens of milliseconds.
    noise_psd : (n_bins,) float32, read and written
    lowest : (n_bins,) float32, read and written
        Smallest `recent` of this window so far.
    floor : (n_bins,) float32, read
        Lower limit from past windows; itself limited by `lowest`.

    Notes
    -----
    The second rule is minimum statistics (Martin 1994) as a safety net, without its bias compensation.
    """
    for k in range(recent.size):
        lowest[k] = min(lowest[k], recent[k])
        noise_psd[k] = max(min(noise_psd[k], np.float32(4) * recent[k]), min(floor[k], lowest[k]), _TINY)


@kernel_apart
def raise_floor(
    recent: F32, lowest: F32, stored: F32, floor: F32, inverse_root: F32, window: int, sparing: bool
) -> None:
    """Update the floor at the end of a window: the minimum power of the window, less what may be a sustained vowel.

    Noise that has lasted one window also raises the power between harmonics; a voice raises it only at harmonics.  So a
    single window raises the floor no higher than the power mean of exponent -1/2 over 33 neighbouring bins, which peaks
    hardly affect.  A peak that lasts through `stored.shape[0]` groups of windows is too long for a vowel, hence noise.
    In a recording that is not clean, residual hum is worse than a damaged vowel: one window raises the floor fully.

    Parameters
    ----------
    recent : (n_bins,) float32, read
    lowest : (n_bins,) float32, read and written
        In: the smallest `recent` of the window that ends.  Out: `recent`, for the next one.
    stored : (n_groups, n_bins) float32, read and written
        Ring of the smallest power in each of the last groups of windows.
    floor : (n_bins,) float32, written
    inverse_root : (n_bins,) float32, written
        Scratch.
    window : int
        Number of windows before this one.
    sparing : bool
        Whether peaks are spared as possible vowels.
    """
    n_groups = stored.shape[0]
    group, first = window // _GROUP % n_groups, window % _GROUP == 0
    for k in range(recent.size):
        stored[group, k] = lowest[k] if first else min(stored[group, k], lowest[k])
        inverse_root[k] = _ONE / np.sqrt(max(lowest[k], _TINY))
    running_mean(inverse_root, _START_REACH, floor)
    for k in range(recent.size):
        held = stored[0, k]
        for j in range(1, n_groups):
            held = min(held, stored[j, k])
        mean = max(floor[k], inverse_root[k] / np.float32(2 * _START_REACH + 1))
        spared = max(_ONE / (mean * mean), held) if sparing else lowest[k]
        floor[k] = max(min(lowest[k], spared), _TINY)
        lowest[k] = recent[k]


@kernel_apart
def start_noise(recent: F32, noise_psd: F32, inverse_root: F32) -> None:
    """Initial noise estimate, while there is no history: recent power, limited by its own local floor.

    The floor is the power mean of exponent -1/2 over 33 neighbouring bins, which peaks hardly affect.
    So there is a noise estimate from the first frame, and the harmonics of a voice that is already present
    are not mistaken for noise.

    Parameters
    ----------
    recent : (n_bins,) float32, read
        Power, smoothed over some tens of milliseconds.
    noise_psd : (n_bins,) float32, written
    inverse_root : (n_bins,) float32, written
        Scratch.
    """
    for k in range(recent.size):
        inverse_root[k] = _ONE / np.sqrt(max(recent[k], _TINY))
    running_mean(inverse_root, _START_REACH, noise_psd)
    for k in range(recent.size):
        mean = max(noise_psd[k], inverse_root[k] / np.float32(2 * _START_REACH + 1))
        noise_psd[k] = max(min(recent[k], max(_ONE / (mean * mean), _START_PEAK * recent[k])), _TINY)


@kernel_apart
def track_beginning(power: F32, noise_psd: F32, n_frames: int, n_learnt: int) -> None:
    """One step of the textbook estimate: the mean power of the first frames, constant afterwards.

    Parameters
    ----------
    power : (n_bins,) float32, read
    noise_psd : (n_bins,) float32, read and written
    n_frames : int
        Frames seen before this one.
    n_learnt : int
        Frames to average.

    Notes
    -----
    Loizou (2013), sec. 5.1.  Speech in the first frames is learnt as noise; for teaching and comparison.
    """
    if n_frames >= n_learnt:
        return
    weight = _ONE / np.float32(n_frames + 1)
    for k in range(power.size):
        noise_psd[k] = max(noise_psd[k] + weight * (power[k] - noise_psd[k]), _TINY)
