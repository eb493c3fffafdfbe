"""A deployment as its users have it: a database, a sandbox of money in a process of its own, and the command line."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bulkpoint.store.connect import connect

SUBMIT = Path(__file__).parents[2] / "scripts" / "submit.sh"
COMMAND = [sys.executable, "-m", "bulkpoint.cli.main"]
# Spark's start, the payments and its end, on two busy cores.
JOB_S_MAX = 240


class Money:
    """The sandbox, asked and set over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        return dict(json.loads(self._get("/sandbox/stats")))

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._get("/sandbox/ledger").splitlines()]

    def last_arrival(self) -> datetime:
        return datetime.fromisoformat(json.loads(self._get("/sandbox/arrivals"))["last_arrival_at"])

    def change(self, **settings: float | str | None) -> None:
        request = urllib.request.Request(
            f"{self.url}/sandbox/faults",
            json.dumps(settings).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=5).close()

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return str(response.read().decode())


@contextmanager
def sandbox(*options: str) -> Iterator[Money]:
    """A sandbox for the block; its ledger is gone afterwards."""
    process = subprocess.Popen(
        [*COMMAND, "sandbox", "serve", "--port", "0", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("sandbox money on http://127.0.0.1:"), line
        yield Money(line.split()[-1])
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@dataclass
class Deployment:
    """The command line with its environment."""

    environment: dict[str, str]
    folder: Path
    money: Money
    database_url: str

    def run(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment | changes,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=JOB_S_MAX,
            check=False,
        )

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def submit(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """As a scheduler does it."""
        return subprocess.run(
            [str(SUBMIT), *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=JOB_S_MAX,
            check=False,
        )

    def create(self, count: int) -> str:
        """A campaign of `count` targets, each with its own amount and reason; returns its id."""
        targets = self.folder / f"targets-{count}.csv"
        rows = (f"member-{n:06},{100 + n % 900},적립 보상 {n % 7}\n" for n in range(count))
        targets.write_text("member_id,amount,reason\n" + "".join(rows))
        created = self.run("campaign", "create", "--name", f"{count} targets", "--targets", str(targets))
        assert created.returncode == 0, created.stderr
        return created.stdout.split()[-1]

    def show(self, campaign: str) -> dict[str, Any]:
        shown = self.run("campaign", "show", campaign, "--json")
        assert shown.returncode == 0, shown.stderr
        return dict(json.loads(shown.stdout))

    def query(self, statement: bytes) -> list[tuple[Any, ...]]:
        with connect(self.database_url) as connection:
            return connection.execute(statement).fetchall()

    def wait_for(self, statement: bytes, *, seconds: float = JOB_S_MAX) -> None:
        """Until the statement's first value is true."""
        deadline = time.monotonic() + seconds
        while not self.query(statement)[0][0]:
            assert time.monotonic() < deadline, f"never true: {statement.decode()}"
            time.sleep(0.1)


def environment_of(database_url: str | None, money: Money, folder: Path, **changes: str) -> dict[str, str]:
    """Settings of a deployment; none of the developer's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPOINT_")}
    ours = {
        "BULKPOINT_DATA_DIR": str(folder / "data"),
        "BULKPOINT_MONEY_URL": money.url,
        "BULKPOINT_PARTITIONS": "2",
        "BULKPOINT_BACKOFF_S": "1",
        "BULKPOINT_PROGRESS_SECONDS": "1",
        "BULKPOINT_MONEY_SETTLE_S": "2",
    }
    if database_url is not None:
        ours["BULKPOINT_DATABASE_URL"] = database_url
    return kept | ours | changes
