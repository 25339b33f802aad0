"""An effect as in pedalboard: arrays of (channels, n) and their rate, whole or in pieces.

python examples/effect.py noisy.wav clean.wav
"""

from __future__ import annotations

import sys

import numpy as np
import soundfile

import rtdenoise


def main(source: str, target: str) -> None:
    effect = rtdenoise.Effect("WF", preset="low", attenuation_limit_db=12)
    noisy, rate = soundfile.read(source, dtype="float32", always_2d=True)
    clean = effect(noisy.T, rate)  # a whole signal
    pieces = [effect(piece, rate, reset=False) for piece in np.array_split(noisy.T, 10, axis=1)]
    joined = np.concatenate([*pieces, effect.flush()], axis=1)  # the same, as it comes
    print(f"{effect}: {clean.shape[1]} samples, {np.max(np.abs(joined - clean))} apart")
    soundfile.write(target, clean.T, rate)


if __name__ == "__main__":
    main(*sys.argv[1:])
