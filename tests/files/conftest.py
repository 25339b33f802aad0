"""Real audio files, made by the tests that need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

Make = Callable[..., Path]


def voice(n: int, rate: int, channels: int, seed: int = 0) -> np.ndarray:
    """Bursts of a harmonic tone in steady noise, (n, channels), about -26 dBFS, on the 16-bit grid."""
    rng = np.random.default_rng(seed)
    times = np.arange(n) / rate
    bursts = (np.sin(2 * np.pi * 1.3 * times) > 0.2) * sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 9))
    signal = 0.06 * bursts[:, np.newaxis] + 0.02 * rng.standard_normal((n, channels))
    return np.rint(np.clip(signal, -0.9, 0.9) * 32768) / 32768


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a noisy recording; returns its path."""

    def write(
        name: str = "noisy.wav",
        *,
        n: int = 16000,
        rate: int = 16000,
        channels: int = 1,
        container: str | None = None,
        subtype: str | None = "PCM_16",
        samples: np.ndarray | None = None,
        tags: dict[str, str] | None = None,
        **more: Any,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = voice(n, rate, channels) if samples is None else samples
        channels = 1 if data.ndim == 1 else data.shape[1]
        with soundfile.SoundFile(
            path, "w", samplerate=rate, channels=channels, format=container, subtype=subtype, **more
        ) as file:
            for tag, text in (tags or {}).items():
                setattr(file, tag, text)
            file.write(data)
        return path

    return write
