"""A denoised track between aiortc's own tracks, and over a real peer connection on this machine."""

from __future__ import annotations

import asyncio
import fractions
import logging
import sys

import numpy as np
import pytest

if "tensorflow" in sys.modules:  # its functions take the place of those that pylibsrtp brings, which crashes
    pytest.skip("TensorFlow is loaded: run tests/integrations by itself", allow_module_level=True)
aiortc = pytest.importorskip("aiortc", reason="needs pip install 'rtdenoise[aiortc]'")
import av
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack

from rtdenoise.errors import ConfigError
from rtdenoise.integrations import aiortc as ours
from rtdenoise.integrations.aiortc import DenoisedTrack
from tests.integrations.signals import cuts, delayed, expected, lag, noisy

LAYOUTS = {1: "mono", 2: "stereo"}


def frames_of(samples: np.ndarray, lengths: list[int], rate: int = 16000, form: str = "s16") -> list[av.AudioFrame]:
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    frames, start = [], 0
    for n in lengths:
        rows = samples[start : start + n].reshape(n, channels)
        array = rows.T.copy() if form.endswith("p") else rows.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(array, format=form, layout=LAYOUTS[channels])
        frame.pts, frame.sample_rate, frame.time_base = 1000 + start, rate, fractions.Fraction(1, rate)
        frames.append(frame)
        start += n
    return frames


def samples_of(frames: list[av.AudioFrame]) -> np.ndarray:
    channels = frames[0].layout.nb_channels
    planar = frames[0].format.is_planar
    rows = [f.to_ndarray().T if planar else f.to_ndarray().reshape(-1, channels) for f in frames]
    joined = np.concatenate(rows)
    return joined[:, 0] if channels == 1 else joined


class Given(MediaStreamTrack):
    """A track of frames that the test made."""

    kind = "audio"

    def __init__(self, frames: list) -> None:
        super().__init__()
        self.frames = list(frames)

    async def recv(self):
        await asyncio.sleep(0)
        if not self.frames or self.readyState != "live":
            self.stop()
            raise MediaStreamError
        return self.frames.pop(0)


async def all_of(track: MediaStreamTrack) -> list:
    frames = []
    while True:
        try:
            frames.append(await track.recv())
        except MediaStreamError:
            return frames


def run(frames: list[av.AudioFrame], **settings) -> list[av.AudioFrame]:
    return asyncio.run(all_of(DenoisedTrack(Given(frames), **settings)))


@pytest.mark.parametrize(("form", "channels"), [("s16", 1), ("s16", 2), ("s16p", 2), ("flt", 1)])
def test_a_track_gives_what_a_stream_gives_and_keeps_all_else(form, channels):
    samples = noisy(9600, channels)
    samples = samples if form.startswith("s16") else (samples / 2.0**15).astype(np.float32)
    lengths = [n for n in [441, 1199, *cuts(9600 - 1640)] if n]
    given = frames_of(samples, lengths, form=form)
    out = run(given)
    np.testing.assert_array_equal(samples_of(out[: len(given)]), expected(samples))
    for one, other in zip(out, given, strict=False):
        for name in ("pts", "time_base", "sample_rate", "samples"):
            assert getattr(one, name) == getattr(other, name)
        assert (one.format.name, one.layout.name) == (form, other.layout.name)


