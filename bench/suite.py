"""bulkpoint and its peers, in turn, on this machine: writes bench/results/latest.json and latest.md with plots.

    python -m bench.suite [--quick] [--rounds 3] [--only "afternoon script,wrk"]

Two parts: payments a second without limit; then 1,000 calls a second over 4 workers, by limiters of several kinds, with
jitter on the way. Reports, asserts nothing. In each round everyone pays once, then the next round begins; ratios are
taken in pairs of one round, since a shared machine's speed changes. A peer that cannot be installed, or fails, is named
with the reason. With --quick: wrk and the afternoon script only, and no jitter.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders import CONTENDERS, LIMITERS, OURS, Contender, Paid, Task
from bench.environments import PACKAGES, MissingError
from bench.figures import Figure, figure, loop_s, machine, versions, write
from bench.page import write_page

Measured = dict[str, list[Paid]]

RESULTS = Path(__file__).parent / "results"
WORKERS = 4
TPS = 1_000
LATENCY_MS = 50
# Without limit our job has the partitions that it has by default, and peers a process for each core.
CORES = max(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Plan:
    """What is measured: targets by contender, without limit and by jitter in ms at the limit; and how often."""

    fast: Mapping[str, int]
    fast_rounds: int
    limited: Mapping[int, Mapping[str, int]]
    limited_rounds: int


# Rows for some 8 to 10 s of paying: contenders differ a hundredfold.
SLOW = {"Celery rate_limit": 4_000, "DBOS limiter": 2_000, "literal job": 800}
WHOLE = Plan(
    fast={OURS: 80_000, "wrk": 1, "afternoon script": 60_000, "literal job": 6_000, "Celery": 4_000, "DBOS": 2_000},
    fast_rounds=3,
    limited={
        0: dict.fromkeys(LIMITERS, 10_000) | SLOW,
        10: {name: SLOW.get(name, 10_000) for name in LIMITERS if name != "literal job"},
        50: {name: SLOW.get(name, 10_000) for name in LIMITERS if name != "literal job"},
    },
    limited_rounds=2,
)
QUICK = Plan(
    fast={OURS: 60_000, "wrk": 1, "afternoon script": 50_000},
    fast_rounds=2,
    limited={0: {OURS: 20_000, "script, aiolimiter": 20_000}},
    limited_rounds=2,
)


@dataclass
class Found:
    """By part and contender, a Paid for each round; who is missing, and why; the times of the fixed loop."""

    fast: Measured = field(default_factory=lambda: defaultdict(list))
    limited: dict[int, Measured] = field(default_factory=dict)  # by jitter on the way, in ms
    missing: dict[str, str] = field(default_factory=dict)
    loops: list[float] = field(default_factory=lambda: [loop_s()])

    def add(self, into: Measured, name: str, contender: Contender, task: Task) -> None:
        """Let a contender pay, and keep what came of it; a peer that fails is left out from then on.

        Raises whatever fails of ours.
        """
        if name in self.missing:
            return
        try:
            paid = contender(task)
        except Exception as error:  # a peer's fault must not cost the measurements of all the others
            if name == OURS:
                raise
            self.missing[name] = str(error) if isinstance(error, MissingError) else f"it failed: {error}"
            print(f"{name} is not measured: {self.missing[name]}", flush=True)
            return
        into[name].append(paid)
        self.loops.append(loop_s())
        limit = f"{task.tps:,} TPS" if task.tps else "no limit"
        way = f", jitter {task.jitter_ms} ms" if task.jitter_ms else ""
        print(f"{time.strftime('%H:%M:%S')} {name}, {limit}{way}: {said(paid)}", flush=True)


def said(paid: Paid) -> str:
    """One line while the bench runs."""
    if paid.share_of_limit is None:
        return (
            f"{paid.payments_s:,.0f} payments/s; CPU us a payment: {paid.cpu_own_us:.0f},"
            f" PostgreSQL {paid.cpu_store_us:.0f}"
        )
    return (
        f"worst second {paid.worst_second_sent:,} as sent, {paid.worst_second:,} as received;"
        f" {paid.share_of_limit:.1%} of the limit used"
    )


def measure_fast(found: Found, plan: Plan, names: set[str]) -> None:
    """Every contender once without limit."""
    for name, rows in plan.fast.items():
        if name in names:
            workers = WORKERS if name == OURS else CORES
            found.add(found.fast, name, CONTENDERS[name], Task(rows, 0, 0, workers))


def measure_limited(found: Found, plan: Plan, names: set[str]) -> None:
    """Every limiter once for each jitter: without, directly; with, through the proxy that delays."""
    for jitter_ms, limiters in plan.limited.items():
        into = found.limited.setdefault(jitter_ms, defaultdict(list))
        for name, rows in limiters.items():
            if name in names:
                task = Task(rows, TPS, LATENCY_MS, WORKERS, jitter_ms or None)
                found.add(into, name, LIMITERS[name], task)


Value = Callable[[Paid], float]


def figures_of(found: Found) -> list[Figure]:
    """Each of our figures next to each peer's; alone where no peer was measured."""
    figures = [
        *compared(found.fast, "payments a second without limit", "1/s", lambda one: one.payments_s),
        *compared(found.fast, "CPU a payment, without PostgreSQL", "us", lambda one: one.cpu_own_us),
        *compared(found.fast, "CPU a payment, PostgreSQL", "us", lambda one: one.cpu_store_us),
    ]
    for jitter_ms, of in found.limited.items():
        title = f"1,000 TPS, jitter {jitter_ms} ms"
        figures += compared(of, f"worst second as sent, {title}", "calls", _sent, largest=True)
        figures += compared(of, f"worst second as received, {title}", "calls", _received, largest=True)
        figures += compared(of, f"share of the limit used, {title}", "1", lambda one: one.share_of_limit or 0.0)
    return figures


