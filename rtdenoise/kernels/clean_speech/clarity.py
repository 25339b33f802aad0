"""Preserve clean recordings: where a mask removes little, or a bin is far above its floor, restore what it removed.

The errors of a network lie about 25 dB below the voice whatever the input.  Above that SNR it adds nothing but errors,
so the more the kept energy exceeds the removed energy, the closer the bins that are mostly kept stay to the input.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.elementary import logarithm
from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import C64, F32

_ZERO, _ONE, _TWO, _THREE = np.float32(0), np.float32(1), np.float32(2), np.float32(3)
_TINY = np.float32(1e-12)
LOWEST_DB, HIGHEST_DB = 16.0, 22.0
"""Ratio of kept to removed energy: nothing is restored up to the first, everything from the second."""
SMOOTHING_SECONDS = 2.0
"""Time constant of both energies: longer than a pause between sentences."""
GAIN_KEPT = 0.3
"""Gain above which a bin counts entirely as speech."""
_LOWEST = np.float32(LOWEST_DB * np.log(10.0) / 10.0)
_PER_RANGE = np.float32(10.0 / (np.log(10.0) * (HIGHEST_DB - LOWEST_DB)))
_GAIN_KEPT = np.float32(GAIN_KEPT)
SPARED_DB = 4.0
"""Power of a bin over its floor above which subtraction spares it in a clean recording."""
_SPARED = np.float32(SPARED_DB * np.log(10.0) / 10.0)
_PER_RISE = np.float32(10.0 / (5.0 * np.log(10.0)))


@kernel
def above_floor(recent: np.float32, lowest: np.float32, floor: np.float32, edge: np.float32) -> np.float32:
    """How far a bin is above its floor: 0 up to `edge` (a natural logarithm of power), 1 from 5 dB more on.

    The floor is `floor` or, if that is less, `lowest`.
    """
    over = logarithm((recent + _TINY) / (min(floor, lowest) + _TINY))
    return min(max((over - edge) * _PER_RISE, _ZERO), _ONE)


@kernel
def spare_clear(recent: F32, lowest: F32, floor: F32, gain: F32, clearness: np.float32) -> None:
    """``gain += c u (1 - gain)``: bins above their floor are not attenuated in a clean recording.

    Parameters
    ----------
    recent, lowest, floor : (n_bins,) float32, read
        See `above_floor`, which is ``u``, from `SPARED_DB` on.
    gain : (n_bins,) float32, read and written
    clearness : float32 in [0, 1]
        ``c``: see `rtdenoise.kernels.clean_speech.recording`.
    """
    if clearness == _ZERO:
        return
    for k in range(gain.size):
        gain[k] += clearness * above_floor(recent[k], lowest[k], floor[k], _SPARED) * (_ONE - gain[k])


@kernel
def clear_share(energies: F32) -> np.float32:
    """``s`` of `keep_clear`, from its smoothed energies: (2,) float32, read."""
    return min(max((logarithm(energies[0] / energies[1]) - _LOWEST) * _PER_RANGE, _ZERO), _ONE)


@kernel
def clear_weight(gain: np.float32, share: np.float32, gain_min: np.float32) -> np.float32:
    """``s w`` of `keep_clear` for a bin with this gain."""
    u = min(max((gain - gain_min) * (_ONE / (_GAIN_KEPT * (_ONE - gain_min) + _TINY)), _ZERO), _ONE)
    return share * u * u * (_THREE - _TWO * u)


@kernel
def keep_clear(heard: C64, spectrum: C64, energies: F32, smoothing: np.float32, gain_min: np.float32) -> None:
    """Restore part of what a mask removed.

    ``out = M + s w (X - M)``, ``s = clip((SNR - 16 dB) / 6 dB, 0, 1)`` from the smoothed energies of ``M`` and of
    ``X - M``, ``w = u u (3 - 2 u)``, ``u = clip((|M| / |X| - gain_min) / (.3 (1 - gain_min)), 0, 1)``.

    Parameters
    ----------
    heard : (n_bins,) complex64, read
        ``X``, before the mask.
    spectrum : (n_bins,) complex64, read and written
        ``M``, after it.
    energies : (2,) float32, read and written
        Kept and removed, smoothed over frames.
    smoothing : float32 in [0, 1)
        Per frame.
    gain_min : float32
        Lowest gain of the mask.
    """
    kept, removed = _ZERO, _ZERO
    for k in range(heard.size):
        real, imag = spectrum[k].real, spectrum[k].imag
        lost_real, lost_imag = heard[k].real - real, heard[k].imag - imag
        kept += real * real + imag * imag
        removed += lost_real * lost_real + lost_imag * lost_imag
    energies[0] = smoothing * energies[0] + (_ONE - smoothing) * (kept + _TINY)
    energies[1] = smoothing * energies[1] + (_ONE - smoothing) * (removed + _TINY)
    share = clear_share(energies)
    if share == _ZERO:
        return
    for k in range(heard.size):
        x, m = heard[k], spectrum[k]
        power = x.real * x.real + x.imag * x.imag
        ratio = np.sqrt((m.real * m.real + m.imag * m.imag) / (power + _TINY))
        w = clear_weight(ratio, share, gain_min)
        spectrum[k] = np.complex64(complex(m.real + w * (x.real - m.real), m.imag + w * (x.imag - m.imag)))


@kernel
def keep_clear_each(
    heard: C64, records: np.ndarray, energies: F32, smoothing: np.float32, gain_min: np.float32
) -> None:
    """`keep_clear` for many streams: (streams, n_bins), records with the field ``spectrum``, (streams, 2)."""
    for stream in range(records.size):
        keep_clear(heard[stream], records[stream].spectrum, energies[stream], smoothing, gain_min)