@pytest.mark.parametrize(("form", "channels"), [("s16", 1), ("s16p", 2), ("u8", 1)])
@pytest.mark.parametrize("length", [320, 50, 1])
def test_what_the_delay_held_back_follows_in_frames_of_the_last_ones_length(form, channels, length):
    samples = noisy(960 + length, channels)
    samples = (samples // 256 + 128).astype(np.uint8) if form == "u8" else samples
    out = run(frames_of(samples, [320, 320, 320, length], form=form))
    n = -(-127 // length)
    silence = np.full((n * length, *samples.shape[1:]), 128 if form == "u8" else 0, samples.dtype)
    np.testing.assert_array_equal(samples_of(out), expected(np.concatenate([samples, silence])))
    assert [frame.samples for frame in out] == [320, 320, 320] + [length] * (1 + n)
    assert [frame.pts for frame in out[3:]] == [1960 + i * length for i in range(1 + n)]
    assert {(frame.sample_rate, frame.format.name, frame.layout.name) for frame in out} == {
        (16000, form, LAYOUTS[channels])
    }


def test_it_ends_after_its_last_frame_once_and_a_stop_leaves_nothing_to_follow():
    async def listen() -> None:
        source, ended = Given(frames_of(noisy(640), [320, 320])), []
        track = DenoisedTrack(source)
        track.on("ended", lambda: ended.append(track.readyState))
        for n in range(3):
            assert (await track.recv()).pts == 1000 + 320 * n
        assert (source.readyState, track.readyState, ended) == ("ended", "live", [])
        for _ in range(2):
            with pytest.raises(MediaStreamError):
                await track.recv()
        assert (track.readyState, ended) == ("ended", ["ended"])
        track = DenoisedTrack(Given(frames_of(noisy(640), [320, 320])))
        await track.recv()
        track.stop()
        with pytest.raises(MediaStreamError):
            await track.recv()

    asyncio.run(listen())


def test_a_recorder_gets_the_end(tmp_path):
    from aiortc.contrib.media import MediaRecorder

    samples = noisy(96000, 2, rate=48000)

    async def record(name: str, track: MediaStreamTrack) -> np.ndarray:
        path, done = tmp_path / name, asyncio.Event()
        track.on("ended", done.set)
        recorder = MediaRecorder(str(path))
        recorder.addTrack(track)
        await recorder.start()
        await asyncio.wait_for(done.wait(), 60)
        await recorder.stop()
        with av.open(str(path)) as read:
            return samples_of(list(read.decode(audio=0)))

    wanted = expected(np.concatenate([samples, np.zeros((960, 2), np.int16)]), rate=48000)  # compiles, which takes long
    clean = asyncio.run(record("clean.wav", DenoisedTrack(Given(frames_of(samples, [960] * 100, 48000)))))
    np.testing.assert_array_equal(clean, wanted)


def test_the_rate_changes_in_the_middle():
    first, second = noisy(3200), noisy(9600, 2, rate=48000)
    out = run(frames_of(first, [320] * 10) + frames_of(second, [960] * 10, 48000))
    np.testing.assert_array_equal(samples_of(out[:10]), expected(first))
    np.testing.assert_array_equal(samples_of(out[10:20]), expected(second, rate=48000))


def test_bypass_is_equally_late_and_delay_is_as_reported():
    samples = noisy(16000)

    async def listen() -> tuple[np.ndarray, int]:
        track = DenoisedTrack(Given(frames_of(samples, [320] * 50)))
        assert track.latency_samples == 0 and track.enabled
        frames = [await track.recv() for _ in range(25)]
        track.enabled = False
        frames += [await track.recv() for _ in range(25)]
        return samples_of(frames), track.latency_samples

    out, late = asyncio.run(listen())
    assert lag(samples[:8000], out[:8000]) == late == 127
    np.testing.assert_array_equal(out[8160:], delayed(samples, late)[8160:])


def test_cancelled_in_the_middle_no_frame_is_lost(monkeypatch):
    samples = noisy(3200)

    async def listen() -> list[av.AudioFrame]:
        track = DenoisedTrack(Given(frames_of(samples, [320] * 10)))
        waiting = asyncio.create_task(track.recv())
        while track._waiting is None:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await all_of(track)

    np.testing.assert_array_equal(samples_of(asyncio.run(listen())[:10]), expected(samples))


def test_either_end_ends_both():
    async def end() -> None:
        source = AudioStreamTrack()
        track = DenoisedTrack(source)
        source.stop()
        assert track.readyState == "ended"
        source = AudioStreamTrack()
        track = DenoisedTrack(source)
        track.stop()
        assert source.readyState == "ended"
        with pytest.raises(MediaStreamError):
            await track.recv()

    asyncio.run(end())


def test_what_cannot_be_enhanced_goes_through_and_is_said_once(caplog):
    slow, packet = frames_of(noisy(4000), [400] * 10, 4000), av.Packet(b"opus")
    with caplog.at_level(logging.WARNING):
        out = run([packet, *slow])
    assert out == [packet, *slow]
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert len(lines) == 1 and "sample_rate=4000 Hz must be" in lines[0] and "\n" not in lines[0]


def test_what_is_no_audio_track_is_refused():
    async def make() -> None:
        with pytest.raises(ConfigError, match="kind 'video' cannot be denoised"):
            DenoisedTrack(VideoStreamTrack())
        with pytest.raises(ConfigError, match="unknown preset"):
            DenoisedTrack(AudioStreamTrack(), preset="fast")

    asyncio.run(make())


def test_over_a_real_connection():
    samples = noisy(48000, 2, rate=48000)

    async def talk() -> np.ndarray:
        caller, callee, heard = aiortc.RTCPeerConnection(), aiortc.RTCPeerConnection(), []
        arrived: asyncio.Future = asyncio.get_running_loop().create_future()
        callee.on("track", lambda track: arrived.set_result(DenoisedTrack(track)))
        caller.addTrack(Paced(frames_of(samples, [960] * 50, 48000)))
        await caller.setLocalDescription(await caller.createOffer())
        await callee.setRemoteDescription(caller.localDescription)
        await callee.setLocalDescription(await callee.createAnswer())
        await caller.setRemoteDescription(callee.localDescription)
        track = await asyncio.wait_for(arrived, 120)
        for _ in range(20):
            heard.append(await asyncio.wait_for(track.recv(), 120))
        await caller.close()
        await callee.close()
        assert {frame.samples for frame in heard} == {960} and track.latency_samples == 383
        return samples_of(heard)

    class Paced(Given):
        async def recv(self):
            await asyncio.sleep(0.02)
            return await super().recv()

    assert np.any(asyncio.run(talk()))
