r"""Train, judge and export the banded network (`rtdenoise.lab.pytorch.banded`), which no shipped model has yet.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/banded_trial.py train trial.pt --data data --minutes 600
    KERAS_BACKEND=torch python benchmarks/banded_trial.py train trial.pt --from models/banded-trial/weights.npz ...
    KERAS_BACKEND=torch python benchmarks/banded_trial.py train trial.pt --from models/banded-trial/weights.npz \
        --channels 48 --layers 1,-2,4,-8,1,-2,4,-8,16,-1 ...
    KERAS_BACKEND=torch python benchmarks/banded_trial.py train trial.pt --data data --teacher can-live ...
    KERAS_BACKEND=torch python benchmarks/banded_trial.py judge trial.pt --data data
    KERAS_BACKEND=torch python benchmarks/banded_trial.py judge models/banded-trial/weights.npz --data data
    KERAS_BACKEND=torch python benchmarks/banded_trial.py judge can-small --data data
    KERAS_BACKEND=torch python benchmarks/banded_trial.py export models/banded-trial/weights.npz --to banded
    rtdenoise --input noisy.wav --output clean.wav --model banded

Mixtures and losses are `can-live`'s (configs/can-live.yaml) without DNSMOS.  ``train`` goes on where the file is
there already, and keeps it every five minutes of processor time: network, means of the weights, and optimiser.  The
learning rate is constant, then falls as half a cosine over the last ``1 - hold`` of ``--minutes``, which count from
the first step of a run, of processor time or by the clock; ``--from`` starts it with weights at hand, whose mixtures
``--first-step`` leaves out, and with ``--channels`` and ``--layers`` (dilations, negative where a gated mean follows)
a network that has grown from them.  With ``--teacher can-live`` the targets of a share of the steps are what that
network makes of the mixtures; as it costs more than a small network itself, so many batches (``--lessons``) are made
once, cached and used repeatedly (`rtdenoise.lab.data.lessons`).  ``judge`` prints PESQ-wb, eSTOI and SI-SDR of
validation mixtures, in full band and without what is above 7.6 kHz; PESQ-nb, eSTOI and SI-SDR at 8 kHz of the full
band brought down (*to 8 kHz*), and of mixtures without what is above 4 kHz (*from 8*); and the change of held vowels,
second by second.  ``export`` writes a model folder, which the compiled engine runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import signal

import rtdenoise
from rtdenoise.evaluate.measures import metrics
from rtdenoise.lab.data.batches import Batch, batches
from rtdenoise.lab.data.lessons import Lessons
from rtdenoise.lab.data.mixtures import Mixer
from rtdenoise.lab.data.validation import validation_set
from rtdenoise.lab.losses.terms import build_loss
from rtdenoise.lab.pytorch.banded import Banded, BandedSpec, as_network, grown
from rtdenoise.lab.pytorch.memory import keep_memory
from rtdenoise.lab.training.session import default_cache, lessons_of, open_mixer
from rtdenoise.lab.training.settings import load_settings
from rtdenoise.methods.can.models import SPEC, WEIGHTS, model_names, open_model, write_files
from rtdenoise.methods.can.weights import weights_as_bytes
from rtdenoise.rates import resample

RATE = 16000
BATCH, SECONDS = 4, 4.0
HOP = BandedSpec().hop
N_SAMPLES = round(SECONDS * RATE) // HOP * HOP
WARM_UP, DECAY = 200, 0.997
KEEP_EVERY_SECONDS = 300.0
LOGGED = 50  # steps between two lines; their loss is the mean of four times as many
VOWELS = ((220, 0.01, 1.0, 8), (110, 0.005, 1.0, 20), (300, 0.02, 1.5, 6), (150, 0.003, 0.8, 30), (450, 0.01, 1.2, 6))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("train", "judge", "export"))
    parser.add_argument("file", type=Path, help="of a run")
    parser.add_argument("--data", type=Path, help="folder of recordings; not for export")
    parser.add_argument("--to", type=Path, help="the model folder that export writes")
    parser.add_argument("--power", type=float, default=0.75, help="exponent of the gain there (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=60.0, help="from the first step on, those before included")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu", help="what the minutes are measured by")
    parser.add_argument("--hold", type=float, default=0.75, help="share of the time before the learning rate falls")
    parser.add_argument("--rate", type=float, default=4e-3, help="the constant learning rate")
    parser.add_argument("--from", dest="start", type=Path, help="weights that a new run starts with")
    parser.add_argument("--first-step", type=int, default=0, help="of a new run: the steps its weights have had")
    parser.add_argument("--channels", type=int, help="of a new run: as many, or more than its weights have")
    parser.add_argument("--bands", type=int, help="of a new run that starts with no weights")
    parser.add_argument("--layers", type=_dilations, help="of a new run: those that its weights have, and more")
    parser.add_argument("--teacher", help="a shipped network to learn from as well")
    parser.add_argument("--taught", type=float, default=0.7, help="share of the steps whose target is what it makes")
    parser.add_argument("--lessons", type=int, default=3000, help="different batches with a teacher (of 16 s)")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="change of configs/can-live.yaml")
    parser.add_argument("--clips", type=int, default=40)
    options = parser.parse_args()
    needed = "to" if options.task == "export" else "data"
    if getattr(options, needed) is None:
        parser.error(f"{options.task} needs --{needed}")
    if options.task == "export":
        export(options.file, options.to, options.power)
        return
    torch.manual_seed(1)
    settings = load_settings(Path("can-live"), options.set)
    split = "dev" if options.task == "judge" else "train"
    mixer = open_mixer(options.data, split, settings.mixtures, cache=default_cache(), sample_rate=RATE)
    if options.task == "train":
        loss = build_loss([term for term in settings.loss if term["term"] != "opinion"])
        plan = Plan(options.minutes, options.hold, options.clock, options.rate)
        if options.teacher is None:
            train(options.file, functools.partial(new_batches, mixer), loss, plan, options)
        else:
            taught = lessons(mixer, options.teacher, options.lessons, options.taught)
            train(options.file, taught, loss, plan, options)
    else:
        judge(options.file, mixer, options.clips)


def _dilations(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def beginning(options: argparse.Namespace) -> Banded:
    """The network of the run's file if that exists; else one grown from ``--from``, or a new one."""
    if options.file.is_file():
        return Banded(sizes_of(torch.load(options.file, weights_only=True)))
    sizes = {key: getattr(options, key) for key in ("channels", "bands", "layers") if getattr(options, key) is not None}
    if options.start is None:
        return Banded(BandedSpec(**sizes))
    start = load(options.start)
    return grown(start, dataclasses.replace(start.spec, **sizes)).train()


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is, and when its learning rate falls."""

    minutes: float
    hold: float
    clock: str
    rate_max: float

    def share(self, spent: Spent) -> float:
        """Of the run that is over."""
        return (spent.cpu if self.clock == "cpu" else spent.wall) / (60.0 * self.minutes)

    def rate(self, step: int, share: float) -> float:
        """The learning rate of a step of this run: it rises, holds and falls."""
        falling = (
            0.5 * (1.0 + math.cos(math.pi * (share - self.hold) / (1.0 - self.hold))) if share > self.hold else 1.0
        )
        return self.rate_max * min(1.0, (step + 1) / WARM_UP) * max(0.01, falling)


@dataclasses.dataclass
class Spent:
    """Seconds of a run, those before it went on included."""

    cpu: float = 0.0
    wall: float = 0.0

    def since(self, former: Spent, now: Spent) -> Spent:
        """These, and those from `former` to `now`."""
        return Spent(self.cpu + now.cpu - former.cpu, self.wall + now.wall - former.wall)

    @staticmethod
    def now() -> Spent:
        """Both clocks, from anywhere."""
        return Spent(time.process_time(), time.monotonic())


def optimiser_of(network: Banded, rate: float) -> torch.optim.AdamW:
    """AdamW that lets matrices decay, and nothing that is added or that scales single bins."""
    plain = ("input", "skip", "output_offset", "places")
    named = list(network.named_parameters())
    decayed = [p for name, p in named if p.ndim > 1 and not name.startswith(plain)]
    rest = [p for name, p in named if p.ndim <= 1 or name.startswith(plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


Source = Callable[[int], Iterator[Batch]]
"""Called with the number of a step; gives that step's batch, then those of the next ones."""


