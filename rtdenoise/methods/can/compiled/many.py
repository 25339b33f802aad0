"""Many streams of one network in lockstep: the weights of dense layers are read once for every four streams.

Those are 2.9 MB in `can-live`, more than the second level of most caches, and are read in panels of at most 82 kB,
which stay in it for all streams of a step.  Products are computed for four streams at a time, or for one.  All other
layers run one stream after the other, since their weights stay in that cache anyway: the layers after the stack (44 kB
in `can-live`) and networks with bands (some 180 kB in `can-small`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtdenoise.errors import ConfigError, SignalError
from rtdenoise.kernels.eight_bits import I16, TOGETHER, padded
from rtdenoise.kernels.jit import kernel, ready
from rtdenoise.kernels.sized import headers, opened
from rtdenoise.methods.can.compiled.hop import (
    add_layer,
    decide,
    dense,
    gather,
    read_block,
    read_spectrum,
    run_beside,
    stack,
    write_block,
)
from rtdenoise.methods.can.compiled.records import initial_records
from rtdenoise.methods.can.compiled.shared import Packed, pack
from rtdenoise.methods.can.compiled.state import most_inputs
from rtdenoise.methods.can.weights import Network
from rtdenoise.streaming.blocks import check_hops, fit_blocks
from rtdenoise.typing import F32, Record


@kernel
def hops_of_each(
    blocks: F32,
    outs: F32,
    chosen: np.ndarray,
    hop_samples: int,
    weights: np.ndarray,
    streams: np.ndarray,
    frames: np.ndarray,
    listening: np.ndarray,
    inputs: F32,
    rows: F32,
    taps: F32,
    numbers: I16,
    steps: F32,
    layer: F32,
    outputs: F32,
) -> None:
    """Enhance hops of some streams, with the same arithmetic as `rtdenoise.methods.can.compiled.hop.hops`.

    Parameters
    ----------
    blocks : (k, hops * hop) float32, read
    outs : (k, hops * hop) float32, written; may be `blocks`
    chosen : (k,) int64, read
        The stream of each block.
    hop_samples : int
    weights : (1,) record array, read
    streams : (n,) record array, read and written
    frames : (max(n, 2),) headers, read and written
    listening : (max(n, 2),) or (0,) headers, read and written
        All as a single stream has them.
    inputs, rows, taps, layer, outputs : (m, n_inputs), (m, width), (m, kernel * width), (m, width), (m, n_outputs)
        float32, written; ``m`` is ``n`` rounded up to a multiple of `TOGETHER`.
    numbers, steps : (m, most_inputs) int16 and (m,) float32, written
    """
    weight, apart = weights[0], listening.size > 0
    for start in range(0, blocks.shape[1], hop_samples):
        for i in range(chosen.size):
            n = chosen[i]
            heard = listening[n : n + 1] if apart else listening
            read_block(blocks[i, start : start + hop_samples], streams[n], opened(frames[n]), heard)
            state = streams[n]
            read_spectrum(state.spectrum, inputs[i], state.heights[0], weight, state)
        if weight.dilations.size == 0:
            for i in range(chosen.size):
                n = chosen[i]
                streams[n].inputs[0] = inputs[i]
                stack(weight, streams[n], opened(frames[n]).slots, 1)
        else:
            stack_each(weight, chosen, streams, frames, inputs, rows, taps, numbers, steps, layer, outputs)
        for i in range(chosen.size):
            n = chosen[i]
            state = streams[n]
            decide(weight, state)
            write_block(outs[i, start : start + hop_samples], weight, state, opened(frames[n]))


@kernel
def stack_each(
    weight: Record,
    chosen: np.ndarray,
    streams: np.ndarray,
    frames: np.ndarray,
    inputs: F32,
    rows: F32,
    taps: F32,
    numbers: I16,
    steps: F32,
    layer: F32,
    outputs: F32,
) -> None:
    """`rtdenoise.methods.can.compiled.hop.stack` for one hop of each stream; arguments as `hops_of_each` has them.

    Of the rows that only fill up the last `TOGETHER`, what earlier hops left is computed and not used.
    """
    n_now = chosen.size
    dense(inputs, weight.first, weight.first_scale, weight.first_bias, rows, numbers, steps, n_now)
    for index in range(weight.dilations.size):
        for i in range(n_now):
            n = chosen[i]
            gather(weight, index, streams[n].step, opened(frames[n]).slots, rows[i], taps[i])
        table, scale, offset = weight.kernels[index], weight.scales[index], weight.biases[index]
        dense(taps, table, scale, offset, layer, numbers, steps, n_now)
        for i in range(n_now):
            add_layer(weight, layer[i], rows[i])
    dense(rows, weight.last, weight.last_scale, weight.last_bias, outputs, numbers, steps, n_now)
    for i in range(chosen.size):
        state = streams[chosen[i]]
        state.inputs[0], state.rows[0], state.outputs[0] = inputs[i], rows[i], outputs[i]
        run_beside(weight, state, 1)
        state.step += 1


class CompiledStreams:
    """A fixed number of streams of a network over spectra, processed in lockstep by compiled code.

    Each gives the samples that a stream of its own would give, bit for bit.

    Parameters
    ----------
    network : Network or Packed
        Of a model that changes its weights at low rates, the one for `sample_rate`, as `packed_model` and
        `Model.network` return it.
    streams : int
    gain_min_db : float, optional
        Lowest gain; the specification's if not given.
    sample_rate : int, optional
        8 to 192 kHz; the specification's if not given.

    Attributes
    ----------
    gain_min : (streams,) float32
        Amplitudes; may be written while audio runs.

    Raises
    ------
    ConfigError
        For fewer than one stream, a network over samples or learnt frames, or a rate out of range.
    """

    def __init__(
        self,
        network: Network | Packed,
        streams: int,
        gain_min_db: float | None = None,
        sample_rate: int | None = None,
    ) -> None:
        if streams < 1:
            raise ConfigError(f"streams={streams} must be at least 1")
        packed = network if isinstance(network, Packed) else pack(network)
        spec, self.streams = packed.spec, streams
        rate = spec.sample_rate if sample_rate is None else sample_rate
        first = initial_records(spec, rate, gain_min_db)
        self.sample_rate, self.hop = first.framing.sample_rate, first.framing.hop
        self.latency_samples = first.framing.latency_samples
        # headers of one record would be contiguous, those of several are not: compiled code is for several
        self._initial = (
            np.repeat(first.stream, streams),
            *(np.repeat(each, max(2, streams)) for each in (first.frames, first.listening)),
        )
        self._records = tuple(each.copy() for each in self._initial)
        self.gain_min: F32 = self._records[0]["gain_min"]
        rows, wide = -(-streams // TOGETHER) * TOGETHER, padded(spec.width)
        self._arguments = (
            packed.weights,
            self._records[0],
            *(headers(each) for each in self._records[1:]),
            *(np.zeros((rows, width), np.float32) for width in (spec.n_inputs, wide, spec.kernel * wide)),
            np.zeros((rows, most_inputs(spec)), np.int16),
            np.zeros(rows, np.float32),
            *(np.zeros((rows, width), np.float32) for width in (wide, padded(spec.n_outputs))),
        )
        silence = np.zeros((streams, self.hop), np.float32)
        self._all = np.arange(streams, dtype=np.int64)
        self._hops_of_each = ready(hops_of_each, silence, silence, self._all, self.hop, *self._arguments)
        self.process(silence, silence)
        self.reset()

    def process(self, blocks: F32, outs: F32, streams: Sequence[int] | None = None) -> None:
        """Enhance the next hops of every stream, or of some.

        Parameters
        ----------
        blocks : (streams, n) float32, read
            ``n`` is a multiple of `hop`.
        outs : (streams, n) float32, written
            May be `blocks` itself.
        streams : sequence of int, optional
            Which stream each row belongs to, no one twice; the others wait.  All in their order if not given.

        Raises
        ------
        SignalError
            If an array has another shape or dtype, or there is no such stream.
        """
        chosen = self._all if streams is None else self._chosen(streams)
        blocks, target = fit_blocks(blocks, outs, (chosen.size, check_hops(blocks, self.hop)))
        self._hops_of_each(blocks, target, chosen, self.hop, *self._arguments)
        if target is not outs:
            outs[...] = target

    def _chosen(self, streams: Sequence[int]) -> np.ndarray:
        given = np.asarray(streams)
        fits = given.ndim == 1 and (given.dtype.kind in "iu" or not given.size)
        if not fits or np.unique(given).size < given.size or np.any((given < 0) | (given >= self.streams)):
            raise SignalError(f"streams {streams!r} must be different whole numbers from 0 to {self.streams - 1}")
        return np.ascontiguousarray(given, np.int64)

    def reset(self, stream: int | None = None) -> None:
        """Forget all signals, or that of one stream, whose place another signal takes; its limit is as at first."""
        where = slice(None) if stream is None else int(self._chosen([stream])[0])
        for record, initial in zip(self._records, self._initial, strict=True):
            if record.size:
                record[where] = initial[where]
