"""bulkpoint alone, in detail: the limit kept and used at 1,000 TPS, and payments a second without limit.

    python -m bench.quick [--targets 60000] [--fast-targets 200000]

For work on the engine; `make bench-quick` (bench/suite.py) compares the main figures with those of peers.
Uses the real job, an embedded PostgreSQL of its own, and the sandbox, all on this machine. Reports, asserts nothing:
a shared machine is noisy, so each figure comes with what shows the noise.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.cpu import cpu_of_parts
from bulkpoint.embedded.postgres import embedded_server
from tests.world.deployment import Deployment, embedded_deployment


def pay(bench: Deployment, targets: int) -> dict[str, Any]:
    """One campaign, paid; its figures."""
    bench.create(targets)
    store = embedded_server(bench.folder / "data")
    with cpu_of_parts(store.pid if store else None) as cpu:
        began = time.monotonic()
        bench.succeed("campaign", "start", "1", "--yes")
        end_to_end_s = time.monotonic() - began
    return {"targets": targets, "end_to_end_s": end_to_end_s, "cpu": cpu.seconds, **figures(bench)}


def figures(bench: Deployment) -> dict[str, Any]:
    """What the attempts and the sandbox say."""
    ((first_call_s, calling_s, run_s, calls),) = bench.query(
        b"select extract(epoch from min(a.sent_at) - min(r.started_at))::float8,"
        b" extract(epoch from max(a.sent_at) - min(a.sent_at))::float8,"
        b" extract(epoch from max(r.finished_at) - min(r.started_at))::float8, count(*)"
        b" from payment_attempt a join campaign_run r using (run_id)"
    )
    ((worst,),) = bench.query(
        b"select max(n) from (select count(*) over (order by sent_at range between current row and"
        b" interval '999999 microseconds' following) as n from payment_attempt) w"
    )
    return {
        "run_s": run_s,
        "first_call_s": first_call_s,
        "calling_s": calling_s,
        "calls": calls,
        "worst_second_sent": worst,
        **bench.money.stats(),
    }


def worst_second(of: dict[str, Any]) -> str:
    return (
        f"{of['worst_second_sent']:,} by our stamps, {of['max_per_second']:,} by the sandbox's clock"
        f" (its longest stall: {of['stall_ms_max']:.0f} ms)"
    )


def cpu_words(of: dict[str, Any]) -> str:
    """CPU of each part, in microseconds a payment."""
    return ", ".join(f"{part} {seconds / of['targets'] * 1e6:.0f}" for part, seconds in of["cpu"].items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=60_000, help="at 1,000 TPS and 50 ms; 0 leaves it out")
    parser.add_argument("--fast-targets", type=int, default=200_000, help="without limit and 0 ms; 0 leaves it out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkpoint-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        if arguments.targets:
            with embedded_deployment(folder / "limited", "--latency-ms", "50", BULKPOINT_TPS=1_000) as bench:
                at = pay(bench, arguments.targets)
            used = at["calls"] / (at["calling_s"] * 1_000)
            print(f"\nat 1,000 TPS, 50 ms, {at['targets']:,} targets")
            print(f"  share of the limit used, first to last call   {used:.1%}")
            print(f"  worst sliding second   {worst_second(at)}")
            print(f"  from RUNNING to the first call {at['first_call_s']:.1f} s, the run {at['run_s']:.1f} s", end="")
            print(f", with Spark's start {at['end_to_end_s']:.1f} s; paid twice: {at['paid_twice']}")
        if arguments.fast_targets:
            with embedded_deployment(folder / "fast", "--latency-ms", "0", BULKPOINT_TPS=1_000_000) as bench:
                fast = pay(bench, arguments.fast_targets)
            print(f"\nwithout limit, 0 ms, {fast['targets']:,} targets")
            print(f"  {fast['targets'] / fast['run_s']:,.0f} payments/s over the run (RUNNING to COMPLETED)", end=", ")
            print(f"{fast['calls'] / fast['calling_s']:,.0f}/s from first to last call", end=", ")
            print(f"{fast['targets'] / fast['end_to_end_s']:,.0f}/s with Spark's start and end")
            print(f"  CPU in us a payment: {cpu_words(fast)}")


if __name__ == "__main__":
    main()
