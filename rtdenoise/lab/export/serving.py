"""Export for model servers: a SavedModel from samples to samples with explicit state, and Triton's configuration."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError
from rtdenoise.kernels.clean_speech import clarity
from rtdenoise.methods.can.layers.rings import plan_all, plan_rings
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.tensorflow.engine import import_tensorflow
from rtdenoise.methods.can.tensorflow.graph import input_shapes, network_step
from rtdenoise.methods.can.weights import Network
from rtdenoise.streaming.windows import window_pair
from rtdenoise.units import amplitude_from_db, smoothing_per_hop

Shapes = dict[str, tuple[int, ...]]
SIGNATURE = "serving_default"
_NUMBER = "step_number"
_INSTANCES = 16  # concurrent streams on a server; a starting point, to be edited in config.pbtxt


def state_shapes(spec: CanSpec, streams: int = 1) -> Shapes:
    """Shapes of a stream's state between requests; zeros at the start of the stream.

    ``step_number`` is an int32, all else float32.
    """
    plan = plan_rings(spec)
    shapes = input_shapes(spec, plan, streams)
    state = {name: shape for name, shape in shapes.items() if name.startswith("past")}
    for prefix, (each, width) in plan_all(spec).items():
        state[f"{prefix}rings"] = (each.n_slots, streams * each.block, width)
        state[_NUMBER] = (1,)
    if spec.domain == "spectral":
        state["energies"] = (streams, 2)
        state["history"] = (streams, spec.frame - spec.hop)
        state["overlap"] = (streams, spec.span - spec.hop)
    return {name: shape for name, shape in state.items() if 0 not in shape}


def serving_function(network: Network, streams: int = 1) -> Any:
    """A ``tf.Module`` whose function ``step`` handles one request: block and state in, block and state out."""
    tf = import_tensorflow()
    spec, plan = network.spec, plan_rings(network.spec)
    kinds = {name: tf.int32 if name == _NUMBER else tf.float32 for name in state_shapes(spec, streams)}
    shapes = {"block": (streams, spec.hop), **state_shapes(spec, streams)}
    signature = {name: tf.TensorSpec(shape, kinds.get(name, tf.float32), name=name) for name, shape in shapes.items()}

    def step(**given: Any) -> dict[str, Any]:
        inputs, kept = _inputs(tf, network, given)
        answer = network_step(tf, network, plan, inputs)
        kept |= _written(tf, spec, given, answer)
        heard = tf.complex(inputs["real"], inputs["imag"]) if spec.domain == "spectral" else None
        block, more = _block(tf, spec, answer, given, heard)
        kept |= {name: value for name, value in answer.items() if name.startswith("past")} | more
        named = {"enhanced": block, **{f"next_{name}": value for name, value in kept.items()}}
        return {name: tf.identity(value, name) for name, value in named.items()}

    module = tf.Module()
    module.step = tf.function(step, input_signature=None).get_concrete_function(**signature)
    return module


def _inputs(tf: Any, network: Network, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs of `network_step`, and the history for the next request."""
    spec = network.spec
    inputs = {name: value for name, value in given.items() if name.startswith("past")}
    inputs["taps"] = None
    for prefix, (plan, width) in plan_all(spec).items():
        taps = tf.gather(given[f"{prefix}rings"], plan.reads(given[_NUMBER]))
        inputs[f"{prefix}taps"] = tf.reshape(taps, (-1, width))
    if spec.domain != "spectral":
        return inputs | {"rows": tf.reshape(given["block"], (-1, 1))}, {}
    frame = tf.concat([given["history"], given["block"]], -1)
    for prefix, span in (("", spec.span), ("heard_", spec.listening_span))[: 1 + spec.listens_apart]:
        window, _ = window_pair(spec.frame, span, spec.hop)
        spectrum = tf.signal.rfft(frame * window.astype(np.float32))
        inputs |= {f"{prefix}real": tf.math.real(spectrum), f"{prefix}imag": tf.math.imag(spectrum)}
    inputs["gain_min"] = tf.constant([amplitude_from_db(spec.gain_min_db)], tf.float32)
    return inputs, {"history": frame[:, spec.hop :]}


