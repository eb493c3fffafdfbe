"""A payer that forgets keys credits nobody twice, whatever the shell says that a later run comes from.

Without Spark, but with the driver's own steps before it, real workers and a payer that credits a forgotten key anew.
When a `crew` block ends, every member has been credited once at most.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from pyspark.sql import SparkSession

from bulkpoint.campaigns.promises import change_promises, keep_promises
from bulkpoint.campaigns.retry import plan_retry
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.pay.driver import JobEnvironment, SparkInUse, begin, with_promises
from bulkpoint.pay.task import PartitionTask
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store.payment import open_payments
from bulkpoint.store.run import Run
from tests.world.forgetful import ForgetfulMoney
from tests.world.refusals import refused
from tests.world.workers import Crew, Worker, crew

# Fewer than open the breaker.
MEMBERS = 5
REMEMBERS_S = 2.5
RETENTION_H = str(REMEMBERS_S / 3600)
SWEEPS_MAX = 10
QUICK = {"BULKPOINT_MONEY_TIMEOUT_S": "0.5", "BULKPOINT_MONEY_CONNECT_TIMEOUT_S": "0.5"}


@pytest.fixture
def forgetful() -> Iterator[ForgetfulMoney]:
    with ForgetfulMoney(remembers_s=REMEMBERS_S).serving() as money:
        yield money


def stored(its: Crew) -> Settings:
    """As the driver does it before a run of the first shell."""
    return with_promises(asked(its, RunKind.INITIAL), job_of(its, load_settings(its.settings))).settings


def job_of(its: Crew, settings: Settings) -> JobEnvironment:
    """What a job has; these steps of it need no Spark."""
    return JobEnvironment(
        lambda: SparkInUse(cast("SparkSession", None), 1), its.database_url, settings, deliver=lambda _: None
    )


def asked(its: Crew, kind: RunKind) -> RunRequest:
    return RunRequest(campaign=its.run.token.campaign_id, kind=kind, actor="bob")


def begun_elsewhere(its: Crew, kind: RunKind) -> tuple[Run, Settings]:
    """A run from a shell without the settings of the first one."""
    job = with_promises(asked(its, kind), job_of(its, load_settings({"BULKPOINT_MONEY_URL": its.money.url})))
    return begin(asked(its, kind), job), job.settings


def pay(its: Crew, run: Run, settings: Settings) -> None:
    """With the job's settings, until nothing is open."""
    task = PartitionTask(run.token, run.key_namespace, its.database_url, settings)
    for sweep in range(SWEEPS_MAX):
        Worker(task, its.open_rows(), its.folder / f"later-{sweep}.log").assert_ends_well()
        left = open_payments(its.connection, run.token.campaign_id)
        if left is None:
            return
        time.sleep(left.due_in_s)
    pytest.fail("payments are still open")


def test_a_retry_from_a_shell_without_the_setting_credits_nobody_twice(
    database_url: str, forgetful: ForgetfulMoney, tmp_path: Path
) -> None:
    first_shell = QUICK | {"BULKPOINT_MONEY_KEY_RETENTION_H": RETENTION_H, "BULKPOINT_RETRIES": "0"}
    with crew(database_url, forgetful, tmp_path, members=MEMBERS, tps=100, shares=1, **first_shell) as its:
        stored(its)
        its.hire()
        its.finish()
        kinds = its.query(b"select failure_kind::text, count(*) from payment group by 1")
        assert kinds == [("UNKNOWN", MEMBERS)]
        time.sleep(REMEMBERS_S)
        forgetful.answers = True
        with refused(f"{MEMBERS} of {MEMBERS} payments .* too old to be sent again"):
            plan_retry(its.connection, asked(its, RunKind.RETRY), load_settings({}))
        with refused("may be retried"):
            begun_elsewhere(its, RunKind.RETRY)
        assert set(forgetful.credits.values()) == {1}
        assert its.count("FAILED") == MEMBERS


def test_a_campaign_that_was_stopped_for_longer_than_money_remembers_is_only_looked_up(
    database_url: str, forgetful: ForgetfulMoney, tmp_path: Path
) -> None:
    first_shell = QUICK | {"BULKPOINT_MONEY_KEY_RETENTION_H": RETENTION_H, "BULKPOINT_BACKOFF_S": "60"}
    with crew(database_url, forgetful, tmp_path, members=MEMBERS, tps=100, shares=1, **first_shell) as its:
        stored(its)
        its.hire(its.open_rows()[:3])
        its.wait_for_sends(3)
        its.stop()
        its.wait_for_workers()
        time.sleep(REMEMBERS_S)
        forgetful.answers = True
        run, settings = begun_elsewhere(its, RunKind.RESUME)
        assert settings.money_key_retention_h == pytest.approx(REMEMBERS_S / 3600)
        pay(its, run, settings)
        assert its.query(b"select state::text, failure_kind::text, count(*) from payment group by 1, 2 order by 1") == [
            ("FAILED", "UNKNOWN", 3),
            ("SUCCESS", None, MEMBERS - 3),  # never sent before
        ]
        assert set(forgetful.credits.values()) == {1}
        assert forgetful.requests == {"POST": MEMBERS, "GET": 3}


def test_a_memory_that_is_made_shorter_while_a_run_pays_counts_for_its_next_calls(
    database_url: str, forgetful: ForgetfulMoney, tmp_path: Path
) -> None:
    with crew(
        database_url, forgetful, tmp_path, members=MEMBERS, tps=100, shares=1, BULKPOINT_BACKOFF_S="3", **QUICK
    ) as its:
        settings = stored(its)
        assert settings.money_key_retention_h == 24
        worker = its.hire()
        its.wait_for_sends(MEMBERS)
        values = {"key_retention_h": REMEMBERS_S / 3600}
        change_promises(its.connection, settings, values, actor="alice", reason="money says a minute")
        forgetful.answers = True
        worker.assert_ends_well()
        its.finish()
        assert set(forgetful.credits.values()) == {1}
        assert forgetful.requests["POST"] == MEMBERS, "the second calls were look-ups"
        assert its.count("FAILED") == MEMBERS


def test_a_setting_that_is_longer_than_what_is_stored_does_not_count(
    database_url: str, forgetful: ForgetfulMoney, tmp_path: Path
) -> None:
    with crew(database_url, forgetful, tmp_path, members=MEMBERS, tps=100, shares=1, **QUICK) as its:
        keep_promises(its.connection, load_settings({"BULKPOINT_MONEY_KEY_RETENTION_H": RETENTION_H}), actor="alice")
        forgetful.answers = True
        its.query(b"update payment set first_sent_at = now() - interval '1 h', maybe_credited = true returning seq")
        its.hire().assert_ends_well()
        its.finish()
        assert forgetful.requests["POST"] == 0, "a worker with a setting of 24 h learns 2.5 s with its first renewal"
