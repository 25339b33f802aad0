r"""Losses against each other: one network, one start, one budget, the same batches, one loss after the other.

Example::

    python benchmarks/fair_trial.py configs/germain2018-causal.yaml --data data --features models/feature-network \
        --channels 32,64 --steps 4000 --run runs/fair-trial

Every run is kept under ``--run`` and goes on where it stopped, also with more ``--steps``; with ``--report`` only
tables and pictures are made.
Written: ``fair-trial.md`` (table by SNR), ``fair-trial.json``, ``curves.png``.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError, RtDenoiseError

SNRS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)
METRICS = ("pesq_wb", "estoi", "si_sdr_db", "csig", "cbak", "covl", "dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak")
PLAIN = {
    "noise_alone": 0.0, "speech_alone": 0.0, "level_step": 0.0, "clipping": 0.0, "band_limit": 0.0, "colour": 0.0,
    "speed": 0.0, "room": 0.1, "level_db": (-30.0, -20.0),
}  # fmt: skip
_CURVE_CLIPS = 20


def losses(features: str, warmup_steps: int) -> dict[str, list[dict[str, Any]]]:
    """The competitors; the mixture is the configuration of the waveform network and the deep feature loss beside it."""
    deep = {"term": "deep_features", "network": features, "layers": 6, "warmup_steps": warmup_steps}
    spectra = [
        {"term": "compressed_stft", "frame": 512, "hop": 256, "complex_share": 0.3},
        {"term": "compressed_stft", "frame": 1024, "hop": 512, "complex_share": 0.3},
    ]
    return {
        "l1": [{"term": "l1"}],
        "l2": [{"term": "l2"}],
        "stft": spectra,
        "deep": [deep],
        "mixture": [*spectra, {"term": "clipped_sdr", "weight": 0.003, "ceiling_db": 30.0}, {**deep, "weight": 0.1}],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trial; exit code 0, or 1 with one line on stderr."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    options = parse(arguments)
    try:
        trial(options)
    except RtDenoiseError as error:
        print(f"fair_trial: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="configuration of the network; its loss is replaced")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", default="feature-network", help="feature network: name or folder")
    parser.add_argument("--channels", default="32,64", help="widths of the network, comma-separated")
    parser.add_argument("--losses", default="l1,l2,stft,deep,mixture")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--every", type=int, default=0, help="steps between points of the curves [a tenth of --steps]")
    parser.add_argument("--warmup", type=int, default=0, help="steps before layers are weighed [a tenth of --steps]")
    parser.add_argument("--start", type=Path, help="checkpoint that all begin with [the identity start, same seed]")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--clips", type=int, default=20, help="dev mixtures for each SNR")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a dev mixture")
    parser.add_argument("--no-dnsmos", action="store_true")
    parser.add_argument("--run", type=Path, default=Path("runs/fair-trial"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--report", action="store_true", help="train nothing")
    return parser.parse_args(arguments)


def trial(options: argparse.Namespace) -> None:
    """All runs, then the report."""
    from rtdenoise.lab.training.session import default_cache, open_mixer
    from rtdenoise.lab.training.settings import load_settings

    base = load_settings(options.config, options.changes)
    cache = options.cache or default_cache()
    known = losses(options.features, options.warmup or max(1, options.steps // 10))
    chosen = options.losses.split(",")
    for name in chosen:
        if name not in known:
            raise ConfigError(f"unknown loss {name!r}; known are {', '.join(known)}")
    rate = base.network.sample_rate
    mixers = {
        split: open_mixer(options.data, split, base.mixtures, cache=cache, sample_rate=rate)
        for split in ("train", "dev")
    }
    n = int(options.seconds * rate) // base.network.hop * base.network.hop
    clips = {snr: dev_mixtures(mixers["dev"], snr, options.clips, n) for snr in SNRS_DB}
    record: dict[str, Any] = {"steps": options.steps, "clips_per_snr": options.clips, "runs": {}}
    if not (noisy := options.run / "noisy.json").is_file():
        noisy.parent.mkdir(parents=True, exist_ok=True)
        noisy.write_text(json.dumps(judge({s: (a, a, t) for s, (a, t) in clips.items()}, rate, options)))
    record["runs"]["noisy"] = {"figures": json.loads(noisy.read_text())}
    for channels in (int(c) for c in options.channels.split(",")):
        for name in chosen:
            network = dataclasses.replace(base.network, name=f"{base.network.name}-{channels}", channels=channels)
            settings = dataclasses.replace(base, network=network, loss=known[name], steps=options.steps)
            place = options.run / f"{channels}-{name}"
            found = one_run(settings, place, mixers["train"], clips, options)
            if found is not None:
                record["runs"][f"{channels} {name}"] = found
            report(record, options.run)


def dev_mixtures(mixer: Any, snr_db: float, count: int, n: int) -> tuple[Any, Any]:
    """Undamaged mixtures at one SNR, ``(count, n)`` noisy and target; the same for the same numbers."""
    params = dataclasses.replace(mixer.params, snr_db=(snr_db, snr_db), **PLAIN)
    plain = dataclasses.replace(mixer, params=params)
    pairs = [plain.mix(np.random.default_rng([20183, int(snr_db) + 100, k]), n) for k in range(count)]
    return np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])


def one_run(settings: Any, place: Path, mixer: Any, clips: Any, options: argparse.Namespace) -> dict[str, Any] | None:
    """Train to the end, or go on; returns figures and curve, None for a run that is not there (--report)."""
    done = place / "figures.json"
    if not options.report and (not done.is_file() or json.loads(done.read_text())["steps"] < settings.steps):
        train(settings, place, mixer, clips, options)
    if not done.is_file():
        return None
    with (place / "curve.csv").open(newline="", encoding="utf-8") as file:
        curve = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return {**json.loads(done.read_text()), "curve": curve}


def train(settings: Any, place: Path, mixer: Any, clips: Any, options: argparse.Namespace) -> None:
    """One run from the common start, on the common batches, a point of its curve every so many steps."""
    from rtdenoise.lab.data.batches import batches
    from rtdenoise.lab.training.loop import Trainer
    from rtdenoise.lab.training.progress import LAST

    run = Trainer(settings, place)
    if (place / LAST).is_file():
        run.resume(place / LAST)
    elif options.start is not None:
        run.start(options.start)
    each = _CURVE_CLIPS // len(SNRS_DB)
    few = [np.concatenate([pair[k][:each] for pair in clips.values()]) for k in (0, 1)]
    every = options.every or max(1, options.steps // 10)
    sizes = {"batch_size": settings.batch_size, "n_samples": settings.n_samples, "workers": settings.workers}
    source = batches(mixer, seed=settings.seed, first=run.step, **sizes)
    began = time.monotonic()
    for batch in source:
        if run.step and run.step % every == 0:  # averages begin with the first step
            point(place, run, few, time.monotonic() - began)
        if run.step >= settings.steps:
            break
        run.train_step(batch)
    source.close()
    rate = settings.network.sample_rate
    enhanced = {snr: (noisy, run.enhance(noisy), target) for snr, (noisy, target) in clips.items()}
    found = {"steps": run.step, "figures": judge(enhanced, rate, options)}
    (place / "figures.json").write_text(json.dumps(found, indent=1))


def point(place: Path, run: Any, few: list[Any], seconds: float) -> None:
    """One point of the curve, and a checkpoint."""
    row = {"step": run.step, "audio_hours": run.facts["audio_seconds"] / 3600.0, "seconds": seconds}
    row |= run.validate(*few)
    path = place / "curve.csv"
    rows = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if int(r["step"]) < run.step]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([*rows, row])
    run.checkpoint()
    print(f"{place.name} step {run.step}: {', '.join(f'{k} {v:.3f}' for k, v in row.items())}", flush=True)


def judge(enhanced: Any, rate: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Means of all metrics by SNR, and over all of them."""
    from rtdenoise.evaluate.measures.metrics import measure

    found: dict[str, list[dict[str, float]]] = {}
    for snr, (noisy, estimate, target) in enhanced.items():
        n = estimate.shape[1]
        found[f"{snr:g}"] = [
            measure(t[:n], e, noisy=x[:n], rate_hz=rate, with_dnsmos=not options.no_dnsmos)
            for x, e, t in zip(noisy, np.clip(estimate, -1.0, 1.0), target, strict=True)
        ]
    found["all"] = [scores for part in list(found.values()) for scores in part]
    return {
        key: {m: float(np.nanmean([s[m] for s in part])) for m in METRICS if m in part[0]}
        for key, part in found.items()
    }


