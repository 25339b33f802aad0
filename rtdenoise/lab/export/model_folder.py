"""Export a training checkpoint to a model folder: weights, LiteRT files, specification, checksums."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.lab.export.card import CARD, write_card
from rtdenoise.lab.export.rounding import inputs_of, pieces_of, rounded_for
from rtdenoise.lab.training.trained import as_trained, differences
from rtdenoise.methods.can import models
from rtdenoise.methods.can.layers.rings import plan_rings
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.tensorflow.engine import import_tensorflow
from rtdenoise.methods.can.tensorflow.graph import input_shapes, network_step
from rtdenoise.methods.can.weights import Network, from_keras, rounded, weights_as_bytes
from rtdenoise.methods.can.whole import WholeNetwork, whole_from_keras

_LOG = logging.getLogger(__name__)

PRECISIONS = ("float32", "float16", "int8")


def step_function(network: Network, streams: int = 1) -> Any:
    """One stateless step as a ``tf.function`` with named inputs and outputs (past rows in, new rows out)."""
    tf = import_tensorflow()
    plan = plan_rings(network.spec)
    shapes = input_shapes(network.spec, plan, streams)
    if not plan.deep:
        shapes.pop("taps")
    signature = {name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()}

    def step(**inputs: Any) -> dict[str, Any]:
        answer = network_step(tf, network, plan, {"taps": None, **inputs})
        return {name: tf.identity(value, name) for name, value in answer.items()}

    module = tf.Module()
    module.step = tf.function(step, input_signature=None).get_concrete_function(**signature)
    return module


def convert_litert(network: Network, *, streams: int = 1, precision: str = "float16") -> bytes:
    """The step as a LiteRT file.

    Parameters
    ----------
    network : Network
    streams : int
    precision : {"float32", "float16", "int8"}
        Storage type of the weights.  Arithmetic is float32, except that int8 uses 8-bit products where possible
        ("dynamic range").

    Raises
    ------
    ConfigError
        For an unknown precision.
    MissingExtraError
        Without TensorFlow.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision!r} must be one of {', '.join(PRECISIONS)}")
    tf = import_tensorflow()
    module = step_function(network, streams)
    with _saved(tf, module) as folder:
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["step"])
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        content: bytes = converter.convert()
    return content


@contextlib.contextmanager
def _saved(tf: Any, module: Any) -> Iterator[str]:
    """A SavedModel in a temporary folder."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"step": module.step})
        yield folder


def write_model(network: Network, folder: Path, *, int8: bool = False, whole: WholeNetwork | None = None) -> Network:
    """Write a model folder (all but its card); returns the network as stored (`rounded`).

    `whole`, with its weights unchanged, is stored next to a network that normalises files with their own statistics.

    Raises
    ------
    ModelError
        If the folder cannot be written.
    """
    stored = rounded(network)
    contents = {models.SPEC: stored.spec.as_json().encode(), models.WEIGHTS: weights_as_bytes(stored)}
    if whole is not None:
        contents[models.WHOLE] = whole.as_bytes()
    contents[models.LITERT] = convert_litert(stored)
    if int8:
        contents[models.LITERT_INT8] = convert_litert(stored, precision="int8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        models.write_files(folder, contents)
    except OSError as error:
        raise ModelError(f"{folder}: model not written ({error.strerror})") from error
    return stored


def network_from_checkpoint(path: Path, spec: CanSpec, *, averaged: bool = True) -> tuple[Network, dict[str, Any]]:
    """The network of a training checkpoint, and the run's facts; parameters as for `model_from_checkpoint`."""
    model, facts = model_from_checkpoint(path, spec, averaged=averaged)
    return from_keras(spec, model), facts


