"""Whether input too quiet for normal floating point costs more: CPU time of a hop against the same hop on noise.

Denormal numbers cost a processor a hundred times a normal one's time if they reach the arithmetic.  Three inputs:
denormal samples, a voice that fades out for ever (recursions decay towards denormal values), and digital silence.

    python benchmarks/denormals.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from rtdenoise.config import load_settings
from rtdenoise.methods.spectral.denoiser import SpectralDenoiser
from rtdenoise.registry import build

RATE_HZ = 16_000
SECONDS = 10.0
ROUNDS = 7


def main() -> None:
    n = int(RATE_HZ * SECONDS)
    noise = np.random.default_rng(0).normal(0.0, 0.05, n).astype(np.float32)
    fade = (noise * np.exp(-np.arange(n) / RATE_HZ * 20.0)).astype(np.float32)  # 1e-38 after 4 s
    inputs = {"denormal": noise * np.float32(1e-38), "fading": fade, "silence": np.zeros(n, np.float32)}
    print("| method | input | cost against noise |\n|---|---|---:|")
    for method in ("WF", "SS"):
        for preset in ("quality", "low"):
            denoiser = build(load_settings(method=method, preset=preset), RATE_HZ)
            ratios: dict[str, list[float]] = {name: [] for name in inputs}
            for _ in range(ROUNDS):
                floor = cost(denoiser, noise)
                for name, signal in inputs.items():
                    ratios[name].append(cost(denoiser, signal) / floor)
            for name, values in ratios.items():
                print(f"| {method} {preset} | {name} | {statistics.median(values):.2f} |")


def cost(denoiser: SpectralDenoiser, signal: np.ndarray) -> float:
    """CPU seconds of a whole signal."""
    whole = signal[: signal.size // denoiser.hop * denoiser.hop]
    out = np.empty_like(whole)
    denoiser.reset()
    started = time.thread_time()
    denoiser.process_hops(whole, out)
    return time.thread_time() - started


if __name__ == "__main__":
    main()