def train(file: Path, source: Source, loss_of: Any, plan: Plan, options: argparse.Namespace) -> None:
    """Train as planned; keeps `file`."""
    keep_memory()
    network, first_step = beginning(options), options.first_step
    optimiser, mean = optimiser_of(network, plan.rate_max), Means(network)
    step, before = first_step, Spent()
    if file.is_file():
        kept = torch.load(file, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        mean.load(kept["mean"])
        step, first_step = kept["step"], kept.get("first", 0)
        before = Spent(kept["spent"], kept.get("elapsed", kept["spent"]))
        for group in optimiser.param_groups:
            group["fused"] = True
    began = saved = logged = Spent.now()
    unlogged = 0
    losses: deque[float] = deque(maxlen=4 * LOGGED)
    for batch in source(step):
        now = Spent.now()
        spent = before.since(began, now)
        share = plan.share(spent)
        if share >= 1.0 or now.cpu - saved.cpu > KEEP_EVERY_SECONDS:
            keep(file, network, optimiser, mean, (first_step, step), spent)
            saved = now
        if share >= 1.0:
            return
        for group in optimiser.param_groups:
            group["lr"] = plan.rate(step - first_step, share)
        losses.append(advance(network, optimiser, loss_of, batch))
        step, unlogged = step + 1, unlogged + 1
        mean.add(step)
        if step % LOGGED == 0:
            heard, now = step * BATCH * SECONDS / 3600.0, Spent.now()
            seconds = unlogged * BATCH * SECONDS
            print(
                f"{step} heard {heard:.2f} h, {spent.cpu / 60:.1f} min, loss {np.mean(losses):.4f}, rate "
                f"{plan.rate(step - first_step, share):.1e}, "
                f"{seconds / (now.cpu - logged.cpu):.1f} s a second of processor time, "
                f"{seconds / (now.wall - logged.wall):.1f} by the clock",
                flush=True,
            )
            logged, unlogged = now, 0


def new_batches(mixer: Mixer, first: int, seed: int = 1) -> Iterator[Batch]:
    """Batches that no step has had before."""
    return batches(mixer, seed=seed, first=first, batch_size=BATCH, n_samples=N_SAMPLES)


def lessons(mixer: Mixer, teacher: str, n_batches: int, share: float, seed: int = 1) -> Lessons:
    """Batches of which a share has what a network makes of them as its target."""
    sizes = {"seed": seed, "batch_size": BATCH, "n_samples": N_SAMPLES}
    return lessons_of(open_model(teacher), mixer, n_batches=n_batches, share=share, cache=default_cache(), **sizes)


def advance(network: Banded, optimiser: torch.optim.Optimizer, loss_of: Any, batch: Any) -> float:
    """One step, left out where the gradient is not finite; its loss."""
    noisy, target, scale = (torch.as_tensor(v) for v in (batch.noisy, batch.target, batch.scale))
    estimate = network(noisy)[:, network.spec.latency_samples :] * scale
    n = min(target.shape[1], estimate.shape[1])
    loss = loss_of(target[:, :n] * scale, estimate[:, :n])
    optimiser.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    if torch.isfinite(norm):
        optimiser.step()
    return float(loss.detach())


class Means:
    """Means of a network's weights over its last steps."""

    def __init__(self, network: Banded) -> None:
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self._network = network

    def load(self, values: dict[str, torch.Tensor]) -> None:
        """Go on with kept means."""
        for name, value in self.values.items():
            value.copy_(values[name])

    def add(self, step: int) -> None:
        """The weights after so many steps."""
        now = [value.detach() for value in self._network.state_dict().values()]
        torch._foreach_lerp_(list(self.values.values()), now, 1.0 - min(DECAY, (1 + step) / (10 + step)))


def keep(file: Path, network: Banded, optimiser: Any, mean: Means, steps: tuple[int, int], spent: Spent) -> None:
    """Replace `file`: a run that is ended while it writes goes on from the former one."""
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "mean": mean.values}
    state |= {"first": steps[0], "step": steps[1], "layers": list(network.spec.layers)}
    partial = file.with_name(file.name + ".partial")
    torch.save({**state, "spent": spent.cpu, "elapsed": spent.wall}, partial)
    partial.replace(file)


