"""The detector of voice activity in Pipecat's own processor, in a pipeline that runs."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest

pytest.importorskip("tests.integrations.test_pipecat", reason="needs pip install 'rtdenoise[pipecat]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

from pipecat.audio.vad.vad_analyzer import VADParams, VADState
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

import rtdenoise
from rtdenoise.errors import ConfigError
from rtdenoise.integrations import pipecat_vad as ours
from rtdenoise.integrations.pipecat import RtDenoiseFilter
from rtdenoise.integrations.pipecat_vad import RtDenoiseVADAnalyzer
from tests.files.conftest import voice
from tests.integrations.test_pipecat import Microphone

RATE = 16000
QUIET, TALK = slice(0, 2 * RATE), slice(2 * RATE, 5 * RATE)


def said() -> np.ndarray:
    """Two seconds of noise, three with a loud voice in it, three of noise; int16."""
    samples = np.random.default_rng(3).normal(0.0, 0.003, 8 * RATE)
    samples[TALK] += 2.0 * voice(3 * RATE, RATE, 1).reshape(-1)
    return np.round(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)


class Ears(FrameProcessor):
    """Keeps when somebody started and stopped, in samples of audio that had come by then."""

    def __init__(self) -> None:
        super().__init__()
        self.n, self.heard = 0, []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.n += len(frame.audio) // 2
        if isinstance(frame, (VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame)):
            self.heard.append((type(frame).__name__, self.n))
        await self.push_frame(frame, direction)


async def through(analyzer: RtDenoiseVADAnalyzer, audio_filter: RtDenoiseFilter | None, samples: np.ndarray) -> list:
    params = TransportParams(audio_in_enabled=True, audio_in_filter=audio_filter)
    microphone, ears = Microphone(params), Ears()
    worker = PipelineWorker(
        Pipeline([microphone, VADProcessor(vad_analyzer=analyzer), ears]),
        params=PipelineParams(audio_in_sample_rate=RATE),
        cancel_on_idle_timeout=False,
    )

    async def push() -> None:
        await microphone.ready.wait()
        if analyzer._building is not None:
            await asyncio.to_thread(analyzer._building.join)
        for start in range(0, len(samples), 320):
            await microphone.push_audio_frame(InputAudioRawFrame(samples[start : start + 320].tobytes(), RATE, 1))
            while ears.n < start + 320:
                await asyncio.sleep(0)
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.wait_for(asyncio.gather(runner.run(), push()), 200)
    return ears.heard


@pytest.mark.parametrize("behind", [False, True])
def test_a_running_pipeline_hears_when_somebody_speaks(behind):
    rtdenoise.stream("WF", RATE, preset="low")  # compiles, which nothing here would wait for
    audio_filter = RtDenoiseFilter() if behind else None
    heard = asyncio.run(through(RtDenoiseVADAnalyzer(audio_filter), audio_filter, said()))
    spoken = ["VADUserStartedSpeakingFrame", "VADUserStoppedSpeakingFrame"]
    assert heard and [name for name, _ in heard] == spoken * (len(heard) // 2)  # the voice has a pause
    started, stopped = heard[0][1], heard[-1][1]
    assert TALK.start < started < TALK.start + RATE  # 0.2 s of speech are waited for
    assert TALK.stop - RATE // 2 < stopped < TALK.stop + 2 * RATE


async def confidences(analyzer: RtDenoiseVADAnalyzer, samples: np.ndarray, rate: int) -> list[float]:
    analyzer.set_sample_rate(rate)
    if analyzer._building is not None:
        analyzer._building.join()
    step = analyzer.num_frames_required()
    return [analyzer.voice_confidence(samples[i : i + step].tobytes()) for i in range(0, len(samples) - step + 1, step)]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_confidence_is_the_streams_probability(rate):
    samples, stream = said()[: 3 * rate], rtdenoise.stream("WF", rate, preset="low")
    found = asyncio.run(confidences(RtDenoiseVADAnalyzer(), samples, rate))
    wanted = []
    for start in range(0, len(samples), rate // 50):
        stream.process(samples[start : start + rate // 50])
        wanted.append(stream.speech_probability)
    assert found == wanted and min(found) >= 0.0 and max(found) <= 1.0


def test_behind_a_filter_it_says_what_the_filter_knows_also_while_that_is_bypassed():
    async def listen() -> None:
        samples, audio_filter = said()[QUIET.stop - 3200 :][:9600], RtDenoiseFilter()
        analyzer = RtDenoiseVADAnalyzer(audio_filter)
        analyzer.set_sample_rate(RATE)
        assert await analyzer.analyze_audio(samples[:320].tobytes()) == VADState.QUIET  # the filter has not started
        await audio_filter.start(RATE)
        audio_filter._enable(False)
        stream = rtdenoise.stream("WF", RATE, preset="low")
        for start in range(0, len(samples), 320):
            piece = samples[start : start + 320]
            stream.process(piece)
            await analyzer.analyze_audio(await audio_filter.filter(piece.tobytes()))
            assert analyzer.voice_confidence(b"") == stream.speech_probability
        await analyzer.cleanup()

    asyncio.run(listen())


def test_parameters_are_pipecats_with_a_threshold_of_ours():
    assert RtDenoiseVADAnalyzer().params == VADParams(confidence=0.5)
    assert RtDenoiseVADAnalyzer(params=VADParams(stop_secs=0.7)).params == VADParams(stop_secs=0.7)
    with pytest.raises(ConfigError, match="unknown method"):
        RtDenoiseVADAnalyzer(method="XY")


@pytest.mark.parametrize(
    ("settings", "rate", "text"),
    [({"method": "bypass"}, RATE, "bypass low does not know"), ({}, 4000, "sample_rate=4000 Hz must be")],
)
def test_what_cannot_hear_is_said_once_and_nobody_speaks(settings, rate, text, caplog):
    with caplog.at_level(logging.WARNING):
        found = asyncio.run(confidences(RtDenoiseVADAnalyzer(**settings), said()[: 10 * rate // 50], rate))
    assert set(found) == {0.0}
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert len(lines) == 1 and text in lines[0] and "\n" not in lines[0]


def test_another_rate_while_it_builds_wins():
    analyzer = RtDenoiseVADAnalyzer()
    analyzer.set_sample_rate(8000)
    first = analyzer._building
    analyzer.set_sample_rate(RATE)
    first.join()
    analyzer._building.join()
    assert analyzer._stream is not None and analyzer._stream.sample_rate == RATE
