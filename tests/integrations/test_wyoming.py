"""The service between real Wyoming clients and microphones, over loopback."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

with warnings.catch_warnings():  # wyoming still imports what later releases of Python have no more
    warnings.simplefilter("ignore", DeprecationWarning)
    pytest.importorskip("wyoming.audio", reason="needs pip install 'rtdenoise[wyoming]'")
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, MicProgram
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from rtdenoise.choice import Choice
from rtdenoise.errors import ConfigError
from rtdenoise.integrations import wyoming as ours
from rtdenoise.integrations.wyoming import Service
from tests.integrations.signals import cuts, expected, lag, noisy


def chunks(samples: np.ndarray, lengths: list[int], rate: int = 16000, width: int = 2) -> list[Event]:
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    ends = np.cumsum(lengths)
    pieces = [samples[end - n : end].tobytes() for n, end in zip(lengths, ends, strict=True)]
    return [AudioChunk(rate, width, channels, piece, timestamp=i).event() for i, piece in enumerate(pieces)]


def start(rate: int = 16000) -> Event:
    return AudioStart(rate=rate, width=2, channels=1).event()


class Microphone(AsyncEventHandler):
    """Describes itself, echoes what it does not know, and sends the test's events when it is asked to play."""

    events: list[Event]

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            whose = Attribution(name="someone", url="http://localhost")
            program = MicProgram("mic", whose, True, "a microphone", "1", mic_format=None)
            program.mic_format = AudioStart(rate=16000, width=2, channels=1)
            await self.write_event(Info(mic=[program]).event())
        elif event.type == "play":
            for one in self.events:
                await self.write_event(one)
        elif event.type == "leave":
            return False
        else:
            await self.write_event(event)
        return True


def port_of(server: AsyncTcpServer) -> int:
    return server._server.sockets[0].getsockname()[1]


async def served(events: list[Event], talk, choice: Choice | None = None):
    """What `talk` returns, which is called with the address of a service in front of a microphone with these events."""
    microphone = AsyncTcpServer("127.0.0.1", 0)
    handler = type("Playing", (Microphone,), {"events": events})
    await microphone.start(handler)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    service = Service("tcp://127.0.0.1:0", f"tcp://127.0.0.1:{port_of(microphone)}", choice or Choice())
    running = asyncio.create_task(service.run(address.set_result))
    try:
        return await asyncio.wait_for(talk(await asyncio.wait_for(address, 300)), 300)  # with a cold cache it compiles
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await microphone.stop()


async def played(address: str, n_events: int) -> list[Event]:
    async with AsyncClient.from_uri(address) as client:
        await client.write_event(Event("play"))
        return [await client.read_event() for _ in range(n_events)]


def run(events: list[Event], choice: Choice | None = None, more: int = 0) -> list[Event]:
    """What a client gets: as many events as the microphone sends, and `more`."""
    return asyncio.run(served(events, lambda address: played(address, len(events) + more), choice))


def samples_of(events: list[Event], dtype="<i2") -> np.ndarray:
    return np.frombuffer(b"".join(event.payload or b"" for event in events), dtype)


def test_audio_is_what_a_stream_gives_and_the_rest_passes():
    samples = noisy(16000)
    sent = [start(), *chunks(samples, [441, 1199, *cuts(16000 - 1640)]), AudioStop(timestamp=9).event()]
    *received, rest, stop = run(sent, more=1)
    assert [event.type for event in (*received, stop)] == [event.type for event in sent]
    assert [event.data for event in (*received, stop)] == [event.data for event in sent]
    np.testing.assert_array_equal(samples_of(received), expected(samples))
    assert lag(samples, samples_of(received)) == 127
    last = AudioChunk.from_event(received[-1])
    assert AudioChunk.from_event(rest).timestamp == last.timestamp + round(1000 * last.seconds)
    padded = np.concatenate([samples, np.zeros(127, np.int16)])
    np.testing.assert_array_equal(samples_of([*received, rest]), expected(padded))


def test_a_start_of_audio_is_a_new_signal_and_a_rate_a_new_session():
    low, high = noisy(3200), noisy(9600, rate=48000)
    received = run(
        [start(), *chunks(low, [320] * 10), start(), *chunks(low, [320] * 10), *chunks(high, [960] * 10, 48000)],
        more=2,
    )
    whole = expected(np.concatenate([low, np.zeros(127, np.int16)]))
    for events in (received[1:12], received[13:24]):
        np.testing.assert_array_equal(samples_of(events), whole)
    np.testing.assert_array_equal(samples_of(received[24:]), expected(high, rate=48000))


def test_a_microphone_that_leaves_ends_the_signal():
    samples = noisy(3200)

    async def talk(address: str) -> list[Event]:
        received = []
        async with AsyncClient.from_uri(address) as client:
            for what in ("play", "leave"):
                await client.write_event(Event(what))
            while (event := await asyncio.wait_for(client.read_event(), 30)) is not None:
                received.append(event)
        return received

    received = asyncio.run(served(chunks(samples, [320] * 10), talk))
    assert [len(samples_of([event])) for event in received] == [320] * 10 + [127]
    np.testing.assert_array_equal(samples_of(received), expected(np.concatenate([samples, np.zeros(127, np.int16)])))


def test_odd_bytes_wait_and_other_widths_are_kept():
    data, samples = noisy(3200).tobytes(), noisy(3200)
    odd = [AudioChunk(16000, 2, 1, data[i : i + 333]).event() for i in range(0, len(data), 333)]
    np.testing.assert_array_equal(samples_of(run(odd)), expected(samples))
    wide = samples.astype(np.int32) * 65536
    np.testing.assert_array_equal(samples_of(run(chunks(wide, [320] * 10, width=4)), "<i4"), expected(wide))


