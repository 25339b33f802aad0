"""Step engines, which run a network step by step and keep its state: the protocol and the LiteRT engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rtdenoise.errors import MissingExtraError, ModelError
from rtdenoise.methods.can.layers.rings import RingMemory, plan_all, plan_rings
from rtdenoise.methods.can.notices import no_notices
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.typing import F32

if TYPE_CHECKING:
    from collections.abc import Mapping


class StepEngine(Protocol):
    """Runs a causal network step by step on one or several streams and keeps the past rows."""

    def step(self, inputs: Mapping[str, F32]) -> Mapping[str, F32]:
        """Compute one step.

        Parameters
        ----------
        inputs : mapping
            ``rows`` ``(streams * hop, 1)``, or ``real``, ``imag`` ``(streams, n_bins)`` and ``gain_min`` ``(1,)``.

        Returns
        -------
        mapping
            ``rows``, or ``real`` and ``imag``; arrays are valid until the next step.
        """

    def reset(self) -> None:
        """Forget the past."""


class LiteRtEngine:
    """A LiteRT model on one CPU thread, with its ring buffers in numpy.

    Parameters
    ----------
    spec : CanSpec
    content : bytes
        Content of the file.
    streams : int
        Number of streams the file was converted for.

    Raises
    ------
    MissingExtraError
        If ai-edge-litert is not installed.
    ModelError
        If `content` is damaged or belongs to another specification.
    """

    def __init__(self, spec: CanSpec, content: bytes, streams: int = 1) -> None:
        from rtdenoise.methods.can.tensorflow.graph import input_shapes

        plan = plan_rings(spec)
        self._interpreter = _interpreter(content)
        runner = self._interpreter.get_signature_runner("step")
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        found = {name: tuple(int(n) for n in d["shape"]) for name, d in inputs.items()}
        expected = input_shapes(spec, plan, streams)
        if not plan.deep:
            expected.pop("taps")
        if found != expected:
            raise ModelError(
                f"the LiteRT file does not fit the specification {spec.name!r}: inputs {found}, not {expected}"
            )
        self._inputs = {name: int(d["index"]) for name, d in inputs.items()}
        self._outputs = {name: int(d["index"]) for name, d in outputs.items()}
        self._memory = {prefix: RingMemory(*found, streams) for prefix, found in plan_all(spec).items()}
        self._silent = {n: np.zeros(s, np.float32) for n, s in expected.items() if n.startswith("past")}
        self._pasts: dict[str, F32] = dict(self._silent)

    def step(self, inputs: Mapping[str, F32]) -> Mapping[str, F32]:
        """See `StepEngine.step`."""
        set_tensor, get_tensor = self._interpreter.set_tensor, self._interpreter.get_tensor
        for prefix, memory in self._memory.items():
            memory.gather()
            set_tensor(self._inputs[f"{prefix}taps"], memory.taps)
        for name, array in inputs.items():
            set_tensor(self._inputs[name], array)
        for name, array in self._pasts.items():
            set_tensor(self._inputs[name], array)
        self._interpreter.invoke()
        answer = {name: get_tensor(index) for name, index in self._outputs.items()}
        for prefix, memory in self._memory.items():
            memory.scatter(answer[f"{prefix}written"])
        for name in self._pasts:
            self._pasts[name] = answer[name]
        return answer

    def reset(self) -> None:
        """See `StepEngine.reset`."""
        for memory in self._memory.values():
            memory.reset()
        self._pasts = dict(self._silent)


def _interpreter(content: bytes) -> Any:
    """Create a LiteRT interpreter and allocate its tensors."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError(
            "networks over samples, 8 bits and engine='litert' need LiteRT: pip install 'rtdenoise[litert]'"
        ) from error
    try:
        with no_notices():  # LiteRT prints notices about its CPU kernels
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"the LiteRT file is damaged ({' '.join(str(error).split())[:120]})") from error
    if "step" not in interpreter.get_signature_list():
        raise ModelError("the LiteRT file has no signature 'step': it was not exported for streaming")
    return interpreter
