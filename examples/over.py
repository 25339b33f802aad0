"""A recording of any length, block by block: what comes out is aligned with it and exactly as long.

python examples/over.py noisy.wav clean.wav
"""

from __future__ import annotations

import sys

import soundfile

import rtdenoise


def main(source: str, target: str) -> None:
    with (
        soundfile.SoundFile(source) as noisy,
        soundfile.SoundFile(target, "w", noisy.samplerate, noisy.channels) as clean,
        rtdenoise.stream("WF", noisy.samplerate, channels=noisy.channels, preset="low") as stream,
    ):
        print(stream)
        for chunk in stream.over(noisy.blocks(noisy.samplerate // 50, dtype="float32")):
            clean.write(chunk)


if __name__ == "__main__":
    main(*sys.argv[1:])
