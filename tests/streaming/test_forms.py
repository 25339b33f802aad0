"""Raw bytes cut anywhere, whole sources, and streams that are closed."""

from __future__ import annotations

import asyncio
import io
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import SignalError, SignalWarning
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.channels import Downmix
from rtdenoise.streaming.session import Stream

FLOATS = np.random.default_rng(5).normal(0, 0.1, (4001, 2))
STEREO = np.rint(FLOATS * 30000).astype(np.int16)
MONO = np.ascontiguousarray(STEREO[:, 0])


@cache
def wiener():
    return rtdenoise.stream("WF", 16000, preset="low")


@cache
def clean():
    return rtdenoise.denoise(MONO, 16000, "WF", preset="low")


def late(channels=1, hop=48, latency_samples=100):
    return Stream(Bypass(16000, hop, channels, latency_samples))


def cut(data, *where):
    return [data[a:b] for a, b in zip((0, *where), (*where, len(data)), strict=True)]


@settings(deadline=None)
@given(where=st.lists(st.integers(0, MONO.nbytes), max_size=20).map(sorted))
def test_bytes_cut_anywhere_are_the_samples_they_hold(where):
    wiener().reset()
    out = b"".join([*(wiener().process_bytes(part) for part in cut(MONO.tobytes(), *where)), wiener().flush_bytes()])
    assert_array_equal(np.frombuffer(out, "<i2")[wiener().latency_samples :], clean())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_channels_are_interleaved_and_half_samples_wait(kind):
    stream = late(channels=2)
    data = STEREO.astype("<i2").tobytes()
    parts = [stream.process_bytes(kind(part)) for part in cut(data, 1, 2, 5, 5, 4 * 96 + 3)]
    assert [type(part) for part in parts] == [bytes] * 6
    assert [len(part) for part in parts[:5]] == [0, 0, 0, 0, 4 * 96]
    out = np.frombuffer(b"".join([*parts, stream.flush_bytes()]), "<i2").reshape(-1, 2)
    assert_array_equal(out[100:], STEREO)


def test_bytes_are_interleaved_whatever_the_layout_of_arrays():
    stream = Stream(Bypass(16000, 1, 2), channels_first=True)
    assert stream.process_bytes(STEREO.tobytes()) == STEREO.tobytes()


@pytest.mark.parametrize("end", ["flush", "flush_bytes"])
def test_a_sample_that_never_becomes_whole_is_left_out_with_a_line(end):
    stream = late(channels=2)
    stream.process_bytes(STEREO.tobytes()[:-1])
    with pytest.warns(SignalWarning, match=r"last 3 of the bytes are less than one sample of all channels \(4\)"):
        rest = getattr(stream, end)()
    n = 4000 // 48 * 48
    assert len(rest) == (4100 - n) * (4 if end == "flush_bytes" else 1)


def test_reset_forgets_half_a_sample():
    stream = Stream(Bypass(16000, 1))
    stream.process_bytes(b"\1")
    stream.reset()
    assert stream.process_bytes(b"\2\0") == b"\2\0"


