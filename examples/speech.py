"""Where somebody speaks in a recording, as a stream finds out while it denoises.

python examples/speech.py noisy.wav
"""

from __future__ import annotations

import sys

import soundfile

import rtdenoise


def main(source: str) -> None:
    noisy, rate = soundfile.read(source, dtype="float32")
    stream = rtdenoise.stream("WF", rate, channels=1 if noisy.ndim == 1 else noisy.shape[1], preset="low")
    chunk, since = rate // 100, None
    for start in range(0, len(noisy), chunk):
        stream.process(noisy[start : start + chunk])
        speaking = stream.speech_probability > (0.4 if since is not None else 0.7)  # once on, it stays on more easily
        if speaking and since is None:
            since = start / rate
        elif since is not None and not speaking:
            print(f"{since:.2f} to {start / rate:.2f} s")
            since = None
    if since is not None:
        print(f"{since:.2f} to {len(noisy) / rate:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