def load(file: Path) -> Banded:
    """The averaged weights of a run, or those of an ``.npz`` file."""
    if file.suffix == ".npz":
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        layers = arrays.pop("layers", np.array(BandedSpec().layers)).tolist()
        kept = {"layers": layers, "mean": {name: torch.from_numpy(a.astype(np.float32)) for name, a in arrays.items()}}
    else:
        kept = torch.load(file, weights_only=True)
    network = Banded(sizes_of(kept))
    network.load_state_dict(kept["mean"], strict=file.suffix != ".npz")  # there windows are not stored
    return network.eval()


def sizes_of(kept: dict[str, Any]) -> BandedSpec:
    """The sizes of a kept network; files without ``layers`` have the default ones."""
    channels, bands = len(kept["mean"]["encoder.weight"]), kept["mean"]["down"].shape[1]
    return BandedSpec(channels=channels, bands=bands, layers=tuple(kept.get("layers", BandedSpec().layers)))


def export(file: Path, folder: Path, power: float) -> None:
    """Write a model folder with the weights."""
    network = as_network(load(file), folder.name, power)
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder, {SPEC: network.spec.as_json().encode(), WEIGHTS: weights_as_bytes(network)})
    millions = network.spec.multiplications_per_second / 1e6
    print(f"{folder}: {network.n_weights} weights, {millions:.0f} million multiplications a second")


