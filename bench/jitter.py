"""The way to the money API: a proxy that delays each request by a random time, and counts requests as they were sent.

    python -m bench.jitter --to PORT --jitter-ms 10

Prints its port, and on SIGTERM the most requests that came in one second: before the delay, as their sender let them
go.
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from bulkpoint.sandbox.arrivals import Arrivals

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
ENDS_S_MAX = 10.0
REQUESTS = (b"POST ", b"GET ")


@dataclass
class Way:
    """Where to send instead of the money API; after the block, the worst second as sent."""

    url: str
    worst_second_sent: int | None = None


@contextmanager
def way(money_url: str, jitter_ms: int) -> Iterator[Way]:
    """A proxy in a process of its own for the block."""
    port = money_url.rpartition(":")[2]
    command = (sys.executable, "-m", "bench.jitter", "--to", port, "--jitter-ms", str(jitter_ms))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        through = Way(f"http://{HOST}:{int(process.stdout.readline())}")
        yield through
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=ENDS_S_MAX)
        through.worst_second_sent = json.loads(said)["worst_second"]
    finally:
        process.kill()
        process.wait()


async def serve(to: int, jitter_s: float) -> None:
    arrivals = Arrivals()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, of_client: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if of_client and data.startswith(REQUESTS):
                    arrivals.add(time.monotonic_ns())
                    await asyncio.sleep(random.uniform(0, jitter_s))
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            from_money, to_money = await asyncio.open_connection(HOST, to)
            await asyncio.gather(
                pass_on(reader, to_money, of_client=True), pass_on(from_money, writer, of_client=False)
            )

    server = await asyncio.start_server(connected, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()
    print(json.dumps({"worst_second": arrivals.max_per_second}), flush=True)


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--jitter-ms", type=int, default=0)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.to, arguments.jitter_ms / 1_000))


if __name__ == "__main__":
    main()
