"""The processor with LiveKit's own source, track, stream and audio processing, in this process."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading

import numpy as np
import pytest

rtc = pytest.importorskip("livekit.rtc", reason="needs pip install 'rtdenoise[livekit]'")

from rtdenoise.choice import Choice
from rtdenoise.errors import ConfigError
from rtdenoise.integrations import livekit as ours
from rtdenoise.integrations.livekit import NoiseSuppressor, noise_suppression
from tests.integrations.signals import cuts, expected, lag, noisy

MEMORY_BYTES = 8 * 2**20  # of the allocator's own, over 200 sessions
PATIENCE_SECONDS = 100


def frame_of(samples: np.ndarray, rate: int = 24000) -> rtc.AudioFrame:
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    return rtc.AudioFrame(samples.tobytes(), rate, channels, len(samples))


def samples_of(frame: rtc.AudioFrame) -> np.ndarray:
    samples = np.frombuffer(frame.data, np.int16)
    return samples if frame.num_channels == 1 else samples.reshape(-1, frame.num_channels)


def ready(rate: int = 24000, channels: int = 1, **settings) -> NoiseSuppressor:
    processor = noise_suppression(**settings, rates_hz=[rate], channels=channels)
    processor.prepare(rate, channels)
    return processor


def run(processor: NoiseSuppressor, samples: np.ndarray, lengths: list[int], rate: int = 24000) -> np.ndarray:
    pieces, start = [], 0
    for n in lengths:
        given = frame_of(samples[start : start + n], rate)
        frame = processor._process(given)
        assert (frame.sample_rate, frame.num_channels, frame.samples_per_channel) == (
            given.sample_rate,
            given.num_channels,
            n,
        )
        pieces.append(samples_of(frame))
        start += n
    return np.concatenate(pieces)


class Kept(NoiseSuppressor):
    """Keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(Choice())
        self.given: list[np.ndarray] = []

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        self.given.append(samples_of(frame).copy())
        return super()._process(frame)


async def through_a_track(processors: list[Kept], samples: np.ndarray, rate: int) -> list[np.ndarray]:
    """What comes out of a real source, track and stream for each processor.

    The samples are captured at once: the answer to a capture comes through the queue that all frames come through, and
    where the loop is behind, each next one waits longer than the one before, without an end.
    """
    source = rtc.AudioSource(rate, 1, queue_size_ms=2000)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    streams = [
        rtc.AudioStream.from_track(
            track=track, sample_rate=rate, num_channels=1, frame_size_ms=50, noise_cancellation=one
        )
        for one in processors
    ]
    heard: list[list[np.ndarray]] = [[] for _ in streams]

    async def listen(stream: rtc.AudioStream, into: list[np.ndarray]) -> None:
        async for event in stream:
            into.append(samples_of(event.frame))

    listeners = [asyncio.create_task(listen(*pair)) for pair in zip(streams, heard, strict=True)]
    await asyncio.wait_for(source.capture_frame(frame_of(samples, rate)), PATIENCE_SECONDS)

    async def all_heard() -> None:
        while min(sum(map(len, pieces)) for pieces in heard) < len(samples):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(all_heard(), PATIENCE_SECONDS)
    closing = asyncio.gather(*(stream.aclose() for stream in streams), *listeners)  # all at once: no more frames come
    await asyncio.wait_for(closing, PATIENCE_SECONDS)
    await source.aclose()
    return [np.concatenate(pieces) for pieces in heard]


def test_a_real_source_track_and_stream_give_what_a_stream_gives():
    processor = Kept()
    processor.prepare()
    (out,) = asyncio.run(through_a_track([processor], noisy(24000, rate=24000), 24000))
    given = np.concatenate(processor.given)[: len(out)]
    assert len(out) >= 24000 and np.any(given)
    np.testing.assert_array_equal(out, expected(given, rate=24000))


def test_twenty_real_streams_at_once_on_one_track():
    processors = [Kept() for _ in range(20)]
    for processor in processors:
        processor.prepare()
    heard = asyncio.run(through_a_track(processors, noisy(6000, rate=24000), 24000))
    for processor, out in zip(processors, heard, strict=True):
        given = np.concatenate(processor.given)[: len(out)]
        assert len(out) >= 6000 and np.any(given)
        np.testing.assert_array_equal(out, expected(given, rate=24000))


