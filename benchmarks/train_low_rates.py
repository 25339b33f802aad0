r"""Train what a network changes of its weights at low rates, where half of the band that it was trained on is missing.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python -m benchmarks.train_low_rates train low.pt can-live --data data
    KERAS_BACKEND=torch python -m benchmarks.train_low_rates export low.pt can-live
    python -m benchmarks.train_low_rates blend can-ultra can-live --shares 0.5 1 --rank 48 --power 0.85

Each matrix of a dense network gets the product of two of rank 16 added (Hu et al. 2021, "LoRA"), which begins as
zero; smaller arrays are trained as they are, and so are all of a network with bands.  Products continue from the
model's own `low.npz` if that has the same rank.
They learn from clean speech, and from what a teacher, the network itself unless ``--teacher`` names another, makes of
the full band (`rtdenoise.lab.data.lessons`).  With ``--like`` they begin with what a run changed of another network
of the same shapes.  Mixtures and losses are those of configs/can-live.yaml without DNSMOS, with bands that end
between 3.4 and 4 kHz; the network reads the image that it reads at 8 kHz (`rtdenoise.methods.can.compiled.band_end`).
``export`` writes `low.npz` into the model's folder (`rtdenoise.methods.can.layers.low_rates`), which the compiled
engine uses at rates below 10 kHz.  ``blend`` writes there a sum of a model's own changes and those of another dense
network with the same shapes, of matrices as many components as ``--rank`` says.  Both keep the exponent of the gain
that is there, unless ``--power`` gives another.  `benchmarks/validation.py` prints the figures.
"""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtdenoise.lab.data.batches import Batch
from rtdenoise.lab.losses.terms import build_loss
from rtdenoise.lab.pytorch.low_rates import Adapted, top
from rtdenoise.lab.pytorch.memory import keep_memory
from rtdenoise.lab.pytorch.shipped import fastest_dtype
from rtdenoise.lab.training.session import default_cache, lessons_of, open_mixer
from rtdenoise.lab.training.settings import load_settings
from rtdenoise.methods.can.layers.low_rates import changes_as_bytes, load_changes
from rtdenoise.methods.can.models import LOW_RATES, WEIGHTS, Model, open_model, write_checksums
from rtdenoise.methods.can.spec import CanSpec

RATE = 16000
BATCH, SECONDS = 4, 4.0
DECAY = 0.997  # of the means of the weights
WARM_UP, FALLING = 50, 0.3
"""Steps in which the learning rate rises; share of the run after which it falls, as half a cosine."""
KEEP_EVERY_SECONDS = 300.0


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    for task in ("train", "export", "blend"):
        sub = tasks.add_parser(task)
        if task != "blend":
            sub.add_argument("file", type=Path, help="of the run")
        sub.add_argument("model", help="a shipped network, or the folder of one")
        if task == "blend":
            sub.add_argument("other", help="another of the same shapes")
            sub.add_argument("--own", type=Path, help="file with its own changes, if not those in its folder")
            sub.add_argument("--shares", nargs=2, type=float, default=(0.5, 0.5), help="of its changes and the other's")
        if task != "train":
            sub.add_argument("--power", type=float, help="exponent of the gain at low rates")
        if task != "export":
            sub.add_argument("--rank", type=int, default=16, help="of the products")
        if task == "train":
            sub.add_argument("--data", type=Path, required=True, help="folder of recordings")
            sub.add_argument("--minutes", type=float, default=60.0, help="of processor time, those before included")
            sub.add_argument("--rate", type=float, default=1e-3, help="the highest learning rate")
            sub.add_argument(
                "--taught",
                type=float,
                default=0.7,
                help="share of the steps whose target is what a teacher makes of the full band",
            )
            sub.add_argument("--teacher", help="a shipped network; without one: the model itself")
            sub.add_argument("--lessons", type=int, default=3000, help="different batches of 16 s")
            sub.add_argument("--seed", type=int, default=11, help="of the mixtures")
            sub.add_argument("--estoi", type=float, default=1.0, help="times the weight of that term")
            sub.add_argument(
                "--like", nargs=2, metavar=("MODEL", "RUN"), help="begin with what a run changed of another model"
            )
            sub.add_argument("--set", action="append", metavar="KEY=VALUE", help="change of configs/can-live.yaml")
    options = parser.parse_args()
    if options.task != "train":
        (export if options.task == "export" else blend)(options)
        return
    settings = load_settings(Path("can-live"), options.set)
    mixer = open_mixer(options.data, "train", settings.mixtures, cache=default_cache(), sample_rate=RATE)
    terms = [dict(term) for term in settings.loss if term["term"] != "opinion"]
    for term in terms:
        term["weight"] *= options.estoi if term["term"] == "estoi" else 1.0
    train(options, mixer, build_loss(terms))


