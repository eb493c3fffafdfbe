"""The limit in the database."""

from datetime import UTC, datetime, timedelta

import pytest

from bulkpoint.campaigns.tps import change_limit, restore_tps_if_due, show_limit
from bulkpoint.errors import UsageError
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import ensure_limit
from tests.world.refusals import refused

SETTINGS = load_settings({"BULKPOINT_TPS": "800", "BULKPOINT_PARTITIONS": "3"})
LATER = datetime.now(UTC) + timedelta(hours=1)


def set_tps(connection: Connection, tps: int, reason: str | None = None, until: datetime | None = None) -> object:
    limit = change_limit(connection, SETTINGS, tps=tps, actor="alice", reason=reason, until=until)
    return limit.tps, limit.until, limit.tps_afterwards


def test_a_look_shows_the_settings_figure_until_one_is_stored_and_stores_nothing(connection: Connection) -> None:
    limit = show_limit(connection, SETTINGS, actor="alice")
    assert (limit.tps, limit.shares, limit.in_use, limit.set_by) == (800, 3, 0, "alice")
    others = load_settings({"BULKPOINT_TPS": "5"})
    assert show_limit(connection, others, actor="bob").tps == 5
    ensure_limit(connection, tps=800, shares=3, actor="alice")
    assert show_limit(connection, others, actor="bob").tps == 800


def test_a_change_has_its_audit_row_and_its_event(connection: Connection) -> None:
    set_tps(connection, 500, "settlement")
    change = {"tps": 500, "tps_before": 800, "reason": "settlement", "until": None, "tps_afterwards": None}
    events = connection.execute("select campaign_id, event_no, type, actor, data from outbox_event").fetchall()
    assert events == [(0, 1, "tps.changed", "alice", change)]
    assert connection.execute("select action, actor, detail from audit_event").fetchall() == [
        ("tps.set", "alice", change)
    ]


def test_a_temporary_figure_keeps_what_comes_back_also_over_a_second_one(connection: Connection) -> None:
    assert set_tps(connection, 100, until=LATER) == (100, LATER, 800)
    assert set_tps(connection, 50, until=LATER) == (50, LATER, 800)
    assert set_tps(connection, 600) == (600, None, None)


def test_the_permits_of_shares_that_someone_holds_are_in_use(connection: Connection) -> None:
    ensure_limit(connection, tps=800, shares=3, actor="alice")
    connection.execute(
        "insert into money_share (share, leased_until) values"
        " (0, clock_timestamp() + interval '3 s'), (1, null), (2, clock_timestamp() - interval '1 s')"
    )
    assert show_limit(connection, SETTINGS, actor="alice").in_use == 267
    set_tps(connection, 0)
    assert show_limit(connection, SETTINGS, actor="alice").in_use == 0


@pytest.mark.parametrize("tps", [-1, 1_000_001])
def test_a_figure_that_cannot_be_is_refused_and_changes_nothing(connection: Connection, tps: int) -> None:
    with pytest.raises(UsageError):
        set_tps(connection, tps)
    assert show_limit(connection, SETTINGS, actor="alice").tps == 800


def test_a_time_that_has_passed_is_refused(connection: Connection) -> None:
    with refused("in the past", UsageError):
        set_tps(connection, 5, until=datetime.now(UTC) - timedelta(minutes=1))


def test_a_temporary_figure_gives_way_to_the_former_one_when_its_time_is_over(connection: Connection) -> None:
    set_tps(connection, 200, "settlement", LATER)
    assert not restore_tps_if_due(connection)
    assert show_limit(connection, SETTINGS, actor="bob").tps == 200
    connection.execute("update money_limit set until = clock_timestamp() - interval '1 ms'")
    limit = show_limit(connection, SETTINGS, actor="bob")
    assert (limit.tps, limit.until, limit.tps_afterwards) == (800, None, None)
    assert restore_tps_if_due(connection)
    last = connection.execute("select data from outbox_event order by event_no desc limit 1").fetchone()
    assert last is not None
    assert (last[0]["tps_before"], last[0]["tps"]) == (200, 800)
