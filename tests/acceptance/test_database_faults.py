"""What the whole job must survive of its database and its disk: one run with three troubles, and its resumption.

run 1  start   the server turns read-only for some seconds, with its sessions alive; it crashes and is started
               again; then a cleaner removes Spark's folder, which ends the run
run 2  resume  pays the rest
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from bulkpoint.embedded.postgres import embedded_postgres, embedded_server
from tests.world.command_line import JOB_S_MAX, Ended
from tests.world.deployment import Deployment, deployment
from tests.world.promises import worst_second
from tests.world.waiting import sleep_until

TPS = 150
TARGETS = 900
SENT = b"select count(*) >= %d from payment_attempt"
# A worker sends for 0.9 s on what it learned last; the rest is for two clocks and a server that is asked to reload.
STILL_SENT_S = 1.5


@dataclass
class Told:
    """What came of it."""

    deployment: Deployment
    campaign: str
    spark_folder: Path
    silent: list[tuple[float, float]]  # from and to when nothing was to be sent
    first: Ended
    log: str
    second: Ended


@pytest.fixture(scope="module")
def told(reachable_tmp: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder, data = tmp_path_factory.mktemp("faults"), reachable_tmp / "faults"
    spark_folder = folder / "spark-files"
    spark_folder.mkdir()
    with embedded_postgres(data) as database, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSFILE", str(database.passfile))
        with deployment(
            folder,
            *("--latency-ms", "20"),
            database_url=database.url,
            SPARK_LOCAL_DIRS=spark_folder,
            BULKPOINT_TPS=TPS,
            BULKPOINT_WAVE_SECONDS=2,
            BULKPOINT_MONEY_TIMEOUT_S=1,
        ) as its:
            its.succeed("db", "migrate")
            campaign = its.create(TARGETS)
            job = its.begin("campaign", "start", campaign, "--yes")
            its.wait_for(SENT % 50)
            silent = [turn_read_only(database.url)]
            its.wait_for(SENT % 150)
            silent.append(crash(data))
            its.wait_for(SENT % 300)
            shutil.rmtree(spark_folder)
            result, said = job.communicate(timeout=JOB_S_MAX)
            first = Ended(job.returncode, result.encode(), said)
            log = "".join(file.read_text() for file in folder.rglob("*.log"))
            spark_folder.mkdir()
            second = its.run("campaign", "resume", campaign, "--yes")
            yield Told(its, campaign, spark_folder, silent, first, log, second)


def turn_read_only(url: str) -> tuple[float, float]:
    """For three seconds, also the sessions that there are."""
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("set default_transaction_read_only = off")
        server.execute("alter system set default_transaction_read_only = on")
        server.execute("select pg_reload_conf()")
        since = time.time()
        sleep_until(since + 3.0)
        server.execute("alter system reset default_transaction_read_only")
        until = time.time()
        server.execute("select pg_reload_conf()")
    return since, until


def crash(data: Path) -> tuple[float, float]:
    """As `pg_ctl stop -m immediate`, and started again two seconds later."""
    server = embedded_server(data)
    assert server is not None
    os.kill(server.pid, signal.SIGQUIT)
    since = time.time()
    sleep_until(since + 2.0)
    until = time.time()
    with embedded_postgres(data):
        pass  # it runs on for the other one who uses it
    return since, until


def test_nothing_is_sent_while_the_database_is_away_and_the_run_goes_on_by_itself(told: Told) -> None:
    sends = told.deployment.sends()
    for since, until in told.silent:
        assert [at - since for at in sends if since + STILL_SENT_S <= at <= until] == []
    runs = told.deployment.show(told.campaign)["runs"]
    assert len(runs) == 2
    of_first = told.deployment.query(
        b"select count(*) from payment_attempt join campaign_run using (run_id) where run_no = 1"
    )
    assert of_first[0][0] >= 300, "it went on after both"


def test_a_folder_of_sparks_that_was_removed_ends_the_run_with_its_name_and_what_to_do(told: Told) -> None:
    assert told.first.returncode == 5
    reason = told.deployment.show(told.campaign)["runs"][0]["reason"]
    assert str(told.spark_folder) in reason
    assert "spark.local.dir" in reason
    assert str(told.spark_folder) in told.first.stderr


def test_no_thread_of_ours_ends_with_a_traceback(told: Told) -> None:
    ours = [line for line in told.log.splitlines() if 'File "' in line and "/bulkpoint/" in line]
    assert ours == []


def test_what_was_left_is_paid_by_a_resume_and_the_promises_are_kept(told: Told) -> None:
    assert told.second.returncode == 0, told.second.stderr
    its = told.deployment
    assert its.show(told.campaign)["counts"]["SUCCESS"] == TARGETS
    its.assert_promises_kept(told.campaign, tps=TPS)
    assert worst_second(its.sends()) <= TPS
