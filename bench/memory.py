"""The memory that each part of a deployment has at its peak."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.cpu import PARTS
from bench.watching import looking
from tests.world.processes import Process, all_processes, processes_of

LOOK_EVERY_S = 0.3
KIB = 1024


@dataclass
class PeakMemory:
    """Peak bytes by part, from looking three times a second while the block runs; a part may be several processes."""

    bytes: dict[str, int] = field(default_factory=dict)


@contextmanager
def peak_memory(folder: Path) -> Iterator[PeakMemory]:
    """Of the processes that were started with this folder in their arguments or settings, and of their children.

    Pages that several processes share are divided among them (PSS), so that a part's sum is what it takes.
    """
    peak = PeakMemory()

    def look() -> None:
        for part, now in _look(folder).items():
            peak.bytes[part] = max(now, peak.bytes.get(part, 0))

    look()
    with looking(look, every_s=LOOK_EVERY_S):
        yield peak


def _look(folder: Path) -> dict[str, int]:
    seen: dict[str, int] = {}
    for one in _of_deployment(folder):
        with suppress(OSError):  # it has ended meanwhile
            part = _part_of(one)
            seen[part] = seen.get(part, 0) + _pss_bytes(one.pid)
    return seen


def _of_deployment(folder: Path) -> list[Process]:
    """A server's sessions have overwritten their settings: they are known by their parent."""
    ours = {one.pid: one for one in processes_of(folder)}
    others = list(all_processes())
    while found := [one for one in others if one.parent in ours and one.pid not in ours]:
        ours |= {one.pid: one for one in found}
    return list(ours.values())


def _part_of(process: Process) -> str:
    if process.program == "postgres":
        return "PostgreSQL"
    return next((part for part, word in PARTS.items() if word in process.command), "command line")


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * KIB
    return 0
