"""Pipecat: when somebody speaks in a recording, from what the filter before the detector knows anyway.

    python examples/vad_pipecat.py noisy.wav

In an agent it is VADProcessor(vad_analyzer=RtDenoiseVADAnalyzer(audio_filter)), with the filter of the transport.
"""

from __future__ import annotations

import asyncio
import sys

import soundfile
from pipecat.audio.vad.vad_analyzer import VADState

import rtdenoise
from rtdenoise.integrations.pipecat import RtDenoiseFilter
from rtdenoise.integrations.pipecat_vad import RtDenoiseVADAnalyzer


async def main(source: str) -> None:
    samples, rate = soundfile.read(source, dtype="int16")
    rtdenoise.stream("WF", sample_rate=rate, preset="low")  # the first one compiles; a pipeline would not wait for it
    audio_filter = RtDenoiseFilter("WF")
    analyzer = RtDenoiseVADAnalyzer(audio_filter)
    await audio_filter.start(rate)
    analyzer.set_sample_rate(rate)
    size, spoken, n_pieces = analyzer.num_frames_required(), 0, len(samples) * 50 // rate
    for i in range(n_pieces):
        clean = await audio_filter.filter(samples[i * size : (i + 1) * size].tobytes())
        spoken += await analyzer.analyze_audio(clean) in (VADState.SPEAKING, VADState.STOPPING)
    await analyzer.cleanup()
    await audio_filter.stop()
    print(f"{len(samples) / rate:.1f} s, somebody speaks in {spoken / max(1, n_pieces):.0%} of it")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