def test_what_is_no_audio_passes_unchanged_and_is_said_once(caplog):
    sent = [
        *chunks(np.zeros(320, np.int16), [160] * 2, width=3),
        *chunks(np.zeros(320, np.int16), [160] * 2, rate=4000),
        Event("audio-chunk", {"rate": "fast"}, b"abc"),
        Event("audio-chunk", {"rate": "16000", "width": 2, "channels": 1}, b"abcd"),
        Event("something-new", {"a": 1}, b"payload"),
    ]
    with caplog.at_level(logging.WARNING):
        received = run(sent)
    assert [(e.type, e.data, e.payload) for e in received] == [(e.type, e.data, e.payload) for e in sent]
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert len(lines) == 4 and "width=3 must be 1, 2 or 4 bytes" in lines[0] and not any("\n" in line for line in lines)


def test_questions_reach_the_microphone_and_its_answers_come_back():
    async def talk(address: str) -> None:
        async with AsyncClient.from_uri(address) as client:
            await client.write_event(Describe().event())
            assert Info.from_event(await client.read_event()).mic[0].name == "mic"
            odd = Event("anything", {"ü": [1, None]}, bytes(range(256)))
            await client.write_event(odd)
            assert await client.read_event() == odd

    asyncio.run(served([], talk))


def test_many_clients_at_once_and_one_that_leaves_early():
    samples = noisy(8000)
    sent = chunks(samples, [800] * 10)

    async def talk(address: str) -> None:
        async with AsyncClient.from_uri(address) as early:
            await early.write_event(Event("play"))
            await early.read_event()
        for received in await asyncio.gather(*(played(address, 10) for _ in range(20))):
            np.testing.assert_array_equal(samples_of(received), expected(samples))
        async with AsyncClient.from_uri(address) as left:
            await left.write_event(Event("leave"))
            assert await left.read_event() is None

    asyncio.run(served(sent, talk))


def test_a_microphone_that_is_not_there_is_said_and_the_service_goes_on(caplog):
    async def talk() -> None:
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(
            Service("tcp://127.0.0.1:0", "tcp://127.0.0.1:9", Choice()).run(address.set_result)
        )
        for _ in range(2):
            async with AsyncClient.from_uri(await address) as client:
                assert await client.read_event() is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(talk())
    lines = [record.getMessage() for record in caplog.records if record.name == ours.__name__]
    assert len(lines) == 2 and lines[0].startswith("a client is gone: tcp://127.0.0.1:9: ")


def test_a_service_that_ends_while_it_disconnects_says_nothing(caplog):
    done = asyncio.Event()

    async def hardly_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await asyncio.sleep(0.5)  # what the client sends fills the way to here
        writer.write_eof()
        await done.wait()
        writer.transport.abort()

    async def talk() -> None:
        microphone = await asyncio.start_server(hardly_reads, "127.0.0.1", limit=1024)
        upstream = f"tcp://127.0.0.1:{microphone.sockets[0].getsockname()[1]}"
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(Service("tcp://127.0.0.1:0", upstream, Choice()).run(address.set_result))
        async with AsyncClient.from_uri(await address) as client:
            sending = asyncio.create_task(client.write_event(Event("much", payload=bytes(32 << 20))))
            await asyncio.sleep(2)
            running.cancel()
            await asyncio.gather(running, sending, return_exceptions=True)
        assert [task for task in asyncio.all_tasks() if "Service" in str(task.get_coro())] == []
        done.set()
        microphone.close()
        await asyncio.sleep(0.2)  # for the last connections to close

    asyncio.run(talk())
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.parametrize("uri", ["tcp://127.0.0.1", "http://localhost:80", "stdio://", "unix://", "tcp://a:b", "10700"])
def test_an_address_that_cannot_be_is_refused(uri):
    with pytest.raises(ConfigError, match=r"uri='.*' must be tcp://HOST:PORT or unix://PATH"):
        Service(uri, "tcp://127.0.0.1:1", Choice())


@pytest.mark.skipif(sys.platform == "win32", reason="signals and sockets in files are of POSIX")
def test_the_command_serves_until_it_is_ended(tmp_path):
    samples = noisy(3200)

    async def talk() -> tuple[int, str]:
        microphone = AsyncTcpServer("127.0.0.1", 0)
        await microphone.start(type("Playing", (Microphone,), {"events": chunks(samples, [320] * 10)}))
        upstream = f"tcp://127.0.0.1:{port_of(microphone)}"
        command = ["wyoming", "--uri", f"unix://{tmp_path}/mic", "--upstream-uri", upstream, "-a", "SS"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rtdenoise", *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
        )
        assert await process.stdout.readline() == f"listening on unix://{tmp_path}/mic\n".encode()
        received = await played(f"unix://{tmp_path}/mic", 10)
        np.testing.assert_array_equal(samples_of(received), expected(samples, method="SS"))
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
        await microphone.stop()
        return process.returncode, err.decode()

    assert asyncio.run(talk()) == (143, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--uri", "tcp://x", "--upstream-uri", "tcp://x:1"], "uri='tcp://x' must be tcp://HOST:PORT"),
        (["--uri", "tcp://x:1", "--upstream-uri", "tcp://x:1", "-a", "XY"], "unknown method 'XY'"),
    ],
)
def test_the_command_says_on_one_line_what_is_wrong(arguments, text):
    command = [sys.executable, "-m", "rtdenoise", "wyoming", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and text in done.stderr and done.stderr.count("\n") == 1
