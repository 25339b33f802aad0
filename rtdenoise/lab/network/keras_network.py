"""The network as a Keras model, for any Keras backend: whole signals in, whole signals out, differentiable."""

from __future__ import annotations

import functools
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.lab.network import banded_form
from rtdenoise.lab.network.interleaved import interleaved_class
from rtdenoise.lab.network.spectral_form import apply_mask, fine_inputs, spectral_inputs
from rtdenoise.methods.can.layers import features, fine
from rtdenoise.methods.can.notices import import_quietly
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.streaming.windows import hann, window_pair

if TYPE_CHECKING:
    from types import ModuleType

    Tensor = Any


DILATIONS = ("direct", "interleaved")


def import_keras() -> ModuleType:
    """Import Keras without its log output; one-line error if the extra or the backend is missing."""
    backend = os.environ.get("KERAS_BACKEND", "")
    try:
        return import_quietly("keras")
    except ImportError as error:
        if backend and find_spec("keras") is not None:
            raise MissingExtraError(
                f"KERAS_BACKEND={backend}, which is not installed here; install it, or leave the variable out"
            ) from error
        raise MissingExtraError("building the network needs Keras: pip install 'rtdenoise[tf]'") from error
    except ValueError as error:
        raise ConfigError(f"KERAS_BACKEND={backend} must be one of tensorflow, jax, torch") from error


def build_network(spec: CanSpec, *, compute_dtype: str = "float32", dilation: str = "direct") -> Any:
    """The network as a ``keras.Model``: ``(batch, n_samples) -> (batch, n_samples)``, float32.

    The output of networks over spectra and frames lags the input by `CanSpec.latency_samples`, as in the stream, and
    they take multiples of the hop.  The output of wave networks is aligned.

    Parameters
    ----------
    spec : CanSpec
    compute_dtype : str
        Type of the inputs and kernels of the convolutions; weights and the sums between layers stay float32.
    dilation : {"direct", "interleaved"}
        Implementation of dilated layers, see `rtdenoise.lab.network.interleaved`; the network is the same.

    Raises
    ------
    ConfigError
        For an unknown `dilation`.
    """
    if dilation not in DILATIONS:
        raise ConfigError(f"dilation={dilation!r} must be one of {', '.join(DILATIONS)}")
    keras = import_keras()
    noisy = keras.Input(shape=(None,), dtype="float32", name="noisy")
    if spec.domain == "wave":
        rows = _stack(keras, spec, keras.ops.expand_dims(noisy, -1), compute_dtype, dilation)
        estimate = keras.ops.squeeze(rows, -1)
    elif spec.domain == "framed":
        frames = _stack(keras, spec, cut_frames(keras, noisy, spec.frame, spec.stride), compute_dtype, dilation)
        estimate = add_frames(keras, frames, spec.stride)
    else:
        real, imag = analyse(keras, spec, noisy, spec.span)
        heard = analyse(keras, spec, noisy, spec.listening_span) if spec.listens_apart else (real, imag)
        rows, heights = spectral_inputs(keras.ops, spec, *heard)
        if spec.bands:
            outputs = banded_form.layer_class(keras)(spec, name=banded_form.LAYER)(rows, heights)
        else:
            outputs = _stack(keras, spec, rows, compute_dtype, dilation) + _skip(keras, spec, heights)
        if spec.fine_channels:
            outputs = outputs + _fine(keras, spec, fine_inputs(keras.ops, spec, outputs, rows, heights), compute_dtype)
        if spec.beside is not None:
            kept = banded_form.share_class(keras)(name=banded_form.SHARE)(outputs)
            layers = banded_form.layer_class(keras)(spec.apart, name=banded_form.BESIDE)
            outputs = kept + layers(rows, heights)
        real, imag = apply_mask(keras.ops, spec, outputs, real, imag)
        estimate = synthesise(keras, spec, real, imag)
    return keras.Model(noisy, estimate, name=spec.name.replace("-", "_"))


