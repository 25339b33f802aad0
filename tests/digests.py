"""Digests of what every method puts out and of what training draws: moving code must not change a bit of either.

    python -m tests.digests > before.json
    python -m tests.digests --compare before.json

Digests hold on one machine and one set of libraries: other processors round differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import rtdenoise

RATES_HZ = (8000, 16000, 44100, 48000)
PRESETS = ("quality", "balanced", "low", "ultra")
MODELS = ("can-live", "can-ultra", "can-small", "can-wave")


def digest(*arrays: np.ndarray) -> str:
    """Of the bits of arrays, one after the other."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def sound(rate_hz: int, channels: int = 1) -> np.ndarray:
    """A seeded signal of two seconds: vowels that come and go over noise, ``(n,)`` or ``(n, channels)`` float32."""
    random = np.random.default_rng(20)
    time = np.arange(2 * rate_hz) / rate_hz
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 1.5 * time) > 0)
    both = [0.1 * voice + 0.02 * random.standard_normal(time.size) for _ in range(channels)]
    return np.squeeze(np.stack(both, -1)).astype(np.float32)


def outputs() -> Iterator[tuple[str, str]]:
    """Name and digest of what each method makes of `sound`."""
    for rate_hz in RATES_HZ:
        for method in ("SS", "WF"):
            for preset in PRESETS:
                for channels in (1, 2):
                    made = rtdenoise.denoise(sound(rate_hz, channels), rate_hz, method, config={"preset": preset})
                    yield f"{method} {preset} {rate_hz} Hz, {channels} channels", digest(made)
        for model in MODELS:
            made = rtdenoise.denoise(sound(rate_hz), rate_hz, "CAN", config={"can": {"model": model}})
            yield f"CAN {model} {rate_hz} Hz", digest(made)


def batches() -> Iterator[tuple[str, str]]:
    """Name and digest of the first batches that each shipped training configuration draws from `record`'s files."""
    from rtdenoise.lab.data.batches import make_batch
    from rtdenoise.lab.training.session import open_mixer
    from rtdenoise.lab.training.settings import load_settings

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        record(data)
        for model in MODELS:
            settings = load_settings(Path(model))
            mixer = open_mixer(data, "train", settings.mixtures, cache=Path(folder) / "cache", sample_rate=16000)
            for number in range(6):
                batch = make_batch(mixer, seed=3, number=number, batch_size=4, n_samples=32000)
                yield f"batch {number} of {model}", digest(batch.noisy, batch.target, batch.scale)


def record(folder: Path) -> None:
    """A collection of eight voices, eight noises and four rooms, in the layout of plain folders."""
    import soundfile

    random = np.random.default_rng(21)
    voice = np.concatenate([sound(16000)] * 2)
    for number in range(8):
        noise = np.convolve(random.standard_normal(64000), random.standard_normal(20) / 40)[:64000]
        room = random.standard_normal(4000) * np.exp(-np.arange(4000) / 600)
        room[0] = 8.0
        files = {"speech": voice * (0.5 + 0.05 * number), "noise": noise, "rooms": room / 10}
        for kind, samples in files.items():
            place = folder / kind / "train" / f"{kind}{number}" / "a.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(place, np.clip(samples, -1, 1), 16000)


def main() -> int:
    """Print all digests, or what differs from earlier ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", type=Path, help="digests of another state of the code")
    options = parser.parse_args()
    found = dict(outputs()) | dict(batches())
    if options.compare is None:
        json.dump(found, sys.stdout, indent=1)
        return 0
    before = json.loads(options.compare.read_text(encoding="utf-8"))
    different = sorted(name for name in found.keys() | before.keys() if found.get(name) != before.get(name))
    sys.stdout.write("\n".join(different) + f"\n{len(found) - len(different)} of {len(found)} as before\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
