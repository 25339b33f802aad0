"""The two fits: torch modules with the same arithmetic as the kernels, the loss, and the folding of normalisations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import Linear, Module, Parameter
from torch.nn import functional as nn

from benchmarks.fit_prior.material import interpolation, read_features
from benchmarks.fit_prior.perceptual import CompressedSpectrum, Intelligibility, PerceptualDistance, si_sdr_db
from rtdenoise.kernels import fine
from rtdenoise.methods.spectral.fine import N_HIDDEN as N_FINE
from rtdenoise.methods.spectral.fine import N_SECOND, place_cosines
from rtdenoise.methods.spectral.params import SubtractionParams
from rtdenoise.methods.spectral.prior import N_HIDDEN, context_shapes, load_constants
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.streaming.windows import window_pair

GAIN_MIN = 10.0 ** (-18.0 / 20.0)
WEIGHTS = {"spectrum": 10.0, "si_sdr": 0.04, "estoi": 4.0}
MOS_WEIGHT = {"context": 0.35, "snr": 0.35, "fine": 0.8}  # more raises PESQ and lowers eSTOI and SI-SDR
Triple = tuple[int, int, int]


class Loss:
    """``10 spectrum - .04 SI-SDR - 4 eSTOI - w MOS`` on enhanced waveforms, w being `mos_weight`."""

    def __init__(self, mos_weight: float) -> None:
        self.weights = (*WEIGHTS.values(), mos_weight)
        self.mos, self.estoi, self.spectrum = PerceptualDistance(), Intelligibility(), CompressedSpectrum()

    def __call__(self, enhanced: torch.Tensor, clean: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
        """The loss, and its parts: spectrum, SI-SDR, eSTOI, MOS."""
        parts = [
            self.spectrum(enhanced, clean).mean(),
            -si_sdr_db(enhanced, clean).clamp(max=30.0).mean(),
            -self.estoi(enhanced, clean).mean(),
            -self.mos.mos(enhanced * 1000.0, clean * 1000.0).mean(),
        ]
        total = sum(w * part for w, part in zip(self.weights, parts, strict=True))
        return total, [part.item() for part in parts]


class OverlapAdd:
    """Spectra (batch, frames, bins) to waveforms (batch, frames * hop), aligned with the clean signal."""

    def __init__(self, framing: Triple) -> None:
        self.frame, self.span, self.hop = framing
        self.window = torch.tensor(window_pair(*framing)[1], dtype=torch.float32)

    def __call__(self, spectra: torch.Tensor) -> torch.Tensor:
        """The enhanced signal; its last ``span - hop`` samples lack later frames."""
        parts = torch.fft.irfft(spectra, self.frame)[..., self.frame - self.span :] * self.window
        batch, frames, _ = parts.shape
        n = self.span // self.hop
        parts = parts.reshape(batch, frames, n, self.hop)
        total = sum(nn.pad(parts[:, :, j], (0, 0, j, n - 1 - j)) for j in range(n)).reshape(batch, -1)
        return total[:, self.span - self.hop : frames * self.hop]


class ContextRegression(Module):
    """`rtdenoise.kernels.prior.band_regression` with its inputs normalised."""

    def __init__(self, features: np.ndarray, framing: Triple) -> None:
        super().__init__()
        sample = torch.tensor(np.array(features[::5, ::7])).reshape(-1, 140)
        self.mean, self.std = Parameter(sample.mean(0), False), Parameter(sample.std(0) + 0.05, False)
        self.first, self.value = Linear(140, N_HIDDEN), Linear(N_HIDDEN, 20)
        torch.nn.init.normal_(self.value.weight, std=0.02)
        torch.nn.init.zeros_(self.value.bias)
        self.spread = torch.tensor(interpolation(framing))

    def forward(self, base: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Gain per bin."""
        x = (features.flatten(2) - self.mean) / self.std
        return _wiener(base + self.value(nn.leaky_relu(self.first(x), 0.1)) @ self.spread)

    def constants(self) -> dict[str, np.ndarray]:
        """What the kernel reads, with the normalisation folded in."""
        weight = self.first.weight / self.std
        offset = self.first.bias - weight @ self.mean
        return _numpy(table=weight.T, offset=offset, value_table=self.value.weight.T, value_offset=self.value.bias)


