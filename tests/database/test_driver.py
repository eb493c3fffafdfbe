"""How a driver ends its run when not money but the database or the driver itself is in trouble; Spark's part is played.

A wave is `pay`: what one Spark job does is what the test says.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.errors import UnreachableError
from bulkpoint.pay import driver as driver_module
from bulkpoint.pay import heartbeat
from bulkpoint.pay.driver import Driver, JobEnvironment, SparkInUse
from bulkpoint.pay.stop_signals import StopSignals
from bulkpoint.pay.wave import WaveEnd
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.waves import Wave
from bulkpoint.settings import load_settings
from bulkpoint.store import connect as connect_module
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import RunSummary
from tests.world.campaigns import Campaign, World
from tests.world.logins import Login, new_login
from tests.world.refusals import refused
from tests.world.waiting import wait_for


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.05)
    monkeypatch.setattr(connect_module, "ASK_AGAIN_S", 0.05)


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(3).begun()


@pytest.fixture
def login(connection: Connection, database_url: str) -> Iterator[Login]:
    """The driver's."""
    with new_login(connection, database_url) as login:
        login.only_what_is_granted()
        login.grant("execute on all functions in schema public")
        yield login


Pay = Callable[[Driver], WaveEnd]


def drive(
    login: Login,
    campaign: Campaign,
    pay: Pay,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    dealt_to: list[int | None] | None = None,
) -> Any:
    """Pay the campaign's run; each wave does what `pay` does. dealt_to: gets the shares of each wave."""

    def pay_wave(_wave: Wave, _name: str, *, shares: int | None = None) -> WaveEnd:
        if dealt_to is not None:
            dealt_to.append(shares)
        return pay(driver)

    conf = SimpleNamespace(set=lambda _name, _value: None)
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(cancelAllJobs=lambda: None), conf=conf)
    ours = {"BULKPOINT_DATA_DIR": str(tmp_path), "BULKPOINT_PROGRESS_SECONDS": "0.1", "BULKPOINT_MONEY_TIMEOUT_S": "1"}
    settings = load_settings(ours)
    job = JobEnvironment(lambda: SparkInUse(spark, 2), login.url, settings, lambda _: None)
    driver = Driver(campaign.run, job, StopSignals())
    monkeypatch.setattr(driver._waves, "pay", pay_wave)
    return driver.pay()


