"""Who is measured: bulkpoint and its peers, each paying the same rows through a sandbox and a PostgreSQL of its own."""

import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from bench.cpu import CpuOfParts, cpu_of_parts
from bench.environments import environment, program
from bench.figures import share_used
from bench.jitter import Way, way
from bulkpoint.embedded.postgres import embedded_server
from bulkpoint.launch.jdbc_driver import cached_jar
from tests.world.deployment import Deployment, embedded_deployment
from tests.world.promises import worst_second

PEERS = Path(__file__).parent / "peers"
FLOOR_SECONDS = 8
FLOOR_CONNECTIONS = 64
PEER_S_MAX = 900.0
STORE = "PostgreSQL"
# The receiver and the way to it: what all of them call and none of them runs.
NOT_COUNTED = frozenset({"sandbox", "way"})


@dataclass(frozen=True)
class Paid:
    """How one contender paid one list.

    payments_s: payments a second, from the first to the last credit at the receiver. cpu_us: microseconds of CPU a
    payment by part, between these two: without start, end, and what puts the rows into a queue before. cpu_all_us: of
    all parts, with those. worst_second: most calls in a second by the receiver's clock; worst_second_sent: by stamps of
    their senders. stall_ms: the longest time that the receiver's clock stood still. share_of_limit: see share_used;
    None without limit.
    """

    payments_s: float
    cpu_us: Mapping[str, float]
    cpu_all_us: float
    worst_second: int
    worst_second_sent: int | None
    stall_ms: float
    share_of_limit: float | None

    @property
    def cpu_own_us(self) -> float:
        """Of everything but PostgreSQL: workers, what starts and watches them, a broker."""
        return sum(us for part, us in self.cpu_us.items() if part != STORE)

    @property
    def cpu_store_us(self) -> float:
        return self.cpu_us.get(STORE, 0.0)


@dataclass(frozen=True)
class Task:
    """What to pay. tps: 0 for no limit; latency_ms: of the sandbox; jitter_ms: at most, on the way; None: no way."""

    targets: int
    tps: int
    latency_ms: int
    workers: int
    jitter_ms: int | None = None


Contender = Callable[[Task], Paid]


def bulkpoint(**settings: object) -> Contender:
    """The job of this project, as `campaign start` runs it, with these settings and the defaults."""

    def pay(task: Task) -> Paid:
        with _deployment(task, BULKPOINT_TPS=task.tps or 1_000_000, **settings) as bench:
            with _way_of(bench, task) as money:
                there = bench.with_settings(BULKPOINT_MONEY_URL=money.url, BULKPOINT_PARTITIONS=task.workers)
                there.create(task.targets)
                with _cpu_of(bench) as cpu:
                    there.succeed("campaign", "start", "1", "--yes")
            return _judged(bench, task, cpu, bench.sends())

    return pay


def peer(name: str, *options: str, needs_redis: bool = False) -> Contender:
    """A peer by name: afternoon, literal, celery or dbos. options: of its command line."""

    def pay(task: Task) -> Paid:
        if needs_redis:
            program("redis-server", "redis-server")
        command = _COMMANDS[name](task)
        with _deployment(task) as bench:
            _make_tables(bench, task.targets)
            log, stamps = bench.folder / "peer.log", bench.folder / "stamps"
            stamps.mkdir()
            with _way_of(bench, task) as money:
                job = ["--database", bench.database_url, "--money", money.url]
                job += ["--tps", str(task.tps), "--workers", str(task.workers)]
                job += ["--stamps", str(stamps)] if task.tps else []
                with _cpu_of(bench) as cpu:
                    _run_peer((*command, *job, *options), log)
            ((recorded,),) = bench.query(b"select count(*) from bench_result")
            if recorded != task.targets:
                raise RuntimeError(f"{name} recorded {recorded:,} of {task.targets:,}: {log.read_text()[-2_000:]}")
            return _judged(bench, task, cpu, _stamps_in(stamps))

    return pay


def _run_peer(command: Sequence[str], log: Path) -> None:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=PEERS, start_new_session=True)
        try:
            process.wait(PEER_S_MAX)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it has left running
            process.wait()


def _stamps_in(folder: Path) -> list[float]:
    """When calls left, as the peer's processes wrote it: seconds since 1970."""
    files = [file.read_bytes() for file in folder.iterdir()]
    return [at / 1e9 for data in files for (at,) in struct.iter_unpack("<q", data)]


