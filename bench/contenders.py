"""Who is measured: bulkpoint and its peers, each paying the same rows through a sandbox and a PostgreSQL of its own."""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from bench.cpu import cpu_of_parts
from bench.environments import environment, program
from bench.jitter import Way, way
from bulkpoint.launch.jdbc_driver import cached_jar
from tests.world.deployment import Deployment, embedded_deployment

PEERS = Path(__file__).parent / "peers"
FLOOR_SECONDS = 8
FLOOR_CONNECTIONS = 64
PEER_S_MAX = 900.0


@dataclass(frozen=True)
class Paid:
    """How one contender paid one list.

    payments_s: payments a second, from the first to the last credit at the receiver. cpu_us: CPU of its own processes
    in microseconds a payment, without PostgreSQL and the sandbox. worst_second: most calls in a second by the
    receiver's clock. share_of_limit: of what the limit allowed from first to last credit; None without limit.
    worst_second_sent: most calls in a second as they left, where the way to the receiver was measured.
    """

    payments_s: float
    cpu_us: float
    worst_second: int
    share_of_limit: float | None
    worst_second_sent: int | None = None


@dataclass(frozen=True)
class Task:
    """What to pay. tps: 0 for no limit; latency_ms: of the sandbox; jitter_ms: at most, on the way; None: no way."""

    targets: int
    tps: int
    latency_ms: int
    workers: int
    jitter_ms: int | None = None


Contender = Callable[[Task], Paid]


def bulkpoint(task: Task) -> Paid:
    """The job of this project, as `campaign start` runs it."""
    settings = {"BULKPOINT_TPS": task.tps or 1_000_000, "BULKPOINT_PARTITIONS": task.workers}
    with _deployment(task, **settings) as bench:
        with _way_of(bench, task) as money, cpu_of_parts() as cpu:
            there = bench.with_settings(BULKPOINT_MONEY_URL=money.url)
            there.create(task.targets)
            there.succeed("campaign", "start", "1", "--yes")
        own = sum(seconds for part, seconds in cpu.seconds.items() if part not in {"PostgreSQL", "sandbox"})
        return _judged(bench, task, own, money)


def peer(name: str, *options: str) -> Contender:
    """A peer by name: afternoon, literal, celery or dbos. options: of its command line."""

    def pay(task: Task) -> Paid:
        command = _COMMANDS[name]()
        with _deployment(task) as bench:
            _make_tables(bench, task.targets)
            log = bench.folder / "peer.log"
            with _way_of(bench, task) as money:
                job = ["--database", bench.database_url, "--money", money.url]
                job += ["--tps", str(task.tps), "--workers", str(task.workers)]
                own = _run_peer((*command, *job, *options), log)
            ((recorded,),) = bench.query(b"select count(*) from bench_result")
            if recorded != task.targets:
                raise RuntimeError(f"{name} recorded {recorded:,} of {task.targets:,}: {log.read_text()[-2_000:]}")
            return _judged(bench, task, own, money)

    return pay


def _run_peer(command: Sequence[str], log: Path) -> float:
    """CPU seconds of a peer and all its processes."""
    before = _cpu_s_of_children()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=PEERS, start_new_session=True)
        try:
            process.wait(PEER_S_MAX)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it has left running
    return _cpu_s_of_children() - before


