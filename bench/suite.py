"""bulkpoint beside its peers, in turn, on this machine: writes bench/results/latest.json and latest.md with plots.

    python -m bench.suite [--rounds 3] [--only afternoon,wrk]

Three parts: payments a second without limit; 1,000 calls a second over 4 workers; the same limit with jitter on the
way, for limiters of several kinds. Reports, asserts nothing. In each round every contender pays once, then the next
round begins; ratios are taken in pairs of one round, since a shared machine's speed changes. A peer that cannot be
installed is named with the reason.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders import CONTENDERS, LIMITERS, Contender, Paid, Task
from bench.environments import PACKAGES, MissingError
from bench.figures import Figure, figure, loop_s, machine, versions, write
from bench.page import write_page

Measured = dict[str, list[Paid]]

RESULTS = Path(__file__).parent / "results"
OURS = "bulkpoint"
WORKERS = 4
TPS = 1_000
# Rows for some 10 s of paying, so that start-up does not count: contenders differ a hundredfold.
FAST_ROWS = {OURS: 80_000, "wrk": 1, "afternoon script": 60_000, "literal job": 10_000, "Celery": 6_000, "DBOS": 3_000}
LIMITED_ROWS = {OURS: 20_000, "afternoon script": 20_000, "literal job": 1_000, "Celery": 6_000, "DBOS": 3_000}
JITTERS_MS = (0, 10, 50)
EXACT_ROWS = 10_000
SLOW_LIMITERS_ROWS = {"Celery rate_limit": 6_000, "DBOS limiter": 3_000}


@dataclass
class Found:
    """By part and contender, a Paid for each round; who is missing, and why; the times of the fixed loop."""

    fast: Measured = field(default_factory=lambda: defaultdict(list))
    limited: Measured = field(default_factory=lambda: defaultdict(list))
    exact: dict[int, Measured] = field(default_factory=dict)  # by jitter on the way, in ms
    missing: dict[str, str] = field(default_factory=dict)
    loops: list[float] = field(default_factory=lambda: [loop_s()])

    def add(self, into: Measured, name: str, contender: Contender, task: Task) -> None:
        """Let a contender pay, and keep what came of it."""
        if name in self.missing:
            return
        try:
            paid = contender(task)
        except MissingError as error:
            self.missing[name] = str(error)
            return
        into[name].append(paid)
        self.loops.append(loop_s())
        limit = f"{task.tps:,} TPS" if task.tps else "no limit"
        way = "" if task.jitter_ms is None else f", jitter {task.jitter_ms} ms"
        print(f"{name}, {limit}{way}: {paid.payments_s:,.0f}/s, worst second {paid.worst_second:,}", flush=True)


def measure(found: Found, rounds: int, names: list[str]) -> None:
    """Every contender once in each round: without limit, and at 1,000 calls a second."""
    for _ in range(rounds):
        for name in names:
            found.add(found.fast, name, CONTENDERS[name], Task(FAST_ROWS[name], 0, 0, WORKERS))
            if name in LIMITED_ROWS:
                found.add(found.limited, name, CONTENDERS[name], Task(LIMITED_ROWS[name], TPS, 50, WORKERS))


def measure_exactness(found: Found, names: list[str]) -> None:
    """Every limiter once for each jitter on the way."""
    for jitter_ms in JITTERS_MS:
        into = found.exact[jitter_ms] = defaultdict(list)
        for name in names:
            rows = SLOW_LIMITERS_ROWS.get(name, EXACT_ROWS)
            found.add(into, name, LIMITERS[name], Task(rows, TPS, 20, WORKERS, jitter_ms))


def figures_of(found: Found) -> list[Figure]:
    """Each of our figures beside each peer's; alone where no peer was measured."""
    titles: list[tuple[Measured, str, str, Callable[[Paid], float]]] = [
        (found.fast, "payments a second without limit", "1/s", lambda one: one.payments_s),
        (found.fast, "CPU a payment", "us", lambda one: one.cpu_us),
        (found.limited, "worst sliding second at the receiver, limit 1,000", "calls", lambda one: one.worst_second),
        (found.limited, "share of the limit used", "1", lambda one: one.share_of_limit or 0.0),
    ]
    for jitter_ms, exact in found.exact.items():
        with_jitter = f"limit 1,000, jitter {jitter_ms} ms"
        titles.append((exact, f"worst second as received, {with_jitter}", "calls", lambda one: one.worst_second))
        titles.append((exact, f"worst second as sent, {with_jitter}", "calls", lambda one: one.worst_second_sent or 0))
    figures = []
    for measured, title, unit, value in titles:
        ours = [value(one) for one in measured[OURS]]
        peers = [name for name in measured if name != OURS]
        figures += [figure(title, unit, ours, [value(one) for one in measured[name]], name) for name in peers]
        if not peers:
            figures.append(figure(title, unit, ours))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="peers and limiters, by name, separated by commas; ours is always measured")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else [*CONTENDERS, *LIMITERS]
    found = Found()
    measure(found, arguments.rounds, [name for name in CONTENDERS if name == OURS or name in wanted])
    measure_exactness(found, [name for name in LIMITERS if name == OURS or name in wanted])
    with_packages = versions() | {f"peer {name}": ", ".join(packages) for name, packages in PACKAGES.items()}
    path = write(RESULTS, machine(found.loops), with_packages, figures_of(found))
    page = write_page(RESULTS, machine(found.loops), found.fast, found.limited, found.exact, found.missing)
    for name, why in found.missing.items():
        print(f"{name} was not measured: {why}")
    print(f"written: {path}, {page}")


if __name__ == "__main__":
    main()
