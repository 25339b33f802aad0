"""Loss term from DNSMOS: the opinion score that the published network predicts for the estimate."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.lab.losses.frames import Tensor, Term
from rtdenoise.methods.can.checks import require_between, require_whole
from rtdenoise.typing import F32

_RATE_HZ = 16000
_HOP = 160  # 10 ms at 16 kHz; frames of two hops
_SPEECH_LEVEL = 0.05  # of full scale: the mixture's level at the network's input, -26 dB
_SILENT_POWER = 1e-6  # of a target next to a mixture of unit level: no speech in it
_CONVOLUTIONS = ("conv2d", *(f"conv2d_{k}" for k in range(1, 7)))
_POOLED = ("conv2d_3", "conv2d_4", "conv2d_5")  # their outputs are halved in time and frequency
_DENSE = ("dense", "dense_1", "dense_3")
_OVERALL = 2  # of signal, background, overall
_DTYPES = ("float32", "bfloat16")
OPINION_SAMPLES = 32 * _HOP
"""Shortest signal that leaves output after the network's pooling."""


def opinion(clips: int = 1, compute_dtype: str = "float32", seconds: float = 0.0) -> Term:
    """Overall quality predicted by DNSMOS P.835, negated, in its raw points (1 to 5).

    Reddy, Gopal & Cutler (2022), "DNSMOS P.835: a non-intrusive perceptual objective speech quality metric to evaluate
    noise suppressors".  The network is read from the package speechmos; it is convolutional with a maximum over time,
    so it also accepts clips shorter than its 9 s.  It costs several times the arithmetic of the network being trained:
    only the first `clips` of a batch are scored, and of these the last `seconds` (0: all; at least 0.32).  Clips whose
    target is silent there are ignored.  Convolutions may be computed in bfloat16, several times faster on processors
    with 16-bit matrix units.

    A measure used as the training target says less about the result: check other measures, and listen.

    Raises
    ------
    MissingExtraError
        Without the packages speechmos and onnx.
    """
    require_whole("clips", clips, 1)
    require_between("seconds", seconds, 0.0, 3600.0)
    n = max(round(seconds * _RATE_HZ), OPINION_SAMPLES) if seconds else 0  # the slice [-0:] is all
    if compute_dtype not in _DTYPES:
        raise ConfigError(f"compute_dtype={compute_dtype!r} must be one of {', '.join(_DTYPES)}")
    weights = _weights()

    def term(ops: Any, estimate: Tensor, target: Tensor) -> Tensor:
        heard = raw_opinions(ops, weights, _SPEECH_LEVEL * estimate[:clips, -n:], compute_dtype)
        power = ops.mean(ops.square(target[:clips, -n:]), -1)
        counts = ops.cast(power > _SILENT_POWER, "float32")
        return -ops.sum(counts * heard[:, _OVERALL]) / clips

    return term


def raw_opinions(ops: Any, weights: dict[str, Any], signal: Tensor, compute_dtype: str = "float32") -> Tensor:
    """Signal, background and overall quality before DNSMOS's own polynomial, ``(batch, n_samples) -> (batch, 3)``."""
    weights = {name: ops.convert_to_tensor(array) for name, array in weights.items()}
    count = signal.shape[1] // _HOP
    hops = ops.reshape(signal[:, : count * _HOP], (-1, count, _HOP))
    frames = ops.concatenate([hops[:, :-1], hops[:, 1:]], -1)
    real, imag = (ops.matmul(frames, weights[part]) for part in ("real", "imag"))
    power = ops.maximum(real * real + imag * imag, weights["floor"])
    rows = ops.cast(ops.expand_dims(ops.log(power) * weights["scale"], -1), compute_dtype)
    for name in _CONVOLUTIONS:
        kernel, bias = (ops.cast(weights[f"{name}/{part}"], compute_dtype) for part in ("kernel", "bias"))
        rows = ops.relu(ops.conv(rows, kernel, padding="same") + bias)
        if name in _POOLED:
            rows = ops.max_pool(rows, 2, 2, padding="valid")
    values = ops.cast(ops.max(rows, (1, 2)), "float32")
    for name in _DENSE:
        values = ops.matmul(values, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]
        values = values if name == _DENSE[-1] else ops.relu(values)
    return values


@functools.cache
def _weights() -> dict[str, F32]:
    """The network's arrays under the names that `raw_opinions` uses."""
    package = find_spec("speechmos")
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("the loss term opinion needs onnx: pip install 'rtdenoise[mos]'") from error
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("the loss term opinion needs speechmos: pip install 'rtdenoise[mos]'")
    path = Path(package.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    stored = {a.name: np.array(onnx.numpy_helper.to_array(a)) for a in onnx.load(path).graph.initializer}
    try:
        return _arranged(stored)
    except KeyError as error:
        raise ConfigError(f"{path.name} of the installed speechmos is another network: no array {error}") from error


def _arranged(stored: dict[str, Any]) -> dict[str, F32]:
    weights = {part: stored[f"time2freq/stft-{part}/kernel:0"][:, :, 0].T for part in ("real", "imag")}
    for name in _CONVOLUTIONS:
        weights[f"{name}/kernel"] = stored[f"{name}/kernel:0"].transpose(2, 3, 1, 0)
        weights[f"{name}/bias"] = stored[f"{name}/bias:0"]
    head = "mos_estimator_logpow"
    for name in _DENSE:
        weights[f"{name}/kernel"] = stored[f"{head}/{name}/MatMul/ReadVariableOp/resource:0"]
        weights[f"{name}/bias"] = stored[f"{head}/{name}/BiasAdd/ReadVariableOp/resource:0"]
    exponent = float(stored[f"{head}/pow/y:0"])
    weights["floor"] = np.asarray(stored[f"{head}/Maximum/x:0"]) ** (2.0 / exponent)
    weights["scale"] = 0.5 * exponent / np.asarray(stored[f"{head}/truediv/y:0"])
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}