@pytest.mark.parametrize("data", ["text", MONO, [1, 2], None, 3, memoryview(MONO), io.BytesIO(b"")], ids=type)
def test_what_is_no_bytes_is_refused_in_one_line(data):
    with pytest.raises(SignalError, match=r"process_bytes takes bytes of 16-bit .* process takes arrays") as caught:
        late().process_bytes(data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_arrays_are_asked_for_where_bytes_come():
    with pytest.raises(SignalError, match=r"not bytes; for 16-bit samples .*or take process_bytes"):
        late().process(b"\0\0")


FORMS = {
    "arrays": (list(np.split(MONO, [0, 10, 3000])), np.concatenate),
    "rows": (np.split(MONO[np.newaxis], [10, 3000], axis=1), lambda parts: np.concatenate(parts, axis=1)[0]),
    "columns": (np.split(MONO[:, np.newaxis], [10, 3000]), lambda parts: np.concatenate(parts)[:, 0]),
    "bytes": (cut(MONO.tobytes(), 0, 1, 2001), lambda parts: np.frombuffer(b"".join(parts), "<i2")),
    "pairs": (
        [(16000, part) for part in np.split(MONO, [10, 3000])],
        lambda parts: np.concatenate([samples for rate, samples in parts if rate == 16000]),
    ),
}


async def later(chunks):
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


async def collected(source):
    return [chunk async for chunk in source]


@pytest.mark.parametrize("form", FORMS)
def test_over_a_source_comes_the_whole_aligned_signal_in_its_form(form):
    chunks, joined = FORMS[form]
    once = list(wiener().over(chunks))
    assert_array_equal(joined(once), clean())
    assert all(np.size(chunk[1] if form == "pairs" else chunk) for chunk in once)
    again = asyncio.run(collected(wiener().over(later(chunks))))
    assert_array_equal(joined(again), clean())


def test_over_several_channels_first():
    stream = late(channels=2)
    out = np.concatenate(list(stream.over(np.split(STEREO.T, [7, 150, 151], axis=1))), axis=1)
    assert_array_equal(out, STEREO.T)


@pytest.mark.parametrize("n", [0, 1, 47, 99, 148, 149])
def test_over_short_sources(n):
    assert_array_equal(np.concatenate([MONO[:0], *late().over([MONO[:n]])]), MONO[:n])
    assert list(late().over([])) == []


def test_over_gives_what_is_ready_without_waiting_for_more():
    asked = []

    def source():
        for part in np.split(MONO[:960], 10):
            asked.append(len(part))
            yield part

    stream = late(latency_samples=0)
    for number, chunk in enumerate(stream.over(source()), 1):
        assert len(asked) == number and len(chunk) == 96


def test_a_source_left_in_the_middle_leaves_nothing_behind():
    stream = late()
    for _ in stream.over([MONO[:1000], MONO[1000:]]):
        break
    assert_array_equal(np.concatenate(list(stream.over([MONO]))), MONO)


def test_a_task_cancelled_in_the_middle_leaves_nothing_behind():
    stream = late()

    async def main():
        async def endless():
            yield MONO
            await asyncio.sleep(60)

        task = asyncio.ensure_future(collected(stream.over(endless())))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await collected(stream.over(later([MONO])))

    assert_array_equal(np.concatenate(asyncio.run(main())), MONO)


def test_an_error_of_the_source_arrives():
    def broken():
        yield MONO
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(late().over(broken()))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (MONO, "not one ndarray; rtdenoise.denoise takes a whole array"),
        (b"\0\0", "not one bytes"),
        ("noisy.wav", "not one str"),
        (memoryview(MONO), "not one memoryview"),
        (3, "takes an iterable of chunks, also an asynchronous one, not 3"),
        (None, "not None"),
    ],
    ids=type,
)
def test_what_is_no_source_is_refused_at_the_call(source, message):
    with pytest.raises(SignalError, match=message):
        late().over(source)


def test_a_chunk_that_does_not_fit_is_named():
    with pytest.raises(SignalError, match=r"shape \(5, 3\) does not fit this stream"):
        list(late().over([MONO, np.zeros((5, 3), np.float32)]))


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.process(MONO),
        lambda stream: stream.process_bytes(b""),
        lambda stream: stream.flush(),
        lambda stream: stream.flush_bytes(),
        lambda stream: stream.over([]),
        lambda stream: stream.reset(),
        lambda stream: stream.__enter__(),
    ],
)
def test_after_with_a_stream_is_closed(call):
    with late() as stream:
        assert stream.process(MONO[:48]).size == 48
    with pytest.raises(SignalError, match="this stream is closed, as at the end of its with block; make another one"):
        call(stream)
    stream.close()  # again is no error
    assert stream.latency_samples == 100


def test_with_lets_errors_through():
    with pytest.raises(ZeroDivisionError), late() as stream:
        stream.process([1 / 0])


def test_remarks_point_at_the_callers_line():
    loud = [(STEREO * 1.0).astype(np.float32)]
    cancelled = [np.stack([MONO, -MONO], 1)] * 4
    effect = rtdenoise.Effect("bypass")
    calls = [
        lambda: list(Stream(Bypass(16000, 48, 2)).over(loud)),
        lambda: effect(loud[0], 16000),
        lambda: effect(loud[0], 16000, reset=False),
        lambda: Stream(Downmix(Bypass(16000, 48), 2)).process_bytes(np.concatenate(cancelled).tobytes()),
        lambda: list(Stream(Downmix(Bypass(16000, 48), 2)).over(part.tobytes() for part in cancelled)),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert [(w.category, w.filename) for w in caught] == [(SignalWarning, __file__)]