def model_from_checkpoint(path: Path, spec: CanSpec, *, averaged: bool = True) -> tuple[Any, dict[str, Any]]:
    """The Keras network of a training checkpoint, and the run's facts.

    Parameters
    ----------
    path : Path
    spec : CanSpec
        Network the run trained; only runtime values (`mask_power`, `gain_min_db`) may differ.
    averaged : bool
        Use the averaged weights, where the checkpoint has them, instead of the last ones.

    Raises
    ------
    ModelError
        If checkpoint and specification disagree.
    """
    from rtdenoise.lab.network.keras_network import build_network
    from rtdenoise.lab.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    model = build_network(spec)
    arrays = (averaged and checkpoint.averages) or checkpoint.weights
    shapes = [tuple(w.shape) for w in model.weights]
    if differences(spec, checkpoint.facts) or shapes != [a.shape for a in arrays]:
        raise ModelError(f"{path}: the checkpoint does not fit the specification {spec.name!r}")
    for variable, array in zip(model.weights, arrays, strict=True):
        variable.assign(array)
    return model, {"step": checkpoint.step, **checkpoint.facts}


def write_start(checkpoint: Path, path: Path) -> None:
    """Write a small checkpoint to start another run from: trained weights in 16 bits, no optimiser state."""
    from rtdenoise.lab.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

    found = load_checkpoint(checkpoint)
    weights = [a.astype(np.float16) for a in found.weights]
    save_checkpoint(path, Checkpoint(found.step, weights, [], [], {"audio_seconds": found.facts["audio_seconds"]}))


def warn_of_card(folder: Path) -> None:
    """Warn that the existing card of a folder is kept although it may describe other weights."""
    _LOG.warning(
        "%s is kept, as a person wrote or changed it: its figures are of the weights it was written for", folder / CARD
    )


def export_checkpoint(
    checkpoint: Path,
    spec: CanSpec,
    folder: Path,
    *,
    mask_power: float | None = None,
    gain_min_db: float | None = None,
    int8: bool = False,
    start: bool = False,
    recordings: Path | None = None,
    config: Path | None = None,
) -> dict[str, Any]:
    """Export the averaged weights of a run; returns the run's facts.

    The weights of a dense network over spectra are rounded for noisy `recordings`, a file or a folder, if they are
    given (`rtdenoise.lab.export.rounding`), else each by itself.  Name and runtime values are those of `spec`; the
    trained settings come from the checkpoint if it records them.  A card is written if `config`, the run's
    configuration, is given; a card written or edited by hand is kept.
    """
    from rtdenoise.lab.export.convert import read_signals
    from rtdenoise.lab.training.checkpoint import load_checkpoint

    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    trained = as_trained(spec, load_checkpoint(checkpoint).facts)
    used = replace(
        trained,
        mask_power=spec.mask_power if mask_power is None else mask_power,
        gain_min_db=spec.gain_min_db if gain_min_db is None else gain_min_db,
    )
    model, facts = model_from_checkpoint(checkpoint, used)
    whole = whole_from_keras(used, model) if used.statistics == "file" else None
    options = _options(mask_power=mask_power, gain_min_db=gain_min_db, int8=int8, start=start)
    options += [] if recordings is None else ["--recordings RECORDINGS"]
    network = from_keras(used, model)
    if recordings is not None:
        pieces = pieces_of(read_signals(recordings, used.sample_rate), used.sample_rate)
        network = rounded_for(network, [inputs_of(network, piece) for piece in pieces])
    network = write_model(network, folder, int8=int8, whole=whole)
    try:
        if start:
            write_start(checkpoint, folder / models.START)
            models.write_checksums(folder)
        if config is not None and not write_card(
            folder, used, network.n_weights, int(facts["step"]), facts, checkpoint, config, options
        ):
            warn_of_card(folder)
    except OSError as error:
        raise ModelError(f"{folder}: model not written whole ({error.strerror})") from error
    return facts


def _options(**given: bool | float | None) -> list[str]:
    """Format options as on the command line."""
    found = []
    for name, value in given.items():
        if value is not None and value is not False:
            flag = f"--{name.replace('_', '-')}"
            found.append(flag if value is True else f"{flag} {value:g}")
    return found
