"""bulkpoint beside its peers, in turn, on this machine: writes bench/results/latest.json and latest.md with plots.

    python -m bench.suite [--quick] [--rounds 3] [--only afternoon script,wrk]

Three parts: payments a second without limit; 1,000 calls a second over 4 workers; the same limit with jitter on the
way, for limiters of several kinds. Reports, asserts nothing. In each round every contender pays once, then the next
round begins; ratios are taken in pairs of one round, since a shared machine's speed changes. A peer that cannot be
installed, or fails, is named with the reason. With --quick: the first two parts with wrk and the afternoon script only.
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
    """What is measured: targets by contender or limiter, how often, and the jitters in ms."""

    fast: Mapping[str, int]
    limited: Mapping[str, int]
    exact: Mapping[str, int]
    rounds: int
    jitters_ms: tuple[int, ...]
    exact_rounds: int


# Rows for some 10 s of paying: contenders differ a hundredfold.
WHOLE = Plan(
    fast={OURS: 80_000, "wrk": 1, "afternoon script": 60_000, "literal job": 8_000, "Celery": 5_000, "DBOS": 2_500},
    limited={OURS: 15_000, "afternoon script": 15_000, "literal job": 800, "Celery": 6_000, "DBOS": 2_500},
    exact={"DBOS limiter": 2_500, "Celery rate_limit": 6_000} | dict.fromkeys(LIMITERS, 10_000),
    rounds=3,
    jitters_ms=(0, 10, 50),
    exact_rounds=1,
)
QUICK = Plan(
    fast={OURS: 60_000, "wrk": 1, "afternoon script": 50_000},
    limited={OURS: 30_000, "afternoon script": 30_000},
    exact={},
    rounds=2,
    jitters_ms=(),
    exact_rounds=0,
)


@dataclass
class Found:
    """By part and contender, a Paid for each round; who is missing, and why; the times of the fixed loop."""

    fast: Measured = field(default_factory=lambda: defaultdict(list))
    limited: Measured = field(default_factory=lambda: defaultdict(list))
    exact: dict[int, Measured] = field(default_factory=dict)  # by jitter on the way, in ms
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
        except MissingError as error:
            self.missing[name] = str(error)
            return
        except Exception as error:  # a peer's fault must not cost the measurements of all the others
            if name == OURS:
                raise
            self.missing[name] = f"it failed: {error}"
            return
        into[name].append(paid)
        self.loops.append(loop_s())
        limit = f"{task.tps:,} TPS" if task.tps else "no limit"
        way = "" if task.jitter_ms is None else f", jitter {task.jitter_ms} ms"
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


def measure(found: Found, plan: Plan, names: set[str]) -> None:
    """Every contender once without limit, then every one at 1,000 calls a second."""
    for name, rows in plan.fast.items():
        if name in names:
            workers = WORKERS if name == OURS else CORES
            found.add(found.fast, name, CONTENDERS[name], Task(rows, 0, 0, workers))
    for name, rows in plan.limited.items():
        if name in names:
            found.add(found.limited, name, CONTENDERS[name], Task(rows, TPS, LATENCY_MS, WORKERS))


def measure_exactness(found: Found, plan: Plan, names: set[str]) -> None:
    """Every limiter once for each jitter on the way."""
    for jitter_ms in plan.jitters_ms:
        into = found.exact.setdefault(jitter_ms, defaultdict(list))
        for name in LIMITERS:
            if name in names and name in plan.exact:
                found.add(into, name, LIMITERS[name], Task(plan.exact[name], TPS, LATENCY_MS, WORKERS, jitter_ms))


Value = Callable[[Paid], float]


def figures_of(found: Found) -> list[Figure]:
    """Each of our figures beside each peer's; alone where no peer was measured."""
    figures = [
        *beside(found.fast, "payments a second without limit", "1/s", lambda one: one.payments_s),
        *beside(found.fast, "CPU a payment, without PostgreSQL", "us", lambda one: one.cpu_own_us),
        *beside(found.fast, "CPU a payment, PostgreSQL", "us", lambda one: one.cpu_store_us),
    ]
    limits = [("1,000 TPS", found.limited)]
    limits += [(f"1,000 TPS, jitter {jitter_ms} ms", exact) for jitter_ms, exact in found.exact.items()]
    for title, of in limits:
        figures += beside(of, f"worst second as sent, {title}", "calls", _sent, largest=True)
        figures += beside(of, f"worst second as received, {title}", "calls", _received, largest=True)
        figures += beside(of, f"share of the limit used, {title}", "1", lambda one: one.share_of_limit or 0.0)
    return figures


def _sent(paid: Paid) -> float:
    return float(paid.worst_second_sent or 0)


def _received(paid: Paid) -> float:
    return float(paid.worst_second)


def beside(measured: Measured, title: str, unit: str, value: Value, *, largest: bool = False) -> list[Figure]:
    """Ours beside each peer that was measured."""
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
    write_page(RESULTS, of_machine, found.fast, found.limited, found.exact, found.missing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the main figures, beside wrk and the afternoon script")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", help="peers and limiters, by name, separated by commas; ours is always measured")
    arguments = parser.parse_args()
    began = time.monotonic()
    plan = QUICK if arguments.quick else WHOLE
    names = {OURS, *(arguments.only.split(",") if arguments.only else [*CONTENDERS, *LIMITERS])}
    if unknown := names - CONTENDERS.keys() - LIMITERS.keys():
        parser.error(f"there is no {', '.join(unknown)}; there are: {', '.join({**CONTENDERS, **LIMITERS})}")
    found = Found()
    for _ in range(arguments.rounds or plan.rounds):
        measure(found, plan, names)
        write_results(found)
    for _ in range(plan.exact_rounds):
        measure_exactness(found, plan, names)
        write_results(found)
    for name, why in found.missing.items():
        print(f"{name} was not measured: {why}")
    print(f"written in {(time.monotonic() - began) / 60:.0f} minutes: {RESULTS}/latest.json, {RESULTS}/latest.md")


if __name__ == "__main__":
    main()