def report(record: dict[str, Any], folder: Path) -> None:
    """Write tables and picture of what there is so far."""
    (folder / "fair-trial.json").write_text(json.dumps(record, indent=1))
    names = list(record["runs"]["noisy"]["figures"]["all"])
    parts = []
    for key in record["runs"]["noisy"]["figures"]:
        head = [f"SNR {key} dB" if key != "all" else "all SNRs", *names]
        rows = [[run, *(f"{found['figures'][key][m]:.3f}" for m in names)] for run, found in record["runs"].items()]
        lines = [head, ["---", *["---:"] * len(names)], *rows]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    text = (
        f"{record['steps']} steps each, {record['clips_per_snr']} dev mixtures an SNR.\n\n" + "\n\n".join(parts) + "\n"
    )
    (folder / "fair-trial.md").write_text(text)
    draw(record, folder / "curves.png")


def draw(record: dict[str, Any], path: Path) -> None:
    """Learning curves against the sound heard."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = {name: run["curve"] for name, run in record["runs"].items() if "curve" in run}
    shown = [m for m in ("si_sdr_db", "pesq", "estoi") if any(m in curve[0] for curve in runs.values())]
    figure, axes = pyplot.subplots(1, len(shown), figsize=(5 * len(shown), 4), squeeze=False)
    for axis, metric in zip(axes[0], shown, strict=True):
        for name, curve in runs.items():
            axis.plot([p["audio_hours"] for p in curve], [p[metric] for p in curve], label=name, marker=".")
        axis.set_xlabel("sound heard in hours")
        axis.set_title(metric)
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
