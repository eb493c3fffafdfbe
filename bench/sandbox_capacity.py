"""How many payments a second the sandbox takes on one core, what a credit costs in memory, how long it stands still.

    python -m bench.sandbox_capacity [--requests 200000] [--connections 64] [--latency-ms 0] [--in-memory]

Starts the sandbox pinned to core 0 with a ledger in a temporary folder, and loads it over loopback from this process,
pinned to core 1, with kept-alive connections that each wait for their answer. Bounded by --requests and SECONDS_MAX.
The generator's own share of its core is printed: near 100 % means that it was the bottleneck, not the server.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import uvloop

from tests.world.money import begin_sandbox, url_of

SECONDS_MAX = 300
START_S_MAX = 60  # reading a ledger of a million lines takes some seconds


def main() -> None:
    """Measure once and print."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ledger = Path(folder) / "ledger.jsonl"
        server, port = _start(None if options.in_memory else ledger, options.latency_ms)
        try:
            os.sched_setaffinity(0, {1})
            cpu_s, began_s = time.process_time(), time.monotonic()
            answered = uvloop.run(_load(port, options.requests, options.connections))
            took_s = time.monotonic() - began_s
            cpu_s = time.process_time() - cpu_s
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/sandbox/stats") as response:
                stats = json.load(response)
            memory_mb = _memory_mb(server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        server_cpu_s = used.ru_utime + used.ru_stime
        print(f"{answered} answers on {options.connections} connections: {answered / took_s:,.0f} a second")
        print(
            f"server: {server_cpu_s / answered * 1e6:.0f} us CPU an answer, start included "
            f"({used.ru_stime / server_cpu_s:.0%} in the kernel); {memory_mb:.0f} MB resident"
        )
        print(f"generator: {cpu_s / took_s:.0%} of its core")
        print(f"stats: {stats}")
        assert stats["credits"] == answered, "every answer is one credit"
        if not options.in_memory:
            _restart(ledger)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--in-memory", action="store_true", help="without a durable ledger")
    parser.add_argument("--folder", type=Path, help="where the ledger lies while measuring")
    return parser.parse_args()


def _start(ledger: Path | None, latency_ms: int) -> tuple[subprocess.Popen[str], int]:
    server = begin_sandbox("--latency-ms", latency_ms, *(() if ledger is None else ("--ledger", ledger)))
    os.sched_setaffinity(server.pid, {0})
    assert server.stdout is not None
    return server, int(url_of(server.stdout.readline).rpartition(":")[2])


def _restart(ledger: Path) -> None:
    began_s = time.monotonic()
    server, _ = _start(ledger, 0)
    print(
        f"started again on {ledger.stat().st_size / 1e6:.0f} MB: ready in {time.monotonic() - began_s:.1f} s, "
        f"{_memory_mb(server.pid):.0f} MB resident"
    )
    server.send_signal(signal.SIGTERM)
    server.wait()


def _memory_mb(pid: int) -> float:
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGESIZE") / 1e6


def _requests(count: int) -> Iterator[bytes]:
    for number in range(count):
        body = f'{{"campaign_id":1,"member_id":"member-{number:09d}","amount":{number % 1000 + 1},"reason":"bench"}}'
        yield (
            f"POST /v1/points HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: {uuid.UUID(int=number * 2**64 + 7)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


class _Caller(asyncio.Protocol):
    """Sends the next request when the answer to the last one came."""

    answered = 0

    def __init__(self, requests: Iterator[bytes], done: asyncio.Semaphore) -> None:
        self._requests = requests
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 201"), data
        _Caller.answered += 1
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self._done.release()
        else:
            self._transport.write(request)  # type: ignore[attr-defined]  # uvloop's transport


async def _load(port: int, count: int, connections: int) -> int:
    requests, done = _requests(count), asyncio.Semaphore(0)
    async with asyncio.timeout(SECONDS_MAX):
        for _ in range(connections):
            await asyncio.get_running_loop().create_connection(lambda: _Caller(requests, done), "127.0.0.1", port)
        for _ in range(connections):
            await done.acquire()
    return _Caller.answered


if __name__ == "__main__":
    main()
