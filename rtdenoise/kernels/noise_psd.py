"""Noise power per bin, followed while speech goes on.

Speech-presence MMSE (the default) with what keeps it within bounds, and the textbook's average of the beginning; the
third tracker is `rtdenoise.kernels.minimum_statistics`.  All times arrive as smoothing factors per hop, converted from
seconds by the caller.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.elementary import exponential, mean_of_17, running_mean
from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import F32

_ONE = np.float32(1)
_TINY = np.float32(1e-20)  # float32-normal; far below a 24-bit noise floor
_CAP = np.float32(0.99)  # certainty that a bin may have, so that its noise is never frozen
_RATIO_MAX = np.float32(60)  # an a posteriori SNR that is certain speech
_WIDE_REACH = 8  # bins to either side, a quarter of a kilohertz; `mean_of_17` knows it
_PRIOR, _OWN, _LOCAL, _WIDE = np.float32(-4.07), np.float32(0.5), np.float32(0.354), np.float32(0.4)  # fitted
_START_REACH = 16  # bins to either side, half a kilohertz: wider than the gaps between harmonics
_GROUP = 3  # windows whose smallest power is kept together
_START_PEAK = np.float32(0.35)  # share of a peak that may be noise at the start: hum and engines have peaks too


@kernel
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
        ``q``, the logarithm of the odds of speech.
    smoothing_noise, smoothing_ratio : float32 in [0, 1)
        Per hop.
    leak_max : float32
        Power over noise beyond which a bin teaches nothing more.

    Notes
    -----
    Gerkmann & Hendriks (2012), "Unbiased MMSE-based noise power estimation with low complexity and low tracking delay",
    eqs. 18 and 22.  Theirs is ``q = -ln(1 + xi) + gamma xi / (1 + xi)`` with xi = 15 dB, that is ``-3.48 + .97 gamma``;
    a single bin is little evidence.  P never exceeds .99, so that no bin stays speech for ever: their eq. 23 lets it
    until its smoothed value does.
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
    """The odds of speech in bin `k`, and the noise that follows from them; `evidence` holds `wide` and gets ``q``."""
    gamma = min(power[k] / max(noise_psd[k], _TINY), _RATIO_MAX)
    evidence[k] = _PRIOR + _OWN * gamma + _WIDE * evidence[k] + _LOCAL * local
    p = _CAP / (_ONE + exponential(-evidence[k]))
    periodogram = p * noise_psd[k] + (_ONE - p) * min(power[k], leak_max * noise_psd[k])
    noise_psd[k] = max(smoothing * noise_psd[k] + (_ONE - smoothing) * periodogram, _TINY)


@kernel
def smooth_power(power: F32, recent: F32, smoothing: np.float32) -> None:
    """``recent = s recent + (1 - s) power``; (n_bins,) float32 read, (n_bins,) float32 read and written."""
    for k in range(power.size):
        recent[k] = smoothing * recent[k] + (_ONE - smoothing) * power[k]


@kernel
def limit_noise(recent: F32, noise_psd: F32, lowest: F32, floor: F32) -> None:
    """Keep the estimate between what the power has not fallen below for long and what it has fallen below now.

    It falls at once where the power has been 6 dB below it for a while: recursive smoothing falls only 4.3 dB in a time
    constant, which is long after a voice was taken for noise.  It rises at once to `floor`, which `raise_floor` takes
    from the lowest power of the last windows, so a fan that was switched on is known within a second or two.

    Parameters
    ----------
    recent : (n_bins,) float32, read
        Power, smoothed over some tens of milliseconds.
    noise_psd : (n_bins,) float32, read and written
    lowest : (n_bins,) float32, read and written
        Smallest `recent` of this window so far.
    floor : (n_bins,) float32, read
        What past windows say; not more than `lowest` counts.

    Notes
    -----
    The second rule is minimum statistics (Martin 1994) as a safety net, without its bias compensation.
    """
    for k in range(recent.size):
        lowest[k] = min(lowest[k], recent[k])
        noise_psd[k] = max(min(noise_psd[k], np.float32(4) * recent[k]), min(floor[k], lowest[k]), _TINY)


@kernel
def raise_floor(
    recent: F32, lowest: F32, stored: F32, floor: F32, inverse_root: F32, window: int, sparing: bool
) -> None:
    """At the end of a window: what the power has not fallen below, without what may be a held vowel.

    Noise that has been there for one window rises between the harmonics as well; a voice rises only at them.  So one
    window raises the floor no higher than the power mean of exponent -1/2 over 33 neighbouring bins, which peaks hardly
    move.  What peaks have held through `stored.shape[0]` groups of windows is no voice: nobody has so much breath.
    Where the recording is not clear, a hum costs more than a vowel is worth: one window raises the floor altogether.

    Parameters
    ----------
    recent : (n_bins,) float32, read
    lowest : (n_bins,) float32, read and written
        In: the smallest `recent` of the window that ends.  Out: `recent`, for the next one.
    stored : (n_groups, n_bins) float32, read and written
        Smallest power of each of the last groups of windows, a ring.
    floor : (n_bins,) float32, written
    inverse_root : (n_bins,) float32, written
        Scratch.
    window : int
        Windows before this one.
    sparing : bool
        Peaks are spared.
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


@kernel
def start_noise(recent: F32, noise_psd: F32, inverse_root: F32) -> None:
    """A first noise estimate while there is no past to follow: recent power, limited by its own local floor.

    The floor is the power mean of exponent -1/2 over 33 neighbouring bins, which peaks hardly move.
    So noise is known from the first frame on, and the harmonics of a voice that is already there are not
    taken for it.

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


@kernel
def track_beginning(power: F32, noise_psd: F32, n_frames: int, n_learnt: int) -> None:
    """One step of the textbook's estimate: the mean power of the first frames, then never changed.

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
    Loizou (2013), sec. 5.1.  It learns speech as noise if speech is there at the start; for teaching and comparison.
    """
    if n_frames >= n_learnt:
        return
    weight = _ONE / np.float32(n_frames + 1)
    for k in range(power.size):
        noise_psd[k] = max(noise_psd[k] + weight * (power[k] - noise_psd[k]), _TINY)
