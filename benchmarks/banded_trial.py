"""Train and judge the banded network (`rtdenoise.lab.pytorch.banded`), which no product runs yet.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/banded_trial.py train trial.pt --data data --minutes 600
    KERAS_BACKEND=torch python benchmarks/banded_trial.py judge trial.pt --data data
    KERAS_BACKEND=torch python benchmarks/banded_trial.py judge models/banded-trial/weights.npz --data data

Mixtures and losses are `can-live`'s (configs/can-live.yaml) without DNSMOS.  ``train`` goes on where the file is there
already.  ``judge`` prints PESQ-wb, eSTOI and SI-SDR of validation mixtures, in full band and without what is above
7.6 kHz, and the change of held vowels, second by second.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import signal

from rtdenoise.evaluate.measures import metrics
from rtdenoise.lab.data.batches import batches
from rtdenoise.lab.data.validation import validation_set
from rtdenoise.lab.losses.terms import build_loss
from rtdenoise.lab.pytorch.banded import Banded, BandedSpec
from rtdenoise.lab.training.session import default_cache, open_mixer
from rtdenoise.lab.training.settings import load_settings

RATE = 16000
BATCH, SECONDS = 4, 4.0
RATE_MAX, WARM_UP, DECAY = 4e-3, 200, 0.997
KEEP_EVERY_SECONDS = 300.0
VOWELS = ((220, 0.01, 1.0, 8), (110, 0.005, 1.0, 20), (300, 0.02, 1.5, 6), (150, 0.003, 0.8, 30), (450, 0.01, 1.2, 6))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("train", "judge"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0, help="of processor time, those before included")
    parser.add_argument("--hold", type=float, default=0.7, help="share of the time before the learning rate falls")
    parser.add_argument("--clips", type=int, default=40)
    options = parser.parse_args()
    settings = load_settings(Path("can-live"))
    split = "train" if options.task == "train" else "dev"
    mixer = open_mixer(options.data, split, settings.mixtures, cache=default_cache(), sample_rate=RATE)
    if options.task == "train":
        loss = build_loss([term for term in settings.loss if term["term"] != "opinion"])
        train(options.file, mixer, loss, options.minutes, options.hold)
    else:
        judge(options.file, mixer, options.clips)


def train(file: Path, mixer: Any, loss_of: Any, minutes: float, hold: float) -> None:
    """Train for `minutes` of processor time; keeps `file`."""
    torch.manual_seed(1)
    network = Banded(BandedSpec())
    spec = network.spec
    plain = ("input", "skip", "output_offset", "places")
    named = list(network.named_parameters())
    decayed = [p for name, p in named if p.ndim > 1 and not name.startswith(plain)]
    rest = [p for name, p in named if p.ndim <= 1 or name.startswith(plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE_MAX, betas=(0.9, 0.98))
    mean = {name: value.detach().clone() for name, value in network.state_dict().items()}
    step, spent = 0, 0.0
    if file.is_file():
        kept = torch.load(file, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        mean, step, spent = kept["mean"], kept["step"], kept["spent"]
    started, saved = time.process_time() - spent, time.process_time()
    n_samples = round(SECONDS * RATE) // spec.hop * spec.hop
    for batch in batches(mixer, seed=1, first=step, batch_size=BATCH, n_samples=n_samples, workers=0):
        spent = time.process_time() - started
        share = spent / (60.0 * minutes)
        falling = max(0.01, 0.5 * (1.0 + math.cos(math.pi * (share - hold) / (1.0 - hold)))) if share > hold else 1.0
        for group in optimiser.param_groups:
            group["lr"] = RATE_MAX * min(1.0, (step + 1) / WARM_UP) * falling
        if share < 1.0:
            noisy, target, scale = (torch.as_tensor(v) for v in (batch.noisy, batch.target, batch.scale))
            estimate = network(noisy)[:, spec.latency_samples :] * scale
            loss = loss_of(target[:, : estimate.shape[1]] * scale, estimate)
            optimiser.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            if torch.isfinite(norm):
                optimiser.step()
            step += 1
            with torch.no_grad():
                for name, value in network.state_dict().items():
                    mean[name].lerp_(value, 1.0 - min(DECAY, (1 + step) / (10 + step)))
            if step % 50 == 0:
                heard = step * BATCH * SECONDS / 3600.0
                print(f"{step} heard {heard:.2f} h, {spent / 60:.1f} min, loss {float(loss.detach()):.3f}", flush=True)
        if share >= 1.0 or time.process_time() - saved > KEEP_EVERY_SECONDS:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**state, "mean": mean, "step": step, "spent": spent}, file)
            saved = time.process_time()
        if share >= 1.0:
            return


def load(file: Path) -> Banded:
    """The averaged weights of a run, or those of an ``.npz`` file."""
    network = Banded(BandedSpec())
    if file.suffix == ".npz":
        with np.load(file) as stored:
            state = {name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files}
        network.load_state_dict(state, strict=False)  # windows are not stored
    else:
        network.load_state_dict(torch.load(file, weights_only=True)["mean"])
    return network.eval()


def judge(file: Path, mixer: Any, n_clips: int) -> None:
    """Print the figures of a file."""
    network = load(file)
    noisy, target = validation_set(mixer, clips=n_clips, n_samples=5 * RATE, cache=default_cache())
    n_weights = sum(p.numel() for p in network.parameters())
    print(f"{n_weights} weights")
    steep = signal.ellip(8, 0.1, 60, 7600, fs=RATE, output="sos")
    cut = [signal.sosfiltfilt(steep, x, axis=-1).astype(np.float32) for x in (noisy, target)]
    print("noisy ", *scores(target, noisy))
    print("full  ", *scores(target, enhanced(network, noisy)))
    print("cut   ", *scores(cut[1], enhanced(network, cut[0])))
    for hz, vibrato, fall, harmonics in VOWELS:
        print(f"vowel {hz} Hz, change in dB:", *held(network, hz, vibrato, fall, harmonics))


def enhanced(network: Banded, noisy: np.ndarray) -> np.ndarray:
    """Aligned with the input, whole hops of it."""
    hop, late = network.spec.hop, network.spec.latency_samples
    n = noisy.shape[-1] // hop * hop
    with torch.no_grad():
        out: np.ndarray = network(torch.from_numpy(np.pad(noisy[:, :n], ((0, 0), (0, 4 * hop))))).numpy()
    return out[:, late : late + n]


def scores(targets: np.ndarray, estimates: np.ndarray) -> list[str]:
    """Means of PESQ-wb, eSTOI and SI-SDR."""
    rows = []
    for target, estimate in zip(targets, estimates, strict=True):
        clean = target[: estimate.size]
        heard = metrics.pesq_wideband(clean, estimate), metrics.stoi(clean, estimate, extended=True)
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
