"""bulkpoint beside its peers, in turn, on this machine: writes bench/results/latest.json and latest.md with plots.

    python -m bench.suite [--rounds 3] [--only afternoon,wrk]

Reports, asserts nothing. In each round every contender pays once, then the next round begins; ratios are taken in pairs
of one round, since a shared machine's speed changes. A peer that cannot be installed is named with the reason.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench.contenders import CONTENDERS, Paid, Task
from bench.environments import PACKAGES, MissingError
from bench.figures import Figure, figure, loop_s, machine, versions, write
from bench.page import write_page

RESULTS = Path(__file__).parent / "results"
OURS = "bulkpoint"
WORKERS = 4
TPS = 1_000
# Rows for some 10 s of paying, so that start-up does not count: contenders differ a hundredfold.
FAST_ROWS = {OURS: 80_000, "wrk": 1, "afternoon script": 60_000, "literal job": 10_000, "Celery": 6_000, "DBOS": 3_000}
LIMITED_ROWS = {OURS: 20_000, "afternoon script": 20_000, "literal job": 1_000, "Celery": 6_000, "DBOS": 3_000}

Measured = dict[str, list[Paid]]


def measure(rounds: int, names: list[str]) -> tuple[Measured, Measured, dict[str, str], list[float]]:
    """Every contender once in each round: without limit, and at 1,000 calls a second; and who is missing, and why."""
    fast: Measured = defaultdict(list)
    limited: Measured = defaultdict(list)
    missing: dict[str, str] = {}
    loops = [loop_s()]
    for number in range(1, rounds + 1):
        for name in names:
            tasks = [(fast, Task(FAST_ROWS[name], 0, 0, WORKERS))]
            if name in LIMITED_ROWS:
                tasks.append((limited, Task(LIMITED_ROWS[name], TPS, 50, WORKERS)))
            for into, task in tasks:
                if name in missing:
                    continue
                try:
                    paid = CONTENDERS[name](task)
                except MissingError as error:
                    missing[name] = str(error)
                    continue
                into[name].append(paid)
                limit = f"{task.tps:,} TPS" if task.tps else "no limit"
                print(f"round {number}, {name}, {limit}: {paid.payments_s:,.0f}/s, {paid.cpu_us:,.0f} us", flush=True)
            loops.append(loop_s())
    return fast, limited, missing, loops


def figures_of(fast: Measured, limited: Measured) -> list[Figure]:
    """Each of our figures beside each peer's; alone where no peer was measured."""
    titles: list[tuple[Measured, str, str, Callable[[Paid], float]]] = [
        (fast, "payments a second without limit", "1/s", lambda one: one.payments_s),
        (fast, "CPU a payment", "us", lambda one: one.cpu_us),
        (limited, "worst sliding second at the receiver, limit 1,000", "calls", lambda one: one.worst_second),
        (limited, "share of the limit used", "1", lambda one: one.share_of_limit or 0.0),
    ]
    found = []
    for measured, title, unit, value in titles:
        ours = [value(one) for one in measured[OURS]]
        peers = [name for name in measured if name != OURS]
        found += [figure(title, unit, ours, [value(one) for one in measured[name]], name) for name in peers]
        if not peers:
            found.append(figure(title, unit, ours))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="peers, by name, separated by commas; bulkpoint is always measured")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(CONTENDERS)
    names = [name for name in CONTENDERS if name == OURS or name in wanted]
    fast, limited, missing, loops = measure(arguments.rounds, names)
    with_packages = versions() | {f"peer {name}": ", ".join(packages) for name, packages in PACKAGES.items()}
    path = write(RESULTS, machine(loops), with_packages, figures_of(fast, limited))
    page = write_page(RESULTS, machine(loops), fast, limited, missing)
    for name, why in missing.items():
        print(f"{name} was not measured: {why}")
    print(f"written: {path}, {page}")


if __name__ == "__main__":
    main()