def _cpu_s_of_children() -> float:
    """Of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def floor(task: Task) -> Paid:
    """wrk: how many payments a second the sandbox answers when nothing is remembered; has no limit."""
    wrk = program("wrk", "wrk")
    with _deployment(task) as bench:
        before = _cpu_s_of_children()
        options = ("-t1", f"-c{FLOOR_CONNECTIONS}", f"-d{FLOOR_SECONDS}s", "-s", str(PEERS / "floor.lua"))
        said = subprocess.run((wrk, *options, bench.money.url), capture_output=True, text=True, check=True).stdout
        own = _cpu_s_of_children() - before
        stats = bench.money.stats()
        [payments_s] = re.findall(r"Requests/sec:\s*([\d.]+)", said)
        if "Non-2xx" in said:
            raise RuntimeError(f"the sandbox refused payments of wrk: {said}")
        return Paid(float(payments_s), own / stats["credits"] * 1e6, stats["max_per_second"], None)


def _afternoon() -> tuple[str, ...]:
    return str(environment("afternoon").python), str(PEERS / "afternoon.py")


def _literal() -> tuple[str, ...]:
    submit = str(Path(sys.executable).with_name("spark-submit"))
    quiet = ("--conf", "spark.ui.enabled=false", "--conf", "spark.ui.showConsoleProgress=false")
    return submit, "--master", "local[4]", "--jars", str(cached_jar()), *quiet, str(PEERS / "literal.py")


def _celery() -> tuple[str, ...]:
    program("redis-server", "redis-server")
    return str(environment("celery").python), str(PEERS / "celery_run.py")


def _dbos() -> tuple[str, ...]:
    return str(environment("dbos").python), str(PEERS / "dbos_run.py")


_COMMANDS = {"afternoon": _afternoon, "literal": _literal, "celery": _celery, "dbos": _dbos}


@contextmanager
def _deployment(task: Task, **settings: object) -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="bulkpoint-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        os.environ["PYSPARK_PYTHON"] = sys.executable
        with embedded_deployment(folder / "one", "--latency-ms", str(task.latency_ms), **settings) as bench:
            yield bench


def _make_tables(bench: Deployment, targets: int) -> None:
    with psycopg.connect(bench.database_url, autocommit=True) as connection:
        connection.execute(
            "create table bench_target (n bigint primary key, member_id text not null, amount bigint not null,"
            " reason text not null)"
        )
        connection.execute("create table bench_result (n bigint primary key, transaction_id text not null)")
        rows = "insert into bench_target select n, 'member-' || n, 100 + n % 900, '적립 보상 ' || n % 7"
        connection.execute(f"{rows} from generate_series(1, {int(targets)}) n")
        connection.execute("analyze bench_target")


def _way_of(bench: Deployment, task: Task) -> AbstractContextManager[Way]:
    if task.jitter_ms is None:
        return nullcontext(Way(bench.money.url))
    return way(bench.money.url, task.jitter_ms)


def _judged(bench: Deployment, task: Task, own_cpu_s: float, money: Way) -> Paid:
    """What the sandbox says of it: every credit once, when the first and the last one was made, the worst second."""
    stats = bench.money.stats()
    times = [datetime.fromisoformat(line["credited_at"]) for line in bench.money.ledger()]
    if len(times) != task.targets or stats["paid_twice"]:
        raise RuntimeError(f"{len(times):,} credits for {task.targets:,} rows, paid twice: {stats['paid_twice']}")
    seconds = (max(times) - min(times)).total_seconds()
    payments_s = len(times) / seconds
    share = payments_s / task.tps if task.tps else None
    cpu_us = own_cpu_s / len(times) * 1e6
    return Paid(payments_s, cpu_us, stats["max_per_second"], share, money.worst_second_sent)


CONTENDERS: dict[str, Contender] = {
    "bulkpoint": bulkpoint,
    "wrk": floor,
    "afternoon script": peer("afternoon"),
    "literal job": peer("literal"),
    "Celery": peer("celery"),
    "DBOS": peer("dbos"),
}
LIMITERS: dict[str, Contender] = {
    "bulkpoint": bulkpoint,
    "aiolimiter": peer("afternoon", "--limiter", "aiolimiter"),
    "ratelimit": peer("afternoon", "--limiter", "ratelimit"),
    "Redis token bucket": peer("afternoon", "--limiter", "redis"),
    "Celery rate_limit": peer("celery"),
    "DBOS limiter": peer("dbos"),
}
