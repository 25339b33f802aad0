"""A TCP service: a client sends 16-bit mono samples at 16 kHz and receives them without the noise, as they come.

    python examples/service.py 8765
    arecord -q -f S16_LE -r 16000 -t raw | nc -N localhost 8765 | aplay -q -f S16_LE -r 16000 -t raw

A hop of WF takes some 10 us, less than asyncio itself needs for a message: it runs in the event loop.  A network
belongs into `asyncio.to_thread`: compiled code lets other threads run.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import rtdenoise

RATE_HZ = 16000


async def packets(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What arrives, cut wherever the network cut it, be it in the middle of a sample."""
    while received := await reader.read(4096):
        yield received


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: a stream of its own, from the first sample to the last."""
    with rtdenoise.stream("WF", RATE_HZ, preset="low") as stream:
        async for clean in stream.over(packets(reader)):
            writer.write(clean)
            await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main(port: int) -> None:
    rtdenoise.stream("WF", RATE_HZ, preset="low")  # the first one compiles; no client shall wait for it
    server = await asyncio.start_server(serve, "localhost", port)
    print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
