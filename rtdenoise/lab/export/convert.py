"""Import a TensorFlow 1 checkpoint of the published network (variables ``se_conv_*``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import AudioFileError, ConfigError, ModelError
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.tensorflow.engine import import_tensorflow
from rtdenoise.methods.can.whole import WholeNetwork
from rtdenoise.typing import F32, F64


def is_tensorflow1(path: Path) -> bool:
    """Whether a path, or the common prefix of its files, is a TensorFlow checkpoint."""
    return path.suffix == ".index" or Path(f"{path}.index").is_file()


def read_tensorflow1(path: Path, spec: CanSpec) -> tuple[WholeNetwork, F64 | None]:
    """The network of a checkpoint, and its stored statistics ``(n_layers, 2, channels)`` if present.

    Layers are named ``se_conv_0`` to ``se_conv_12`` and ``se_conv_last``, each with ``weights`` ``(1, kernel, n_in,
    n_out)``, ``w0``, ``w1``, ``BatchNorm/beta`` and perhaps ``BatchNorm/moving_mean`` and ``moving_variance``; the
    output is ``se_fc_last``.

    Parameters
    ----------
    The common prefix of the files, for example ``se_model.ckpt``, or its ``.index``.
        The common part of the files' names, for example ``se_model.ckpt``, or its ``.index``.
    spec : CanSpec

    Raises
    ------
    ModelError
        If files or variables are missing, or shapes do not fit `spec`.
    """
    tf = import_tensorflow()
    stem = path.with_suffix("") if path.suffix == ".index" else path
    try:
        reader = tf.train.load_checkpoint(str(stem))
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"{stem}: not a TensorFlow checkpoint, or a damaged one ({reason})") from error
    shapes = reader.get_variable_to_shape_map()
    layers = [f"se_conv_{i}" for i in range(len(spec.dilations) - 1)] + ["se_conv_last"]

    def array(name: str) -> F32:
        if name not in shapes:
            raise ModelError(f"{stem}: no variable {name!r}; expected {', '.join(layers[:2])}, ... and se_fc_last")
        return np.asarray(reader.get_tensor(name), np.float32)

    _check_depth(stem, spec, shapes)
    last = array("se_fc_last/weights"), array("se_fc_last/biases")
    network = WholeNetwork(
        spec,
        tuple(_squeezed(stem, name, array(f"{name}/weights")) for name in layers),
        np.array([float(array(f"{name}/w0")) for name in layers], np.float32),
        np.array([float(array(f"{name}/w1")) for name in layers], np.float32),
        tuple(array(f"{name}/BatchNorm/beta") for name in layers),
        (_squeezed(stem, "se_fc_last", last[0])[0], last[1]),
    )
    kept = [f"{name}/BatchNorm/moving_{kind}" for name in layers for kind in ("mean", "variance")]
    if not all(name in shapes for name in kept):
        return network, None
    statistics = np.array([reader.get_tensor(name) for name in kept], np.float64)
    return network, statistics.reshape(len(layers), 2, spec.channels)


def _check_depth(stem: Path, spec: CanSpec, shapes: dict[str, Any]) -> None:
    found = sum(name.startswith("se_conv_") and name.endswith("/weights") for name in shapes)
    if found and found != len(spec.dilations):
        raise ModelError(f"{stem}: {found} convolutions, not the {len(spec.dilations)} of {spec.name!r}")


def _squeezed(stem: Path, name: str, kernel: F32) -> F32:
    """Convert a two-dimensional convolution over one row to one over time."""
    if kernel.ndim != 4 or kernel.shape[0] != 1:
        raise ModelError(f"{stem}: {name}/weights has shape {kernel.shape}, not (1, taps, n_in, n_out)")
    row: F32 = kernel[0]
    return row


def convert_tensorflow1(checkpoint: Path, spec: CanSpec, folder: Path, recordings: Path | None) -> None:
    """Write a model folder from a TensorFlow 1 checkpoint.

    Parameters
    ----------
    checkpoint : Path
        See `read_tensorflow1`.
    spec : CanSpec
    folder : Path
    recordings : Path, optional
        Noisy speech, a file or a folder, whose statistics are used to normalise streams; needed if the checkpoint
        stores none.

    Raises
    ------
    ModelError, ConfigError
        If the checkpoint, the specification or the recordings cannot be used.
    """
    from rtdenoise.lab.export.model_folder import write_model

    if spec.statistics != "file":
        raise ConfigError(f"{spec.name} is not the published network: give a configuration with network: germain2018")
    network, statistics = read_tensorflow1(checkpoint, spec)
    if recordings is not None:
        statistics = mean_statistics(network, read_signals(recordings, spec.sample_rate))
    if statistics is None:
        raise ModelError(
            f"{checkpoint} keeps no statistics to stream with: name noisy recordings to take them from (--recordings)"
        )
    write_model(network.frozen(statistics), folder, whole=network)


def read_signals(place: Path, sample_rate: int) -> list[F32]:
    """Return recordings, a file or all in a folder, as one channel at a rate in Hz.

    Raises
    ------
    ConfigError
        If one cannot be read.
    """
    from rtdenoise.lab.data.collection import audio_files
    from rtdenoise.lab.data.library import read_audio

    files = audio_files(place) if place.is_dir() else [place]
    try:
        return [read_audio(path, sample_rate) for path in files]
    except AudioFileError as error:
        raise ConfigError(f"{place}: recordings cannot be read ({error})") from error


def mean_statistics(network: WholeNetwork, signals: list[F32]) -> F64:
    """Means and variances over recordings, ``(n_layers, 2, channels)``, used to normalise streams.

    Raises
    ------
    ModelError
        Without a recording.
    """
    if not signals:
        raise ModelError("statistics need at least one recording: no audio file was found")
    found = np.array([network.statistics(signal) for signal in signals])
    lengths = np.array([len(signal) for signal in signals], np.float64)
    share = (lengths / lengths.sum())[:, None, None]
    mean = np.sum(share * found[:, :, 0], 0)
    power = np.sum(share * (found[:, :, 1] + found[:, :, 0] ** 2), 0)
    return np.stack([mean, power - mean**2], 1)
