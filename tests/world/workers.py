"""Workers without Spark: processes that run pay_partition for a run whose driver is played by a thread.

A test begins a run with `crew`, hires workers, does something to them, and calls `finish`. When the block is left, the
promises are looked at with code of the tests' own.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from bulkpoint.campaigns.runs import end_run
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.pay.claims import FrozenPayment
from bulkpoint.pay.partition import pay_partition
from bulkpoint.pay.task import PartitionTask
from bulkpoint.pay.waits import Waits
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.payment import open_payments
from bulkpoint.store.run import Run, renew_driver
from tests.world.campaigns import World
from tests.world.counters import assert_sums_hold
from tests.world.forks import FORKS
from tests.world.money import Judge
from tests.world.promises import assert_paid_once, sends_of, worst_second
from tests.world.stops import stop_run
from tests.world.waiting import wait_for

# Two busy cores, a lease or two that must end first, and look-ups that wait longer and longer.
WAIT_S_MAX = 90.0


class Worker:
    """One process that pays its rows."""

    def __init__(self, job: PartitionTask, rows: list[FrozenPayment], log: Path) -> None:
        self.rows = rows
        self.killed = False
        self._log = log
        self._process = FORKS.Process(target=_work, args=(job, rows, log), daemon=True)
        self._process.start()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """As kill -9 does it: nothing of it can be tidied up."""
        self.killed = True
        self._process.kill()
        self._process.join()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def assert_ends_well(self, seconds: float = WAIT_S_MAX) -> None:
        """It ends in time by itself, and without an error, unless it was killed."""
        self._process.join(seconds)
        assert not self._process.is_alive(), f"a worker goes on and on{self.said()}"
        assert self.killed or self._process.exitcode == 0, f"a worker failed its task{self.said()}"

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def said(self) -> str:
        return ":\n" + self._log.read_text()


def _work(job: PartitionTask, rows: list[FrozenPayment], log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    columns = [list(column) for column in zip(*rows, strict=True)]
    batch = pa.RecordBatch.from_pydict(dict(zip(FrozenPayment._fields, columns, strict=True)))
    for _ in pay_partition(job, [batch]):
        pass


@dataclass
class Crew:
    """A run, and the workers hired for it."""

    connection: Connection
    database_url: str
    money: Judge
    run: Run
    folder: Path
    settings: dict[str, str]
    tps_set: list[tuple[float, int]]  # since when, by the database's clock
    workers: list[Worker] = field(default_factory=list)

    # Paying

    def hire(
        self, rows: Sequence[FrozenPayment] | None = None, *, database: str | None = None, money: str | None = None
    ) -> Worker:
        """A worker for these rows, else for all that are open; by way of other addresses where they are given."""
        changes = {} if money is None else {"BULKPOINT_MONEY_URL": money}
        settings = load_settings(self.settings | changes)
        job = PartitionTask(self.run.token, self.run.key_namespace, database or self.database_url, settings)
        rows = self.open_rows() if rows is None else list(rows)
        worker = Worker(job, list(rows), self.folder / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    def hire_each(self, *databases: str | None) -> list[Worker]:
        """So many workers, the rows dealt out among them; None is the database's own address."""
        rows = self.open_rows()
        return [
            self.hire(rows[number :: len(databases)], database=database) for number, database in enumerate(databases)
        ]

    def set_tps(self, tps: int) -> float:
        """Change the limit for all; returns when that was committed."""
        set_tps(self.connection, tps=tps, actor="tester", reason="the test says so", until=None)
        self.tps_set.append((time.time(), tps))
        return self.tps_set[-1][0]

    def stop(self) -> float:
        """Stop the run by hand; returns when that was committed."""
        stop_run(self.connection, self.run.token.campaign_id, actor="tester")
        return time.time()

    def finish(self, seconds: float = WAIT_S_MAX) -> None:
        """As the driver does it: wait for the workers, sweep until nothing is open, end the run COMPLETED."""
        deadline = time.monotonic() + seconds
        self.wait_for_workers(seconds)
        while (left := open_payments(self.connection, self.run.token.campaign_id)) is not None:
            assert self.halt() is None, "the run was halted"
            assert time.monotonic() + left.due_in_s < deadline, f"{left.count} payments are still open"
            time.sleep(left.due_in_s)
            self.hire().assert_ends_well(max(1.0, deadline - time.monotonic()))
        assert end_run(self.connection, self.run, RunState.COMPLETED) is not None

    def wait_for_workers(self, seconds: float = WAIT_S_MAX) -> None:
        """So long for each of them."""
        for worker in self.workers:
            worker.assert_ends_well(seconds)

    # Looking

    def query(self, statement: bytes, *parameters: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, parameters or None).fetchall()

    def wait_for(self, statement: bytes, *, seconds: float = WAIT_S_MAX) -> None:
        """Until the statement's first value is true."""
        wait_for(
            lambda: self.query(statement)[0][0],
            lambda: f"{statement.decode()}\n{self._what_there_is()}",
            seconds=seconds,
        )

    def wait_for_sends(self, count: int) -> None:
        """Until so many calls are recorded."""
        self.wait_for(b"select count(*) >= %d from payment_attempt" % count)

    def open_rows(self) -> list[FrozenPayment]:
        return [
            FrozenPayment(*row)
            for row in self.query(
                b"select seq, member_id, amount, reason from payment"
                b" where state in ('PENDING', 'PROCESSING') order by seq"
            )
        ]

    def count(self, state: str) -> int:
        return int(self.query(b"select count(*) from payment where state = %s", state)[0][0])

    def halt(self) -> str | None:
        """What a worker wrote on the run."""
        ((halt,),) = self.query(b"select halt from campaign_run where run_id = %s", self.run.token.run_id)
        return None if halt is None else str(halt)

    def sends(self) -> list[float]:
        """When calls left by their sender's stamp, seconds since 1970."""
        return sends_of(self.connection)

    def _what_there_is(self) -> str:
        """What can say why nothing moves: machine, run, shares, claims, and each worker with its log."""
        looks = {
            "run": b"select state::text, halt, driver_until - clock_timestamp(), waiting from campaign_run",
            "shares": b"select share, epoch, holder, leased_until - clock_timestamp(), handover, pressure"
            b" from money_share order by share",
            "payments": b"select state::text, claim_share, claim_epoch, count(*) from payment group by 1, 2, 3",
            "waits for a lock": b"select pid, wait_event, left(query, 80) from pg_stat_activity"
            b" where wait_event_type = 'Lock'",
        }
        found = [f"{name}: {self.query(statement)}" for name, statement in looks.items()]
        workers = [f"a worker, alive: {worker.alive}{worker.said()}" for worker in self.workers]
        return "\n".join([f"load: {os.getloadavg()}", *found, *workers])

    # What holds whatever happened

    def assert_promises_kept(self) -> None:
        """Paid once with the frozen amount, never over the limit, nothing lost, sums hold."""
        killed = any(worker.killed for worker in self.workers)
        assert_paid_once(self.connection, self.money, killed=killed)
        self._assert_never_over()
        assert_sums_hold(self.connection)

    def _assert_never_over(self) -> None:
        sends = self.sends()
        assert worst_second(sends) <= max(tps for _, tps in self.tps_set)
        for (since, tps), (until, _) in pairwise([*self.tps_set, (math.inf, 0)]):
            meanwhile = [at for at in sends if since + 1.0 <= at < until]
            assert worst_second(meanwhile) <= tps, f"over {tps} a second"


