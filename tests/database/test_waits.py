"""What a run waits for: looked at with each beat, kept on its row, shown, and bounded."""

from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from bulkpoint.pay import waits
from bulkpoint.pay.waits import Waits
from bulkpoint.rules.patience import Waiting, WaitsFor
from bulkpoint.settings import load_settings
from bulkpoint.store.campaign import get_campaign, get_running_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import sample_progress
from bulkpoint.store.run import note_waiting
from bulkpoint.views.alerts import CheckView
from bulkpoint.views.campaign import campaign_detail
from tests.world.campaigns import Campaign, World

URL = "https://money.example:9090"


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(targets=3).begun()


def watched(campaign: Campaign, **settings: str) -> Waits:
    return Waits(campaign.run, load_settings({"BULKPOINT_MONEY_URL": URL} | settings))


def waits_for(connection: Connection) -> str | None:
    waiting = get_campaign(connection, 1).waiting
    return None if waiting is None else waiting.what.value


def halt_of(connection: Connection) -> tuple[str | None, str | None]:
    row = connection.execute("select halt, reason from campaign_run").fetchone()
    assert row is not None
    return row[0], row[1]


def lease_all(connection: Connection, run_id: int | None) -> None:
    connection.execute(
        "update money_share set leased_until = clock_timestamp() + interval '1 h', run_id = %s", (run_id,)
    )


def test_a_run_whose_tasks_do_not_begin_waits_for_spark_and_one_that_has_a_share_waits_for_nothing(
    connection: Connection, campaign: Campaign
) -> None:
    its = watched(campaign)
    its.look(connection)
    assert waits_for(connection) is None, "no Spark job is under way"
    with its.tasks():
        its.look(connection)
        assert waits_for(connection) == "TASKS"
        lease_all(connection, campaign.run.token.run_id)
        its.look(connection)
        assert waits_for(connection) is None


def test_a_run_whose_shares_are_all_leased_elsewhere_says_so_and_does_not_wait_for_ever(
    connection: Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = watched(campaign, BULKPOINT_BREAKER_PATIENCE_S="0")
    lease_all(connection, None)
    with its.tasks():
        its.look(connection)
        assert waits_for(connection) == "SHARE"
        assert halt_of(connection) == (None, None)
        monkeypatch.setattr(waits, "SHARE_S_MIN", 0.0)
        its.look(connection)
    halt, reason = halt_of(connection)
    assert halt == "STALLED"
    assert reason is not None
    assert "every share of the limit is leased" in reason


def test_payments_that_are_not_yet_due_are_what_is_waited_for_with_the_time(
    connection: Connection, campaign: Campaign
) -> None:
    its = watched(campaign)
    its.due_at = monotonic() + 60
    its.look(connection)
    waiting = get_campaign(connection, 1).waiting
    assert waiting is not None
    assert waiting.what is WaitsFor.NEXT_TRY
    assert waiting.until == pytest.approx(datetime.now(UTC).timestamp() + 60, abs=5)


def test_check_show_and_progress_say_what_is_waited_for(connection: Connection, campaign: Campaign) -> None:
    now = datetime.now(UTC)
    reached = Waiting(WaitsFor.MONEY_REACHED, now.timestamp(), None, URL, "NOT_CONNECTED", "CONNECTION_REFUSED")
    note_waiting(connection, campaign.run, reached)
    words = f"money cannot be reached at {URL} (connection refused)"
    running = get_running_campaign(connection)
    assert running is not None
    soon = CheckView.of([], running, "UTC", now)
    assert soon.ok
    assert next(iter(soon.as_text(None))).endswith(f"campaign 1 runs, and {words}")  # type: ignore[arg-type]
    later = CheckView.of([], running, "UTC", now + timedelta(seconds=40))
    assert not later.ok
    assert [(finding.kind, words in finding.sentence) for finding in later.findings] == [("WAITING", True)]
    assert "or ends FAILED after BULKPOINT_BREAKER_PATIENCE_S" in later.findings[0].sentence
    for seconds, ends in ((40, "in about 1 min 20 s, at "), (200, "at any moment")):
        at = now + timedelta(seconds=seconds)
        known = CheckView.of([], running, "UTC", at, patience_s=120.0)
        assert f"or ends FAILED {ends}" in known.findings[0].sentence
    detail = campaign_detail(running, campaign.counts(), [])
    assert detail.waiting is not None
    assert detail.waiting.sentence == words
    assert sample_progress(connection, 1).waiting == reached
    campaign.stopped()
    assert get_campaign(connection, 1).waiting is None, "a run that has ended waits for nothing"
