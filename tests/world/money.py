"""Money's stand-in for a test: the sandbox in a process of its own, asked and set over HTTP."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from tests.world.command_line import COMMAND
from tests.world.forks import FORKS, run_command

ENDS_S_MAX = 10.0


class Judge(Protocol):
    """Money, as far as it tells what it has seen."""

    @property
    def url(self) -> str: ...

    def stats(self) -> dict[str, Any]: ...

    def ledger(self) -> list[dict[str, Any]]: ...


@dataclass
class Money:
    """A sandbox that runs."""

    url: str
    pid: int

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stats(self) -> dict[str, Any]:
        return dict(json.loads(self._get("/sandbox/stats")))

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._get("/sandbox/ledger").splitlines()]

    def last_arrival(self) -> datetime:
        return datetime.fromisoformat(json.loads(self._get("/sandbox/arrivals"))["last_arrival_at"])

    def change(self, **settings: float | str | None) -> dict[str, Any]:
        """Faults, latency and limit from now on; returns all of them."""
        request = urllib.request.Request(
            f"{self.url}/sandbox/faults",
            json.dumps(settings).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return dict(json.load(response))

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return str(response.read().decode())


@contextmanager
def sandbox(*options: str, fresh: bool = False) -> Iterator[Money]:
    """A sandbox for the block; without --ledger its ledger is gone afterwards. fresh: in a Python of its own."""
    with _fresh_sandbox(*options) if fresh else _forked_sandbox(*options) as money:
        yield money


@contextmanager
def _fresh_sandbox(*options: str) -> Iterator[Money]:
    with begin_sandbox(*options) as process:
        assert process.stdout is not None
        try:
            yield Money(url_of(process.stdout.readline), process.pid)
        finally:
            process.terminate()


@contextmanager
def _forked_sandbox(*options: str) -> Iterator[Money]:
    reader, writer = FORKS.Pipe(duplex=False)
    arguments = ("sandbox", "serve", "--port", "0", *options)
    process = FORKS.Process(target=run_command, args=(arguments, dict(os.environ), Path.cwd(), writer, None))
    process.start()
    writer.close()
    try:
        with os.fdopen(os.dup(reader.fileno())) as output:
            assert process.pid is not None
            yield Money(url_of(output.readline), process.pid)
    finally:
        process.terminate()
        process.join(ENDS_S_MAX)
        process.kill()
        reader.close()


def begin_sandbox(*options: object) -> "subprocess.Popen[str]":
    """One with a Python and a process group of its own; what it says is to be read with url_of."""
    return subprocess.Popen(
        [*COMMAND, "sandbox", "serve", "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def url_of(readline: Callable[[], str]) -> str:
    """Where a sandbox listens, by its first line; returns once it does."""
    line = readline()
    head, _, port = line.rpartition(":")
    assert head == "sandbox money on http://127.0.0.1", line
    assert port == f"{int(port)}\n"
    return f"http://127.0.0.1:{int(port)}"
