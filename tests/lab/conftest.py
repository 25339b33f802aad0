"""A tiny data folder of synthetic voices, noises and rooms."""

from __future__ import annotations

import numpy as np
import pytest


def voice(rng: np.random.Generator, seconds: float) -> np.ndarray:
    t = np.arange(int(16000 * seconds)) / 16000
    pitch = rng.uniform(90, 250)
    sound = sum(np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in range(1, 15))
    return (0.1 * sound * (np.sin(2 * np.pi * 3 * t + rng.uniform(0, 6)) > -0.3)).astype(np.float32)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    soundfile = pytest.importorskip("soundfile")
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    for split, speakers in (("train", 4), ("dev", 3)):
        for speaker in range(speakers):
            for take in range(2):
                path = root / "speech" / split / f"{split}{speaker}" / f"{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, voice(rng, 1.5), 16000)
        for kind in ("hiss", "rumble"):
            path = root / "noise" / split / kind / "0.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal(24000), 16000)
        path = root / "rooms" / split / "box" / "0.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.exp(-np.arange(2000) / 300) * rng.standard_normal(2000) * 0.3, 16000)
    return root
