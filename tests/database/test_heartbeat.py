"""The driver's pulse, on a real run: its lease, the early check, a stop that was asked for, and what will not end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest

from bulkpoint.campaigns.tps import set_tps
from bulkpoint.errors import RefusedError
from bulkpoint.pay import heartbeat
from bulkpoint.pay.heartbeat import Heartbeat
from bulkpoint.rules.guard import RESULTS_MIN
from bulkpoint.rules.guard import WINDOW_RESULTS as EARLY_CHECK_ROWS
from bulkpoint.rules.invariants import DefectError
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection, DatabaseAwayError
from bulkpoint.store.limit import get_limit
from bulkpoint.store.run import Run
from tests.world.campaigns import Campaign, World
from tests.world.logins import Login, new_login
from tests.world.waiting import wait_for

TARGETS = 2 * EARLY_CHECK_ROWS


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.05)
    monkeypatch.setattr(heartbeat, "DRAIN_S", 0.1)


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(TARGETS).begun()


class Beating:
    """A heartbeat and what it did."""

    def __init__(self, database_url: str, run: Run, **settings: str) -> None:
        self.asked: str | None = None
        self.cancelled_at: float | None = None
        self.heart = Heartbeat(
            database_url,
            run,
            load_settings({"BULKPOINT_MONEY_TIMEOUT_S": "0.2", "BULKPOINT_MONEY_CONNECT_TIMEOUT_S": "0.1"} | settings),
            cancel=self._cancel,
            asked_to_stop=lambda: self.asked,
        )

    def _cancel(self) -> None:
        self.cancelled_at = self.cancelled_at or monotonic()


@contextmanager
def beating(database_url: str, run: Run, **settings: str) -> Iterator[Beating]:
    one = Beating(database_url, run, **settings)
    try:
        yield one
    finally:
        one.heart.stop()


def halt_of(connection: Connection) -> str | None:
    """Of the latest run."""
    row = connection.execute("select halt from campaign_run order by run_id desc").fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


def looked(one: Beating) -> None:
    """The heart has looked at the results before anything happens."""
    wait_for(lambda: one.heart._guard, "the first look")


def test_a_list_or_a_money_that_is_wrong_is_noticed_with_its_kind_and_code(
    database_url: str, connection: Connection, campaign: Campaign
) -> None:
    with beating(database_url, campaign.run) as one:
        looked(one)
        campaign.failed(EARLY_CHECK_ROWS - 1, code="MEMBER_NOT_FOUND")
        sleep(0.3)
        assert halt_of(connection) is None, "too few to tell"
        campaign.failed(1)
        wait_for(one.heart.over.is_set, "the halt")
        assert (halt_of(connection), one.heart.halt) == ("TOO_MANY_FAILURES", "TOO_MANY_FAILURES")
        row = connection.execute("select reason from campaign_run").fetchone()
        assert row is not None
        assert "500 of the latest 500 results of this run FAILED, most often REJECTED (MEMBER_NOT_FOUND)" in row[0]


def test_a_smaller_share_of_failures_is_no_reason_and_neither_is_a_bound_of_one(
    database_url: str, connection: Connection, world: World, campaign: Campaign
) -> None:
    with beating(database_url, campaign.run) as one:
        looked(one)
        for _ in range(10):
            campaign.paid(50).failed(40)
        sleep(0.3)
        assert one.heart.too_many_failed(connection) is None
    assert halt_of(connection) is None
    campaign.stopped()
    another = world.campaign(TARGETS).begun()
    with beating(database_url, another.run, BULKPOINT_MAX_FAILED_RATIO="1") as one:
        looked(one)
        another.failed(TARGETS)
        sleep(0.3)
        assert one.heart.too_many_failed(connection) is None
    assert halt_of(connection) is None


def test_a_money_that_turns_wrong_in_the_middle_is_noticed_too(
    database_url: str, connection: Connection, world: World
) -> None:
    campaign = world.campaign(2 * TARGETS).begun()
    with beating(database_url, campaign.run) as one:
        looked(one)
        campaign.paid(TARGETS)
        sleep(0.3)
        assert halt_of(connection) is None
        campaign.failed(EARLY_CHECK_ROWS)
        wait_for(one.heart.over.is_set, "the halt")
    assert halt_of(connection) == "TOO_MANY_FAILURES"


@pytest.mark.parametrize("kind", ["REJECTED", "UNAVAILABLE", "UNKNOWN"])
def test_a_short_list_that_failed_wholly_does_not_end_completed(
    database_url: str, connection: Connection, world: World, kind: str
) -> None:
    campaign = world.campaign(RESULTS_MIN).begun()
    with beating(database_url, campaign.run) as one:
        looked(one)
        campaign.failed(RESULTS_MIN - 1, kind=kind)
        assert one.heart.too_many_failed(connection) is None, "a few refusals are no wrong list"
        campaign.failed(1, kind=kind)
        why = one.heart.too_many_failed(connection)
    assert why is not None
    assert why.startswith("TOO_MANY_FAILURES: 20 of the latest 20 results")
    assert f"most often {kind} (NO)" in why


def test_what_an_earlier_run_left_failed_is_no_news_to_the_next_one(
    database_url: str, connection: Connection, world: World
) -> None:
    campaign = world.campaign(TARGETS).begun().failed(TARGETS - 30).stopped().begun("RESUME")
    with beating(database_url, campaign.run) as one:
        looked(one)
        campaign.paid(30)
        sleep(0.3)
        assert one.heart.too_many_failed(connection) is None
    assert halt_of(connection) is None


def test_a_driver_whose_lease_has_passed_has_lost_its_run(database_url: str, campaign: Campaign) -> None:
    campaign.without_driver()
    with beating(database_url, campaign.run) as one:
        wait_for(one.heart.over.is_set, "the driver to learn it")
        assert one.heart.lost


def test_the_lease_outlives_its_fifteen_seconds_while_the_heart_beats(
    database_url: str, connection: Connection, campaign: Campaign
) -> None:
    campaign.driver_ends(in_s=2)
    with beating(database_url, campaign.run) as one:
        wait_for(lambda: renewed(connection), "a renewal")
        assert not one.heart.lost


def test_what_does_not_end_after_a_stop_is_cancelled_and_not_before_it_could(
    database_url: str, campaign: Campaign
) -> None:
    with beating(database_url, campaign.run) as one:
        campaign.stopped()
        wait_for(one.heart.over.is_set, "the stop")
        over_at = monotonic()
        assert one.heart.state == "STOPPED"
        wait_for(lambda: one.cancelled_at, "the cancellation")
        assert one.cancelled_at is not None
        assert one.cancelled_at - over_at >= 0.2, "calls under way have their time-out"


def test_a_signal_stops_the_run_with_its_reason(database_url: str, connection: Connection, campaign: Campaign) -> None:
    with beating(database_url, campaign.run) as one:
        one.asked = "signal SIGTERM"
        wait_for(one.heart.over.is_set, "the stop")
    row = connection.execute("select state::text, reason from campaign_run").fetchone()
    assert row == ("STOPPED", "signal SIGTERM")


def test_a_temporary_limit_ends_while_the_job_runs(
    database_url: str, connection: Connection, campaign: Campaign
) -> None:
    until = datetime.now(UTC) + timedelta(seconds=0.5)
    set_tps(connection, tps=10, actor="tester", reason="for a moment", until=until)
    with beating(database_url, campaign.run):
        wait_for(lambda: get_limit(connection).tps == 100, "the former limit")
    actions = [row[0] for row in connection.execute("select action from audit_event order by audit_no")]
    assert actions[-2:] == ["tps.set", "tps.set"]


def test_samples_of_the_progress_are_kept(database_url: str, connection: Connection, campaign: Campaign) -> None:
    with beating(database_url, campaign.run, BULKPOINT_PROGRESS_SECONDS="0.1"):
        samples = "select count(*) >= 3 from campaign_progress"
        wait_for(lambda: connection.execute(samples).fetchone() == (True,), "three samples")


def test_a_heart_that_breaks_halts_the_run_with_its_reason_and_keeps_the_lease_for_its_end(
    database_url: str, connection: Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise DefectError("the limit has two rows")

    monkeypatch.setattr(heartbeat, "restore_tps_if_due", broken)
    with beating(database_url, campaign.run) as one:
        wait_for(one.heart.over.is_set, "the end of the work")
        assert str(one.heart.trouble) == "the limit has two rows"
        assert halt_of(connection) == "DEFECT", "every gate is closed at once"
        campaign.driver_ends(in_s=2)
        wait_for(lambda: renewed(connection), "a renewal")
        assert not one.heart.lost, "the driver can still end the run"
    row = connection.execute("select reason from campaign_run").fetchone()
    assert row == ("DEFECT: the driver's heartbeat broke: DefectError: the limit has two rows",)


# The database is away, or refuses


@pytest.fixture
def login(connection: Connection, database_url: str) -> Iterator[Login]:
    with new_login(connection, database_url) as login:
        login.only_what_is_granted()
        yield login


def renewed(connection: Connection) -> bool:
    row = connection.execute("select driver_until > clock_timestamp() + interval '10 s' from campaign_run").fetchone()
    return row == (True,)


def test_a_driver_goes_on_when_its_database_was_away_for_longer_than_its_lease_and_its_log_says_so_once(
    connection: Connection, campaign: Campaign, login: Login, capfd: pytest.CaptureFixture[str]
) -> None:
    with beating(login.url, campaign.run) as one:
        login.read_only(True)
        wait_for(lambda: one.heart.database_is_away, "a beat that cannot write")
        campaign.without_driver()
        sleep(0.3)
        login.read_only(False)
        wait_for(lambda: renewed(connection), "the lease, taken up again")
        wait_for(lambda: not one.heart.database_is_away, "a whole beat")
        assert not one.heart.lost
        assert not one.heart.over.is_set()
        assert one.heart.trouble is None
    said = capfd.readouterr().err
    assert said.count("in a read-only transaction") == said.count("answers the heartbeat again") == 1, said


def test_a_driver_whose_run_was_taken_over_while_its_database_was_away_has_lost_it(
    connection: Connection, campaign: Campaign, login: Login
) -> None:
    with beating(login.url, campaign.run) as one:
        login.read_only(True)
        wait_for(lambda: one.heart.database_is_away, "a beat that cannot write")
        campaign.without_driver()
        another = World(connection, shares=campaign.world.shares)
        Campaign(another, campaign.id).begun("RESUME")
        login.read_only(False)
        wait_for(lambda: one.heart.lost, "the driver to learn it")
        assert one.heart.over.is_set()
    states = connection.execute("select state::text from campaign_run order by run_no").fetchall()
    assert states == [("FAILED",), ("RUNNING",)]


def test_a_database_that_stays_away_for_longer_than_the_patience_ends_the_work(
    connection: Connection, campaign: Campaign, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PATIENCE_S", 0.5)
    with beating(login.url, campaign.run) as one:
        login.read_only(True)
        wait_for(one.heart.over.is_set, "the end of the patience")
        assert isinstance(one.heart.trouble, DatabaseAwayError)
        assert not one.heart.lost
        wait_for(lambda: one.cancelled_at, "the end of what waits in Spark")


def test_a_permission_that_a_beat_needs_ends_the_work_at_once_and_says_which(
    connection: Connection, campaign: Campaign, login: Login
) -> None:
    with beating(login.url, campaign.run, BULKPOINT_PROGRESS_SECONDS="0.1") as one:
        wait_for(lambda: connection.execute("select count(*) from campaign_progress").fetchone() != (0,), "a sample")
        login.revoke("insert on campaign_progress")
        wait_for(one.heart.over.is_set, "the end of the work")
        assert isinstance(one.heart.trouble, RefusedError)
        assert halt_of(connection) == "DATABASE_REFUSED"
    row = connection.execute("select reason from campaign_run").fetchone()
    assert row is not None
    assert row[0].startswith("DATABASE_REFUSED: The database ")
    assert "permission denied for table campaign_progress" in row[0]
    assert "docs/access.md" in row[0], "what to do"
