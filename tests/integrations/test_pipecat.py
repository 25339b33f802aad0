"""The filter in Pipecat's own transport, in a pipeline that runs."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings

import numpy as np
import pytest

with warnings.catch_warnings():  # pipecat still imports what later releases of Python have no more
    warnings.simplefilter("ignore", DeprecationWarning)
    pytest.importorskip("pipecat.workers.runner", reason="needs pip install 'rtdenoise[pipecat]'")
    pytest.importorskip("pipecat.transports.base_input")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

from pipecat.frames.frames import (
    EndFrame,
    FilterEnableFrame,
    FilterUpdateSettingsFrame,
    Frame,
    InputAudioRawFrame,
    StartFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

import rtdenoise
from rtdenoise.integrations import pipecat as ours
from rtdenoise.integrations.pipecat import RtDenoiseFilter
from tests.integrations.signals import cuts, delayed, expected, lag, noisy

FADE = 160


class Microphone(BaseInputTransport):
    """A transport whose audio is pushed by the test, once it is ready."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.ready = asyncio.Event()

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.ready.set()

    async def drained(self) -> None:
        await self._audio_in_queue.join()


class Sink(FrameProcessor):
    """Keeps the audio that arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.audio: list[bytes] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.audio.append(frame.audio)
        await self.push_frame(frame, direction)

    async def has(self, n_bytes: int) -> None:
        while sum(map(len, self.audio)) < n_bytes:
            await asyncio.sleep(0.001)


async def through(audio_filter: RtDenoiseFilter, steps: list[bytes | Frame], channels: int = 1) -> bytes:
    """What comes out of a pipeline that gets these chunks of audio and control frames, one after the other."""
    params = TransportParams(audio_in_enabled=True, audio_in_filter=audio_filter, audio_in_channels=channels)
    microphone, sink = Microphone(params), Sink()
    worker = PipelineWorker(
        Pipeline([microphone, sink]),
        params=PipelineParams(audio_in_sample_rate=16000),
        cancel_on_idle_timeout=False,
    )

    async def push() -> None:
        await microphone.ready.wait()
        for step in steps:
            if isinstance(step, bytes):
                await microphone.push_audio_frame(InputAudioRawFrame(step, 16000, channels))
                await microphone.drained()
            else:
                await microphone.process_frame(step, FrameDirection.DOWNSTREAM)
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.wait_for(asyncio.gather(runner.run(), push()), 100)
    return b"".join(sink.audio)


def in_pieces(samples: np.ndarray, lengths: list[int]) -> list[bytes | Frame]:
    ends = np.cumsum(lengths)
    return [samples[end - n : end].tobytes() for n, end in zip(lengths, ends, strict=True)]


def forwards(frame: type[Frame]) -> bool:
    """Whether this release of pipecat hands such a frame to filters (older ones hand on settings only)."""
    from pipecat.transports import base_input

    return frame is FilterUpdateSettingsFrame or hasattr(base_input, "FilterControlFrame")


def run(audio_filter: RtDenoiseFilter, steps: list[bytes | Frame], channels: int = 1) -> np.ndarray:
    return np.frombuffer(asyncio.run(through(audio_filter, steps, channels)), "<i2")


@pytest.mark.parametrize("settings", [{}, {"method": "SS"}, {"model": "can-small"}, {"method": "bypass"}])
def test_a_running_pipeline_gives_what_a_stream_gives(settings):
    samples = noisy(16000)
    wanted = expected(samples, **settings)  # compiles, which the filter would not wait for
    np.testing.assert_array_equal(run(RtDenoiseFilter(**settings), in_pieces(samples, cuts(16000))), wanted)


def test_two_channels_and_odd_bytes():
    samples = noisy(6000, 2)
    data, wanted = samples.tobytes(), expected(samples)
    pieces = [data[start : start + 641] for start in range(0, len(data), 641)]
    out = run(RtDenoiseFilter(channels=2), pieces, 2)
    np.testing.assert_array_equal(out.reshape(-1, 2), wanted)


def test_the_same_filter_serves_one_pipeline_after_the_other():
    samples, audio_filter = noisy(4000), RtDenoiseFilter()
    for _ in range(3):
        out = run(audio_filter, in_pieces(samples, [320] * 12 + [160]))
        np.testing.assert_array_equal(out, expected(samples))
        assert audio_filter.latency_samples == 0


def test_bypass_by_settings_is_equally_late():
    samples = noisy(16000)
    steps = in_pieces(samples, [320] * 50)
    steps[40:40] = [FilterUpdateSettingsFrame({"enabled": True})]
    steps[20:20] = [FilterUpdateSettingsFrame({"enabled": False})]
    out, wet, dry = run(RtDenoiseFilter(), steps), expected(samples), delayed(samples, 127)
    np.testing.assert_array_equal(out[:6400], wet[:6400])
    np.testing.assert_array_equal(out[6400 + FADE : 12800], dry[6400 + FADE : 12800])
    np.testing.assert_array_equal(out[12800 + FADE :], wet[12800 + FADE :])


@pytest.mark.skipif(not forwards(FilterEnableFrame), reason="this release of pipecat forwards settings only")
def test_bypass_by_its_own_frame_and_from_the_start():
    samples = noisy(8000)
    steps = [FilterEnableFrame(False), *in_pieces(samples, [320] * 25)]
    steps[15:15] = [FilterEnableFrame(True)]
    out = run(RtDenoiseFilter(), steps)
    np.testing.assert_array_equal(out[FADE : 14 * 320], delayed(samples, 127)[FADE : 14 * 320])
    np.testing.assert_array_equal(out[14 * 320 + FADE :], expected(samples)[14 * 320 + FADE :])


def test_another_method_and_limit_by_settings():
    samples = noisy(16000)
    steps = in_pieces(samples, [320] * 50)
    steps[30:30] = [FilterUpdateSettingsFrame({"method": "SS", "attenuation_limit_db": 6})]
    audio_filter = RtDenoiseFilter()
    out, late = run(audio_filter, steps), 127
    np.testing.assert_array_equal(out[: 30 * 320], expected(samples)[: 30 * 320])
    later = expected(samples[30 * 320 - late :], method="SS", attenuation_limit_db=6)[late:]
    np.testing.assert_array_equal(out[30 * 320 + FADE :], later[FADE:])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"metod": "SS"}, "unknown key 'metod'; did you mean 'method'?"),
        ({"method": "XY"}, "unknown method 'XY'"),
        ({"attenuation_limit_db": 1000}, "attenuation_limit_db"),
        ({"enabled": "no"}, "enabled='no' must be True or False"),
        ({"model": "can-huge"}, "no model 'can-huge'"),
    ],
)
def test_settings_that_cannot_be_are_logged_and_change_nothing(settings, text, caplog):
    samples = noisy(4000)
    steps = in_pieces(samples, [400] * 10)
    steps[5:5] = [FilterUpdateSettingsFrame(settings)]
    with caplog.at_level(logging.WARNING):
        out = run(RtDenoiseFilter(), steps)
    np.testing.assert_array_equal(out, expected(samples))
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert len(lines) == 1 and text in lines[0] and "\n" not in lines[0]


def test_reported_delay_is_the_measured_one():
    async def measure() -> None:
        samples, audio_filter = noisy(16000), RtDenoiseFilter()
        await audio_filter.start(16000)
        out = np.frombuffer(await audio_filter.filter(samples.tobytes()), "<i2")
        assert lag(samples, out) == audio_filter.latency_samples == 127

    asyncio.run(measure())


def test_calls_out_of_order_leave_audio_alone(caplog):
    async def call() -> None:
        audio, audio_filter = noisy(999).tobytes(), RtDenoiseFilter()
        assert await audio_filter.filter(audio) == audio
        await audio_filter.stop()
        await audio_filter.process_frame(FilterEnableFrame(False))
        await audio_filter.process_frame(FilterUpdateSettingsFrame({"method": "bypass"}))
        await audio_filter.start(16000)
        await audio_filter.start(16000)
        dry = delayed(noisy(999), audio_filter.latency_samples).tobytes()
        assert audio_filter.latency_samples and await audio_filter.filter(audio) == dry
        await audio_filter.cleanup()
        await audio_filter.stop()
        assert await audio_filter.filter(audio) == audio
        await audio_filter.start(1)
        assert await audio_filter.filter(audio) == audio
        await audio_filter.start(16000)
        assert await audio_filter.filter(None) is None and await audio_filter.filter("text") == "text"
        assert len(await audio_filter.filter(audio)) == len(audio)

    asyncio.run(call())
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert len(lines) == 2 and "sample_rate=1 Hz must be" in lines[0] and "unchanged" in lines[1]


def test_a_pipeline_does_not_wait_for_the_compiler(monkeypatch, caplog):
    async def call() -> None:
        samples, gate, build = noisy(3200), threading.Event(), ours.Session
        monkeypatch.setattr(ours, "_PATIENCE_SECONDS", 0.01)
        monkeypatch.setattr(ours, "Session", lambda *arguments: gate.wait() and build(*arguments))
        audio_filter, audio = RtDenoiseFilter(), samples.tobytes()
        await audio_filter.start(16000)
        assert await audio_filter.filter(audio) == audio
        gate.set()
        while audio_filter.latency_samples == 0:
            await asyncio.sleep(0.001)
        assert await audio_filter.filter(audio) == expected(samples).tobytes()
        gate.clear()
        await audio_filter.process_frame(FilterUpdateSettingsFrame({"method": "SS"}))
        assert await audio_filter.filter(audio) == expected(np.tile(samples, 2))[3200:].tobytes()
        gate.set()
        await asyncio.gather(*audio_filter._building)
        out = np.frombuffer(await audio_filter.filter(audio), "<i2")
        later = expected(np.tile(samples, 2)[3200 - 127 :], method="SS")[127:]
        np.testing.assert_array_equal(out[FADE:], later[FADE:])

    asyncio.run(call())
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert [line.rpartition(" through ")[2] for line in lines] == ["unchanged", "as before"]


def test_cancelled_while_it_builds_and_overtaken():
    async def call() -> None:
        samples, audio_filter = noisy(999), RtDenoiseFilter()
        starting = asyncio.create_task(audio_filter.start(16000))
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert await audio_filter.filter(samples.tobytes()) == samples.tobytes()
        starting = asyncio.create_task(audio_filter.start(16000))
        await asyncio.sleep(0)
        await audio_filter.stop()  # what is being built is dropped
        await starting
        assert audio_filter.latency_samples == 0
        await audio_filter.start(16000)
        changes = [{"method": "SS"}, {"method": "bypass"}]
        await asyncio.gather(*(audio_filter.process_frame(FilterUpdateSettingsFrame(one)) for one in changes))
        out = np.frombuffer(await audio_filter.filter(samples.tobytes()), "<i2")
        bypass = rtdenoise.stream("bypass", sample_rate=16000, preset="low")
        late = bypass.hop - 1
        np.testing.assert_array_equal(out, delayed(samples, late))

    asyncio.run(call())
