"""The CPU that each part of a deployment takes."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.world.processes import all_processes

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
# The first word that a command line has decides: the JVM's holds those of its children too.
PARTS = {
    "JVM": "org.apache.spark.deploy.SparkSubmit",
    "workers": "bulkpoint.pay.daemon",
    "driver": "pay_campaign.py",
    "PostgreSQL": "postgres",
    "sandbox": "sandbox serve",
}


@dataclass
class CpuOfParts:
    """CPU seconds by part, from looking at all processes twice a second while the block runs."""

    seconds: dict[str, float] = field(default_factory=dict)


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
    for one in all_processes():
        part = next((part for part, word in PARTS.items() if word in one.command), None)
        if part is not None:
            with suppress(OSError):  # it has ended meanwhile
                fields = Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()
                seen[str(one.pid), part] = (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return seen
