"""Share gains between coherent channels, per bin; incoherent channels keep their own gains.

==============  ==================================================================  ===============
``auto``        smoothed ``|X|**2`` of one channel                                  power
``cross``       smoothed ``X Y*`` of two channels                                   power, complex
``coherence``   ``|cross|**2 / (auto_x auto_y)``                                    0 to 1
``weight``      how far two channels share their gains                              0 to 1
``certainty``   ``auto / noise_psd``: weight of a channel in the shared gain        power ratio
==============  ==================================================================  ===============
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel_apart
from rtdenoise.typing import C64, F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-30)  # keeps decaying values from becoming denormal; far below any noise
_NOISE_LEAST = np.float32(1e-20)  # as in `rtdenoise.kernels.gain`
_CERTAINTY_LEAST, _CERTAINTY_MOST = np.float32(1e-3), np.float32(1e8)
# With this smoothing and the mean over five bins, unrelated channels have a coherence of .05 to .15; a voice 10 dB
# above the noise of one channel and level with the noise of the other gives .45.
_COHERENCE_NONE, _COHERENCE_FULL = np.float32(0.15), np.float32(0.35)
_PER_COHERENCE = _ONE / (_COHERENCE_FULL - _COHERENCE_NONE)
_SHARE = _ONE / np.float32(5)  # of each of five bins, the main lobe of a harmonic
_TWO, _THREE = np.float32(2), np.float32(3)


@kernel_apart
def start_sharing(
    power: F32, noise_psd: F32, gain: F32, auto: F32, smoothing: np.float32, certainty: F32, total: F32, shared: F32
) -> None:
    """Update the smoothed power of one channel and initialise its shared gain with its own gain.

    Parameters
    ----------
    power, noise_psd, gain : (n_bins,) float32, read
    auto : (n_bins,) float32, read and written
    smoothing : float32 in [0, 1)
        Per frame.
    certainty : (n_bins,) float32, written
    total, shared : (n_bins,) float32, written
        Sums of certainties, and of gains times certainties.
    """
    fresh = _ONE - smoothing
    for k in range(power.size):
        auto[k] = smoothing * auto[k] + fresh * power[k] + _TINY
        value = min(auto[k] / max(noise_psd[k], _NOISE_LEAST), _CERTAINTY_MOST) + _CERTAINTY_LEAST
        certainty[k] = value
        total[k] = value
        shared[k] = value * gain[k]


@kernel_apart
def pair_coherence(
    spectrum: C64, other: C64, auto: F32, other_auto: F32, cross: C64, smoothing: np.float32, coherence: F32
) -> None:
    """Coherence of two channels in every bin.

    Parameters
    ----------
    spectrum, other : (n_bins,) complex64, read
    auto, other_auto : (n_bins,) float32, read
        Already updated with this frame.
    cross : (n_bins,) complex64, read and written
    smoothing : float32 in [0, 1)
        Per frame, as for `auto`.
    coherence : (n_bins,) float32, written

    Notes
    -----
    Carter (1987), eq. 2, with exponential averages.  Divides before squaring to avoid overflow.
    """
    fresh = _ONE - smoothing
    for k in range(coherence.size):
        a, b, c = spectrum[k], other[k], cross[k]
        real = smoothing * c.real + fresh * (a.real * b.real + a.imag * b.imag) + _TINY
        imag = smoothing * c.imag + fresh * (a.imag * b.real - a.real * b.imag) + _TINY
        cross[k] = np.complex64(complex(real, imag))
        by_own, by_other = _ONE / auto[k], _ONE / other_auto[k]
        coherence[k] = (real * by_own) * (real * by_other) + (imag * by_own) * (imag * by_other)


@kernel_apart
def link_weight(coherence: F32, trust: np.float32, weight: F32) -> None:
    """How far two channels share their gains in every bin, from the mean coherence of five.

    Parameters
    ----------
    coherence : (n_bins,) float32, read
        At least five bins.
    trust : float32 from 0 to 1
        Less than 1 until the averages have settled: averages over a single frame are always fully coherent.
    weight : (n_bins,) float32, written
    """
    last = coherence.size - 1
    for k in range(2, last - 1):
        weight[k] = coherence[k - 2] + coherence[k - 1] + coherence[k] + coherence[k + 1] + coherence[k + 2]
    weight[0] = _THREE * coherence[0] + coherence[1] + coherence[2]
    weight[1] = _TWO * coherence[0] + coherence[1] + coherence[2] + coherence[3]
    weight[last] = _THREE * coherence[last] + coherence[last - 1] + coherence[last - 2]
    weight[last - 1] = _TWO * coherence[last] + coherence[last - 1] + coherence[last - 2] + coherence[last - 3]
    scale = trust * _SHARE
    for k in range(weight.size):
        weight[k] = min(max((scale * weight[k] - _COHERENCE_NONE) * _PER_COHERENCE, _ZERO), _ONE)


@kernel_apart
def share_gains(
    weight: F32,
    certainty: F32,
    other_certainty: F32,
    gain: F32,
    other_gain: F32,
    total: F32,
    other_total: F32,
    shared: F32,
    other_shared: F32,
) -> None:
    """Add the gain of each of two channels to the sums of the other, weighted by coherence and certainty.

    Parameters
    ----------
    weight, certainty, other_certainty, gain, other_gain : (n_bins,) float32, read
    total, other_total, shared, other_shared : (n_bins,) float32, read and written
        See `start_sharing`.
    """
    for k in range(weight.size):
        mine, others = weight[k] * certainty[k], weight[k] * other_certainty[k]
        total[k] += others
        other_total[k] += mine
        shared[k] += others * other_gain[k]
        other_shared[k] += mine * gain[k]


@kernel_apart
def finish_sharing(total: F32, shared: F32) -> None:
    """Normalise the sums of `share_gains` to gains; (n_bins,) float32 read, (n_bins,) float32 read and written."""
    for k in range(shared.size):
        shared[k] /= total[k]