def reason_of(connection: Connection) -> tuple[str, str]:
    row = connection.execute("select state::text, reason from campaign_run").fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_database_that_was_away_for_longer_than_the_lease_costs_only_time(
    connection: Connection, campaign: Campaign, login: Login, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pay(driver: Driver) -> WaveEnd:
        login.read_only(True)
        wait_for(lambda: driver._heartbeat.database_is_away, "the absence")
        campaign.without_driver()
        login.read_only(False)
        wait_for(lambda: not driver._heartbeat.database_is_away, "the database")
        campaign.paid(3)
        return WaveEnd(paid=True, sent=3)

    ended: RunSummary = drive(login, campaign, pay, monkeypatch, tmp_path)
    assert (ended.state, ended.success) == ("COMPLETED", 3)


def test_a_database_that_stays_away_leaves_the_run_for_a_resume_and_says_so(
    connection: Connection, campaign: Campaign, login: Login, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(heartbeat, "PATIENCE_S", 0.3)
    monkeypatch.setattr(driver_module, "END_S_MAX", 0.3)

    def pay(driver: Driver) -> WaveEnd:
        login.read_only(True)
        wait_for(driver._heartbeat.over.is_set, "the end of the patience")
        return WaveEnd(paid=False)

    words = r"cannot go on, nor be ended: .*it is read-only.*No payment is sent.*bulkpoint campaign resume 1"
    with refused(words, UnreachableError, code="RUN_LEFT_WITHOUT_DATABASE"):
        drive(login, campaign, pay, monkeypatch, tmp_path)
    assert connection.execute("select state::text from campaign_run").fetchone() == ("RUNNING",)
    campaign.without_driver().begun("RESUME")
    assert reason_of(connection)[0] == "FAILED"


def test_a_driver_whose_run_was_taken_over_ends_at_once_and_writes_nothing(
    connection: Connection, campaign: Campaign, login: Login, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pay(driver: Driver) -> WaveEnd:
        campaign.without_driver()
        Campaign(World(connection, shares=2), campaign.id).begun("RESUME")
        wait_for(driver._heartbeat.over.is_set, "the driver to learn it")
        return WaveEnd(paid=True)

    assert drive(login, campaign, pay, monkeypatch, tmp_path) is None
    states = connection.execute("select state::text, reason from campaign_run order by run_no").fetchall()
    assert states == [("FAILED", "its driver was gone"), ("RUNNING", None)]


def test_a_permission_that_the_driver_lacks_ends_the_run_with_its_name(
    connection: Connection, campaign: Campaign, login: Login, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pay(_driver: Driver) -> WaveEnd:
        login.revoke("insert on campaign_progress")
        return WaveEnd(paid=True)

    drive(login, campaign, pay, monkeypatch, tmp_path)
    state, reason = reason_of(connection)
    assert state == "FAILED"
    assert reason.startswith("DATABASE_REFUSED: ")
    assert "permission denied for table campaign_progress" in reason


def test_a_defect_of_the_driver_ends_the_run_with_its_reason_and_begins_no_other_wave(
    connection: Connection, campaign: Campaign, login: Login, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = []

    def pay(_driver: Driver) -> WaveEnd:
        begun.append(1)
        raise ZeroDivisionError("no wave has zero rows")

    monkeypatch.setattr(Driver, "_plan", lambda _: [Wave(n, n, n) for n in (1, 2, 3)])
    monkeypatch.setattr(driver_module, "WAVES_IN_FLIGHT", 1)
    ended: RunSummary = drive(login, campaign, pay, monkeypatch, tmp_path)
    assert ended.state == "FAILED"
    assert reason_of(connection) == ("FAILED", "DEFECT: the driver broke: ZeroDivisionError: no wave has zero rows")
    assert len(begun) <= 2, "one may have begun by then"


def test_a_database_that_turns_read_only_before_the_run_begins_says_so_and_changes_nothing(
    connection: Connection, world: World, login: Login, tmp_path: Path
) -> None:
    waiting = world.campaign(3)
    login.alter("superuser")
    login.alter("set default_transaction_read_only = on")
    spark: Any = SimpleNamespace()
    job = JobEnvironment(lambda: SparkInUse(spark, 2), login.url, load_settings({}), lambda _: None)
    request = RunRequest(campaign=waiting.id, kind=RunKind.INITIAL, actor="tester")
    with refused("cannot be used now: it is read-only", UnreachableError, code="DATABASE_NOT_USABLE"):
        driver_module.begin(request, job)
    assert connection.execute("select count(*) from campaign_run").fetchone() == (0,)


@pytest.mark.parametrize("when", ["before the wait", "in the wait"])
def test_a_signal_ends_the_wait_for_a_spark_that_does_not_start_and_no_run_is_made(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    waiting = world.campaign(3)

    def hears_a_signal(*arguments: Any, **more: Any) -> Any:
        if when == "before the wait":
            signal.raise_signal(signal.SIGINT)
        return begin_run(*arguments, **more)

    def spark() -> SparkInUse:
        if when == "in the wait":
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        return Future[SparkInUse]().result(timeout=5)

    monkeypatch.setattr(driver_module, "begin_run", hears_a_signal)
    request = RunRequest(campaign=waiting.id, kind=RunKind.INITIAL, actor="tester")
    job = JobEnvironment(spark, database_url, load_settings({}), lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        driver_module.pay_campaign(request, job)
    assert world.connection.execute("select count(*) from campaign_run").fetchone() == (0,)


def test_what_came_back_is_dealt_to_as_few_shares_as_send_it_in_a_second(
    campaign: Campaign, login: Login, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dealt_to: list[int | None] = []

    def pay(_driver: Driver) -> WaveEnd:
        if len(dealt_to) == 3:
            campaign.paid(3)
        return WaveEnd(paid=True, sent=1)

    drive(login, campaign, pay, monkeypatch, tmp_path, dealt_to)
    assert dealt_to == [None, 1, 1], "a wave, and two sweeps of three payments"
