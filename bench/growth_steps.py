"""What one campaign goes through from its file to its archive, each step measured: seconds, bytes, peak memory."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.memory import peak_memory
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.connect import connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.progress import sample_progress
from tests.world.deployment import Deployment

ACTOR = "bench"
NO_LIMIT_TPS = 1_000_000
SHARES = 4
LOOKS = 20
PARQUET_ROWS = 100_000

# What paying leaves, without the calls: for sizes whose payment would take half an hour.
_PAID_BY_STATEMENTS = (
    b"update payment set state = 'SUCCESS', tries = 1, transaction_id = 'tx-012345-' || to_char(seq, 'FM000000000'),"
    b" first_sent_at = clock_timestamp(), last_sent_at = clock_timestamp(), finished_at = clock_timestamp()"
    b" where campaign_id = 1",
    b"insert into money_transaction (transaction_id, campaign_id, seq)"
    b" select transaction_id, campaign_id, seq from payment where campaign_id = 1",
    b"insert into payment_attempt (campaign_id, attempt_id, seq, run_id, sent_at, answered_at, http_status, outcome,"
    b" transaction_id) select campaign_id, lpad(to_hex(seq), 32, '0')::uuid, seq, 1, first_sent_at, finished_at, 200,"
    b" 'SUCCESS', transaction_id from payment where campaign_id = 1",
    b"insert into campaign_counter (campaign_id, share, state, count, amount)"
    b" select campaign_id, 0, state::payment_state, sign * target_count, sign * target_amount"
    b" from campaign, (values ('PENDING', -1), ('SUCCESS', 1)) c (state, sign) where campaign_id = 1",
)


@dataclass(frozen=True)
class Measured:
    """One step of one size. looks: how often it was done in these seconds. Bytes: by how much the database grew, the
    write-ahead log that was written, the file that came out. memory: peak bytes by part of the deployment."""

    targets: int
    step: str
    seconds: float
    looks: int
    database_bytes: int
    log_bytes: int
    file_bytes: int
    memory: dict[str, int]

    @property
    def us_a_row(self) -> float:
        return self.seconds / self.looks / self.targets * 1e6


class OutOfTimeError(Exception):
    """The time that was given is over; what was measured by then stays."""


@dataclass
class Growth:
    """One campaign of so many targets in a deployment of its own."""

    bench: Deployment
    targets: int
    with_pay: bool
    seconds_left: Callable[[], float]
    out: Path = field(init=False)

    def __post_init__(self) -> None:
        self.out = self.bench.folder / "out"
        self.out.mkdir(exist_ok=True)

    def steps(self) -> dict[str, Callable[[], int]]:
        """In their order; each returns how often it did what it is named for."""
        steps: dict[str, Callable[[], int]] = {
            "create from CSV": lambda: self._create("csv"),
            "create from Parquet": lambda: self._create("parquet"),
            "preview": lambda: self._command("campaign", "preview", "1", "--json"),
            "freeze and begin": self._freeze,
            "pay, no limit": self._pay,
            "paid by statements, not by calls": self._fill,
            "progress sample": self._sample,
            "campaign show": lambda: self._command("campaign", "show", "1", "--json"),
            "check": lambda: self._command("check", codes=(0, 5)),
            "report, sums": lambda: self._command("report", "1", "--json"),
            "report, csv": lambda: self._report("csv"),
            "report, xlsx": lambda: self._report("xlsx"),
            "report, parquet": lambda: self._report("parquet"),
            "report, html": lambda: self._report("html"),
            "payment find": lambda: self._command("payment", "find", "--member", self.member(self.targets // 2)),
            "reconcile, nothing in doubt": lambda: self._command("reconcile", "1"),
            "retry, nothing FAILED": lambda: self._command("campaign", "retry", "1", "--yes", codes=(3,)),
            "audit verify": lambda: self._command("audit", "verify"),
        }
        if self._has_archive():
            steps["campaign archive"] = self._archive
        del steps["paid by statements, not by calls" if self.with_pay else "pay, no limit"]
        return steps

    def measure(self, step: str, do: Callable[[], int]) -> Measured:
        """Do one step. Raises OutOfTimeError where it takes longer than there is time."""
        self._empty_out()
        self._files_for(step)
        size, log = self._sizes()
        with peak_memory(self.bench.folder) as peak:
            began = time.monotonic()
            try:
                looks = do()
            except subprocess.TimeoutExpired as error:
                raise OutOfTimeError(step) from error
            seconds = time.monotonic() - began
        size_after, log_after = self._sizes()
        written = sum(file.stat().st_size for file in self.out.rglob("*") if file.is_file())
        return Measured(
            self.targets, step, seconds, looks, size_after - size, log_after - log, written, dict(peak.bytes)
        )

    def member(self, number: int) -> str:
        return f"member-{number:09}"

    def _files_for(self, step: str) -> None:
        for kind in ("csv", "parquet"):
            file = self._file(kind)
            if step == f"create from {'CSV' if kind == 'csv' else 'Parquet'}":
                self._write(file)
            else:
                file.unlink(missing_ok=True)

    def _write(self, file: Path) -> None:
        if file.suffix == ".csv":
            with file.open("w") as stream:
                stream.write("member_id,amount,reason\n")
                for n in range(self.targets):
                    stream.write(f"{self.member(n)},{100 + n % 900},적립 보상 {n % 7}\n")
            return
        import pyarrow
        from pyarrow import parquet

        schema = pyarrow.schema([("member_id", "string"), ("amount", "int64"), ("reason", "string")])
        with parquet.ParquetWriter(file, schema) as writer:
            for first in range(0, self.targets, PARQUET_ROWS):
                numbers = range(first, min(self.targets, first + PARQUET_ROWS))
                members = [f"other-{self.member(n)}" for n in numbers]
                columns = [members, [100 + n % 900 for n in numbers], [f"적립 보상 {n % 7}" for n in numbers]]
                writer.write_table(pyarrow.table(columns, schema=schema))

    def _file(self, kind: str) -> Path:
        return self.bench.folder / f"members.{kind}"

    def _create(self, kind: str) -> int:
        return self._command("campaign", "create", "--name", kind, "--targets", str(self._file(kind)))

    def _freeze(self) -> int:
        with connect(self.bench.database_url) as connection:
            ensure_limit(connection, tps=NO_LIMIT_TPS, shares=SHARES, actor=ACTOR)
            run = begin_run(connection, RunRequest(campaign=1, actor=ACTOR), shares=SHARES)
            if self.with_pay:  # a job continues it: so the freeze is measured without Spark's start
                assert end_run(connection, run, RunState.FAILED, "frozen") is not None
        return 1

    def _pay(self) -> int:
        self._command("campaign", "resume", "1", "--yes")
        stats = self.bench.money.stats()
        if (stats["credits"], stats["paid_twice"]) != (self.targets, 0):
            raise RuntimeError(f"{stats['credits']:,} credits for {self.targets:,} rows")
        return 1

    def _fill(self) -> int:
        with connect(self.bench.database_url) as connection:
            for statement in _PAID_BY_STATEMENTS:
                connection.execute(statement)
            connection.execute(
                "update campaign_run set state = 'COMPLETED', finished_at = clock_timestamp() where run_id = 1"
            )
        return 1

    def _sample(self) -> int:
        with connect(self.bench.database_url) as connection:
            for _ in range(LOOKS):
                sample_progress(connection, 1)
        return LOOKS

    def _archive(self) -> int:
        """Only what ended long ago may leave the database."""
        with connect(self.bench.database_url) as connection:
            connection.execute(
                "update campaign_run set started_at = started_at - interval '400 days',"
                " finished_at = finished_at - interval '400 days'"
            )
        return self._command("campaign", "archive", "1", "--out", str(self.out), "--yes")

    def _report(self, kind: str) -> int:
        return self._command("report", "1", "--format", kind, "--out", str(self.out / f"report.{kind}"))

    def _command(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> int:
        ended = replace(self.bench, seconds_max=max(1.0, self.seconds_left())).run(*arguments)
        if ended.returncode not in codes:
            raise RuntimeError(f"{' '.join(arguments)} ended with {ended.returncode}: {ended.stderr[-2_000:]}")
        return 1

    def _has_archive(self) -> bool:
        return self.bench.run("campaign", "archive", "--help").returncode == 0

    def _sizes(self) -> tuple[int, int]:
        ((size, log),) = self.bench.query(
            b"select pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
        )
        return size, log

    def _empty_out(self) -> None:
        shutil.rmtree(self.out)
        self.out.mkdir()
