"""One step of a causal network as a stateless TensorFlow graph: past rows in, new rows out.

The LiteRT file is a conversion of this graph; the TensorFlow engine adds variables for the state.
"""

from __future__ import annotations

from typing import Any

from rtdenoise.methods.can.layers import features, fine
from rtdenoise.methods.can.layers.rings import RingPlan
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.tensorflow.banded import banded_step
from rtdenoise.methods.can.weights import Network

Tensor = Any


def stack_step(
    tf: Any, network: Network, plan: RingPlan, rows: Tensor, taps: Tensor | list[Tensor], pasts: list[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Run all dilated layers on one block.

    Parameters
    ----------
    tf : module
    network : Network
    plan : RingPlan
    rows : (streams * block, n_inputs) tensor
    taps : (n_deep * (kernel - 1) * streams * block, channels) tensor
        Contents of the rings for this step, layer by layer, oldest first.  Flat, because slicing blocks out of four
        dimensions makes the whole step 2.5 times as slow in LiteRT.  Or a list of the blocks.
    pasts : list of (streams, (kernel - 1) * dilation, n_in) tensor
        Last rows of the shallow layers; for one stream optionally without the first dimension: fewer operations.

    Returns
    -------
    outputs : (streams * block, n_outputs) tensor
    written : (n_deep, streams * block, channels) tensor
        Rows to write to the rings.
    pasts : list like `pasts`
    """
    spec = network.spec
    assert network.last is not None  # networks whose weights all bands share: `banded_step`
    if network.first is not None:
        rows = tf.matmul(rows, network.first[0]) + network.first[1]
    n_rows, past_taps = rows.shape[0], spec.kernel - 1
    written, kept = [], []
    for index, (kernel, bias) in enumerate(zip(network.kernels, network.biases, strict=True)):
        if index in plan.deep:
            first = plan.deep.index(index) * past_taps
            written.append(rows)
            parts = [
                taps[k] if isinstance(taps, list) else taps[k * n_rows : (k + 1) * n_rows]
                for k in range(first, first + past_taps)
            ]
        else:
            past = pasts[plan.shallow.index(index)]
            parts, past = _shallow_parts(tf, spec, plan, index, rows, past)
            kept.append(past)
        joined = tf.concat([*parts, rows], -1)
        layer = tf.matmul(joined, kernel.reshape(-1, spec.channels))
        layer = tf.nn.leaky_relu(tf.nn.bias_add(layer, bias), spec.slope)
        rows = rows + layer if spec.residual else layer
    outputs = tf.matmul(rows, network.last[0]) + network.last[1]
    return outputs, tf.stack(written) if written else taps, kept


def _shallow_parts(
    tf: Any, spec: CanSpec, plan: RingPlan, index: int, rows: Tensor, past: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return the past taps of a layer with a dilation shorter than the block, and its rows for the next step."""
    dilation = spec.dilations[index]
    reach = (spec.kernel - 1) * dilation
    width = rows.shape[-1]
    if len(past.shape) == 2:
        together = tf.concat([past, rows], 0)
        parts = [together[tap * dilation : tap * dilation + plan.block] for tap in range(spec.kernel - 1)]
        return parts, together[plan.block : plan.block + reach]
    together = tf.concat([past, tf.reshape(rows, (-1, plan.block, width))], 1)
    parts = [
        tf.reshape(together[:, tap * dilation : tap * dilation + plan.block], (-1, width))
        for tap in range(spec.kernel - 1)
    ]
    return parts, together[:, plan.block : plan.block + reach]


def masked_spectrum(
    tf: Any, spec: CanSpec, logits: Tensor, outputs: Tensor, real: Tensor, imag: Tensor, gain_min: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply the gain given by `logits`, raised to a power and floored, and the rotation from the stack.

    The nearer a gain is to its floor, the less it rotates: a floor of one leaves the spectrum unchanged.
    """
    n = spec.n_bins
    gain = tf.sigmoid(logits)
    if spec.mask_power != 1.0:
        gain = tf.pow(gain, spec.mask_power)
    gain = tf.maximum(gain, gain_min)
    if spec.mask == "magnitude":
        return gain * real, gain * imag
    free = 1.0 - gain_min / (gain + features.GAIN_TINY)
    across = 1.0 + free * tf.tanh(outputs[:, n : 2 * n])
    along = free * tf.tanh(outputs[:, 2 * n :])
    gain = gain * tf.math.rsqrt(across * across + along * along + features.ROTATION_FLOOR)
    return gain * (across * real - along * imag), gain * (across * imag + along * real)


def spectral_rows(
    tf: Any, spec: CanSpec, real: Tensor, imag: Tensor, means: Tensor
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Compute the network inputs from one spectrum per stream.

    Parameters
    ----------
    means : (streams, 2, n_bins + 1) tensor
        Recursive means of the log power and of a negative power of the power; the last column holds the same means of
        ones, which normalise the others so that they start at the first frame.

    Returns
    -------
    rows : (streams, n_inputs) tensor
        Log power, its heights above its mean and its floor; for complex masks also the compressed spectrum.
    heights : list of two (streams, n_bins) tensors
    means : tensor like `means`
        For the next step.
    """
    n = spec.n_bins
    log_power = tf.math.log(real * real + imag * imag + features.POWER_FLOOR)
    one = tf.ones_like(log_power[:, :1])
    mean, floor = means[:, 0], means[:, 1]
    mean_step, floor_step = features.MEAN_STEP / spec.mean_rows, features.FLOOR_STEP / spec.mean_rows
    mean += mean_step * (tf.concat([log_power, one], -1) - mean)
    floor += floor_step * (tf.concat([tf.exp(features.FLOOR_EXPONENT * log_power), one], -1) - floor)
    low = tf.math.log(floor[:, :n] / floor[:, n:]) * (1.0 / features.FLOOR_EXPONENT)
    heights = [log_power - mean[:, :n] / mean[:, n:], log_power - low]
    parts = [log_power, *heights]
    if spec.mask == "complex":
        shrink = tf.exp(features.SHRINK * log_power)
        parts += [real * shrink, imag * shrink]
    return tf.concat(parts, -1), heights, tf.stack([mean, floor], 1)


def fine_step(
    tf: Any, network: Network, logits: Tensor, log_power: Tensor, heights: list[Tensor], past: Tensor
) -> tuple[Tensor, Tensor]:
    """Refine the logits of the gain with the layers after the stack.

    Parameters
    ----------
    logits, log_power, heights : (streams, n_bins) tensors
    past : (streams, FRAMES - 1, groups, N_INPUTS) tensor

    Returns
    -------
    logits : (streams, n_bins) tensor
    past : tensor like `past`
        For the next step.
    """
    spec = network.spec
    n, groups = spec.n_bins, fine.groups(spec.n_bins)
    bins = tf.pad(tf.stack([logits, log_power, *heights], -1), [[0, 0], [0, groups * fine.BINS - n], [0, 0]])
    frames = tf.concat([past, tf.reshape(bins, (-1, 1, groups, fine.N_INPUTS))], 1)
    around = [[0, 0], [0, 0], [fine.REACH, fine.REACH], [0, 0]]
    parts = list(network.fine)

    def layer(rows: Tensor) -> Tensor:
        kernel, bias = parts.pop(0), parts.pop(0)
        sums = tf.nn.bias_add(tf.nn.conv2d(tf.pad(rows, around), kernel, 1, "VALID"), bias)
        return tf.nn.leaky_relu(sums, spec.slope)

    rows = layer(frames)
    for _ in range(fine.LAYERS):
        rows = rows + layer(rows)
    added = tf.matmul(tf.reshape(rows, (-1, spec.fine_channels)), parts[0]) + parts[1]
    return logits + tf.reshape(added, (-1, groups * fine.BINS))[:, :n], frames[:, 1:]


def cut_frames(tf: Any, spec: CanSpec, samples: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """Samples ``(streams * hop, 1)`` cut into frames ``(streams * block, frame)``; also returns the new past."""
    together = tf.concat([past, tf.reshape(samples, (-1, spec.hop))], 1)
    starts = range(0, spec.hop, spec.stride)
    frames = tf.stack([together[:, start : start + spec.frame] for start in starts], 1)
    return tf.reshape(frames, (-1, spec.frame)), together[:, spec.hop :]


def add_frames(tf: Any, spec: CanSpec, frames: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """Overlap-add frames ``(streams * block, frame)`` to samples ``(streams * hop, 1)``; also returns the rest."""
    frames = tf.reshape(frames, (-1, spec.rows_per_hop, spec.frame))
    total = tf.pad(past, [[0, 0], [0, spec.hop]])
    for number in range(spec.rows_per_hop):
        start = number * spec.stride
        total += tf.pad(frames[:, number], [[0, 0], [start, spec.hop - spec.stride - start]])
    return tf.reshape(total[:, : spec.hop], (-1, 1)), total[:, spec.hop :]


def network_step(tf: Any, network: Network, plan: RingPlan, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run one complete step: signal or spectrum in, signal or spectrum out.

    Parameters
    ----------
    inputs : dict
        ``taps`` and ``past0..`` as in `stack_step`; ``beside_taps`` and ``past_beside`` as in `beside_step`; samples as
        ``rows`` ``(streams * hop, 1)`` (wave and framed; framed also ``past_samples``, ``past_overlap`` ``(streams,
        frame - stride)``), or ``real``, ``imag`` ``(streams, n_bins)`` and any others that `spectra` names,
        ``gain_min`` ``(1,)`` and ``past_means`` (spectral).

    Returns
    -------
    dict
        ``rows``, or ``real`` and ``imag``; ``written`` and, of layers beside the stack, ``beside_written``; ``past..``
        for the next step.
    """
    spec = network.spec
    pasts = [inputs[f"past{i}"] for i in range(len(plan.shallow))]
    if spec.domain == "wave":
        rows, written, kept = stack_step(tf, network, plan, inputs["rows"], inputs["taps"], pasts)
        answer = {"rows": rows}
    elif spec.domain == "framed":
        rows, samples = cut_frames(tf, spec, inputs["rows"], inputs["past_samples"])
        rows, written, kept = stack_step(tf, network, plan, rows, inputs["taps"], pasts)
        rows, overlap = add_frames(tf, spec, rows, inputs["past_overlap"])
        answer = {"rows": rows, "past_samples": samples, "past_overlap": overlap}
    else:
        real, imag = inputs["real"], inputs["imag"]
        heard = (inputs["heard_real"], inputs["heard_imag"]) if spec.listens_apart else (real, imag)
        rows, heights, means = spectral_rows(tf, spec, *heard, inputs["past_means"])
        answer = {"past_means": means}
        if network.banded is not None:
            past, kept = inputs.get("past_gated"), []
            outputs, written, gated = banded_step(tf, spec, network.banded, rows, inputs["taps"], past)
            if past is not None:
                answer["past_gated"] = gated
        else:
            outputs, written, kept = stack_step(tf, network, plan, rows, inputs["taps"], pasts)
        logits = outputs[:, : spec.n_bins] + _around(network, heights)
        if spec.fine_channels:
            log_power = rows[:, : spec.n_bins]
            logits, answer["past_fine"] = fine_step(tf, network, logits, log_power, heights, inputs["past_fine"])
        if network.beside is not None:
            outputs = network.share * tf.concat([logits, outputs[:, spec.n_bins :]], -1)
            more, answer["beside_written"], past = beside_step(tf, network.beside, rows, heights, inputs)
            if past is not None:
                answer["past_beside"] = past
            outputs += more
            logits = outputs[:, : spec.n_bins]
        answer["real"], answer["imag"] = masked_spectrum(tf, spec, logits, outputs, real, imag, inputs["gain_min"])
    answer |= {f"past{i}": past for i, past in enumerate(kept)}
    return answer | ({"written": written} if plan.deep else {})


def beside_step(
    tf: Any, network: Network, rows: Tensor, heights: list[Tensor], inputs: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the layers beside the stack on one frame of each stream.

    Parameters
    ----------
    rows : (streams, n_inputs) tensor
    heights : list of two (streams, n_bins) tensors
    inputs : dict
        ``beside_taps`` and, with gates, ``past_beside``, as `banded_step` has them.

    Returns
    -------
    outputs : (streams, n_outputs) tensor
    written : (n_layers, streams, bands * channels) tensor
    past : tensor like ``past_beside``, or None
    """
    assert network.banded is not None  # such layers are over bands
    spec = network.spec
    past = inputs.get("past_beside")
    outputs, written, gated = banded_step(tf, spec, network.banded, rows, inputs["beside_taps"], past)
    around = tf.pad(_around(network, heights), [[0, 0], [0, spec.n_outputs - spec.n_bins]])
    return outputs + around, written, gated


def _around(network: Network, heights: list[Tensor]) -> Tensor:
    """What the heights of each bin add to the logit of its gain."""
    assert network.skip is not None  # spectral networks have it: checked on construction
    return heights[0] * network.skip[0] + heights[1] * network.skip[1]


def spectra(spec: CanSpec) -> tuple[str, ...]:
    """Names of the spectra that a step reads: the one to mask and, if different, the one the network reads."""
    return ("real", "imag", "heard_real", "heard_imag") if spec.listens_apart else ("real", "imag")


def input_shapes(spec: CanSpec, plan: RingPlan, streams: int = 1) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the inputs of a step, all float32."""
    n_rows = streams * plan.block
    shapes: dict[str, tuple[int, ...]] = {"taps": (len(plan.deep) * (spec.kernel - 1) * n_rows, spec.width)}
    for number, index in enumerate(plan.shallow):
        width = 1 if spec.domain == "wave" and index == 0 else spec.channels
        shapes[f"past{number}"] = (streams, (spec.kernel - 1) * spec.dilations[index], width)
    if spec.domain != "spectral":
        edge = (streams, spec.frame - spec.stride)
        edges = {"past_samples": edge, "past_overlap": edge} if spec.domain == "framed" else {}
        return shapes | edges | {"rows": (streams * spec.hop, 1)}
    behind = (streams, fine.FRAMES - 1, fine.groups(spec.n_bins), fine.N_INPUTS)
    apart = spec.apart
    if apart is not None:
        shapes["beside_taps"] = (len(apart.dilations) * (spec.kernel - 1) * streams, apart.width)
        if apart.gates:
            shapes["past_beside"] = (streams, len(apart.gates), apart.width)
    return shapes | {
        **dict.fromkeys(spectra(spec), (streams, spec.n_bins)),
        "gain_min": (1,),
        "past_means": (streams, 2, spec.n_bins + 1),
        **({"past_fine": behind} if spec.fine_channels else {}),
        **({"past_gated": (streams, len(spec.gates), spec.width)} if spec.gates else {}),
    }
