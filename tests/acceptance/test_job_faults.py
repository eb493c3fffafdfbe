"""What the whole job must survive: workers, executors and drivers that die or sleep, a stop, money that is away.

A Spark job takes many seconds to start and to end, so each story here is played once, by a fixture that only looks on,
and several tests look at what came of it. Worker-level faults are in test_worker_faults.py, without Spark.
"""

import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from bulkpoint.local.spark_submit import submit_command, submit_environment
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Database
from tests.acceptance.deployment import JOB_S_MAX, Deployment, environment_of, sandbox
from tests.conftest import _clone
from tests.sliding_second import worst_second

LATENCY_MS = "100"  # so that whatever is killed is killed in mid-call
HTTP_TIMEOUT_S = 1  # a share of a dead worker is free 3 s + this + 1 s later
# A worker sends on what it learned in a renewal for 0.9 s; the rest is for two clocks' reading.
STILL_SENT_S = 1.0

ATTEMPTS = b"select count(*) >= %d from payment_attempt a join campaign_run r using (run_id) where r.run = %d"
PAID = b"select member_id, amount, transaction_id from payment where state = 'SUCCESS' order by seq"


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    result: str
    said: str


class Process(NamedTuple):
    """One process of a job, as the system shows it."""

    pid: int
    parent: int
    program: str
    command: str

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(self.pid, number)


class Job:
    """A command under way that runs a Spark job, and the job's processes."""

    def __init__(self, deployment: Deployment, *arguments: str) -> None:
        self._command = deployment.begin(*arguments)

    def end(self) -> Ended:
        result, said = self._command.communicate(timeout=JOB_S_MAX)
        return Ended(self._command.returncode, result, said)

    @property
    def driver(self) -> list[Process]:
        """The JVM and the Python driver, its child."""
        every = self._processes()
        java = [one for one in every if one.program == "java" and "deploy.SparkSubmit" in one.command]
        python = [one for one in every if one.parent in {jvm.pid for jvm in java} and "pay_campaign.py" in one.command]
        return java + python

    @property
    def executors(self) -> list[Process]:
        return [one for one in self._processes() if "CoarseGrainedExecutorBackend" in one.command]

    @property
    def daemons(self) -> list[Process]:
        java = {one.pid for one in self._processes() if one.program == "java"}
        return [one for one in self._python_of_executors() if one.parent in java]

    @property
    def workers(self) -> list[Process]:
        """What Spark's Python daemons forked: each runs a partition, or waits for one."""
        python = {one.pid for one in self._python_of_executors()}
        return [one for one in self._python_of_executors() if one.parent in python]

    def _python_of_executors(self) -> list[Process]:
        return [one for one in self._processes() if "bulkpoint.pay.daemon" in one.command and one.program != "java"]

    def _processes(self) -> list[Process]:
        every = {one.pid: one for one in all_processes()}
        found, below = [], {self._command.pid}
        while below:
            below = {one.pid for one in every.values() if one.parent in below}
            found += [every[pid] for pid in below]
        return found