def _stack(keras: Any, spec: CanSpec, rows: Tensor, compute_dtype: str, form: str) -> Tensor:
    """The dilated convolutions between the first and the last layer, ``(batch, n_rows, n)`` in and out."""
    policy = "float32" if compute_dtype == "float32" else f"mixed_{compute_dtype}"
    if spec.domain != "wave":
        kernel = learnt_window(spec)[0] if spec.domain == "framed" else None
        first = keras.layers.Dense(spec.channels, dtype=policy, kernel_initializer=_fixed(keras, kernel), name="input")
        rows = keras.ops.cast(first(rows), "float32")
    for index, dilation in enumerate(spec.dilations):
        layer = _convolution(keras, spec, rows, dilation, index, policy, form)
        rows = rows + features.RESIDUAL_SCALE * layer if spec.residual else layer
    start = features.GAIN_START if spec.domain == "spectral" else 0.0
    bias = np.zeros(spec.n_outputs, np.float32)
    bias[: spec.n_bins if spec.domain == "spectral" else 0] = start
    output = keras.layers.Dense(
        spec.n_outputs,
        dtype=policy,
        name="output",
        kernel_initializer=_output_start(keras, spec),
        bias_initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(bias, dtype),
    )
    return keras.ops.cast(output(rows), "float32")


def _fixed(keras: Any, values: np.ndarray | None) -> Any:
    """An initializer that returns `values`; Keras's default if None."""
    if values is None:
        return "glorot_uniform"
    return lambda shape, dtype=None: keras.ops.convert_to_tensor(values, dtype)


def _output_start(keras: Any, spec: CanSpec) -> Any:
    """Initial values of the last layer: small for masks, the inverse of the analysis for frames."""
    if spec.domain == "spectral":
        return keras.initializers.VarianceScaling(0.1)
    return _fixed(keras, learnt_window(spec)[1] if spec.domain == "framed" else None)


def _convolution(keras: Any, spec: CanSpec, rows: Tensor, dilation: int, index: int, policy: str, form: str) -> Tensor:
    """One layer: convolution, normalisation, leaky rectifier."""
    adaptive = spec.normalisation == "adaptive"
    convolution = keras.layers.Conv1D(
        spec.channels,
        spec.kernel,
        dilation_rate=dilation if form == "direct" else 1,
        padding="causal" if spec.causal else "same",
        use_bias=not adaptive,
        dtype=policy,
        kernel_initializer="he_normal" if spec.residual else _identity_start(keras, spec.causal),
        name=f"conv{index}",
    )
    if form == "interleaved":
        convolution = interleaved_class(keras)(convolution, dilation, name=f"dilated{index}")
    rows = keras.ops.cast(convolution(rows), "float32")
    if adaptive:
        rows = _adaptive_normalisation(keras)(name=f"norm{index}")(rows)
    return keras.ops.leaky_relu(rows, spec.slope)


def _identity_start(keras: Any, causal: bool) -> Any:
    """Initialiser that passes the present row unchanged, with other taps small (Germain et al. 2018, section 2.1)."""

    def present(taps: int) -> int:
        return taps - 1 if causal else taps // 2

    def initialise(shape: tuple[int, int, int], dtype: Any = None) -> Tensor:
        taps, n_in, n_out = shape
        passing = np.zeros(shape, np.float32)
        passing[present(taps)] = np.eye(n_in, n_out) if n_in == n_out else 1.0 / n_in
        return keras.ops.convert_to_tensor(passing) + keras.random.normal(shape, stddev=0.02, dtype=dtype)

    return initialise


