"""Figures in a few minutes: the limit kept and used at 1,000 TPS, and payments a second without limit.

    python bench/quick.py [--targets 60000] [--fast-targets 200000]

Uses the real job, an embedded PostgreSQL of its own, and the sandbox, all on this machine. Reports, asserts nothing:
a shared machine is noisy, so each figure stands beside what tells of the noise.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bulkpoint.local.postgres import embedded_postgres
from bulkpoint.store.connect import connect

COMMAND = [sys.executable, "-m", "bulkpoint.cli.main"]


@contextmanager
def sandbox(latency_ms: int, folder: Path) -> Iterator[str]:
    command = [*COMMAND, "sandbox", "serve", "--port", "0", "--latency-ms", str(latency_ms)]
    process = subprocess.Popen([*command, "--ledger", str(folder / "ledger")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def pay(folder: Path, *, targets: int, tps: int, latency_ms: int, **settings: str) -> dict[str, Any]:
    """One campaign, paid; its figures."""
    folder.mkdir()
    folder.chmod(0o711)
    rows = (f"member-{n:07},{100 + n % 900},적립 보상 {n % 7}\n" for n in range(targets))
    (folder / "targets.csv").write_text("member_id,amount,reason\n" + "".join(rows))
    with sandbox(latency_ms, folder) as url, embedded_postgres(folder / "data") as database:
        environment = os.environ | {
            "BULKPOINT_DATA_DIR": str(folder / "data"),
            "BULKPOINT_MONEY_URL": url,
            "BULKPOINT_TPS": str(tps),
            "PGPASSFILE": str(database.passfile),
            **settings,
        }
        os.environ["PGPASSFILE"] = str(database.passfile)
        create = ["campaign", "create", "--name", "bench", "--targets", str(folder / "targets.csv")]
        subprocess.run([*COMMAND, *create], env=environment, check=True, stdout=subprocess.DEVNULL)
        used_before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        subprocess.run([*COMMAND, "campaign", "start", "1", "--yes"], env=environment, check=True)
        end_to_end_s = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        with urllib.request.urlopen(f"{url}/sandbox/stats") as answer:
            stats = json.load(answer)
        with connect(database.url) as connection:
            row = connection.execute(
                "select extract(epoch from min(a.sent_at) - r.started_at)::float8,"
                " extract(epoch from max(a.sent_at) - min(a.sent_at))::float8,"
                " extract(epoch from r.finished_at - r.started_at)::float8, count(*)"
                " from payment_attempt a join campaign_run r using (run_id) group by r.run_id"
            ).fetchone()
            worst = connection.execute(
                "select max(n) from (select count(*) over (order by sent_at range between current row and"
                " interval '999999 microseconds' following) as n from payment_attempt) w"
            ).fetchone()
    assert row is not None
    assert worst is not None
    first_call_s, calling_s, run_s, calls = row
    return {
        "targets": targets,
        "end_to_end_s": end_to_end_s,
        "run_s": run_s,
        "first_call_s": first_call_s,
        "calling_s": calling_s,
        "calls": calls,
        "worst_second_sent": worst[0],
        "cpu_s": used.ru_utime + used.ru_stime - used_before.ru_utime - used_before.ru_stime,
        **stats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=60_000, help="at 1,000 TPS and 50 ms; 0 leaves it out")
    parser.add_argument("--fast-targets", type=int, default=200_000, help="without limit and 0 ms; 0 leaves it out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkpoint-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        if arguments.targets:
            at = pay(folder / "limited", targets=arguments.targets, tps=1_000, latency_ms=50)
            used = at["calls"] / (at["calling_s"] * 1_000)
            print(f"\nat 1,000 TPS, 50 ms, {at['targets']:,} targets")
            print(f"  share of the limit used, first to last call   {used:.1%}")
            print(f"  worst sliding second   {at['worst_second_sent']:,} by our stamps,", end=" ")
            print(f"{at['max_per_second']:,} by the sandbox's clock (its longest stall: {at['stall_ms_max']:.0f} ms)")
            print(f"  from RUNNING to the first call {at['first_call_s']:.1f} s, the run {at['run_s']:.1f} s", end="")
            print(f", with Spark's start {at['end_to_end_s']:.1f} s; paid twice: {at['paid_twice']}")
        if arguments.fast_targets:
            fast = pay(folder / "fast", targets=arguments.fast_targets, tps=1_000_000, latency_ms=0)
            print(f"\nwithout limit, 0 ms, {fast['targets']:,} targets")
            print(f"  {fast['targets'] / fast['run_s']:,.0f} payments/s over the run (RUNNING to COMPLETED)", end=", ")
            print(f"{fast['calls'] / fast['calling_s']:,.0f}/s from first to last call", end=", ")
            print(f"{fast['targets'] / fast['end_to_end_s']:,.0f}/s with Spark's start and end")
            print(f"  CPU of the job (JVM, driver, workers): {fast['cpu_s'] / fast['targets'] * 1e6:.0f} us a payment")


if __name__ == "__main__":
    main()