class SnrRegression(Module):
    """The second output of a fitted `ContextRegression`'s hidden layer, through the subtraction rule of SS."""

    def __init__(self, context: ContextRegression, out: Path) -> None:
        super().__init__()
        self.context, self.out = context.requires_grad_(False), out
        self.snr = Linear(N_HIDDEN, 20)
        torch.nn.init.normal_(self.snr.weight, std=0.02)
        torch.nn.init.zeros_(self.snr.bias)
        self.floor = 10.0 ** (SubtractionParams().floor_db / 10.0)

    def forward(self, base: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Gain per bin, as `rtdenoise.kernels.prior.subtract_by_context`."""
        context = self.context
        hidden = nn.leaky_relu(context.first((features.flatten(2) - context.mean) / context.std), 0.1)
        factor = (3.0 - 0.35 * self.snr(hidden) @ context.spread).clamp(1.0, 12.5)
        noise_share = torch.exp(-2.0 * base)
        remaining = torch.maximum(1.0 - factor * noise_share, self.floor * noise_share).clamp(min=GAIN_MIN**2)
        return remaining.sqrt().clamp(max=1.0)

    def constants(self) -> dict[str, np.ndarray]:
        """What the kernel reads, beside the constants of the first output."""
        with np.load(self.out / "context.npz") as stored:
            kept = {name: stored[name] for name in context_shapes()}
        return kept | _numpy(snr_table=self.snr.weight.T, snr_offset=self.snr.bias)


class FineRegression(Module):
    """`rtdenoise.kernels.fine.wiener_fine` with its inputs normalised."""

    def __init__(self, maps: np.ndarray, scalars: np.ndarray, framing: Triple) -> None:
        super().__init__()
        frame, span, hop = framing
        self.cosines = torch.tensor(place_cosines(Framing(sample_rate=16_000, frame=frame, span=span, hop=hop))).float()
        sample = torch.tensor(np.array(maps[::40, 60::50])).float().transpose(1, 2).flatten(2)
        mean, std = sample.mean((0, 2)), sample.std((0, 2)) + 0.05
        rows = [row for row, shifts in fine.PLACES for _ in shifts]
        told = torch.tensor(np.array(scalars[::10, 60::20])).flatten(0, 1)
        zeros, ones = torch.zeros(fine.N_COSINES), torch.ones(fine.N_COSINES)
        self.mean = Parameter(torch.cat([mean[rows], told.mean(0), zeros]), False)
        self.std = Parameter(torch.cat([std[rows], told.std(0) + 0.05, ones]), False)
        self.first, self.second = Linear(fine.N_INPUTS, N_FINE), Linear(N_FINE, N_SECOND)
        self.value = Linear(N_SECOND, 1)
        torch.nn.init.normal_(self.value.weight, std=0.02)
        torch.nn.init.zeros_(self.value.bias)

    def forward(self, maps: torch.Tensor, scalars: torch.Tensor) -> torch.Tensor:
        """Gain per bin; maps are (batch, frames, N_MAPS, bins)."""
        n_bins, reach = maps.shape[3], fine.REACH
        padded = nn.pad(maps.flatten(0, 1), (reach, reach), mode="replicate").unflatten(0, maps.shape[:2])
        columns = [
            padded[:, :, row, reach + shift : reach + shift + n_bins] for row, shifts in fine.PLACES for shift in shifts
        ]
        columns += [scalars[:, :, j, None].expand(-1, -1, n_bins) for j in range(fine.N_SCALARS)]
        columns += [c.expand(*maps.shape[:2], n_bins) for c in self.cosines]
        x = (torch.stack(columns, -1) - self.mean) / self.std
        hidden = nn.leaky_relu(self.second(nn.leaky_relu(self.first(x), 0.1)), 0.1)
        return _wiener(maps[:, :, fine.BASE] + self.value(hidden)[..., 0])

    def constants(self) -> dict[str, np.ndarray]:
        """What the kernel reads, with the normalisation folded in, and the constants of the bands it refines."""
        weight = self.first.weight / self.std
        bins = _numpy(
            table=weight,
            offset=self.first.bias - weight @ self.mean,
            second_table=self.second.weight,
            second_offset=self.second.bias,
            value_table=self.value.weight,
            value_offset=self.value.bias,
        )
        return bins | {f"band_{k}": v for k, v in load_constants("context", context_shapes()).items()}


def _wiener(log_xi: torch.Tensor) -> torch.Tensor:
    return GAIN_MIN + (1.0 - GAIN_MIN) * torch.sigmoid(log_xi)


def _numpy(**tensors: torch.Tensor) -> dict[str, np.ndarray]:
    return {name: t.detach().numpy().astype(np.float32) for name, t in tensors.items()}


def fit_context(
    work: Path, out: Path, framings: dict[str, Triple], firsts: dict[str, int], minutes: float, threads: int
) -> None:
    """Fit one regression for all delays; `firsts` says which clip the features of each begin with."""
    torch.set_num_threads(threads)
    stores = {name: read_features(work, name) for name in framings}
    model = ContextRegression(stores["balanced"][2], framings["balanced"])

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        turn = 0
        while True:
            name = ("balanced", "balanced", "low", "quality")[turn % 4]
            turn += 1
            n_frames = int(3.0 * 16_000 / framings[name][2])
            rows = np.sort(rng.integers(20, len(stores[name][0]), 6 if name == "low" else 10))
            first = 0 if rng.random() < 0.4 else int(rng.integers(stores[name][0].shape[1] - n_frames))
            yield name, rows + firsts[name], first, _batch(stores[name], rows, first, n_frames)

    _fit(model, work / "context", out / "context.npz", framings, batches, minutes, 6e-3, np.load(work / "clean.npy"))


def fit_snr(work: Path, out: Path, framing: Triple, minutes: float, threads: int) -> None:
    """Fit the SNR that over-subtraction follows, on the hidden layer that `fit_context` left in `work`."""
    torch.set_num_threads(threads)
    store = read_features(work, "snr")
    context = ContextRegression(store[2], framing)
    context.load_state_dict(torch.load(work / "context.pt"))
    _fit(
        SnrRegression(context, out),
        work / "snr",
        out / "context.npz",
        {"balanced": framing},
        lambda rng: _one_framing(rng, store, "balanced", 10, int(3.0 * 16_000 / framing[2])),
        minutes,
        2e-2,
        np.load(work / "clean.npy", mmap_mode="r"),
    )


def fit_fine(work: Path, out: Path, framing: Triple, minutes: float, threads: int) -> None:
    """Fit the per-bin regression on features that hold the first fit's result."""
    torch.set_num_threads(threads)
    store = read_features(work, "fine")
    model = FineRegression(store[1], store[2], framing)

    clean = np.load(work / "clean.npy", mmap_mode="r")
    n_frames = int(2.6 * 16_000 / framing[2])
    _fit(
        model,
        work / "fine",
        out / "fine.npz",
        {"quality": framing},
        lambda rng: _one_framing(rng, store, "quality", 4, n_frames),
        minutes,
        4e-3,
        clean,
    )


Batch = tuple[str, np.ndarray, int, tuple[torch.Tensor, ...]]


def _one_framing(
    rng: np.random.Generator, store: list[np.ndarray], name: str, size: int, n_frames: int
) -> Iterator[Batch]:
    """Batches of `size` stretches; the first 20 clips are kept out."""
    while True:
        rows = np.sort(rng.integers(20, len(store[0]), size))
        first = 0 if rng.random() < 0.3 else int(rng.integers(store[0].shape[1] - n_frames))
        yield name, rows, first, _batch(store, rows, first, n_frames)


def _batch(store: list[np.ndarray], rows: np.ndarray, first: int, n_frames: int) -> tuple[torch.Tensor, ...]:
    cut = [np.stack([array[i, first : first + n_frames] for i in rows]) for array in store]
    return tuple(torch.tensor(a if np.iscomplexobj(a) else a.astype(np.float32)) for a in cut)


def _fit(
    model: Module,
    state: Path,
    target: Path,
    framings: dict[str, Triple],
    batches: Callable[[np.random.Generator], Iterator],
    minutes: float,
    rate: float,
    clean: np.ndarray,
) -> None:
    """AdamW with cosine decay over `minutes`, from the state file if there is one; writes both every 100 steps."""
    if state.with_suffix(".pt").exists():
        model.load_state_dict(torch.load(state.with_suffix(".pt")))
    loss, synthesis = Loss(MOS_WEIGHT[state.name]), {name: OverlapAdd(f) for name, f in framings.items()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=1e-2, betas=(0.9, 0.99))
    began, history = time.monotonic(), []
    for step, (name, clips, first, (spectra, *inputs)) in enumerate(batches(np.random.default_rng())):
        share = (time.monotonic() - began) / (60.0 * minutes)
        if share >= 1.0:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 30) * (0.5 + 0.5 * np.cos(np.pi * share) + 0.01)
        enhanced = synthesis[name](model(*inputs) * spectra)
        start = first * framings[name][2]
        wanted = torch.tensor(np.stack([clean[i, start : start + enhanced.shape[1]] for i in clips]))
        total, parts = loss(enhanced, wanted)
        if not torch.isfinite(total):
            continue
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        history.append([total.item(), *parts])
        if step % 100 == 99:
            print(step + 1, np.mean(history[-100:], 0).round(3), f"{time.monotonic() - began:.0f} s", flush=True)
            _write(model, state, target)
    _write(model, state, target)


def _write(model: Module, state: Path, target: Path) -> None:
    torch.save(model.state_dict(), state.with_suffix(".pt"))
    partial = target.with_name("." + target.name)
    np.savez(partial, **model.constants())
    (partial if partial.exists() else partial.with_name(partial.name + ".npz")).rename(target)
