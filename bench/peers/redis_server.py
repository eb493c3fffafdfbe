"""A Redis of one's own on loopback, for a block."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

READY_S_MAX = 30.0


@contextmanager
def own_redis() -> Iterator[None]:
    """It keeps nothing on disk; its address is in BENCH_REDIS, for this process and those that it starts."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        options = ("--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no")
        server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            os.environ["BENCH_REDIS"] = f"redis://127.0.0.1:{port}/0"
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + READY_S_MAX
    while True:
        with socket.socket() as one:
            if not one.connect_ex(("127.0.0.1", port)):
                return
        if time.monotonic() > until:
            raise SystemExit("Redis does not answer")
        time.sleep(0.05)
