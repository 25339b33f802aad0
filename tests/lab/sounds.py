"""Sounds with syllables for losses; labelled ones that are easy to tell apart, in the layouts collections come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE = 16000


def sound(kind: str, seed: int, seconds: float = 1.2, rate: int = RATE) -> np.ndarray:
    """A tone, hiss or a train of clicks of its own pitch, colour or tempo."""
    rng = np.random.default_rng([seed, len(kind)])
    n = int(seconds * rate)
    t = np.arange(n) / rate
    if kind == "tone":
        made = np.sin(2 * np.pi * rng.uniform(300, 500) * t)
    elif kind == "hiss":
        made = rng.normal(0, 0.3, n)
    else:
        made = np.zeros(n)
        made[:: int(rate * rng.uniform(0.04, 0.06))] = 1.0
    return (0.5 * made).astype(np.float32)


def write(path: Path, kind: str, seed: int, *, seconds: float = 1.2, rate: int = RATE, channels: int = 1) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    samples = sound(kind, seed, seconds, rate)
    soundfile.write(path, np.stack([samples] * channels, 1) if channels > 1 else samples, rate)


def class_folders(root: Path, count: int = 10, kinds: tuple[str, ...] = ("clicks", "hiss", "tone")) -> Path:
    """A folder per class."""
    for kind in kinds:
        for seed in range(count):
            write(root / kind / f"{seed}.wav", kind, seed)
    return root


def spoken(seconds: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Syllables with pauses, and noise as loud."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(16000 * seconds)) / 16000
    pitch = 2 * np.pi * np.cumsum(130 + 25 * np.sin(2 * np.pi * 0.7 * t)) / 16000
    tilt = 1 + np.sin(2 * np.pi * 1.3 * t)
    voice = sum(np.sin(k * pitch) * k ** -(0.5 + tilt) for k in range(1, 40))
    voice *= np.maximum(np.sin(2 * np.pi * 2.5 * t), 0) * (np.sin(2 * np.pi * 0.4 * t) > -0.5)
    return (voice / voice.std()).astype(np.float32), rng.normal(0, 1, t.size).astype(np.float32)
