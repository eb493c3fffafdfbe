"""What a benchmark runs on: an embedded PostgreSQL, the sandbox, the real job; and the CPU that each part takes."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulkpoint.embedded.postgres import embedded_postgres
from bulkpoint.store.connect import connect

COMMAND = [sys.executable, "-m", "bulkpoint.cli.main"]
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Deployment:
    """One database, one money, one environment."""

    folder: Path
    money_url: str
    database_url: str
    environment: dict[str, str]

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments], env=self.environment, check=check, stdout=subprocess.PIPE, text=True
        )

    def create(self, targets: int) -> str:
        rows = (f"member-{n:07},{100 + n % 900},적립 보상 {n % 7}\n" for n in range(targets))
        file = self.folder / "targets.csv"
        file.write_text("member_id,amount,reason\n" + "".join(rows))
        return self.run("campaign", "create", "--name", "bench", "--targets", str(file)).stdout.split()[-1]

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen([*COMMAND, *arguments], env=self.environment, text=True, stderr=subprocess.DEVNULL)

    def query(self, statement: bytes) -> list[tuple[Any, ...]]:
        with connect(self.database_url) as connection:
            return connection.execute(statement).fetchall()

    def wait_for(self, statement: bytes) -> None:
        """Until its one value is true, ten minutes at most."""
        deadline = time.monotonic() + 600
        while self.query(statement) != [(True,)]:
            assert time.monotonic() < deadline, statement
            time.sleep(0.2)

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.money_url}/sandbox/stats") as answer:
            return dict(json.load(answer))

    def change_money(self, **settings: object) -> None:
        body = json.dumps(settings).encode()
        request = urllib.request.Request(f"{self.money_url}/sandbox/faults", body, method="PUT")
        urllib.request.urlopen(request).close()


@contextmanager
def deployment(folder: Path, *sandbox_options: str, **settings: object) -> Iterator[Deployment]:
    """A deployment in a new folder; `settings` without their BULKPOINT_."""
    folder.mkdir()
    folder.chmod(0o711)
    command = [*COMMAND, "sandbox", "serve", "--port", "0", "--ledger", str(folder / "ledger"), *sandbox_options]
    money = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert money.stdout is not None
    try:
        url = money.stdout.readline().split()[-1]
        with embedded_postgres(folder / "data") as database:
            os.environ["PGPASSFILE"] = str(database.passfile)
            environment = os.environ | {
                "BULKPOINT_DATA_DIR": str(folder / "data"),
                "BULKPOINT_MONEY_URL": url,
                **{f"BULKPOINT_{name}": str(value) for name, value in settings.items()},
            }
            yield Deployment(folder, url, database.url, environment)
    finally:
        money.terminate()
        money.wait()


@dataclass
class CpuOfParts:
    """CPU seconds by part, from looking at all processes twice a second while the block runs."""

    seconds: dict[str, float] = field(default_factory=dict)


# The first word that a command line has decides: the JVM's holds those of its children too.
PARTS = {
    "JVM": "org.apache.spark.deploy.SparkSubmit",
    "workers": "bulkpoint.pay.daemon",
    "driver": "pay_campaign.py",
    "PostgreSQL": "postgres",
    "sandbox": "sandbox serve",
}


@contextmanager
def cpu_of_parts() -> Iterator[CpuOfParts]:
    """CPU of this machine's processes by what they are; what they took before does not count."""
    used: dict[tuple[str, str], float] = {}
    before = _look()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            used.update(_look())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    parts = CpuOfParts()
    try:
        yield parts
    finally:
        over.set()
        watcher.join()
        used.update(_look())
        for (process, part), seconds in used.items():
            parts.seconds[part] = parts.seconds.get(part, 0.0) + seconds - before.get((process, part), 0.0)


def _look() -> dict[tuple[str, str], float]:
    seen = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        part = next((part for part, word in PARTS.items() if word in line), None)
        if part is not None:
            seen[process.name, part] = (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return seen
