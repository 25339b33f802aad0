"""Push a recording through a stream, 10 ms at a time, as a telephone or a game would.

python examples/push.py noisy.wav clean.wav
"""

from __future__ import annotations

import sys

import numpy as np
import soundfile

import rtdenoise


def main(source: str, target: str) -> None:
    noisy, rate = soundfile.read(source, dtype="float32", always_2d=True)
    denoiser = rtdenoise.stream("WF", sample_rate=rate, channels=noisy.shape[1], preset="low")
    chunk = rate // 100
    ready = [denoiser.process(noisy[start : start + chunk]) for start in range(0, len(noisy), chunk)]
    ready.append(denoiser.flush())
    clean = np.concatenate(ready)
    late = denoiser.latency_samples  # live, this is what is heard later; a file is put back in place
    soundfile.write(target, clean[late : late + len(noisy)], rate)
    print(f"{len(noisy) / rate:.1f} s, {1e3 * (late + denoiser.hop) / rate:.1f} ms of delay if this were live")


if __name__ == "__main__":
    main(*sys.argv[1:])
