"""What a bench found: figures in rounds, their medians and spread, as JSON for programs and as a page for people."""

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

LOOP_TURNS = 5_000_000


@dataclass(frozen=True)
class Figure:
    """One figure of ours beside a peer's; ratio: ours / peer, taken round by round, the median.

    spread: (largest - smallest) / median of ours over the rounds. peer and ratio: None where there is no peer.
    """

    name: str
    unit: str
    ours: float | None
    peer: float | None
    peer_name: str | None
    ratio: float | None
    rounds: int
    spread: float | None


def figure(
    name: str, unit: str, ours: Sequence[float], peer: Sequence[float] = (), peer_name: str | None = None
) -> Figure:
    """A figure from its rounds; ours and peer's rounds were measured in turn, so they are compared in pairs."""
    middle = statistics.median(ours) if ours else None
    return Figure(
        name=name,
        unit=unit,
        ours=middle,
        peer=statistics.median(peer) if peer else None,
        peer_name=peer_name,
        ratio=statistics.median(a / b for a, b in zip(ours, peer, strict=False) if b) if ours and any(peer) else None,
        rounds=len(ours),
        spread=(max(ours) - min(ours)) / middle if ours and middle else None,
    )


def loop_s() -> float:
    """Seconds of a fixed loop: how fast this machine is at this moment."""
    began = time.perf_counter()
    total = 0
    for n in range(LOOP_TURNS):
        total += n & 7
    return time.perf_counter() - began


def machine(loops: Sequence[float]) -> dict[str, Any]:
    """The machine, and the fixed loop's times around the rounds."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "loop_s": {"smallest": round(min(loops), 3), "largest": round(max(loops), 3), "turns": LOOP_TURNS},
    }


def versions() -> dict[str, str]:
    """Versions of what was measured with."""
    names = ("pyspark", "psycopg", "pycurl", "requests", "uvloop")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def write(folder: Path, of_machine: dict[str, Any], of_versions: dict[str, str], figures: Sequence[Figure]) -> Path:
    """Write latest.json; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"machine": of_machine, "versions": of_versions, "figures": [asdict(one) for one in figures]}
    path = folder / "latest.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
