"""TensorFlow step engine, on CPU or GPU, with ring buffers in variables that are updated in place."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rtdenoise.errors import DeviceError, MissingExtraError, require_choice
from rtdenoise.methods.can.layers.rings import plan_all, plan_rings
from rtdenoise.methods.can.notices import import_quietly
from rtdenoise.methods.can.tensorflow.graph import input_shapes, network_step, spectra
from rtdenoise.methods.can.weights import Network
from rtdenoise.typing import F32

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

_LOG = logging.getLogger(__name__)

DEVICES = ("cpu", "gpu", "auto")


class TensorFlowEngine:
    """A network in a TensorFlow session that runs in the caller's thread, and thus with its priority.

    One variable holds the rings of all deep layers, read by one gather at the start of the step and written by one
    scatter at its end; each shallow layer has its own variable.  A step takes one array and returns one: each further
    array costs as much as several operations (on a CPU 16 us, a tenth of the step of a small network).

    Parameters
    ----------
    network : Network
    streams : int
        Independent streams computed in one step.
    device : {"cpu", "gpu", "auto"}
        "auto" uses a GPU if available.

    Attributes
    ----------
    crossing_bytes : tuple of int
        Sizes of the input and output array of a step.

    Raises
    ------
    MissingExtraError
        If TensorFlow is not installed.
    DeviceError
        If a GPU is requested and none is available.
    """

    def __init__(self, network: Network, streams: int = 1, device: str = "cpu") -> None:
        tf = import_tensorflow()
        where = _device(tf, device)
        self._plan = plan_rings(network.spec)
        graph = tf.Graph()
        with graph.as_default(), tf.device(where):
            fed, fetches = self._build(tf, network, streams)
            initialise = tf.compat.v1.global_variables_initializer()
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=1,
            inter_op_parallelism_threads=-1,  # the caller's own thread
            allow_soft_placement=True,
        )
        config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
        config.gpu_options.allow_growth = True
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        self._initialise = self._session.make_callable(initialise)
        self._step = self._session.make_callable(fetches, feed_list=[fed])
        self._initialise()

    def _build(self, tf: Any, network: Network, streams: int) -> tuple[Any, list[Any]]:
        """Build the graph; return the placeholder to feed, and the output tensor and updates to fetch."""
        v1, spec, plan, plans = tf.compat.v1, network.spec, self._plan, plan_all(network.spec)
        period = math.lcm(*(each.period for each, _ in plans.values()))
        shapes = input_shapes(spec, plan, streams)
        given = ["rows"] if spec.domain != "spectral" else [*spectra(spec), "gain_min"]
        self._fed, self._places = _packed({name: shapes[name] for name in given})
        fed = v1.placeholder(tf.float32, self._fed.shape, "fed")
        parts = tf.split(fed, [place.size for place in self._places.values()])
        inputs = {name: tf.reshape(part, shapes[name]) for name, part in zip(given, parts, strict=True)}
        number = v1.get_variable("number", (), tf.int32, v1.zeros_initializer(), use_resource=True)
        now = number.read_value()
        inputs["taps"] = tf.zeros(shapes["taps"])  # of a stack without rings
        rings, read = {}, []
        for prefix, (each, width) in plans.items():
            slot = (streams * each.block, width)
            rings[prefix] = v1.get_variable(
                f"{prefix}rings", (each.n_slots, *slot), tf.float32, v1.zeros_initializer(), use_resource=True
            )
            past_taps = tf.gather(rings[prefix], tf.reshape(each.reads(now), [-1]))
            past_taps.set_shape((each.ages.size, *slot))
            read.append(past_taps)
            inputs[f"{prefix}taps"] = tf.unstack(past_taps)
        pasts = {}
        for name in (name for name in shapes if name.startswith("past")):
            shape = shapes[name][1:] if streams == 1 and name.removeprefix("past").isdigit() else shapes[name]
            pasts[name] = v1.get_variable(name, shape, tf.float32, v1.zeros_initializer(), use_resource=True)
            inputs[name] = pasts[name].read_value()
        answer = network_step(tf, network, plan, inputs)
        # The new past of a layer may not depend on the old one, so without this a write could precede the read.
        with tf.control_dependencies([now, *read, *(inputs[name] for name in pasts)]):
            updates = [pasts[name].assign(answer[name], read_value=False) for name in pasts]
            updates.append(number.assign((now + 1) % period, read_value=False))
            for prefix, (each, _) in plans.items():
                updates.append(
                    tf.raw_ops.ResourceScatterUpdate(
                        resource=rings[prefix].handle, indices=each.writes(now), updates=answer[f"{prefix}written"]
                    )
                )
        names = ["rows"] if spec.domain != "spectral" else ["real", "imag"]
        self._answered, self._answers = _packed({name: tuple(answer[name].shape) for name in names})
        flat = tf.concat([tf.reshape(answer[name], [-1]) for name in names], 0)
        self.crossing_bytes = (self._fed.nbytes, self._answered.nbytes)
        return fed, [flat, *updates]

    def step(self, inputs: Mapping[str, F32]) -> Mapping[str, F32]:
        """See `rtdenoise.methods.can.engine.StepEngine.step`."""
        for name, place in self._places.items():
            place[...] = inputs[name]
        self._answered[...] = self._step(self._fed)[0]
        return self._answers

    def reset(self) -> None:
        """See `rtdenoise.methods.can.engine.StepEngine.reset`."""
        self._initialise()

    def close(self) -> None:
        """Release the memory of the session; no step may follow."""
        self._session.close()


def _packed(shapes: dict[str, tuple[int, ...]]) -> tuple[F32, dict[str, F32]]:
    """Return a flat array and, by name, views of its parts with these shapes."""
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    flat = np.zeros(sum(sizes), np.float32)
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return flat, {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def import_tensorflow() -> ModuleType:
    """Import TensorFlow without its notices; raise `MissingExtraError` if it is not installed."""
    try:
        return import_quietly("tensorflow")
    except ImportError as error:
        raise MissingExtraError("the TensorFlow engine needs TensorFlow: pip install 'rtdenoise[tf]'") from error


def _device(tf: Any, device: str) -> str:
    """Return the TensorFlow name of the device to use."""
    require_choice("device", device, DEVICES)
    if device == "cpu":
        return "/CPU:0"
    if tf.config.list_physical_devices("GPU"):
        return "/GPU:0"
    if device == "gpu":
        raise DeviceError("no GPU that TensorFlow can use was found; use device='cpu' or 'auto'")
    _LOG.warning("no GPU that TensorFlow can use was found: running on the CPU")
    return "/CPU:0"