def _sent(paid: Paid) -> float:
    return float(paid.worst_second_sent or 0)


def _received(paid: Paid) -> float:
    return float(paid.worst_second)


def compared(measured: Measured, title: str, unit: str, value: Value, *, largest: bool = False) -> list[Figure]:
    """Ours next to each peer that was measured."""
    if not measured.get(OURS):
        return []
    ours = [value(one) for one in measured[OURS]]
    peers = {name: [value(one) for one in paid] for name, paid in measured.items() if name != OURS and paid}
    if not peers:
        return [figure(title, unit, ours, largest=largest)]
    return [figure(title, unit, ours, theirs, name, largest=largest) for name, theirs in peers.items()]


def write_results(found: Found) -> None:
    """latest.json, latest.md and the plots, with what was measured until now."""
    with_packages = versions() | {f"peer {name}": ", ".join(packages) for name, packages in PACKAGES.items()}
    of_machine = machine(found.loops)
    write(RESULTS, of_machine, with_packages, figures_of(found))
    write_page(RESULTS, of_machine, found.fast, found.limited, found.missing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the main figures, with wrk and the afternoon script only")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", help="peers and limiters, by name, separated by commas; ours is always measured")
    arguments = parser.parse_args()
    began = time.monotonic()
    plan = QUICK if arguments.quick else WHOLE
    names = {OURS, *(arguments.only.split(",") if arguments.only else [*CONTENDERS, *LIMITERS])}
    if unknown := names - CONTENDERS.keys() - LIMITERS.keys():
        parser.error(f"there is no {', '.join(unknown)}; there are: {', '.join({**CONTENDERS, **LIMITERS})}")
    found = Found()
    for rounds, part in ((plan.fast_rounds, measure_fast), (plan.limited_rounds, measure_limited)):
        for _ in range(arguments.rounds or rounds):
            part(found, plan, names)
            write_results(found)
    print(f"written in {(time.monotonic() - began) / 60:.0f} minutes: {RESULTS}/latest.json, {RESULTS}/latest.md")


if __name__ == "__main__":
    main()
