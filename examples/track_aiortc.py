"""aiortc: a track of a recording, denoised and recorded.

python examples/track_aiortc.py noisy.wav clean.wav
"""

from __future__ import annotations

import asyncio
import sys

from aiortc.contrib.media import MediaPlayer, MediaRecorder

from rtdenoise.integrations.aiortc import DenoisedTrack


async def main(source: str, target: str) -> None:
    track, recorder = DenoisedTrack(MediaPlayer(source).audio, "WF"), MediaRecorder(target)
    ended = asyncio.Event()
    track.on("ended", ended.set)
    recorder.addTrack(track)
    await recorder.start()
    await ended.wait()
    await recorder.stop()
    print(f"{track.latency_samples} samples late")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