def test_two_hundred_real_streams_opened_and_closed_leave_no_memory():
    psutil = pytest.importorskip("psutil", reason="memory is asked of psutil")
    samples, sizes, processor = noisy(1200, rate=24000), [], ready()

    async def open_and_close() -> None:
        source = rtc.AudioSource(24000, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        for n in range(200):
            stream = rtc.AudioStream.from_track(
                track=track,
                sample_rate=24000,
                num_channels=1,
                frame_size_ms=50,
                noise_cancellation=processor if n % 2 else ready(),
                auto_close_noise_cancellation=True,
            )
            await asyncio.wait_for(source.capture_frame(frame_of(samples)), PATIENCE_SECONDS)
            event = await asyncio.wait_for(anext(stream), PATIENCE_SECONDS)
            assert event.frame.samples_per_channel == 1200
            await asyncio.wait_for(stream.aclose(), PATIENCE_SECONDS)
            if n % 20 == 0:
                gc.collect()
            sizes.append(psutil.Process().memory_info().rss)
        await source.aclose()

    asyncio.run(open_and_close())
    assert sizes[-1] - sizes[40] < MEMORY_BYTES


def test_twenty_at_once_do_not_know_each_other():
    processors = [ready() for _ in range(20)]
    signals = [np.roll(noisy(6000, rate=24000), 100 * i) for i in range(20)]
    pieces = [
        [
            samples_of(one._process(frame_of(signal[start : start + 480])))
            for one, signal in zip(processors, signals, strict=True)
        ]
        for start in range(0, 6000, 480)
    ]
    for i, signal in enumerate(signals):
        np.testing.assert_array_equal(np.concatenate([row[i] for row in pieces]), expected(signal, rate=24000))


@pytest.mark.parametrize("channels", [1, 2])
def test_frames_of_any_length_keep_it(channels):
    samples = noisy(12000, channels, rate=16000)
    processor = ready(16000, channels)
    lengths = [0, 441, 1199, 0, 1, 800, *cuts(12000 - 2441, 1)]
    np.testing.assert_array_equal(run(processor, samples, lengths, 16000), expected(samples))


def test_a_network_gives_what_a_stream_gives_and_the_reported_delay():
    samples = noisy(24000, rate=24000)
    processor = ready(model="can-small")
    out = run(processor, samples, [1200] * 20)
    np.testing.assert_array_equal(out, expected(samples, rate=24000, model="can-small"))
    assert lag(samples, out) == processor.latency_samples()


def test_audio_processing_behind_it_takes_every_frame():
    processor, apm = ready(), rtc.AudioProcessingModule(auto_gain_control=True)
    samples = noisy(24000, rate=24000)
    for start in range(0, 24000, 1200):
        apm.process_stream(processor._process(frame_of(samples[start : start + 1200])))


def test_the_rate_changes_in_the_middle_and_back():
    live, before = noisy(9600, rate=24000), noisy(19200, rate=48000)
    processor = ready()
    processor.prepare(48000)
    first = run(processor, live[:4800], [1200] * 4)
    other = run(processor, before, [480] * 40, 48000)
    second = run(processor, live[4800:], [1200] * 4)
    np.testing.assert_array_equal(np.concatenate([first, second]), expected(live, rate=24000))
    np.testing.assert_array_equal(other, expected(before, rate=48000))


def test_disabled_leaves_frames_alone_and_enabled_starts_anew():
    samples, processor = noisy(4800, rate=24000), ready()
    run(processor, samples, [1200] * 4)
    processor.enabled = False
    assert not processor.enabled
    np.testing.assert_array_equal(run(processor, samples, [1200] * 4), samples)
    processor.enabled = True
    processor.enabled = True
    np.testing.assert_array_equal(run(processor, samples, [1200] * 4), expected(samples, rate=24000))


def test_another_publication_starts_anew_and_the_same_one_goes_on():
    samples, processor = noisy(4800, rate=24000), ready()

    def told(sid: str) -> None:
        processor._on_stream_info_updated(room_name="room", participant_identity="someone", publication_sid=sid)

    told("first")
    first = run(processor, samples[:2400], [1200] * 2)
    told("first")
    np.testing.assert_array_equal(
        np.concatenate([first, run(processor, samples[2400:], [1200] * 2)]), expected(samples, rate=24000)
    )
    for end in (lambda: None, processor._on_stream_info_cleared, processor._close):
        end()
        told("second" if end.__name__ == "<lambda>" else "third")
        np.testing.assert_array_equal(run(processor, samples, [1200] * 4), expected(samples, rate=24000))


def test_closed_early_and_twice_it_starts_anew():
    samples, processor = noisy(4800, rate=24000), ready()
    processor._close()
    run(processor, samples, [1200] * 4)
    processor._close()
    processor._close()
    np.testing.assert_array_equal(run(processor, samples, [1200] * 4), expected(samples, rate=24000))


def test_frames_stay_unchanged_until_it_is_built(monkeypatch):
    samples, gate = noisy(9600, rate=24000), threading.Event()
    build = ours.Session
    monkeypatch.setattr(ours, "Session", lambda *arguments: gate.wait() and build(*arguments))
    processor = noise_suppression()
    np.testing.assert_array_equal(run(processor, samples[:4800], [1200] * 4), samples[:4800])
    assert processor.latency_samples() == 0
    gate.set()
    processor.prepare()
    np.testing.assert_array_equal(run(processor, samples[4800:], [1200] * 4), expected(samples[4800:], rate=24000))


def test_what_cannot_be_built_is_logged_once_and_frames_stay_unchanged(caplog):
    samples, processor = noisy(4000), ready(16000)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(run(processor, samples, [400] * 10, 4000), samples)
            processor._ask(4000, 1).join()
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert len(lines) == 1 and "sample_rate=4000 Hz must be" in lines[0] and "\n" not in lines[0]
    with pytest.raises(ConfigError, match="sample_rate=4000"):
        processor.prepare(4000)
    with pytest.raises(ConfigError, match="unknown method"):
        noise_suppression("XY")


def test_two_hundred_sessions_leave_no_memory():
    psutil = pytest.importorskip("psutil", reason="memory is asked of psutil")
    samples, sizes = noisy(2400, rate=24000), []
    for _ in range(200):
        processor = ready()
        run(processor, samples, [1200, 1200])
        processor._close()
        del processor
        if len(sizes) % 20 == 0:
            gc.collect()
        sizes.append(psutil.Process().memory_info().rss)
    assert sizes[-1] - sizes[20] < MEMORY_BYTES