def floor(task: Task) -> Paid:
    """wrk: how many payments a second the sandbox answers when nothing is remembered; has no limit."""
    wrk = program("wrk", "wrk")
    with _deployment(task) as bench:
        options = ("-t1", f"-c{FLOOR_CONNECTIONS}", f"-d{FLOOR_SECONDS}s", "-s", str(PEERS / "floor.lua"))
        with _cpu_of(bench) as cpu:
            began = time.time()
            said = subprocess.run((wrk, *options, bench.money.url), capture_output=True, text=True, check=True).stdout
            ended = time.time()
        used = _counted(cpu.between(began, ended))
        stats = bench.money.stats()
        [payments_s] = re.findall(r"Requests/sec:\s*([\d.]+)", said)
        if "Non-2xx" in said:
            raise RuntimeError(f"the sandbox refused payments of wrk: {said}")
        cpu_us = {part: seconds / stats["credits"] * 1e6 for part, seconds in used.items()}
        return Paid(
            float(payments_s), cpu_us, sum(cpu_us.values()), stats["max_per_second"], None, stats["stall_ms_max"], None
        )


def _afternoon(_task: Task) -> tuple[str, ...]:
    return str(environment("afternoon").python), str(PEERS / "afternoon.py")


def _literal(task: Task) -> tuple[str, ...]:
    submit = str(Path(sys.executable).with_name("spark-submit"))
    command = [submit, "--master", f"local[{task.workers}]", "--jars", str(cached_jar())]
    command += ["--conf", f"spark.pyspark.python={environment('literal').python}"]
    command += ["--conf", "spark.ui.enabled=false", "--conf", "spark.ui.showConsoleProgress=false"]
    return *command, str(PEERS / "literal.py")


def _celery(_task: Task) -> tuple[str, ...]:
    return str(environment("celery").python), str(PEERS / "celery_run.py")


def _dbos(_task: Task) -> tuple[str, ...]:
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


def _cpu_of(bench: Deployment) -> AbstractContextManager[CpuOfParts]:
    store = embedded_server(bench.folder / "data")
    return cpu_of_parts(store.pid if store else None)


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


def _judged(bench: Deployment, task: Task, cpu: CpuOfParts, sent: list[float]) -> Paid:
    """What the sandbox says of it: every credit once, when the first and the last one was made, the worst second."""
    stats = bench.money.stats()
    times = sorted(datetime.fromisoformat(line["credited_at"]).timestamp() for line in bench.money.ledger())
    if len(times) != task.targets or stats["paid_twice"]:
        raise RuntimeError(f"{len(times):,} credits for {task.targets:,} rows, paid twice: {stats['paid_twice']}")
    if sent and len(sent) != stats["requests"]:
        raise RuntimeError(f"{len(sent):,} stamps of {stats['requests']:,} calls")
    while_paying = _counted(cpu.between(times[0], times[-1]))
    return Paid(
        payments_s=len(times) / (times[-1] - times[0]),
        cpu_us={part: seconds / len(times) * 1e6 for part, seconds in while_paying.items()},
        cpu_all_us=sum(_counted(cpu.seconds).values()) / len(times) * 1e6,
        worst_second=stats["max_per_second"],
        worst_second_sent=worst_second(sent) if sent else None,
        stall_ms=stats["stall_ms_max"],
        share_of_limit=share_used(times, task.tps) if task.tps else None,
    )


def _counted(seconds: Mapping[str, float]) -> dict[str, float]:
    return {part: used for part, used in seconds.items() if part not in NOT_COUNTED}


OURS = "bulkpoint"
CONTENDERS: dict[str, Contender] = {
    OURS: bulkpoint(),
    "wrk": floor,
    "afternoon script": peer("afternoon"),
    "literal job": peer("literal"),
    "Celery": peer("celery", "--calls", "32", needs_redis=True),
    "DBOS": peer("dbos"),
}
# At a limit. ratelimit, aiolimiter and Celery know one process only: each worker gets its part. The script is the
# afternoon script with another limiter. Of the literal job each partition waits for one answer after the other.
LIMITERS: dict[str, Contender] = {
    OURS: bulkpoint(),
    "bulkpoint, from answer": bulkpoint(BULKPOINT_LIMIT_COUNTS_FROM="answer"),
    "script, aiolimiter": peer("afternoon", "--limiter", "aiolimiter"),
    "script, its burst 1": peer("afternoon", "--limiter", "aiolimiter-one"),
    "script, ratelimit": peer("afternoon", "--limiter", "ratelimit"),
    "script, Redis bucket": peer("afternoon", "--limiter", "redis", needs_redis=True),
    "Celery rate_limit": peer("celery", "--calls", "32", needs_redis=True),
    "DBOS limiter": peer("dbos"),
    "literal job": peer("literal"),
}