class _Driver(threading.Thread):
    """Keeps the driver's lease alive and looks at what the run waits for, each second."""

    def __init__(self, database_url: str, run: Run, settings: Settings) -> None:
        super().__init__(name="driver", daemon=True)
        self._settings = settings
        self.lost = False
        self._database_url = database_url
        self._run = run
        self._ending = threading.Event()

    def run(self) -> None:
        waits = Waits(self._run, self._settings)
        with connect(self._database_url, name="the test's driver") as connection:
            while not self._ending.wait(1.0):
                self.lost = self.lost or renew_driver(connection, self._run) is None
                waits.look(connection)

    def end(self) -> None:
        self._ending.set()
        self.join()


@contextmanager
def crew(
    database_url: str,
    money: Judge,
    folder: Path,
    *,
    members: Sequence[str] | int,
    tps: int,
    shares: int,
    **settings: str,
) -> Iterator[Crew]:
    """A begun run over these members, or so many; when the block ends well, workers must have too, promises kept."""
    names = [f"member-{number:05}" for number in range(members)] if isinstance(members, int) else list(members)
    targets = [(name, 100 + number % 900, f"적립 보상 {number % 7}") for number, name in enumerate(names)]
    ours = {
        "BULKPOINT_MONEY_URL": money.url,
        "BULKPOINT_MONEY_TIMEOUT_S": "1",  # a lease outlives its holder by this and 4 s
        "BULKPOINT_BACKOFF_S": "0.1",
        "BULKPOINT_MONEY_SETTLE_S": "2",
    }
    with connect(database_url, name="the test") as connection:
        run = World(connection, tps=tps, shares=shares).campaign(targets).begun().run
        driver = _Driver(database_url, run, load_settings(ours | settings))
        driver.start()
        its = Crew(connection, database_url, money, run, folder, ours | settings, [(-math.inf, tps)])
        try:
            yield its
            its.wait_for_workers()
            assert not driver.lost, "the test's own driver was late"
            its.assert_promises_kept()
        finally:
            driver.end()
            for worker in its.workers:
                if worker.alive:
                    worker.kill()
