"""The CPU that each part of a deployment takes, over the whole block and between two moments of it."""

import os
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.watching import looking
from tests.world.processes import Process, all_processes

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
LOOK_EVERY_S = 0.25
# The first word that a command line has decides: the JVM's has those of its children too.
PARTS = {
    "JVM": "org.apache.spark.deploy.SparkSubmit",
    "workers": "bulkpoint.pay.daemon",
    "driver": "pay_campaign.py",
    "sandbox": "sandbox serve",
    "way": "bench.jitter",
}
# By the program's own name: the command line of anything may have the address of a database.
PROGRAMS = {"redis-server": "Redis"}
OTHERS = "others"


@dataclass
class CpuOfParts:
    """CPU seconds by part since the block began, from looking at all processes four times a second."""

    looks: list[tuple[float, dict[str, float]]] = field(default_factory=list)  # seconds since 1970, CPU until then

    @property
    def seconds(self) -> dict[str, float]:
        """Of the whole block."""
        return self.looks[-1][1] if self.looks else {}

    def between(self, began: float, ended: float) -> dict[str, float]:
        """From one moment to another, in seconds since 1970; between two looks the CPU is taken as even."""
        before, after = self._until(began), self._until(ended)
        return {part: seconds - before.get(part, 0.0) for part, seconds in after.items()}

    def _until(self, moment: float) -> dict[str, float]:
        after = bisect_right(self.looks, moment, key=lambda look: look[0])
        if after == 0:
            return {}
        if after == len(self.looks):
            return self.seconds
        (earlier, used), (later, used_later) = self.looks[after - 1 : after + 1]
        part_of_it = (moment - earlier) / (later - earlier)
        return {
            part: used.get(part, 0.0) + part_of_it * (seconds - used.get(part, 0.0))
            for part, seconds in used_later.items()
        }


@contextmanager
def cpu_of_parts(postmaster: int | None = None) -> Iterator[CpuOfParts]:
    """CPU of what was started from here, down to its children's children; what it took before does not count.

    postmaster: the process of the PostgreSQL that counts, which is no child of ours; None: every one on the machine.
    """
    used: dict[int, tuple[str, float]] = {}  # what a process is may change: it begins as a copy of its parent
    before = _look(postmaster)
    parts = CpuOfParts([(time.time(), {})])

    def look() -> None:
        now = time.time()
        used.update(_look(postmaster))
        seconds: dict[str, float] = {}
        for pid, (part, until_now) in used.items():
            seconds[part] = seconds.get(part, 0.0) + until_now - before.get(pid, (part, 0.0))[1]
        parts.looks.append((now, seconds))

    try:
        with looking(look, every_s=LOOK_EVERY_S):
            yield parts
    finally:
        look()


def _look(postmaster: int | None) -> dict[int, tuple[str, float]]:
    seen = {}
    for one, part in parts_of(all_processes(), os.getpid(), postmaster):
        with suppress(OSError):  # it has ended meanwhile
            fields = Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()
            seen[one.pid] = part, (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return seen


def parts_of(processes: Iterable[Process], root: int, postmaster: int | None) -> Iterator[tuple[Process, str]]:
    """Each process that counts, and its part; root: the process that watches, which does not count itself."""
    parents = {one.pid: one for one in processes}
    for one in parents.values():
        if one.program == "postgres":
            if postmaster in {None, one.pid, one.parent}:
                yield one, "PostgreSQL"
        elif one.pid != root and _is_below(one, root, parents):
            known = (part for part, word in PARTS.items() if word in one.command)
            yield one, PROGRAMS.get(one.program) or next(known, OTHERS)


def _is_below(one: Process, root: int, parents: Mapping[int, Process]) -> bool:
    for _ in parents:  # at most: the processes were not all looked at in the same moment
        if one.parent == root:
            return True
        if one.parent not in parents:
            return False
        one = parents[one.parent]
    return False