def judge(file: Path, mixer: Any, n_clips: int) -> None:
    """Print the figures of a file, or those of a network that ships."""
    enhance, network = judged(file)
    noisy, target = validation_set(mixer, clips=n_clips, n_samples=5 * RATE, cache=default_cache())
    steep = signal.ellip(8, 0.1, 60, 7600, fs=RATE, output="sos")
    cut = [signal.sosfiltfilt(steep, x, axis=-1).astype(np.float32) for x in (noisy, target)]
    print("noisy ", *scores(target, noisy))
    print("full  ", *scores(target, enhance(noisy)))
    print("cut   ", *scores(cut[1], enhance(cut[0])))
    low_target, low_noisy = at_8_khz(target), at_8_khz(noisy)
    print("to 8 kHz", *scores(low_target, at_8_khz(enhance(noisy)), RATE // 2))
    brought_up = np.stack([np.asarray(resample(clip, RATE // 2, RATE), np.float32) for clip in low_noisy])
    print("from 8  ", *scores(low_target, at_8_khz(enhance(brought_up)), RATE // 2))
    for hz, vibrato, fall, harmonics in VOWELS if network is not None else ():
        print(f"vowel {hz} Hz, change in dB:", *held(network, hz, vibrato, fall, harmonics))


def judged(file: Path) -> tuple[Callable[[np.ndarray], np.ndarray], Banded | None]:
    """What enhances (clips, n), and the banded network if it is one."""
    if str(file) in model_names():
        settings = {"method": "CAN", "model": str(file)}
        return lambda noisy: np.stack([rtdenoise.denoise(clip, RATE, **settings) for clip in noisy]), None
    network = load(file)
    print(f"{sum(p.numel() for p in network.parameters())} weights")
    return lambda noisy: enhanced(network, noisy), network


def enhanced(network: Banded, noisy: np.ndarray) -> np.ndarray:
    """Aligned with the input, whole hops of it."""
    hop, late = network.spec.hop, network.spec.latency_samples
    n = noisy.shape[-1] // hop * hop
    with torch.no_grad():
        out: np.ndarray = network(torch.from_numpy(np.pad(noisy[:, :n], ((0, 0), (0, 4 * hop))))).numpy()
    return out[:, late : late + n]


def at_8_khz(clips: np.ndarray) -> np.ndarray:
    """Clips brought down to half the rate."""
    return np.stack([np.asarray(resample(clip, RATE, RATE // 2), np.float32) for clip in clips])


def scores(targets: np.ndarray, estimates: np.ndarray, rate: int = RATE) -> list[str]:
    """Means of PESQ-wb, at 8 kHz PESQ-nb, eSTOI and SI-SDR."""
    rows = []
    for target, whole in zip(targets, estimates, strict=True):
        clean = target[: whole.size]
        estimate = whole[: clean.size]
        pesq = (
            metrics.pesq_wideband(clean, estimate) if rate == RATE else metrics.pesq_narrowband(clean, estimate, rate)
        )
        heard = pesq, metrics.stoi(clean, estimate, extended=True, rate_hz=rate)
        rows.append((*heard, metrics.si_sdr_db(clean, estimate)))
    return [f"{value:.3f}" for value in np.mean(np.array(rows, float), axis=0)]


def held(network: Banded, hz: float, vibrato: float, fall: float, harmonics: int) -> list[str]:
    """Change of a computed vowel in a little noise, in each of its five seconds."""
    t = np.arange(8 * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(hz * (1 + vibrato * np.sin(2 * np.pi * 5 * t))) / RATE
    vowel = sum(np.sin(k * phase) / k**fall for k in range(1, harmonics + 1)) * 0.1
    vowel[: 2 * RATE] = vowel[7 * RATE :] = 0.0
    noise = np.random.default_rng(0).standard_normal(t.size) * 0.003
    out = enhanced(network, (vowel + noise)[np.newaxis].astype(np.float32))[0]
    seconds = [slice(k * RATE, (k + 1) * RATE) for k in range(2, 7)]
    return [f"{10 * np.log10(np.sum(out[s] ** 2) / np.sum(vowel[s] ** 2)):.1f}" for s in seconds]


if __name__ == "__main__":
    main()
