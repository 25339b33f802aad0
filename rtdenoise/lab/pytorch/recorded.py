"""CUDA graphs: record GPU work of fixed shapes once and replay it without the interpreter."""

from __future__ import annotations

from collections.abc import Callable

import torch

from rtdenoise.lab.losses.frames import Tensor

_CALLS_BEFORE = 3  # while libraries choose their kernels and constants are copied


class Recorded:
    """A function of tensors, recorded as a CUDA graph after a few calls; called directly on other devices.

    Parameters
    ----------
    function : callable
        Of tensors whose shapes never change; may write to other tensors; must not read back from the GPU.  It returns
        one tensor, which the next call overwrites.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._calls = 0
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._answer: Tensor = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function's result; a replay performs the same computation."""
        if inputs[0].device.type != "cuda":
            return self._function(*inputs)
        self._calls += 1
        if self._calls <= _CALLS_BEFORE:
            return self._aside(*inputs)
        if self._graph is None:
            self._graph = self._record(*inputs)
        for kept, new in zip(self._inputs, inputs, strict=True):
            if kept.shape != new.shape:
                raise ValueError(f"shape {tuple(new.shape)} is not the one that was recorded, {tuple(kept.shape)}")
            kept.copy_(new)
        self._graph.replay()
        return self._answer

    def _aside(self, *inputs: Tensor) -> Tensor:
        """Run on a side stream, as a recording does."""
        if self._stream is None:
            self._stream = torch.cuda.Stream(inputs[0].device)
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            answer = self._function(*inputs)
        self._stream.synchronize()
        return answer

    def _record(self, *inputs: Tensor) -> torch.cuda.CUDAGraph:
        """Record the graph; nothing is computed yet."""
        self._inputs = [x.clone() for x in inputs]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):  # others copy meanwhile
            self._answer = self._function(*self._inputs)
        return graph
