"""What a bench found: figures in rounds, their medians and spread, as JSON for programs and as a page for people."""

import json
import math
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


# What is left out at both ends of a run for the share of a limit: limiters begin with a burst, workers end one by one.
ENDS_S = 2.0
WHOLE_S_MIN = 3


@dataclass(frozen=True)
class Figure:
    """One figure of ours next to a peer's: the median of its rounds, or for a worst second the largest.

    ratio: ours / peer, always; taken round by round, the median, since a shared machine's speed changes; of largest
    figures, that of the two. spread: (largest - smallest) / median of ours over the rounds. peer, ratio: None where
    there is no peer.
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
    name: str,
    unit: str,
    ours: Sequence[float],
    peer: Sequence[float] = (),
    peer_name: str | None = None,
    *,
    largest: bool = False,
) -> Figure:
    """A figure from its rounds; ours and peer's rounds were measured in turn, so they are compared in pairs."""
    one_of = max if largest else statistics.median
    return Figure(
        name=name,
        unit=unit,
        ours=one_of(ours) if ours else None,
        peer=one_of(peer) if peer else None,
        peer_name=peer_name,
        ratio=max(ours) / max(peer) if largest and ours and any(peer) else ratio(ours, peer),
        rounds=len(ours),
        spread=spread(ours),
    )


def ratio(ours: Sequence[float], peer: Sequence[float]) -> float | None:
    """ours / peer: the median of the rounds' ratios. None without a pair."""
    pairs = [a / b for a, b in zip(ours, peer, strict=False) if b]
    return statistics.median(pairs) if pairs else None


def spread(values: Sequence[float]) -> float | None:
    """(largest - smallest) / median."""
    middle = statistics.median(values) if values else 0.0
    return (max(values) - min(values)) / middle if middle else None


def share_used(times: Sequence[float], tps: int) -> float:
    """What part of a limit was used while all workers were at work: calls a second / tps.

    times: of the calls, ascending, in seconds. Counted in whole seconds that begin ENDS_S after the first call and end
    ENDS_S before the last one, or sooner. A run too short for that counts whole, from first to last call.
    """
    began = times[0] + ENDS_S
    seconds = math.floor(times[-1] - ENDS_S - began)
    if seconds < WHOLE_S_MIN:
        return len(times) / (times[-1] - times[0]) / tps
    return sum(began <= at < began + seconds for at in times) / seconds / tps


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
