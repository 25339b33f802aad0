"""Float64 twin of the whole network, written from its definition: whole signals, no rings, no frameworks."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from rtdenoise.methods.can.layers import features
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import Network
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.streaming.windows import window_pair
from tests import reference as twins


def dilated(rows: np.ndarray, kernel: np.ndarray, bias: np.ndarray, dilation: int) -> np.ndarray:
    """Causal convolution: ``y[t] = bias + sum_k x[t - (K - 1 - k) d] W[k]``, zeros before the start."""
    taps = kernel.shape[0]
    total = np.tile(bias.astype(np.float64), (len(rows), 1))
    for k in range(taps):
        late = (taps - 1 - k) * dilation
        if late < len(rows):
            total[late:] += rows[: len(rows) - late] @ kernel[k].astype(np.float64)
    return total


def stacked(network: Network, rows: np.ndarray) -> np.ndarray:
    """The rows after the last dilated layer."""
    spec = network.spec
    if network.banded is not None:
        return banded(network, rows)[1]
    if network.first is not None:
        rows = rows @ network.first[0].astype(np.float64) + network.first[1]
    for kernel, bias, dilation in zip(network.kernels, network.biases, spec.dilations, strict=True):
        layer = dilated(rows, kernel, bias, dilation)
        layer = np.where(layer > 0, layer, spec.slope * layer)
        rows = rows + layer if spec.residual else layer
    return rows


def leaky(values: np.ndarray, slope: float) -> np.ndarray:
    return np.where(values > 0, values, slope * values)


def banded(network: Network, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (n_frames, 3 n_bins) and the rows after the last layer, (n_frames, bands * channels).

    Group `i` of bins reads bins 4 i - 2 to 4 i + 5, and writes bins 4 i to 4 i + 7.
    """
    spec, w = network.spec, {name: a.astype(np.float64) for name, a in network.banded.arrays().items()}
    n, bins, bands, c, slope = len(rows), spec.n_bins, spec.bands, spec.channels, spec.slope
    inputs = rows.reshape(n, 5, bins) * w["scale"] + w["offset"]
    inputs = np.pad(inputs, ((0, 0), (0, 0), (2, 8)))
    entry = w["entry"].reshape(2, 5, 4, c)
    groups = np.zeros((n, bins // 4, c))
    for i in range(bins // 4):
        eight = inputs[:, :, 4 * i : 4 * i + 8].reshape(n, 5, 2, 4)
        groups[:, i] = leaky(w["entry_bias"] + np.einsum("tkhb,hkbc->tc", eight, entry), slope)
    r = np.einsum("bg,tgc->tbc", w["down"], groups)
    for number, dilation in enumerate(spec.dilations):

        def convolved(kernel, offsets, of=r, dilation=dilation):
            taps = kernel.reshape(spec.kernel, c, c)
            by_band = [dilated(of[:, b], taps, np.zeros(c), dilation) for b in range(bands)]
            return np.stack(by_band, 1) + offsets.reshape(bands, c)

        v = leaky(convolved(w["values"][number], w["value_offsets"][number]), slope)
        if number in spec.gates:
            gated = spec.gates.index(number)
            z = 1 / (1 + np.exp(-convolved(w["gates"][gated], w["gate_offsets"][gated])))
            kept = np.zeros((bands, c))
            for t in range(n):
                v[t] = kept = z[t] * kept + (1 - z[t]) * v[t]
        y = r + v
        mixed = np.einsum("ab,tbc->tac", w["mixers"][number], y @ w["points"][number])
        r = y + leaky(mixed + w["mixed_offsets"][number].reshape(bands, c), slope)
    both = np.concatenate([np.einsum("gb,tbc->tgc", w["up"], r), groups], -1)
    m = np.pad(leaky(w["merge_bias"] + both @ w["merge"], slope), ((0, 0), (1, 1), (0, 0)))
    written = np.concatenate([m[:, :-2], m[:, 1:-1], m[:, 2:]], -1) @ w["decoder"]
    out = np.zeros((n, 3, bins + 7))
    for i in range(bins // 4):
        out[:, :, 4 * i : 4 * i + 8] += written[:, i].reshape(n, 3, 8)
    return (out[:, :, :bins] + w["output_offset"]).reshape(n, 3 * bins), r.reshape(n, bands * c)


def stack(network: Network, rows: np.ndarray) -> np.ndarray:
    if network.banded is not None:
        return banded(network, rows)[0]
    return stacked(network, rows) @ network.last[0].astype(np.float64) + network.last[1]


def running_mean(values: np.ndarray, step: float) -> np.ndarray:
    """``s[t] = (1 - step) s[t-1] + step x[t]``, divided by the same recursion over ones."""
    total, weight, means = 0.0, 0.0, []
    for value in values:
        total = (1 - step) * total + step * value
        weight = (1 - step) * weight + step
        means.append(total / weight)
    return np.array(means)


def fine_layers(network: Network, kinds: list[np.ndarray]) -> np.ndarray:
    """Four bins at a time: a convolution over three frames and three groups, two more over groups, zeros around all."""
    spec, (n_frames, n) = network.spec, kinds[0].shape
    groups = (n + 3) // 4
    rows = np.zeros((n_frames, groups, 4, 4))
    for t in range(n_frames):
        for k in range(n):
            rows[t, k // 4, k % 4] = [kind[t, k] for kind in kinds]
    rows = rows.reshape(n_frames, groups, 16)
    *layers, kernel, bias = (a.astype(np.float64) for a in network.fine)
    for number in range(0, len(layers), 2):
        taps, width, *_ = layers[number].shape
        wide = np.pad(rows, [(taps - 1, 0), (1, 1), (0, 0)])
        sums = np.tile(layers[number + 1], (n_frames, groups, 1))
        for a in range(taps):
            for b in range(width):
                sums += wide[a : a + n_frames, b : b + groups] @ layers[number][a, b]
        bent = np.where(sums > 0, sums, spec.slope * sums)
        rows = bent if number == 0 else rows + bent
    return (rows @ kernel + bias).reshape(n_frames, groups * 4)[:, :n]


def framed(network: Network, signal: np.ndarray) -> np.ndarray:
    """Frame t ends with sample ``(t + 1) stride``; what the stack makes of it is added where it came from, later."""
    spec = network.spec
    padded = np.concatenate([np.zeros(spec.frame - spec.stride), signal])
    frames = np.stack([padded[t : t + spec.frame] for t in range(0, len(signal), spec.stride)])
    out = np.zeros(len(signal) + spec.frame)
    for t, frame in enumerate(stack(network, frames)):
        out[t * spec.stride : t * spec.stride + spec.frame] += frame
    return out[: len(signal)]


def kept_clear(heard: np.ndarray, masked: np.ndarray, hop_seconds: float, gain_min: float) -> tuple[np.ndarray, ...]:
    """What was taken from speech is given back where little was to be taken away; ``(n_frames, n_bins)`` each.

    With it the share of it that clean recordings get, ``(n_frames, 1)``.
    """
    step = 1 - np.exp(-hop_seconds / 2.0)
    energies = [np.sum(np.abs(part) ** 2, -1) + 1e-12 for part in (masked, heard - masked)]
    kept, removed = (lfilter([step], [1, step - 1], energy) for energy in energies)
    share = np.clip((10 * np.log10(kept / removed) - 16) / 6, 0, 1)[:, None]
    ratio = np.abs(masked) / np.sqrt(np.abs(heard) ** 2 + 1e-12)
    return masked + share * speech_weight(ratio, gain_min) * (heard - masked), share


def speech_weight(gain: np.ndarray, gain_min: float) -> np.ndarray:
    u = np.clip((gain - gain_min) / (0.3 * (1 - gain_min) + 1e-12), 0, 1)
    return u**2 * (3 - 2 * u)


def kept_voiced(signal: np.ndarray, judged: np.ndarray, masked: np.ndarray, hop: int) -> np.ndarray:
    """Strong bins of held vowels of clean recordings are given back; ``(n_frames, n_bins)``, windows of 16 ms.

    `judged` is the analysis of the signal, at 16 kHz; `masked` what came of it.
    """
    hop_seconds, padded = hop / 16000, np.pad(signal.astype(float), (512 - hop, 0))
    n_frames, n = judged.shape
    per_frame, per_floor = 1 - np.exp(-hop_seconds / 0.03), max(1, round(0.6 / hop_seconds))
    recent = lfilter([per_frame], [1, per_frame - 1], np.abs(judged) ** 2, axis=0)
    every = max(1, round(0.008 / hop_seconds))
    seconds = every * hop_seconds
    fall, smoothing, rise = 10 ** (-0.03 * seconds), np.exp(-seconds / 0.5), np.exp(-seconds / 0.08)
    near, window, hold = round(0.3 / seconds), round(0.6 / seconds), round(0.05 / seconds)
    level_bins = slice(round(90 / 31.25), round(7000 / 31.25))
    recording, clearness, floor = twins.Recording(0.0, near, (27.5, 30.5, 16.0, 24.0)), 0.0, np.zeros(n)
    lowest, stored, voiced, n_voiced, out = np.zeros(n), np.zeros((4, n)), 0.0, 0, masked.copy()
    for t in range(n_frames):
        if t % every == 0:
            step, level = t // every, recent[t, level_bins].sum() + 1e-20
            voicing = twins.voicing(padded[t * hop : t * hop + 512], 16000) if level > 0.01 * recording.peak else 0.0
            if t < round(0.06 / hop_seconds):
                recording = twins.Recording(level, near, (27.5, 30.5, 16.0, 24.0))
            else:
                clearness = recording.step(level, voicing, fall, smoothing, rise, step % window == 0)
        if t % per_floor == 0:
            group = t // per_floor // 3 % 4
            stored[group] = lowest if t // per_floor % 3 == 0 else np.minimum(stored[group], lowest)
            floor = twins.raised_floor(lowest, stored.min(0)) if clearness > 0 else np.maximum(lowest, 1e-20)
            lowest = recent[t].copy()
        lowest = np.minimum(lowest, recent[t])
        low, rest = recent[t, level_bins.start : 12].sum() + 1e-20, recent[t, 12 : level_bins.stop].sum() + 1e-20
        n_voiced = n_voiced + (16 if low < 0.01 * rest else 1) if recording.since < hold else 0
        held = np.clip((n_voiced * hop_seconds - 0.8) / 0.4, 0, 1)
        voiced = held + np.exp(-hop_seconds / 0.02) * (voiced - held)
        over_db = 10 * np.log10((recent[t] + 1e-20) / (np.minimum(floor, lowest) + 1e-20))
        out[t] += clearness * voiced * np.clip((over_db - 10) / 5, 0, 1) * (judged[t] - masked[t])
    return out


def on_the_grid(spectra: np.ndarray, n: int, frame: int, spec: CanSpec) -> np.ndarray:
    """The network's `n` bins of frames of any length, in its own scale; zeros where there are none."""
    there = spectra[:, :n] * (spec.frame / frame)
    return np.pad(there, ((0, 0), (0, n - there.shape[1])))


def band_ends(spectra: np.ndarray, hop_seconds: float, n_bins: int = 257) -> np.ndarray:
    """The last bin of the band in each frame: the lowest above which all is 23 dB below what is just below.

    Of a rate with fewer than `n_bins` bins the last twenty-fourth never counts.

    Groups of four bins: the four up to the end, and those from the third above it on.  Loudest powers fall by 6 dB a
    second.  They are the lower of two that are a frame of 32 ms apart, but this frame counts whole.
    """
    n, fall, lasting, ends = spectra.shape[1], 10 ** (-0.6 * hop_seconds), np.zeros(spectra.shape[1] // 4), []
    powers = np.sum(np.abs(spectra[:, : n // 4 * 4].reshape(len(spectra), -1, 4)) ** 2 + features.POWER_FLOOR, -1)
    late = round(0.032 / hop_seconds)
    for power, before in zip(powers, np.pad(powers, ((late, 0), (0, 0))), strict=False):
        lasting = np.maximum(lasting * fall, np.minimum(power, before))
        peaks = np.maximum(lasting, power)
        cliffs = [
            4 * group + 3
            for group in range(23, n // 4 - 3)
            if peaks[group + 3 :].max() < 10**-2.3 * peaks[group - 3 : group + 1].min()
        ]
        ends.append(min([*cliffs, n - 1 if n == n_bins else n - 1 - n // 24]))
    return np.array(ends)


def filled(spectra: np.ndarray, ends: np.ndarray, low: bool) -> np.ndarray:
    """Above the band, the 32 bins below its end there and back again, 0.24 dB less from bin to bin; `low`: 64, 0.12."""
    fold, fall_db = (64, 0.12) if low else (32, 0.24)
    out = spectra.copy()
    for frame, end in zip(out, ends, strict=True):
        above = np.arange(1, frame.size - end)
        frame[end + 1 :] = frame[end - fold + np.abs((above % (2 * fold)) - fold)] * 10 ** (-fall_db / 20 * above)
    return out


def masked_above(above: np.ndarray, heard: np.ndarray, masked: np.ndarray, hop_seconds: float, gain_min: float):
    """Bins above the network's: the amplitude share kept from 5 kHz (bin 160) on, both energies smoothed over 5 ms."""
    step = 1 - np.exp(-hop_seconds / 0.005)
    there, kept = (lfilter([step], [1, step - 1], np.sum(np.abs(x[:, 160:]) ** 2, -1)) for x in (heard, masked))
    return above * np.clip(np.sqrt(kept / (there + 1e-12)), gain_min, 1)[:, None]


def head_inputs(network: Network, high, heard, masked, rows, hop_seconds):
    """What a head reads of a spectrum above 8 kHz and of the network: (n, 19, 4) levels and (n, 3 + 12) shared."""
    energies = [np.abs(part) ** 2 for part in (heard, masked)]
    octaves = [slice(64, 128), slice(128, 192), slice(192, 257)]
    before, after = (np.stack([energy[:, part].sum(-1) for part in octaves], -1) for energy in energies)
    kept = np.log(np.maximum((after + 1e-12) / (before + 1e-12), 1e-6))
    reduced = stacked(network, rows) @ network.above.reduce.astype(np.float64) + network.above.reduce_bias
    power = np.concatenate([energies[0], np.abs(high) ** 2], -1)
    n_bands = min(16, max(1, int(high.shape[1] / 32 + 0.5)))
    levels = np.zeros((len(power), 19, 4))
    for band in range(3 + n_bands):
        mean = power[:, 161 + 32 * band : 193 + 32 * band].mean(-1)
        log = np.log(mean + features.POWER_FLOOR)
        usual = running_mean(log, features.MEAN_STEP / network.spec.mean_rows)
        floor = running_mean(np.exp(features.FLOOR_EXPONENT * log), features.FLOOR_STEP / network.spec.mean_rows)
        recent = running_mean(mean, 1 - np.exp(-hop_seconds / 0.02))
        quiet = np.log(floor) / features.FLOOR_EXPONENT
        levels[:, band] = np.stack([log, log - usual, log - quiet, np.log(recent + features.POWER_FLOOR) - quiet], -1)
    return n_bands, levels, np.concatenate([kept, reduced], -1)


def head_gains(network: Network, n_high: int, n_bands: int, levels, shared, share, gain_min: float) -> np.ndarray:
    """Gains of bins from 8 kHz on: one for each 32, interpolated between their centres."""
    head, gains = network.above, []
    for band in range(3, 3 + n_bands):
        own, under, over = levels[:, band], levels[:, band - 1, :3], levels[:, min(band + 1, 2 + n_bands), :3]
        first = np.concatenate([own, under, over], -1) @ head.local + shared @ head.shared + head.place[band - 3]
        second = np.where(first > 0, first, 0.2 * first) @ head.second + head.second_bias
        logit = np.where(second > 0, second, 0.2 * second) @ head.last + head.last_bias[0] + own[:, 1:3] @ head.skip
        gain = 1 / (1 + np.exp(-logit))
        closed = np.minimum(np.exp(0.5 * shared[:, 2]) / 0.01, 1)
        gains.append(np.maximum(gain * np.minimum(gain / 0.1, 1) * closed, gain_min))
    found = np.stack(gains, -1)
    found = found + share * speech_weight(found, gain_min) * (1 - found)
    centres = 32 * np.arange(n_bands) + 16
    return np.stack([np.interp(1 + np.arange(n_high), centres, row) for row in found])


def whole_signal(network: Network, signal: np.ndarray, framing: Framing | None = None) -> np.ndarray:
    """The streamed output of a causal network for ``(n_hops * hop,)`` samples, delayed by its latency.

    `framing`: frame, span and hop at the rate of the signal; those of the specification if not given.
    """
    spec = network.spec
    if spec.domain == "wave":
        return stack(network, signal.astype(np.float64)[:, None])[:, 0]
    if spec.domain == "framed":
        return framed(network, signal.astype(np.float64))
    at = framing or Framing(sample_rate=spec.sample_rate, frame=spec.frame, span=spec.span, hop=spec.hop)
    analysis, synthesis = window_pair(at.frame, at.span, at.hop)
    padded = np.concatenate([np.zeros(at.frame - at.hop), signal])
    n_hops = len(signal) // at.hop
    frames = np.stack([padded[t * at.hop : t * at.hop + at.frame] for t in range(n_hops)])
    full = np.fft.rfft(frames * analysis)
    n = spec.n_bins
    listening, _ = window_pair(at.frame, 2 * at.hop if at.span == at.hop else at.span, at.hop)
    heard = on_the_grid(np.fft.rfft(frames * listening), n, at.frame, spec)
    ends = band_ends(heard[:, : full.shape[1]], at.hop / at.sample_rate, n)
    heard = filled(heard, ends, low=full.shape[1] < n)
    log_power = np.log(np.abs(heard) ** 2 + features.POWER_FLOOR)
    mean = running_mean(log_power, features.MEAN_STEP / spec.mean_rows)
    floor = np.log(running_mean(np.exp(features.FLOOR_EXPONENT * log_power), features.FLOOR_STEP / spec.mean_rows))
    heights = [log_power - mean, log_power - floor / features.FLOOR_EXPONENT]
    rows = np.concatenate([log_power, *heights], -1)
    if spec.mask == "complex":
        shrunk = heard * np.exp(features.SHRINK * log_power)
        rows = np.concatenate([rows, shrunk.real, shrunk.imag], -1)
    outputs = stack(network, rows)
    logits = outputs[:, :n] + heights[0] * network.skip[0] + heights[1] * network.skip[1]
    if spec.fine_channels:
        logits = logits + fine_layers(network, [logits, log_power, *heights])
    if network.beside is not None:
        more, skip = banded(network.beside, rows)[0], network.beside.skip
        outputs = network.share * np.concatenate([logits, outputs[:, n:]], -1) + more
        logits = outputs[:, :n] + heights[0] * skip[0] + heights[1] * skip[1]
    gain_min = 10 ** (spec.gain_min_db / 20)
    mask = np.maximum((1 / (1 + np.exp(-logits))) ** spec.mask_power, gain_min)
    if spec.mask == "complex":
        free = 1 - gain_min / (mask + features.GAIN_TINY)
        turn = 1 + free * (np.tanh(outputs[:, n : 2 * n]) + 1j * np.tanh(outputs[:, 2 * n :]))
        mask = mask * turn / np.sqrt(np.abs(turn) ** 2 + features.ROTATION_FLOOR)
    spectra = on_the_grid(full, n, at.frame, spec)
    seconds = at.hop / at.sample_rate
    masked, share = kept_clear(spectra, mask * spectra, seconds, gain_min)
    if network.above is None or full.shape[1] <= n:
        above = masked_above(full[:, n:], spectra, masked, seconds, gain_min)
    else:
        high = full[:, n:] * (spec.frame / at.frame)
        kept = head_inputs(network, high, spectra, masked, rows, seconds)
        above = full[:, n:] * head_gains(network, high.shape[1], *kept, share, gain_min)
    both = np.concatenate([masked[:, : full.shape[1]] * at.frame / spec.frame, above], -1)
    out = np.zeros(len(signal) + at.span)
    for t, frame in enumerate(np.fft.irfft(both, at.frame)):
        out[t * at.hop : t * at.hop + at.span] += frame[at.frame - at.span :] * synthesis
    return out[: len(signal)]
