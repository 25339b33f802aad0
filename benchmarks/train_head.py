"""Train the small head that decides above 8 kHz, behind a network that stays as it is.

    python -m benchmarks.train_head features train.npz --data OUT/manifest.csv --minutes 30
    python -m benchmarks.train_head train head.pt train.npz --minutes 10
    python -m benchmarks.train_head judge head.pt --data OUT/manifest.csv
    python -m benchmarks.train_head export head.pt models/can-live

``features`` runs the compiled network hop by hop over mixtures of the split ``train`` at 48 kHz (recordings, babble and
noise that is computed) and keeps what a head may read, and the sound.  ``train`` fits the head to the log-spectral
distance above 8 kHz of what comes out, all the way through the overlap-add: where windows do not overlap, a gain that
changes from hop to hop costs more than its own error.  ``judge`` renders the mixtures of `benchmarks.full_band`,
replaces what the product does above 8 kHz with the single gain of a model without a head and with the head, and prints
the same tables for all.  ``export`` writes the head into the folder of the model
(`rtdenoise.methods.can.layers.above`), in 16 bits.

The head is causal.  It reads, per hop: the stack's last rows; what the network kept in three bands below 8 kHz; the
log power of bands 1 kHz wide, three of them below 8 kHz, with heights above their running mean and floor, computed as
the network's own inputs are.  The same layers serve each band above 8 kHz, from its own and its neighbours' levels, so
that a rate with fewer bands needs no other head.  Gains are interpolated between the bands' centres.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import full_band as benchmark
from benchmarks.material import add_material, check_material
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.measures import full_band
from rtdenoise.evaluate.signals import mix_at_snr
from rtdenoise.kernels.clean_speech import clarity
from rtdenoise.methods.can import models
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.layers import above, features
from rtdenoise.methods.can.models import open_model
from rtdenoise.typing import F32, F64

RATE = benchmark.RATE_HZ
EDGE_HZ, WIDTH_HZ = 8000.0, 1000.0
N_BELOW, N_ABOVE = 3, 16
KEPT_HZ = (2000.0, 4000.0, 6000.0, 8000.0)
"""Edges of the bands whose kept energy the head reads."""
STFT_FRAME = 1536
PIECES, PIECE_SECONDS = 8, 0.8
"""Of a step of training."""
CLEAN_DB = 3.0
"""Distance above 8 kHz below which a piece counts as clean."""
_SIGNALS = ("clean", "noisy", "low")
GAIN_MIN = 1e-3
_TINY = 1e-12


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("features", "train", "judge", "export"))
    parser.add_argument("file", type=Path)
    parser.add_argument("features", type=Path, nargs="*")
    add_material(parser, tiers="A,B", labels="all, and babble")
    parser.add_argument("--model", default="can-live", help="default %(default)s")
    parser.add_argument("--minutes", type=float, default=10.0, help="of sound, or of processor time")
    parser.add_argument("--rows", type=int, default=12, help="values the stack's rows are reduced to; 0: left out")
    parser.add_argument("--clean", type=float, default=3.0, help="weight of pieces with hardly any noise")
    parser.add_argument("--over", type=float, default=1.0, help="cost of a dB too much, against one too little")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--snrs", default="0,5,10")
    options = parser.parse_args(arguments)
    options.snrs = [float(each) for each in options.snrs.split(",")]
    torch.set_num_threads(1)
    if options.task in ("features", "judge"):
        check_material(parser, options)
    {"features": collect, "train": train, "judge": judge, "export": export}[options.task](options)
    return 0


@dataclasses.dataclass
class Hops:
    """What a network did to a clip, hop by hop, and the clip's spectra above 8 kHz.

    `rows`: (n_hops, channels of all bands).  `kept`: log share of energy kept below 8 kHz, (n_hops, 3).  `share`: of
    removed signal that clean recordings get back.  `single`: today's gain.  `power`: (n_hops, 3 + 16) mean power of
    bands.  `spectra`: (n_hops, n_high) complex, of the bins above 8 kHz.  `out`: the enhanced signal.
    """

    rows: F32
    kept: F32
    share: F32
    single: F32
    power: F32
    spectra: np.ndarray
    out: F32


class Runner:
    """A network at 48 kHz, and the analysis around it."""

    def __init__(self, model: str) -> None:
        network = dataclasses.replace(open_model(model).network(), above=None)
        self.denoiser = CompiledCan(network, None, RATE)
        self.spec, self.framing = network.spec, self.denoiser.framing
        frames = self.denoiser._frames[0]
        self.analysis, self.synthesis = (frames[name].astype(np.float64) for name in ("analysis", "synthesis"))
        self.hz = np.fft.rfftfreq(self.framing.frame, 1.0 / RATE)
        self.high = self.spec.n_bins
        self.scale = self.spec.frame / self.framing.frame

    def analyse(self, signal: F32) -> np.ndarray:
        """Spectra of all hops, (n_hops, n_bins) complex64."""
        framing = self.framing
        padded = np.concatenate([np.zeros(framing.frame - framing.hop), signal])
        frames = np.lib.stride_tricks.sliding_window_view(padded, framing.frame)[:: framing.hop]
        return np.concatenate(
            [np.fft.rfft(part * self.analysis, axis=1).astype(np.complex64) for part in np.array_split(frames, 8)]
        )

    def synthesise(self, spectra: np.ndarray, gain: F64 | F32, n: int) -> F64:
        """Overlap-add of the bins above 8 kHz times a gain, aligned with the input, `n` samples."""
        framing = self.framing
        out = np.zeros(len(spectra) * framing.hop + framing.span)
        whole = np.zeros((1, framing.n_bins), np.complex128)
        for t, spectrum in enumerate(spectra):
            whole[0, self.high :] = spectrum * gain[t]
            piece = np.fft.irfft(whole[0], framing.frame)[framing.frame - framing.span :] * self.synthesis
            out[t * framing.hop : t * framing.hop + framing.span] += piece
        late = framing.latency_samples
        return out[late : late + n]

    def run(self, noisy: F32) -> Hops:
        """Enhance a clip and look inside."""
        denoiser, hop, late = self.denoiser, self.framing.hop, self.framing.latency_samples
        n_hops = -(-(noisy.size + late) // hop)
        padded = np.pad(noisy, (0, n_hops * hop - noisy.size))
        denoiser.reset()
        stream, frames = denoiser._stream[0], denoiser._frames[0]
        edges = [round(each * self.spec.frame / self.spec.sample_rate) for each in KEPT_HZ]
        out = np.empty_like(padded)
        rows, logs = np.empty((n_hops, self.spec.width), np.float32), np.empty((n_hops, 5), np.float64)
        for t in range(n_hops):
            denoiser.process(padded[t * hop : (t + 1) * hop], out[t * hop : (t + 1) * hop])
            rows[t] = stream["rows"][stream["newest"], : self.spec.width]
            before, after = (np.abs(stream[name]) ** 2 for name in ("heard", "spectrum"))
            for k in range(3):
                part = slice(edges[k], edges[k + 1] + (k == 2))
                logs[t, k] = (after[part].sum() + _TINY) / (before[part].sum() + _TINY)
            ratio = stream["energies"][0] / max(stream["energies"][1], 1e-30)
            logs[t, 3] = ratio
            there, kept = frames["guide_energies"]
            logs[t, 4] = math.sqrt(kept / (there + _TINY))
        decibels = 10.0 * np.log10(np.maximum(logs[:, 3], 1e-9))
        share = np.clip((decibels - clarity.LOWEST_DB) / (clarity.HIGHEST_DB - clarity.LOWEST_DB), 0.0, 1.0)
        spectra = self.analyse(padded)
        return Hops(
            rows,
            np.log(np.maximum(logs[:, :3], 1e-6)).astype(np.float32),
            share.astype(np.float32),
            np.clip(logs[:, 4], GAIN_MIN, 1.0).astype(np.float32),
            self.bands(np.abs(spectra) ** 2 * self.scale**2),
            spectra[:, self.high :],
            out[late : late + noisy.size],
        )

    def bands(self, power: F32) -> F32:
        """Mean power of bins in the bands, (n_hops, 3 + 16)."""
        lowest = EDGE_HZ - N_BELOW * WIDTH_HZ
        index = np.floor((self.hz - lowest - 1.0) / WIDTH_HZ).astype(int)
        return np.stack([power[:, index == b].mean(axis=1) for b in range(N_BELOW + N_ABOVE)], 1).astype(np.float32)

    def levels(self, power: F32) -> F32:
        """Log power, heights above running mean and floor, and height above the mean of 20 ms: (n_hops, bands, 4)."""
        log = np.log(power + features.POWER_FLOOR)
        recent_step = 1.0 - math.exp(-self.framing.hop_seconds / 0.02)
        steps = features.MEAN_STEP / self.spec.mean_rows, features.FLOOR_STEP / self.spec.mean_rows, recent_step
        roots = np.exp(features.FLOOR_EXPONENT * log)
        mean, floor, recent = (running(x, step) for x, step in zip((log, roots, power), steps, strict=True))
        quiet = np.log(floor) / features.FLOOR_EXPONENT
        smooth = np.log(recent + features.POWER_FLOOR)
        return np.stack([log, log - mean, log - quiet, smooth - quiet], axis=2).astype(np.float32)


def running(x: F32, step: float) -> F64:
    """Running mean, without bias at the beginning, along the first axis."""
    from scipy.signal import lfilter

    both = lfilter([step], [1.0, step - 1.0], np.concatenate([x, np.ones((len(x), 1))], axis=1), axis=0)
    return np.asarray(both[:, :-1] / both[:, -1:])


class Head(nn.Module):
    """A gain for each band above 8 kHz: (hops, 16) in (0, 1), and how it reads bins."""

    def __init__(self, channels: int, n_rows: int, width: int = 24, second: int = 16) -> None:
        super().__init__()
        self.n_rows = n_rows
        self.reduce = nn.Linear(channels, max(n_rows, 1))
        self.place = nn.Parameter(torch.zeros(N_ABOVE, width))
        self.first = nn.Linear(10 + 3 + n_rows, width)
        self.second = nn.Linear(width, second)
        self.last = nn.Linear(second, 1)
        self.skip = nn.Parameter(torch.tensor([0.3, 0.3]))
        for name, n in (("rows", channels), ("kept", 3), ("levels", 4)):
            self.register_buffer(name + "_mean", torch.zeros(n))
            self.register_buffer(name + "_scale", torch.ones(n))

    def set_scales(self, rows: torch.Tensor, kept: torch.Tensor, levels: torch.Tensor) -> None:
        """Zero mean and unit spread of the inputs; folded into the weights in the end."""
        for name, x in (("rows", rows), ("kept", kept), ("levels", levels.reshape(-1, 4))):
            getattr(self, name + "_mean").copy_(x.mean(0))
            getattr(self, name + "_scale").copy_(1.0 / (x.std(0) + 1e-3))

    def forward(self, rows: torch.Tensor, kept: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """Gains of bands from rows (n, channels), kept (n, 3) and levels (n, 19, 4)."""
        rows, kept, levels = (
            (x - getattr(self, name + "_mean")) * getattr(self, name + "_scale")
            for name, x in (("rows", rows), ("kept", kept), ("levels", levels))
        )
        own = levels[:, N_BELOW:]
        below = levels[:, N_BELOW - 1 : -1]
        over = torch.cat([own[:, 1:], own[:, -1:]], dim=1)
        local = torch.cat([own, below[..., :3], over[..., :3]], dim=2)
        shared = [kept, self.reduce(rows)] if self.n_rows else [kept]
        context = torch.cat(shared, dim=1)[:, None].expand(-1, N_ABOVE, -1)
        x = nn.functional.leaky_relu(self.first(torch.cat([local, context], dim=2)) + self.place, 0.2)
        x = nn.functional.leaky_relu(self.second(x), 0.2)
        logit = self.last(x)[..., 0] + own[..., 1] * self.skip[0] + own[..., 2] * self.skip[1]
        gain = torch.sigmoid(logit)
        return gain * torch.clamp(gain / above.CLOSING, max=1.0)


def interpolation(hz: F64) -> F32:
    """(16, n) shares of bands in a gain at `hz`: linear between centres, constant beyond them."""
    place = np.clip((hz - EDGE_HZ) / WIDTH_HZ - 0.5, 0.0, N_ABOVE - 1.0)
    return np.maximum(0.0, 1.0 - np.abs(place - np.arange(N_ABOVE)[:, np.newaxis])).astype(np.float32)


def material(options: argparse.Namespace) -> mixing.Material:
    """Recordings of the chosen split."""
    tiers = tuple(filter(None, options.tiers.split(",")))
    return mixing.find_material(
        options.speech, options.noise, split=options.split, tiers=tiers, labels=options.labels, usual="all"
    )


def computed_noise(rng: np.random.Generator, n: int) -> F64:
    """Noise of a random slope and resonances, steady or swelling: fans, hiss, engines, air."""
    hz = np.fft.rfftfreq(n, 1.0 / RATE)
    octave = np.log2(np.maximum(hz, 50.0) / 1000.0)
    gain = 2.0 ** (rng.uniform(-1.3, 0.5) * octave)
    for _ in range(rng.integers(4)):
        gain *= 1.0 + rng.uniform(0.0, 8.0) * np.exp(
            -0.5 * ((octave - rng.uniform(0, 4.4)) / rng.uniform(0.03, 0.6)) ** 2
        )
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gain, n)
    if rng.random() < 0.5:
        knots = rng.random(max(2, int(n / RATE * rng.uniform(0.5, 12.0))) + 2) ** rng.uniform(0.5, 3.0)
        noise *= 0.03 + np.interp(np.linspace(0, knots.size - 1, n), np.arange(knots.size), knots)
    return np.asarray(noise)


def collect(options: argparse.Namespace) -> None:
    """Run the network over mixtures; keeps features and targets."""
    found, rng, runner = material(options), np.random.default_rng(options.seed), Runner(options.model)
    labels = [*sorted({each.label for each in found.noise}), mixing.BABBLE]
    clips = round(60.0 * options.minutes / options.seconds)
    snrs = (-5.0, 0.0, 5.0, 10.0, 15.0, 25.0)
    plan = mixing.plan_mixtures(
        found.speech, found.noise, clips=clips, seed=options.seed, snrs_db=snrs, seconds=options.seconds, labels=labels
    )
    kept: dict[str, list[Any]] = {name: [] for name in ("rows", "kept", "levels", "share", *_SIGNALS, "floor")}
    for number, each in enumerate(plan):
        clean, noisy = mixing.render_mixture(each, RATE)
        kind = rng.random()
        if kind < 0.35:
            noise = computed_noise(rng, clean.size)
            clean, noisy = mix_at_snr(clean.astype(np.float64), noise, float(rng.choice(snrs)), each.level_db, RATE)
        elif kind < 0.45:
            noisy = clean + np.float32(1e-5) * rng.standard_normal(clean.size).astype(np.float32)
        n_hops = noisy.size // runner.framing.hop
        clean, noisy = (np.asarray(x[: n_hops * runner.framing.hop], np.float32) for x in (clean, noisy))
        hops = runner.run(noisy)
        low = hops.out - runner.synthesise(hops.spectra, hops.single[:, np.newaxis], noisy.size)
        values = {"rows": hops.rows, "kept": hops.kept, "levels": runner.levels(hops.power), "share": hops.share}
        for name, value in values.items():
            kept[name].append(value[:n_hops].astype(np.float16))
        for name, value in zip(_SIGNALS, (clean, noisy, low), strict=True):
            kept[name].append(value.astype(np.float32))
        kept["floor"].append(_floor(clean))
        if number % 20 == 0:
            print(f"{number} of {clips} clips", flush=True)
    np.savez(options.file, **{name: np.stack(values) for name, values in kept.items()})


def _floor(clean: F32) -> float:
    """Power where the distance of a clip ends, as `rtdenoise.evaluate.measures.full_band` defines it."""
    loud = torch.quantile(powers(torch.from_numpy(clean)[None])[0].mean(1), 0.95)
    return float(loud) * 10.0 ** (-full_band.FLOOR_DB / 10.0) + _TINY


def powers(signals: torch.Tensor) -> torch.Tensor:
    """Power of bins above 8 kHz in frames of 32 ms, half overlap: (clips, n) to (clips, frames, bins)."""
    window = torch.hann_window(STFT_FRAME)
    spectra = torch.stft(signals, STFT_FRAME, STFT_FRAME // 2, window=window, center=False, return_complex=True)
    return spectra[:, round(EDGE_HZ * STFT_FRAME / RATE) + 1 :].abs().square().transpose(1, 2)


class Synthesis:
    """The product's way from the bins of noisy hops and their gains to sound, for pieces of clips."""

    def __init__(self, runner: Runner) -> None:
        self.framing, self.high = runner.framing, runner.high
        self.analysis, self.synthesis = (torch.from_numpy(x).float() for x in (runner.analysis, runner.synthesis))
        self.spread = torch.from_numpy(interpolation(runner.hz[runner.high :]))

    def gains(self, bands: torch.Tensor, kept: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Gains of bins above 8 kHz from the head's: they fall with the network's, and clean speech comes back."""
        bands = bands * torch.clamp(torch.exp(0.5 * kept[..., -1:]) / above.CLOSED, max=1.0)
        gain = torch.clamp(bands @ self.spread, min=GAIN_MIN)
        u = torch.clamp((gain - GAIN_MIN) / (clarity.GAIN_KEPT * (1.0 - GAIN_MIN)), 0.0, 1.0)
        return gain + share[..., None] * u * u * (3.0 - 2.0 * u) * (1.0 - gain)

    def sound(self, noisy: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
        """Bins above 8 kHz times `gains` (clips, hops, bins): (clips, hops x hop), late by the network's delay.

        `noisy`: (clips, frame - hop + hops x hop), where the first hop's frame begins at its first sample.
        """
        framing = self.framing
        frames = noisy.unfold(1, framing.frame, framing.hop) * self.analysis
        masked = torch.fft.rfft(frames)[..., self.high :] * gains
        whole = nn.functional.pad(masked, (self.high, 0))
        pieces = torch.fft.irfft(whole, framing.frame)[..., framing.frame - framing.span :] * self.synthesis
        n_parts = framing.span // framing.hop
        parts = pieces.unflatten(2, (n_parts, framing.hop))
        n_hops = parts.shape[1]
        late = [nn.functional.pad(parts[:, : n_hops - k, k], (0, 0, k, 0)) for k in range(n_parts)]
        return torch.stack(late).sum(0).flatten(1)


def distance(after: torch.Tensor, clean: torch.Tensor, floor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-spectral distance of frames, and the change of their bands' level, in dB; from powers and (clips,) floors."""
    floor = floor[:, None, None]
    off = 4.343 * torch.log((after + floor) / (clean + floor))
    bands = (off.shape[2] // N_ABOVE) * N_ABOVE
    means = [x[..., :bands].unflatten(2, (N_ABOVE, -1)).mean(3) for x in (after, clean)]
    level = 4.343 * torch.log((means[0] + floor) / (means[1] + floor))
    return torch.sqrt(off.square().mean(2) + 1e-6), level


def train(options: argparse.Namespace) -> None:
    """Fit the head to the sound that comes out; keeps it with the means of its weights."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    parts = [np.load(file) for file in options.features]
    data = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in parts[0].files}
    runner = Runner(options.model)
    synthesis, framing = Synthesis(runner), runner.framing
    n_clips, n_hops, channels = data["rows"].shape
    head = Head(channels, options.rows)
    some = torch.randperm(n_clips * n_hops)[:20000]
    head.set_scales(*(data[name].flatten(0, 1)[some].float() for name in ("rows", "kept", "levels")))
    print(f"{sum(p.numel() for p in head.parameters())} weights, {n_clips} clips of {n_hops} hops", flush=True)
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=1e-3)
    mean = {name: value.detach().clone() for name, value in head.state_dict().items()}
    piece, past = round(PIECE_SECONDS / framing.hop_seconds), framing.frame - framing.hop
    began, step, losses = time.process_time(), 0, []
    while (spent := (time.process_time() - began) / (60.0 * options.minutes)) < 1.0:
        chosen = [(int(rng.integers(n_clips)), int(rng.integers(n_hops - piece))) for _ in range(PIECES)]
        inner = {
            name: torch.stack([data[name][clip, at : at + piece] for clip, at in chosen]).float()
            for name in ("rows", "kept", "levels", "share")
        }
        starts = [(clip, at * framing.hop) for clip, at in chosen]
        padded = [
            nn.functional.pad(data["noisy"][clip, max(at - past, 0) : at + piece * framing.hop], (max(past - at, 0), 0))
            for clip, at in starts
        ]
        bands = head(*(inner[name].flatten(0, 1) for name in ("rows", "kept", "levels"))).unflatten(0, (PIECES, piece))
        gain = synthesis.gains(bands, inner["kept"], inner["share"])
        late = framing.latency_samples
        high = synthesis.sound(torch.stack(padded), gain)[:, late:]
        low, clean, noisy = (
            torch.stack([data[name][clip, at : at + high.shape[1]] for clip, at in starts])
            for name in ("low", "clean", "noisy")
        )
        floor = data["floor"][[clip for clip, _ in chosen]].float()
        before, target, after = (powers(x) for x in (noisy, clean, low + high))
        far, level = distance(after, target, floor)
        cost = far.mean(1) + 0.5 * (nn.functional.relu(-level) + options.over * nn.functional.relu(level)).mean((1, 2))
        noise = distance(before, target, floor)[0].mean(1)
        loss = (cost * torch.where(noise < CLEAN_DB, options.clean, 1.0)).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 200) * (0.5 * (1.0 + math.cos(math.pi * spent)) + 0.01)
        optimiser.step()
        step += 1
        share = 1.0 - min(0.998, (1 + step) / (10 + step))
        for name, value in head.state_dict().items():
            mean[name].lerp_(value.detach(), share)
        losses.append([float(loss.detach()), float(far.mean().detach()), float(noise.mean())])
        if step % 250 == 0:
            names = "loss", "distance", "noisy"
            print(
                step, *(f"{name} {x:.3f}" for name, x in zip(names, np.mean(losses[-250:], 0), strict=True)), flush=True
            )
    torch.save({"head": mean, "rows": options.rows, "model": options.model}, options.file)


def gains(head: Head, runner: Runner, hops: Hops) -> F64:
    """Gains of all bins above 8 kHz, (n_hops, n_high)."""
    with torch.no_grad():
        bands = head(*(torch.from_numpy(x) for x in (hops.rows, hops.kept, runner.levels(hops.power))))
        gain = Synthesis(runner).gains(bands, torch.from_numpy(hops.kept), torch.from_numpy(hops.share))
    return gain.numpy().astype(np.float64)


def judge(options: argparse.Namespace) -> None:
    """Print the tables of the benchmark for the noisy input, today's gain and the head."""
    stored = torch.load(options.file, weights_only=True)
    runner = Runner(stored["model"])
    head = Head(runner.spec.width, stored["rows"])
    head.load_state_dict(stored["head"])
    head.eval()
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for case, clean, noisy in benchmark.mixtures(options):
        hops = runner.run(noisy)
        low = hops.out - runner.synthesise(hops.spectra, hops.single[:, np.newaxis], noisy.size)
        high = runner.synthesise(hops.spectra, gains(head, runner, hops), noisy.size)
        for name, out in (("noisy", noisy), ("single", hops.out), ("head", (low + high).astype(np.float32))):
            found.setdefault((name, case), []).append(benchmark.figures(clean, noisy, out))
    rows = [
        {"case": case, "system": name} | {figure: benchmark.mean(each, figure) for figure in benchmark.NAMES}
        for (name, case), each in found.items()
    ]
    print(benchmark.report(rows))


def export(options: argparse.Namespace) -> None:
    """Write the head into the folder of a model, the scales of its inputs folded in."""
    stored = torch.load(options.file, weights_only=True)
    values = {name: value.double().numpy() for name, value in stored["head"].items()}
    scale = {name: values[f"{name}_scale"] for name in ("rows", "kept", "levels")}
    offset = {name: -values[f"{name}_mean"] * scale[name] for name in scale}
    first, n_local = values["first.weight"].T, above.LEVELS + 2 * above.NEIGHBOURS
    own, beside = list(range(above.LEVELS)), list(range(above.NEIGHBOURS))
    local_scale, local_offset = (each["levels"][own + beside + beside] for each in (scale, offset))
    shared, reduce, skip = first[n_local:], values["reduce.weight"].T, values["skip"]
    bias = values["first.bias"] + local_offset @ first[:n_local] + offset["kept"] @ shared[: above.N_KEPT]
    head = above.Head(
        reduce=reduce * scale["rows"][:, np.newaxis],
        reduce_bias=values["reduce.bias"] + offset["rows"] @ reduce,
        local=first[:n_local] * local_scale[:, np.newaxis],
        shared=np.concatenate([shared[: above.N_KEPT] * scale["kept"][:, np.newaxis], shared[above.N_KEPT :]]),
        place=values["place"] + bias,
        second=values["second.weight"].T,
        second_bias=values["second.bias"],
        last=values["last.weight"][0],
        last_bias=values["last.bias"] + skip @ offset["levels"][1:3],
        skip=skip * scale["levels"][1:3],
    )
    folder = options.features[0]
    content = above.head_as_bytes(head)
    above.load_head(content, open_model(folder).spec, folder / models.ABOVE)
    (folder / models.ABOVE).write_bytes(content)
    models.write_checksums(folder)


if __name__ == "__main__":
    sys.exit(main())