def train(options: argparse.Namespace, mixer: Any, loss_of: Callable[..., torch.Tensor]) -> None:
    """Train; keeps the means of the weights and the state of the run."""
    keep_memory()
    torch.manual_seed(1)
    model = open_model(options.model)
    low = model.parts(RATE // 2).get(LOW_RATES)
    network = Adapted(
        model.network(),
        options.rank,
        start=model.network(RATE // 2),
        changes=None if low is None else load_changes(low[1], model.folder / LOW_RATES),
        compute_dtype=fastest_dtype(),
    )
    network.train()
    if options.like is not None:
        other, run = options.like
        network.begin_like(torch.load(run, weights_only=True)["mean"], open_model(other).network())
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0)
    mean = {name: value.detach().clone() for name, value in network.state_dict().items()}
    step, before = 0, 0.0
    if options.file.is_file():
        kept = torch.load(options.file, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        mean, step, before = kept["mean"], kept["step"], kept["spent"]
    began = saved = time.process_time()
    losses = []
    source = lessons_of(
        [(open_model(options.teacher or options.model), 1.0)],
        mixer,
        n_batches=options.lessons,
        share=options.taught,
        cache=default_cache(),
        seed=options.seed,
        batch_size=BATCH,
        n_samples=round(SECONDS * RATE),
    )
    print(f"{sum(p.numel() for p in network.parameters())} weights", flush=True)
    for batch in source(step):
        now = time.process_time()
        spent = before + now - began
        share = spent / (60.0 * options.minutes)
        if share >= 1.0 or now - saved > KEEP_EVERY_SECONDS:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "mean": mean}
            partial = options.file.with_name(options.file.name + ".partial")
            torch.save({**state, "step": step, "spent": spent, "rank": options.rank}, partial)
            partial.replace(options.file)
            saved = now
        if share >= 1.0:
            return
        rate = options.rate * min(1.0, (step + 1) / WARM_UP)
        if share > FALLING:
            rate *= max(0.01, 0.5 + 0.5 * math.cos(math.pi * (share - FALLING) / (1.0 - FALLING)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        rng = np.random.default_rng((1, step))
        losses.append(advance(network, optimiser, loss_of, batch, rng))
        step += 1
        values = [value.detach() for value in network.state_dict().values()]
        torch._foreach_lerp_(list(mean.values()), values, 1.0 - min(DECAY, (1 + step) / (10 + step)))
        if step % 50 == 0:
            heard = step * BATCH * SECONDS / 3600.0
            print(
                f"{step} heard {heard:.2f} h, {spent / 60:.1f} min, loss {np.mean(losses[-200:]):.4f}, rate {rate:.1e}",
                flush=True,
            )


def advance(
    network: Adapted, optimiser: torch.optim.Optimizer, loss_of: Any, batch: Batch, rng: np.random.Generator
) -> float:
    """One step, left out where the gradient is not finite; its loss."""
    edges = random_edges(rng)
    noisy, target = (torch.from_numpy(ended(x, edges)) for x in (batch.noisy, batch.target))
    scale = torch.from_numpy(batch.scale)
    estimate = network(noisy, last_bins(network.spec, edges))[:, network.spec.latency_samples :] * scale
    n = min(target.shape[1], estimate.shape[1])
    loss = loss_of(target[:, :n] * scale, estimate[:, :n])
    optimiser.zero_grad()
    loss.backward()
    if torch.isfinite(torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)):
        optimiser.step()
    return float(loss.detach())


def random_edges(rng: np.random.Generator) -> np.ndarray:
    """Where bands begin to fall and where nothing is left of them, in Hz: (BATCH, 2).

    Half of them are as mild resamplers leave them, the others as steep ones and as telephones do.
    """
    mild, steep, telephone = (rng.uniform(*low_high, BATCH) for low_high in ((3550, 3750), (3750, 3930), (3350, 3500)))
    kind, width = rng.random(BATCH), rng.uniform(20.0, 4000.0 - steep)
    start = np.where(kind < 0.5, mild, np.where(kind < 0.8, steep, telephone))
    stop = np.where(kind < 0.5, 4000.0, np.where(kind < 0.8, steep + width, telephone + 200.0))
    return np.stack([start, stop], axis=1)


def last_bins(spec: CanSpec, edges: np.ndarray) -> list[int]:
    """Last bin that the network reads of each band: at a telephone's end, which is a cliff, or where the rate ends."""
    per_bin = spec.sample_rate / spec.frame
    return [min(top(spec), int(stop / per_bin)) if stop < 3750.0 else top(spec) for _, stop in edges]


def ended(clips: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Clips (n, n_samples) that fall between the edges of each."""
    hz, (start, stop) = np.fft.rfftfreq(clips.shape[1], 1.0 / RATE), edges.T[..., np.newaxis]
    gain = 0.5 + 0.5 * np.cos(np.pi * np.clip((hz - start) / (stop - start), 0.0, 1.0))
    return np.fft.irfft(np.fft.rfft(clips) * gain, clips.shape[1]).astype(np.float32)


def export(options: argparse.Namespace) -> None:
    """Write the changes into the model's folder."""
    model = open_model(options.model)
    kept = torch.load(options.file, weights_only=True)
    network = Adapted(model.network(), kept["rank"])
    network.load_state_dict(kept["mean"])
    (model.folder / LOW_RATES).write_bytes(network.changes(options.power or power_of(model)))
    write_checksums(model.folder)


def blend(options: argparse.Namespace) -> None:
    """Write a sum of the changes of two models into the folder of the first."""
    model, other = open_model(options.model), open_model(options.other)
    if model.spec.bands or other.spec.bands:
        raise SystemExit("train_low_rates: blend is for dense networks; give two of can-live, can-ultra, can-wave")
    (weights, own), (_, others) = changes_of(model, options.own), changes_of(other)
    mine, share = options.shares
    summed = {name: mine * own[name] + share * others[name] for name in weights}
    replaced, added = {}, {}
    for name, change in summed.items():
        matrix = change.reshape(-1, change.shape[-1])
        if 2 * options.rank * sum(matrix.shape) < matrix.size:
            left, scales, right = np.linalg.svd(matrix, full_matrices=False)
            root = np.sqrt(scales[: options.rank])
            added[name] = left[:, : options.rank] * root, root[:, np.newaxis] * right[: options.rank]
        else:
            replaced[name] = weights[name] + change
    (model.folder / LOW_RATES).write_bytes(changes_as_bytes(replaced, added, options.power or power_of(model)))
    write_checksums(model.folder)


def power_of(model: Model) -> float | None:
    """The exponent of a model's gain at low rates, if it has one of its own there."""
    power = model.network(RATE // 2).spec.mask_power
    return None if power == model.spec.mask_power else power


def changes_of(model: Model, own: Path | None = None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The arrays of a model, and what it adds to each at low rates, or what a file does; float32."""
    parts = model.parts(RATE // 2)
    content = parts[LOW_RATES][1] if own is None else own.read_bytes()
    with np.load(io.BytesIO(parts[WEIGHTS][1])) as file:
        arrays = {name: file[name].astype(np.float32) for name in file.files}
    low = load_changes(content, own or model.folder / LOW_RATES).applied_to(arrays)
    return arrays, {name: low[name] - array for name, array in arrays.items()}


if __name__ == "__main__":
    main()