def _written(tf: Any, spec: CanSpec, given: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The rings after this request; takes what is written to them out of `answer`."""
    plans, kept = plan_all(spec), {}
    for prefix, (plan, _) in plans.items():
        slots, rows = plan.writes(given[_NUMBER])[:, None], answer.pop(f"{prefix}written")
        kept[f"{prefix}rings"] = tf.tensor_scatter_nd_update(given[f"{prefix}rings"], slots, rows)
    if plans:
        kept[_NUMBER] = (given[_NUMBER] + 1) % math.lcm(*(plan.period for plan, _ in plans.values()))
    return kept


def _block(
    tf: Any, spec: CanSpec, answer: dict[str, Any], given: dict[str, Any], heard: Any
) -> tuple[Any, dict[str, Any]]:
    """The enhanced samples, and the tail that overlaps the next block."""
    if spec.domain != "spectral":
        return tf.reshape(answer["rows"], (-1, spec.hop)), {}
    _, window = window_pair(spec.frame, spec.span, spec.hop)
    spectrum, energies = _kept_clear(tf, spec, tf.complex(answer["real"], answer["imag"]), heard, given["energies"])
    frame = tf.signal.irfft(spectrum, [spec.frame])[:, spec.frame - spec.span :]
    frame = frame * window.astype(np.float32)
    if spec.listens_apart:
        return frame, {"energies": energies}
    total = frame + tf.pad(given["overlap"], [[0, 0], [0, spec.hop]])
    return total[:, : spec.hop], {"overlap": total[:, spec.hop :], "energies": energies}


def _kept_clear(tf: Any, spec: CanSpec, masked: Any, heard: Any, energies: Any) -> tuple[Any, Any]:
    """`keep_clear` of `kernels.clean_speech.clarity` in TensorFlow: spectrum, and energies for the next request."""
    smoothing = smoothing_per_hop(clarity.SMOOTHING_SECONDS, spec.hop / spec.sample_rate)
    gain_min = amplitude_from_db(spec.gain_min_db)
    power = [tf.reduce_sum(tf.square(tf.abs(part)), -1) + 1e-12 for part in (masked, heard - masked)]
    energies = smoothing * energies + (1.0 - smoothing) * tf.stack(power, -1)
    snr_db = tf.math.log(energies[:, :1] / energies[:, 1:]) * (10.0 / np.log(10.0))
    share = tf.clip_by_value((snr_db - clarity.LOWEST_DB) / (clarity.HIGHEST_DB - clarity.LOWEST_DB), 0.0, 1.0)
    ratio = tf.sqrt(tf.square(tf.abs(masked)) / (tf.square(tf.abs(heard)) + 1e-12))
    u = tf.clip_by_value((ratio - gain_min) / (clarity.GAIN_KEPT * (1.0 - gain_min)), 0.0, 1.0)
    return masked + tf.cast(share * u * u * (3.0 - 2.0 * u), masked.dtype) * (heard - masked), energies


def export_saved_model(network: Network, folder: Path, streams: int = 1) -> None:
    """Write ``FOLDER/1/model.savedmodel`` and ``config.pbtxt``, as Triton reads them.

    Held vowels of clean recordings are not restored (`rtdenoise.methods.can.compiled.voiced`), unlike in all engines.

    For TensorFlow Serving, move the contents of ``model.savedmodel`` directly into ``FOLDER/1``; there the client
    passes the state along itself.

    Raises
    ------
    ModelError
        If the folder cannot be written.
    """
    tf = import_tensorflow()
    module = serving_function(network, streams)
    try:
        tf.saved_model.save(module, str(folder / "1" / "model.savedmodel"), signatures={SIGNATURE: module.step})
        (folder / "config.pbtxt").write_text(triton_config(network.spec, streams), encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{folder}: not written ({error.strerror})") from error


_TRITON = """name: "{name}"
platform: "tensorflow_savedmodel"
max_batch_size: 0
input [ {{ name: "block" data_type: TYPE_FP32 dims: {block} }} ]
output [ {{ name: "enhanced" data_type: TYPE_FP32 dims: {block} }} ]
# each instance serves one stream at a time
instance_group [ {{ count: {instances} }} ]
sequence_batching {{
  max_sequence_idle_microseconds: 5000000
{states}
}}
"""
_STATE = """  state {{
    input_name: "{name}"
    output_name: "next_{name}"
    data_type: {kind}
    dims: {shape}
    initial_state {{ name: "{name}" data_type: {kind} dims: {shape} zero_data: true }}
  }}"""


def triton_config(spec: CanSpec, streams: int = 1) -> str:
    """Triton's model configuration: its sequence batcher keeps the state, and clients send only blocks."""
    states = "\n".join(
        _STATE.format(name=name, shape=list(shape), kind="TYPE_INT32" if name == _NUMBER else "TYPE_FP32")
        for name, shape in state_shapes(spec, streams).items()
    )
    return _TRITON.format(name=spec.name, instances=_INSTANCES, block=[streams, spec.hop], states=states)