def all_processes() -> Iterator[Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(") ")
            if rest[0] not in "ZX":
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield Process(int(folder.name), int(rest.split()[1]), name, command)


def processes_of(folder: Path) -> list[Process]:
    """Those that were started with settings that name this folder, wherever they are by now."""
    found = []
    for one in all_processes():
        with suppress(OSError):
            if str(folder).encode() in Path(f"/proc/{one.pid}/environ").read_bytes():
                found.append(one)
    return found


@contextmanager
def deployed(server: Database, template: str, folder: Path, *, tps: int, **changes: str) -> Iterator[Deployment]:
    """A deployment with a database of its own; nothing of it is left behind."""
    changes |= {
        "BULKPOINT_TPS": str(tps),
        "BULKPOINT_MONEY_TIMEOUT_S": str(HTTP_TIMEOUT_S),
        # As for the driver's JVM: the executors' only read rows, too.
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    ledger = ("--ledger", str(folder / "ledger"))
    with _clone(server.url, template) as database_url, sandbox("--latency-ms", LATENCY_MS, *ledger) as money:
        try:
            yield Deployment(environment_of(database_url, money, folder, **changes), folder, money, database_url)
        finally:
            for one in processes_of(folder):
                one.send(signal.SIGKILL)
            server_of_money(folder).send(signal.SIGCONT)


def server_of_money(folder: Path) -> Process:
    (server,) = (one for one in all_processes() if f"--ledger {folder / 'ledger'}" in one.command)
    return server


def assert_promises_kept(deployment: Deployment, campaign: str, *, tps: int) -> None:
    """Of a campaign that everybody was paid in: once, the frozen amount, known to us, never over, sums hold."""
    reconciled = deployment.run("reconcile", campaign)
    assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
    ledger, stats = deployment.money.ledger(), deployment.money.stats()
    credited = {row["member_id"]: (row["amount"], row["transaction_id"]) for row in ledger}
    assert len(ledger) == len(credited), "a member was credited twice"
    assert stats["paid_twice"] == 0
    targets = deployment.query(b"select member_id, amount from campaign_target where campaign_id = %d" % int(campaign))
    assert {member: amount for member, (amount, _) in credited.items()} == dict(targets)
    assert {member: (amount, transaction) for member, amount, transaction in deployment.query(PAID)} == credited
    shown = deployment.show(campaign)
    assert shown["state"] == "COMPLETED"
    assert shown["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": len(targets), "FAILED": 0}
    assert shown["amounts"]["SUCCESS"] == shown["target_amount"]
    sends = [row[0] for row in deployment.query(b"select extract(epoch from sent_at)::float8 from payment_attempt")]
    assert worst_second(sends) <= tps
    # What a killed worker sent last, nobody recorded; money saw it. Two holders of one share would show here.
    assert len(sends) <= stats["requests"]
    assert stats["max_per_second"] <= tps * (1.1 + stats["stall_ms_max"] / 1000)


# Workers and an executor die under a driver that lives


CLUSTER_TPS = 300
CLUSTER_TARGETS = 3_000


@dataclass(frozen=True)
class Killed:
    """A run whose workers were killed."""

    deployment: Deployment
    campaign: str
    ended: Ended
    seed: int
    victims: int
    executors: set[int]


@pytest.fixture(scope="module")
def killed(postgres_server: Database, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """Two executors of two slots: Python workers are killed at random moments, and an executor with its own."""
    folder = tmp_path_factory.mktemp("killed")
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)
    cluster = {"BULKPOINT_SPARK_MASTER": "local-cluster[2,2,1024]"}
    with deployed(postgres_server, _template, folder, tps=CLUSTER_TPS, **cluster) as deployment:
        campaign = deployment.create(CLUSTER_TARGETS)
        job = Job(deployment, "campaign", "start", campaign, "--yes")
        deployment.wait_for(ATTEMPTS % (50, 1))
        executors = job.executors
        victims = 0
        for kill_executor in (False, False, True, False):
            time.sleep(dice.uniform(0.2, 1.0))
            if kill_executor:
                dice.choice(executors).send(signal.SIGKILL)
            elif workers := job.workers:
                dice.choice(workers).send(signal.SIGKILL)
                victims += 1
        seen = {one.pid for one in executors}
        while not {one.pid for one in job.executors} - seen and job._command.poll() is None:
            time.sleep(0.1)
        seen |= {one.pid for one in job.executors}
        yield Killed(deployment, campaign, job.end(), seed, victims, seen)


def test_killed_workers_and_a_killed_executor_leave_everybody_paid_once(killed: Killed) -> None:
    print(f"seed of the kills: {killed.seed}")
    assert killed.ended.code == 0, killed.ended.said
    assert killed.victims == 3
    assert len(killed.executors) == 3, "one was killed, and Spark began another"
    assert_promises_kept(killed.deployment, killed.campaign, tps=CLUSTER_TPS)


def test_what_the_killed_held_is_sent_again_with_the_same_key(killed: Killed) -> None:
    held = killed.deployment.query(b"select count(*) from payment where maybe_credited and state = 'SUCCESS'")
    assert held[0][0] > 3, "nothing was killed in mid-call"
    stats = killed.deployment.money.stats()
    assert stats["requests"] > stats["credits"], "no key was sent a second time"
    runs = killed.deployment.show(killed.campaign)["runs"]
    assert [(run["kind"], run["state"]) for run in runs] == [("INITIAL", "COMPLETED")]


# A driver sleeps, and one dies


SLOW_TPS = 60  # while things go wrong: nothing is paid up before the last driver comes
FAST_TPS = 600
DRIVER_TARGETS = 6_000


@dataclass
class Drivers:
    """A campaign with three drivers: the first slept, the second was killed, the third ended it."""

    deployment: Deployment
    campaign: str
    first: Ended
    second: Ended
    third: Ended
    watch: Ended
    first_log: str
    written_of_first: tuple[Any, Any]  # before the first driver woke, and after it had ended
    refused_while_alive: Ended
    speculating: Ended
    speculated: dict[str, Any]
    shown_after_kill: dict[str, Any]
    listed_after_kill: Ended
    paid: tuple[Any, Any]  # the rows that were SUCCESS at the kill: then, and in the end
    killed_at: datetime
    last_arrival: datetime
    spark_jobs: list[dict[str, Any]]
    raised_at: datetime
    left_behind: list[Process]


@pytest.fixture(scope="module")
def drivers(postgres_server: Database, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    folder = tmp_path_factory.mktemp("drivers")
    settings = {"BULKPOINT_WAVE_SECONDS": "50"}
    with deployed(postgres_server, _template, folder, tps=SLOW_TPS, **settings) as deployment:
        campaign = deployment.create(DRIVER_TARGETS)
        other = deployment.create(10)
        port = free_port()
        with_ui = replace(
            deployment, environment=deployment.environment | {"SPARK_SUBMIT_OPTS": f"-Dspark.ui.port={port}"}
        )
        first = Job(with_ui, "campaign", "start", campaign, "--yes")
        deployment.wait_for(ATTEMPTS % (60, 1))
        spark_jobs = jobs_in_ui(port)
        asleep = first.driver
        for one in asleep:
            one.send(signal.SIGSTOP)

        second = Job(deployment, "campaign", "resume", campaign, "--yes")
        speculating = submit_with(deployment, other, "spark.speculation=true")  # while the second waits for the lease
        speculated = deployment.show(other)
        deployment.wait_for(ATTEMPTS % (60, 2))
        written = written_of_run(deployment, 1)
        for one in asleep:
            one.send(signal.SIGCONT)
        first_ended = first.end()
        refused = ended(deployment.run("campaign", "resume", campaign, "--yes"))
        written_of_first = (written, written_of_run(deployment, 1))

        for one in [*second.daemons, *second.driver]:
            one.send(signal.SIGKILL)
        killed_at = deployment.query(b"select clock_timestamp()")[0][0]
        third = Job(deployment, "campaign", "resume", campaign, "--yes")
        watch = Job(deployment, "campaign", "watch", campaign)
        shown = deployment.show(campaign)
        listed = ended(deployment.run("campaign", "list"))
        paid = deployment.query(PAID_WHEN)
        second_ended = second.end()
        deployment.wait_for(b"select clock_timestamp() > driver_until + interval '2 s' from campaign_run where run = 2")
        last_arrival = deployment.money.last_arrival()
        deployment.wait_for(ATTEMPTS % (1, 3))
        raised_at = deployment.query(b"select clock_timestamp()")[0][0]
        assert deployment.run("tps", "set", str(FAST_TPS)).returncode == 0
        third_ended = third.end()
        members = {row[0] for row in paid}
        yield Drivers(
            deployment,
            campaign,
            first_ended,
            second_ended,
            third_ended,
            watch.end(),
            next((folder / "data" / "logs").glob(f"campaign-{campaign}-run-1-*.log")).read_text(),
            written_of_first,
            refused,
            speculating,
            speculated,
            shown,
            listed,
            (paid, [row for row in deployment.query(PAID_WHEN) if row[0] in members]),
            killed_at,
            last_arrival,
            spark_jobs,
            raised_at,
            processes_of(folder),
        )


PAID_WHEN = (
    b"select member_id, amount, transaction_id, attempts, finished_at from payment where state = 'SUCCESS' order by seq"
)


def ended(command: "subprocess.CompletedProcess[str]") -> Ended:
    return Ended(command.returncode, command.stdout, command.stderr)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def jobs_in_ui(port: int) -> list[dict[str, Any]]:
    """What Spark's UI tells of its jobs, while it is there."""
    url = f"http://127.0.0.1:{port}/api/v1/applications"
    with urllib.request.urlopen(url, timeout=10) as response:
        (application,) = json.load(response)
    with urllib.request.urlopen(f"{url}/{application['id']}/jobs", timeout=10) as response:
        return list(json.load(response))


def submit_with(deployment: Deployment, campaign: str, line: str) -> Ended:
    """The job as a scheduler with a --conf of its own submits it, past the checks that the CLI has made."""
    settings = load_settings(deployment.environment)
    submit, *options = submit_command(settings, [campaign, "--holder", str(uuid4())])
    at = options.index("--properties-file")
    return ended(
        subprocess.run(
            [submit, *options[:at], "--conf", line, *options[at:]],
            env=submit_environment(settings) | deployment.environment,
            cwd=deployment.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=JOB_S_MAX,
            check=False,
        )
    )


def written_of_run(deployment: Deployment, run: int) -> tuple[Any, ...]:
    """All that a driver writes: its run's row, its events, its audit rows."""
    return (
        deployment.query(b"select * from campaign_run where run = %d" % run),
        deployment.query(b"select * from outbox_event where run = %d order by event_no" % run),
        deployment.query(b"select * from audit_event where run = %d order by 1" % run),
    )


def test_a_driver_that_slept_through_its_lease_leaves_without_writing(drivers: Drivers) -> None:
    assert drivers.first.code == 5, drivers.first
    before, after = drivers.written_of_first
    assert before == after


def test_a_driver_that_was_taken_over_says_so_and_announces_no_end(drivers: Drivers) -> None:
    """Another driver is paying by then: nobody must be told that the campaign failed, and to resume it."""
    assert "taken over by another driver" in drivers.first_log
    assert f"campaign resume {drivers.campaign}" not in drivers.first_log


def test_a_driver_that_lives_is_not_taken_over(drivers: Drivers) -> None:
    assert drivers.refused_while_alive.code == 3
    assert "alive" in drivers.refused_while_alive.said


def test_after_the_driver_was_killed_people_see_where_the_campaign_stands(drivers: Drivers) -> None:
    assert drivers.second.code == 5
    assert f"campaign resume {drivers.campaign}" in drivers.second.said
    assert drivers.shown_after_kill["state"] == "RUNNING"
    assert drivers.shown_after_kill["counts"]["SUCCESS"] > 60
    assert drivers.listed_after_kill.code == 0
    assert "RUNNING" in drivers.listed_after_kill.result
    assert drivers.watch.code == 5, "the run it watched ended FAILED"


def test_orphans_send_no_longer_than_their_drivers_lease(drivers: Drivers) -> None:
    """Spark's Python daemon died first, so nobody ended the workers: what they know of the run does."""
    late = drivers.deployment.query(
        b"select r.run, extract(epoch from max(a.sent_at) - r.driver_until)::float8"
        b" from payment_attempt a join campaign_run r using (run_id) where r.run < 3 group by r.run, r.driver_until"
    )
    assert {run for run, _ in late} == {1, 2}
    assert max(late_s for _, late_s in late) <= STILL_SENT_S
    ((until, last_sent),) = drivers.deployment.query(
        b"select driver_until, max(sent_at) from campaign_run join payment_attempt using (run_id) where run = 2"
        b" group by 1"
    )
    assert last_sent > drivers.killed_at, "there were no orphans"
    assert (drivers.last_arrival - until).total_seconds() <= STILL_SENT_S
    assert drivers.left_behind == []


def test_resume_takes_over_twice_and_pays_the_rest_once(drivers: Drivers) -> None:
    assert drivers.third.code == 0, drivers.third
    deployment = drivers.deployment
    runs = deployment.show(drivers.campaign)["runs"]
    assert [(run["kind"], run["state"]) for run in runs] == [
        ("INITIAL", "FAILED"),
        ("RESUME", "FAILED"),
        ("RESUME", "COMPLETED"),
    ]
    assert all("driver" in run["reason"] for run in runs[:2])
    events = deployment.query(
        b"select type from outbox_event where campaign_id = %d order by event_no" % int(drivers.campaign)
    )
    names = ("created", "started", "failed", "resumed", "failed", "resumed", "completed")
    assert [event for (event,) in events] == [f"campaign.{name}" for name in names]
    at_the_kill, in_the_end = drivers.paid
    assert at_the_kill == in_the_end, "a row that was paid was touched"
    assert_promises_kept(deployment, drivers.campaign, tps=FAST_TPS)
    slow = deployment.query(
        b"select extract(epoch from sent_at)::float8 from payment_attempt where sent_at < '%s'"
        % drivers.raised_at.isoformat().encode()
    )
    assert worst_second([at for (at,) in slow]) <= SLOW_TPS


def test_each_wave_is_one_job_of_sparks_with_a_name_that_reads_as_progress(drivers: Drivers) -> None:
    names = {job["description"] for job in drivers.spark_jobs}
    assert names <= {"wave 1 of 2: payments 1 to 3,000", "wave 2 of 2: payments 3,001 to 6,000"}
    assert "wave 1 of 2: payments 1 to 3,000" in names
    assert len(names) == len(drivers.spark_jobs)
    assert {job["jobGroup"] for job in drivers.spark_jobs} == {f"campaign-{drivers.campaign}-run-1"}


def test_speculation_is_refused_before_anything_begins(drivers: Drivers) -> None:
    assert drivers.speculating.code == 3, drivers.speculating
    assert "spark.speculation is true" in drivers.speculating.result
    assert drivers.speculated["state"] == "WAITING"
    assert drivers.speculated["runs"] == []


# A stop, and money that is away


STOP_TPS = 200
STOP_TARGETS = 3_000
PATIENCE_S = 3


@dataclass
class Stopped:
    """A campaign that was stopped, resumed at once, lost money, was resumed, and retried."""

    deployment: Deployment
    campaign: str
    started: Ended
    stop: Ended
    waiting: int  # rows that had failed once or more and were still open at the stop
    after_outage: dict[str, Any]
    outage: Ended
    out_for_s: float
    resumed: Ended
    after_resume: dict[str, Any]
    failed: list[tuple[Any, ...]]
    refused: Ended
    retried: Ended
    refused_at_the_end: Ended


@pytest.fixture(scope="module")
def stopped(postgres_server: Database, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    folder = tmp_path_factory.mktemp("stopped")
    settings = {"BULKPOINT_BREAKER_PATIENCE_S": str(PATIENCE_S)}
    with deployed(postgres_server, _template, folder, tps=STOP_TPS, **settings) as deployment:
        money = deployment.money
        money.change(unavailable=0.1)
        campaign = deployment.create(STOP_TARGETS)
        first = Job(deployment, "campaign", "start", campaign, "--yes")
        deployment.wait_for(ATTEMPTS % (300, 1))
        stop = ended(deployment.run("campaign", "stop", campaign, "--reason", "the test says so"))
        waiting = deployment.query(b"select count(*) from payment where state = 'PENDING' and attempts > 0")[0][0]
        money.change(unavailable=0)

        second = Job(deployment, "campaign", "resume", campaign, "--yes")
        started = first.end()
        deployment.wait_for(ATTEMPTS % (200, 2))
        server = server_of_money(folder)
        server.send(signal.SIGSTOP)
        gone_at = deployment.query(b"select clock_timestamp()")[0][0]
        outage = second.end()
        after_outage = deployment.show(campaign)
        failed_at = deployment.query(b"select finished_at from campaign_run where run = 2")[0][0]
        server.send(signal.SIGCONT)

        never_again = replace(deployment, environment=deployment.environment | {"BULKPOINT_RETRIES": "0"})
        third = Job(never_again, "campaign", "resume", campaign, "--yes")
        deployment.wait_for(ATTEMPTS % (50, 3))
        money.change(unavailable=0.1)
        resumed = third.end()
        after_resume = deployment.show(campaign)
        failed = deployment.query(
            b"select seq, failure_kind::text, failure_code, attempts from payment where state = 'FAILED' order by seq"
        )
        money.change(unavailable=0)
        refused = ended(deployment.run("campaign", "retry", campaign, "--yes", "--kind", "REJECTED"))
        retried = ended(deployment.run("campaign", "retry", campaign, "--yes"))
        yield Stopped(
            deployment,
            campaign,
            started,
            stop,
            waiting,
            after_outage,
            outage,
            (failed_at - gone_at).total_seconds(),
            resumed,
            after_resume,
            failed,
            refused,
            retried,
            ended(deployment.run("campaign", "retry", campaign, "--yes")),
        )


def test_a_stop_ends_start_with_4_and_the_resume_at_once_pays_on(stopped: Stopped) -> None:
    assert stopped.stop.code == 0, stopped.stop
    assert stopped.started.code == 4, stopped.started
    runs = stopped.deployment.show(stopped.campaign)["runs"]
    assert [(run["kind"], run["state"]) for run in runs] == [
        ("INITIAL", "STOPPED"),
        ("RESUME", "FAILED"),
        ("RESUME", "COMPLETED"),
        ("RETRY", "COMPLETED"),
    ]


def test_each_run_has_tries_of_its_own(stopped: Stopped) -> None:
    """Of every row: the tries it shows are the calls of the last run that called for it."""
    assert stopped.waiting > 5, "nothing had failed at the stop"
    assert (
        stopped.deployment.query(
            b"with calls as (select seq, run_id, count(*) as count from payment_attempt group by 1, 2),"
            b" last as (select distinct on (seq) seq, count from calls order by seq, run_id desc)"
            b" select p.seq, p.attempts, l.count from payment p join last l using (seq) where p.attempts <> l.count"
        )
        == []
    )


def test_money_away_for_longer_than_the_patience_fails_the_run_and_no_payment(stopped: Stopped) -> None:
    assert stopped.outage.code == 5, stopped.outage
    assert stopped.out_for_s >= PATIENCE_S
    shown = stopped.after_outage
    assert shown["state"] == "FAILED"
    assert "BULKPOINT_BREAKER_PATIENCE_S" in shown["runs"][1]["reason"]
    assert shown["counts"]["FAILED"] == shown["counts"]["PROCESSING"] == 0
    assert shown["counts"]["PENDING"] > 0
    halts = stopped.deployment.query(b"select run, halt from campaign_run where halt is not null")
    assert halts == [(2, "MONEY_UNAVAILABLE")]


def test_resume_finishes_when_money_is_back(stopped: Stopped) -> None:
    assert stopped.resumed.code == 0, stopped.resumed
    assert stopped.after_resume["state"] == "COMPLETED"
    counts = stopped.after_resume["counts"]
    assert counts["SUCCESS"] + counts["FAILED"] == STOP_TARGETS
    assert counts["FAILED"] > 20, "there is nothing to retry"


def test_retry_pays_what_failed_and_nothing_else(stopped: Stopped) -> None:
    assert {kind for _, kind, _, _ in stopped.failed} <= {"UNAVAILABLE", "UNKNOWN"}
    assert stopped.retried.code == 0, stopped.retried
    called = stopped.deployment.query(
        b"select distinct seq from payment_attempt a join campaign_run r using (run_id) where r.run = 4 order by seq"
    )
    assert [seq for (seq,) in called] == [seq for seq, _, _, _ in stopped.failed]
    assert_promises_kept(stopped.deployment, stopped.campaign, tps=STOP_TPS)


def test_retry_is_refused_where_nothing_matches(stopped: Stopped) -> None:
    for refused in (stopped.refused, stopped.refused_at_the_end):
        assert refused.code == 3
        assert "nothing to retry" in refused.said
    assert len(stopped.deployment.show(stopped.campaign)["runs"]) == 4
