"""One step of a network whose weights all bands share, in TensorFlow: see `rtdenoise.methods.can.layers.banded`.

Every product has its weights on the right, as a matrix: LiteRT then keeps them in 16 bits.
"""

from __future__ import annotations

from typing import Any

from rtdenoise.methods.can.layers import banded
from rtdenoise.methods.can.layers.banded import Banded
from rtdenoise.methods.can.spec import CanSpec

Tensor = Any
_STRIDE, _BEFORE, _KINDS, _OUTPUTS = banded.STRIDE, banded.BEFORE, banded.KINDS, banded.OUTPUTS


def banded_step(
    tf: Any, spec: CanSpec, weights: Banded, rows: Tensor, taps: Tensor | list[Tensor], means: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the network on one frame of each stream.

    Parameters
    ----------
    tf : module
    spec : CanSpec
    weights : Banded
    rows : (streams, 5 * n_bins) tensor
    taps : (n_layers * (kernel - 1) * streams, bands * channels) tensor
        Contents of the rings for this step, layer by layer, oldest first; or a list of the blocks.
    means : (streams, n_gated, bands * channels) tensor
        The gated means after the frame before.

    Returns
    -------
    outputs : (streams, 3 * n_bins) tensor
    written : (n_layers, streams, bands * channels) tensor
        Rows to write to the rings.
    means : tensor like `means`
    """
    n_streams, c, past_taps = rows.shape[0], spec.channels, spec.kernel - 1
    lanes = spec.bands * c
    groups = _entered(tf, spec, weights, rows)
    rows = tf.reshape(_across(tf, groups, weights.down), (n_streams, lanes))
    written, kept = [], []
    for index in range(len(spec.dilations)):
        written.append(rows)
        first = index * past_taps
        parts = [
            taps[k] if isinstance(taps, list) else taps[k * n_streams : (k + 1) * n_streams]
            for k in range(first, first + past_taps)
        ]
        joined = tf.concat([tf.reshape(part, (-1, c)) for part in (*parts, rows)], -1)
        values = tf.reshape(tf.matmul(joined, weights.values[index]), (n_streams, lanes))
        values = tf.nn.leaky_relu(values + weights.value_offsets[index], spec.slope)
        if index in spec.gates:
            gate = spec.gates.index(index)
            opening = tf.reshape(tf.matmul(joined, weights.gates[gate]), (n_streams, lanes))
            values += tf.sigmoid(opening + weights.gate_offsets[gate]) * (means[:, gate] - values)
            kept.append(values)
        rows = rows + values
        points = tf.reshape(tf.matmul(tf.reshape(rows, (-1, c)), weights.points[index]), (n_streams, spec.bands, c))
        mixed = tf.reshape(_across(tf, points, weights.mixers[index]), (n_streams, lanes))
        rows = rows + tf.nn.leaky_relu(mixed + weights.mixed_offsets[index], spec.slope)
    outputs = _left(tf, spec, weights, tf.reshape(rows, (n_streams, spec.bands, c)), groups)
    return outputs, tf.stack(written), tf.stack(kept, 1) if kept else means


def _across(tf: Any, values: Tensor, matrix: Any) -> Tensor:
    """Rows of `matrix` times the middle axis of ``(streams, n, c)`` values."""
    n_streams, n, c = values.shape
    columns = tf.reshape(tf.transpose(values, (0, 2, 1)), (-1, n))
    return tf.transpose(tf.reshape(tf.matmul(columns, matrix.T), (n_streams, c, len(matrix))), (0, 2, 1))


def _entered(tf: Any, spec: CanSpec, weights: Banded, rows: Tensor) -> Tensor:
    """Groups of bins, ``(streams, n, channels)``."""
    n, n_streams = banded.groups(spec.n_bins), rows.shape[0]
    inputs = tf.reshape(rows, (n_streams, _KINDS, spec.n_bins)) * weights.scale + weights.offset
    fours = tf.pad(inputs, [[0, 0], [0, 0], [_BEFORE, (n + 1) * _STRIDE - _BEFORE - spec.n_bins]])
    fours = tf.transpose(tf.reshape(fours, (n_streams, _KINDS, n + 1, _STRIDE)), (0, 2, 1, 3))
    fours = tf.reshape(fours, (n_streams, n + 1, _KINDS * _STRIDE))
    eights = tf.reshape(tf.concat([fours[:, :-1], fours[:, 1:]], -1), (n_streams * n, -1))
    found = tf.nn.leaky_relu(tf.matmul(eights, weights.entry) + weights.entry_bias, spec.slope)
    return tf.reshape(found, (n_streams, n, spec.channels))


def _left(tf: Any, spec: CanSpec, weights: Banded, rows: Tensor, groups: Tensor) -> Tensor:
    """Outputs of bins, ``(streams, 3 * n_bins)``."""
    n_streams, n, c = groups.shape
    both = tf.reshape(tf.concat([_across(tf, rows, weights.up), groups], -1), (-1, 2 * c))
    merged = tf.nn.leaky_relu(tf.matmul(both, weights.merge) + weights.merge_bias, spec.slope)
    padded = tf.pad(tf.reshape(merged, (n_streams, n, c)), [[0, 0], [1, 1], [0, 0]])
    around = tf.reshape(tf.concat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], -1), (-1, 3 * c))
    found = tf.reshape(tf.matmul(around, weights.decoder), (n_streams, n, _OUTPUTS, 2 * _STRIDE))
    lower, upper = (
        tf.reshape(tf.transpose(half, (0, 2, 1, 3)), (n_streams, _OUTPUTS, n * _STRIDE))
        for half in (found[..., :_STRIDE], found[..., _STRIDE:])
    )
    above = tf.pad(upper, [[0, 0], [0, 0], [_STRIDE, 0]])[..., : spec.n_bins]
    total = tf.pad(lower, [[0, 0], [0, 0], [0, spec.n_bins - n * _STRIDE]]) + above + weights.output_offset
    return tf.reshape(total, (n_streams, -1))
