"""Speech quality metrics: reference-based ones, and one that needs no reference."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import MissingExtraError, SignalError
from rtdenoise.evaluate.measures.composite import composite
from rtdenoise.evaluate.measures.effect import effect
from rtdenoise.sound import distortion
from rtdenoise.typing import F32

SAMPLE_RATE_HZ = 16000
NARROW_RATE_HZ = 8000

NAMES = (
    "pesq_wb",
    "pesq_nb",
    "estoi",
    "stoi",
    "si_sdr_db",
    "segmental_snr_db",
    "csig",
    "cbak",
    "covl",
    "dnsmos_ovrl",
    "dnsmos_sig",
    "dnsmos_bak",
    "noise_reduction_db",
    "speech_distortion_db",
    "delay_samples",
)
"""Keys of `measure`, in the order of the tables; ``pesq_wb`` and DNSMOS at 16 kHz, ``pesq_nb`` at 8 kHz."""

OWN_RATE_NAMES = ("si_sdr_full_db", "lsd_below_db", "lsd_above_db")
"""Keys of `rtdenoise.evaluate.measures.full_band.at_own_rate`, after those of `NAMES` in every table."""
ALL_NAMES = (*NAMES, *OWN_RATE_NAMES)

_ALIGNMENT_SECONDS = 0.25
_DNSMOS_SAMPLES = int(9.01 * SAMPLE_RATE_HZ)
# Second-order maps from raw network outputs to P.835 scores, published with the DNSMOS P.835 models.
_DNSMOS_MAPS = {
    "dnsmos_sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_ovrl": (-0.06766283, 1.11546468, 0.04602535),
}

_OTHER_EXTRAS = {"pesq": "pip install 'rtdenoise[pesq]' (it needs a C compiler)"}
"""Installation hints, by package, for what the extra ``eval`` does not include."""
_CARRIERS: dict[str, tuple[str, ...]] = {
    "pesq": ("pesq_wb", "pesq_nb", "csig", "cbak", "covl"),
    "pystoi": ("estoi", "stoi"),
    "speechmos": tuple(_DNSMOS_MAPS),
    "onnxruntime": tuple(_DNSMOS_MAPS),
}


def measure(
    clean: F32, enhanced: F32, *, noisy: F32 | None = None, rate_hz: int = SAMPLE_RATE_HZ, with_dnsmos: bool = True
) -> dict[str, float]:
    """Every metric of `NAMES` defined at this rate whose package is installed; NaN where one is undefined.

    Parameters
    ----------
    clean, enhanced : (n,) float, full scale 1.0
        Equally long and aligned.
    noisy : (n,) float, optional
        Enables noise reduction and speech distortion.
    rate_hz : int
        16000, or 8000 for narrow band.
    with_dnsmos : bool
        Include the three DNSMOS scores, which take ten times as long as all others combined.
    """
    _check_pair(clean, enhanced)
    possible = possible_names(rate_hz, with_dnsmos=with_dnsmos)
    wide = rate_hz == SAMPLE_RATE_HZ
    scores: dict[str, float] = {}
    if "csig" in possible:
        pesq = pesq_wideband(clean, enhanced) if wide else pesq_narrowband(clean, enhanced, rate_hz)
        scores["pesq_wb" if wide else "pesq_nb"] = pesq
        scores |= composite(clean, enhanced, rate_hz, pesq)
    if "stoi" in possible:
        scores["estoi"] = stoi(clean, enhanced, extended=True, rate_hz=rate_hz)
        scores["stoi"] = stoi(clean, enhanced, extended=False, rate_hz=rate_hz)
    scores["si_sdr_db"] = si_sdr_db(clean, enhanced)
    scores["segmental_snr_db"] = segmental_snr_db(clean, enhanced, rate_hz)
    if noisy is not None:
        _check_pair(clean, noisy)
        scores |= effect(clean, noisy, enhanced, rate_hz)
    scores["delay_samples"] = float(delay_samples(clean, enhanced, int(_ALIGNMENT_SECONDS * rate_hz)))
    return scores | dnsmos(enhanced) if "dnsmos_ovrl" in possible else scores


def possible_names(rate_hz: int, *, with_dnsmos: bool) -> tuple[str, ...]:
    """Names of the metrics available at this rate with the installed packages."""
    without = {"pesq_nb"} if rate_hz == SAMPLE_RATE_HZ else {"pesq_wb", *_DNSMOS_MAPS}
    for package, names in _CARRIERS.items():
        if find_spec(package) is None:
            without.update(names)
    if not with_dnsmos:
        without.update(_DNSMOS_MAPS)
    return tuple(name for name in NAMES if name not in without)


def missing_packages(*, with_dnsmos: bool) -> dict[str, str]:
    """Packages missing here, each with the metrics it would add and how to install it."""
    wanted = {p: names for p, names in _CARRIERS.items() if with_dnsmos or names != tuple(_DNSMOS_MAPS)}
    return {
        package: f"without {', '.join(names)}: {_how(package)}"
        for package, names in wanted.items()
        if find_spec(package) is None
    }


def _check_pair(clean: F32, enhanced: F32) -> None:
    if clean.shape != enhanced.shape or clean.ndim != 1 or clean.size == 0:
        raise SignalError(f"clean {clean.shape} and enhanced {enhanced.shape} must be equally long mono signals")
    if not (np.isfinite(clean).all() and np.isfinite(enhanced).all()):
        raise SignalError("signals to be measured must be finite")


def pesq_wideband(clean: F32, enhanced: F32) -> float:
    """PESQ, wide band (ITU-T P.862.2), MOS-LQO 1.04 to 4.64; NaN where it finds no utterance.

    Raises
    ------
    MissingExtraError
        If the ``pesq`` package is not installed.
    """
    return _pesq(clean, enhanced, SAMPLE_RATE_HZ, "wb")


def pesq_narrowband(clean: F32, enhanced: F32, rate_hz: int = NARROW_RATE_HZ) -> float:
    """PESQ, narrow band (ITU-T P.862.1), MOS-LQO 1.02 to 4.55, at 8 or 16 kHz; NaN where it finds no utterance."""
    return _pesq(clean, enhanced, rate_hz, "nb")


def _pesq(clean: F32, enhanced: F32, rate_hz: int, band: str) -> float:
    _require("pesq")
    from pesq import PesqError, pesq

    _check_pair(clean, enhanced)
    if not (np.any(clean) and np.any(enhanced)):
        return float("nan")
    score = pesq(rate_hz, clean, enhanced, band, on_error=PesqError.RETURN_VALUES)
    return float(score) if score > 0.0 else float("nan")


def stoi(clean: F32, enhanced: F32, *, extended: bool, rate_hz: int = SAMPLE_RATE_HZ) -> float:
    """Short-time objective intelligibility (Taal et al. 2011) or its extended form (Jensen & Taal 2016), 0 to 1.

    NaN where the signal is too short or has too little speech for one segment of 384 ms.
    """
    _require("pystoi")
    from pystoi import stoi as pystoi_score

    _check_pair(clean, enhanced)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi warns and returns 1e-5 for "not enough frames"
        try:
            return float(pystoi_score(clean, enhanced, rate_hz, extended=extended))
        except RuntimeWarning:
            return float("nan")


def si_sdr_db(clean: F32, enhanced: F32) -> float:
    """Scale-invariant signal-to-distortion ratio, dB; see `rtdenoise.sound.distortion`."""
    _check_pair(clean, enhanced)
    return distortion.si_sdr_db(clean, enhanced)


def segmental_snr_db(clean: F32, enhanced: F32, rate_hz: int = SAMPLE_RATE_HZ) -> float:
    """Mean over 32 ms frames of the SNR limited to [-10, 35] dB (Loizou 2013, eq. 11.1), without digital silence."""
    _check_pair(clean, enhanced)
    frame = 512 * rate_hz // SAMPLE_RATE_HZ
    count = clean.size // frame
    if count == 0:
        return float("nan")
    target = clean[: count * frame].astype(np.float64).reshape(count, frame)
    error = target - enhanced[: count * frame].astype(np.float64).reshape(count, frame)
    signal, noise = np.sum(target**2, axis=1), np.sum(error**2, axis=1)
    active = signal > 1e-10 * max(float(signal.max()), 1e-20)
    if not active.any():
        return float("nan")
    ratio = 10.0 * np.log10((signal[active] + 1e-20) / (noise[active] + 1e-20))
    return float(np.mean(np.clip(ratio, -10.0, 35.0)))


def dnsmos(enhanced: F32) -> dict[str, float]:
    """DNSMOS P.835 (Reddy et al. 2022): predicted speech, background and overall opinion, 1 to 5, without a reference.

    Clips shorter than 9.01 s are repeated; longer ones are scored every second and averaged, as the published script
    does.

    Raises
    ------
    MissingExtraError
        If ``speechmos`` (which carries the network) or ``onnxruntime`` is not installed.
    """
    session = _dnsmos_session()
    audio = np.clip(np.asarray(enhanced, dtype=np.float32), -1.0, 1.0)
    if audio.size == 0:
        raise SignalError("an empty signal has no DNSMOS")
    while audio.size < _DNSMOS_SAMPLES:
        audio = np.concatenate([audio, audio])
    starts = range(0, audio.size - _DNSMOS_SAMPLES + 1, SAMPLE_RATE_HZ)
    raw = np.mean([_p835(session, audio[s : s + _DNSMOS_SAMPLES]) for s in starts], axis=0)
    return dict(zip(_DNSMOS_MAPS, (float(v) for v in raw), strict=True))


def _p835(session: Any, audio: F32) -> list[float]:
    raw = session.run(None, {"input_1": audio[np.newaxis]})[0][0]
    return [float(np.polyval(np.array(c), x)) for c, x in zip(_DNSMOS_MAPS.values(), raw, strict=True)]


@lru_cache(maxsize=1)
def _dnsmos_session() -> Any:
    _require("onnxruntime")
    _require("speechmos")
    import onnxruntime

    package = find_spec("speechmos")
    assert package is not None and package.submodule_search_locations
    model = Path(next(iter(package.submodule_search_locations))) / "dnsmos_models" / "sig_bak_ovr.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _require(module: str) -> None:
    if find_spec(module) is None:
        raise MissingExtraError(f"measuring quality needs the package {module}: {_how(module)}")


def _how(package: str) -> str:
    return _OTHER_EXTRAS.get(package, "pip install 'rtdenoise[eval]'")


def delay_samples(reference: F32, signal: F32, limit: int) -> int:
    """Delay of `signal` relative to `reference` in samples: the peak of their cross-correlation within +-`limit`."""
    from scipy.signal import correlate

    _check_pair(reference, signal)
    full = correlate(signal.astype(np.float64), reference.astype(np.float64), mode="full", method="fft")
    centre = reference.size - 1
    limit = min(limit, centre)
    window = full[centre - limit : centre + limit + 1]
    return int(np.argmax(np.abs(window))) - limit


def shift(signal: F32, delay: int, length: int) -> F32:
    """`signal` advanced by `delay` samples (delayed if negative), zero-filled or cut to `length` samples."""
    out = np.zeros(length, dtype=np.float32)
    source = signal[max(delay, 0) :]
    offset = max(-delay, 0)
    count = max(min(source.size, length - offset), 0)
    out[offset : offset + count] = source[:count]
    return out