@functools.cache
def _adaptive_normalisation(keras: Any) -> Any:
    """The layer class ``w0 * x + w1 * batchnorm(x)``; a factory, because Keras is imported late."""

    class AdaptiveNormalisation(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """Germain et al. (2018), section 2.1; running statistics when not training."""

        def build(self, shape: tuple[int, ...]) -> None:
            self.w0 = self.add_weight(shape=(), initializer="ones", name="w0")
            self.w1 = self.add_weight(shape=(), initializer="zeros", name="w1")
            self.batchnorm = keras.layers.BatchNormalization(
                scale=False,
                epsilon=features.BATCHNORM_EPSILON,
                momentum=features.BATCHNORM_MOMENTUM,
                dtype=self.dtype_policy,
                name="batchnorm",
            )
            self.batchnorm.build(shape)

        def call(self, rows: Tensor, training: bool | None = None) -> Tensor:
            return self.w0 * rows + self.w1 * self.batchnorm(rows, training=training)

    return AdaptiveNormalisation


def analyse(keras: Any, spec: CanSpec, signal: Tensor, span: int) -> tuple[Tensor, Tensor]:
    """Spectra of a signal that starts after silence, one per hop.

    Parameters
    ----------
    keras : module
    signal : (batch, n_hops * hop) tensor
    span : int
        Of the pair whose analysis window is used.

    Returns
    -------
    real, imag : (batch, n_hops, n_bins) tensors
    """
    ops = keras.ops
    window, _ = window_pair(spec.frame, span, spec.hop)
    frames = cut_frames(keras, signal, spec.frame, spec.hop)
    real, imag = ops.rfft(frames * ops.convert_to_tensor(window.astype(np.float32)))
    return real, imag


def synthesise(keras: Any, spec: CanSpec, real: Tensor, imag: Tensor) -> Tensor:
    """Overlap-add of spectra, later than the analysed signal by `CanSpec.latency_samples`.

    Returns
    -------
    (batch, n_hops * hop) tensor
    """
    ops = keras.ops
    _, window = window_pair(spec.frame, spec.span, spec.hop)
    frames = ops.irfft((real, imag), fft_length=spec.frame)[..., spec.frame - spec.span :]
    frames = frames * ops.convert_to_tensor(window.astype(np.float32))
    return add_frames(keras, frames, spec.hop)


def cut_frames(keras: Any, signal: Tensor, frame: int, hop: int) -> Tensor:
    """The last `frame` samples at every `hop`, ``(batch, n) -> (batch, n // hop, frame)``; silence before."""
    past = frame // hop - 1
    pieces = keras.layers.Reshape((-1, hop))(signal)
    pieces = keras.ops.pad(pieces, [[0, 0], [past, 0], [0, 0]])
    return keras.ops.concatenate([*(pieces[:, k : k - past] for k in range(past)), pieces[:, past:]], -1)


def add_frames(keras: Any, frames: Tensor, hop: int) -> Tensor:
    """Overlap-add, ``(batch, n_frames, length) -> (batch, n_frames * hop)``: each hop is output once complete."""
    total = frames[..., :hop]
    for k in range(1, frames.shape[-1] // hop):
        part = frames[..., k * hop : (k + 1) * hop]
        total = total + keras.ops.pad(part, [[0, 0], [k, 0], [0, 0]])[:, :-k]
    return keras.layers.Reshape((-1,))(total)


def learnt_window(spec: CanSpec) -> tuple[np.ndarray, np.ndarray]:
    """Initial analysis ``(frame, channels)`` and synthesis ``(channels, frame)``: a perfect-reconstruction pair.

    A square-root Hann window times orthonormal rows (a cosine transform), and their transpose; the lowest frequencies
    if there are fewer channels than samples in the frame.
    """
    n = spec.frame
    window = np.sqrt(hann(n))
    basis = np.zeros((n, spec.channels))
    kept = min(n, spec.channels)
    basis[:, :kept] = fft.dct(np.eye(n), axis=0, norm="ortho").T[:, :kept]
    analysis = window[:, None] * basis
    synthesis = analysis.T / (np.sum(window**2) / spec.stride)
    return analysis.astype(np.float32), synthesis.astype(np.float32)


def _skip(keras: Any, spec: CanSpec, heights: Tensor) -> Tensor:
    """Skip connection from each bin's heights to its gain, around the stack: ``(batch, n_hops, n_outputs)``."""
    start = np.stack([np.zeros(spec.n_bins), np.full(spec.n_bins, features.FLOOR_SKIP_START)]).astype(np.float32)
    skip = keras.layers.EinsumDense(
        "btkf,kf->btf",
        output_shape=(None, spec.n_bins),
        kernel_initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(start, dtype),
        name="skip",
    )(heights)
    return keras.ops.pad(skip, [[0, 0], [0, 0], [0, spec.n_outputs - spec.n_bins]])


def _fine(keras: Any, spec: CanSpec, rows: Tensor, compute_dtype: str) -> Tensor:
    """Contribution of the fine layers to the stack's outputs: ``(batch, n_hops, n_outputs)``, zero before training."""
    policy = "float32" if compute_dtype == "float32" else f"mixed_{compute_dtype}"
    ops = keras.ops

    def layer(number: int, rows: Tensor, frames: int) -> Tensor:
        convolution = keras.layers.Conv2D(
            spec.fine_channels,
            (frames, fine.WIDTH),
            dtype=policy,
            kernel_initializer="he_normal",
            name=f"fine{number}",
        )
        return ops.leaky_relu(ops.cast(convolution(rows), "float32"), spec.slope)

    around = [[0, 0], [0, 0], [fine.REACH, fine.REACH], [0, 0]]
    rows = layer(0, rows, fine.FRAMES)
    for number in range(fine.LAYERS):
        rows = rows + layer(1 + number, ops.pad(rows, around), 1)
    last = keras.layers.Dense(fine.BINS, dtype=policy, kernel_initializer="zeros", name="fine_output")
    added = keras.layers.Reshape((-1, fine.groups(spec.n_bins) * fine.BINS))(ops.cast(last(rows), "float32"))
    return ops.pad(added[..., : spec.n_bins], [[0, 0], [0, 0], [0, spec.n_outputs - spec.n_bins]])
