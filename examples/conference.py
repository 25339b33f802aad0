"""A conference over TCP: each member sends 16-bit mono samples at 48 kHz and hears the others without their noise.

    python examples/conference.py 8766 can-small
    arecord -q -f S16_LE -r 48000 -t raw | nc -N localhost 8766 | aplay -q -f S16_LE -r 48000 -t raw

A server that mixes has a clock of its own, so it can take the noise out of all voices in one step: `many.process` reads
the weights of the network once for all of them.  Each voice is bit for bit what a stream of its own would give.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

import numpy as np

from rtdenoise.methods.can.many import build_many

RATE_HZ, PACKET_SECONDS, PLACES = 48000, 0.02, 16


class Member:
    """One connection: samples that wait for the next packet, and the way back."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer, self.waiting = writer, b""

    def packet(self, samples: int) -> np.ndarray | None:
        """The next samples in [-1, 1), or None while there are fewer."""
        if len(self.waiting) < 2 * samples:
            return None
        taken, self.waiting = self.waiting[: 2 * samples], self.waiting[2 * samples :]
        return np.frombuffer(taken, "<i2").astype(np.float32) / np.float32(2**15)


class Conference:
    """All members, each in a place of the network."""

    def __init__(self, model: str) -> None:
        self.many = build_many(PLACES, model, sample_rate=RATE_HZ)
        self.samples = round(PACKET_SECONDS * RATE_HZ / self.many.hop) * self.many.hop
        self.members: dict[int, Member] = {}

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection from its first byte to its last."""
        free = [place for place in range(PLACES) if place not in self.members]
        if free:
            self.many.reset(free[0])  # whoever was there before has left
            member = self.members[free[0]] = Member(writer)
            with contextlib.suppress(OSError):  # a member that is gone
                while received := await reader.read(1 << 16):
                    member.waiting += received
                    while len(member.waiting) > 2 * RATE_HZ:  # a second ahead: let it wait
                        await asyncio.sleep(PACKET_SECONDS)
                while len(member.waiting) >= 2 * self.samples:
                    await asyncio.sleep(PACKET_SECONDS)
            del self.members[free[0]]
        writer.close()

    async def run(self) -> None:
        """Every 20 ms, or near that in whole hops: one step for all voices, and to each the sum of the others."""
        due = time.monotonic()
        while True:
            due += self.samples / RATE_HZ
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            packets = {place: member.packet(self.samples) for place, member in self.members.items()}
            there = {place: packet for place, packet in packets.items() if packet is not None}
            if not there:
                continue
            voices = np.stack(list(there.values()))
            self.many.process(voices, voices, list(there))
            clean = dict(zip(there, voices, strict=True))
            total = voices.sum(axis=0)
            for place, member in self.members.items():
                others = total - clean[place] if place in clean else total
                if member.writer.transport.get_write_buffer_size() < 2 * RATE_HZ:  # else it does not listen
                    member.writer.write(as_bytes(others))


def as_bytes(samples: np.ndarray) -> bytes:
    """Samples in [-1, 1] as 16-bit ones."""
    return np.clip(np.rint(samples * 2**15), -(2**15), 2**15 - 1).astype("<i2").tobytes()


async def main(port: int, model: str) -> None:
    conference = Conference(model)
    server = await asyncio.start_server(conference.take, "localhost", port)
    print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await conference.run()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "can-live"))
