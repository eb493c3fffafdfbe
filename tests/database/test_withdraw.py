"""Withdrawing: out of the queue for good, with its audit row and its event, and never from under a run."""

import threading
from collections.abc import Iterator

import pytest

from bulkpoint.campaigns.runs import begin_run, stop_run
from bulkpoint.campaigns.start import find_next
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.errors import BulkpointError, RefusedError
from bulkpoint.settings import load_settings
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=2, actor="tester")
        yield connection


def campaign_of(connection: Connection) -> int:
    row = connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values ('c', 2, 2, 'tester')"
        " returning campaign_id"
    ).fetchone()
    assert row is not None
    connection.execute("insert into campaign_target select %s, 'm' || i, 1, 'r' from generate_series(1, 2) i", row)
    return int(row[0])


def begin(connection: Connection, campaign_id: int) -> None:
    begin_run(connection, campaign_id, kind="INITIAL", actor="tester", reason=None, shares=2)


def withdraw(connection: Connection, campaign_id: int) -> None:
    withdraw_campaign(connection, campaign_id, actor="tester", reason="wrong list")


def test_a_withdrawn_campaign_is_never_next_and_never_starts(connection: Connection) -> None:
    campaign_id = campaign_of(connection)
    withdraw(connection, campaign_id)
    assert get_campaign(connection, campaign_id).state == "WITHDRAWN"
    assert find_next(connection, load_settings({})) == (None, [])
    with pytest.raises(RefusedError, match="withdrawn, and that is final"):
        begin(connection, campaign_id)
    with pytest.raises(RefusedError, match="withdrawn, and that is final"):
        withdraw(connection, campaign_id)
    told = connection.execute("select type, data from outbox_event").fetchall()
    assert told == [("campaign.withdrawn", {"reason": "wrong list"})]
    noted = connection.execute("select action, actor, detail from audit_event").fetchall()
    assert noted == [("withdraw", "tester", {"reason": "wrong list"})]


def test_what_has_run_is_not_withdrawn(connection: Connection) -> None:
    campaign_id = campaign_of(connection)
    begin(connection, campaign_id)
    with pytest.raises(RefusedError, match="RUNNING and cannot be withdrawn: follow it"):
        withdraw(connection, campaign_id)
    stop_run(connection, campaign_id, actor="tester")
    with pytest.raises(RefusedError, match="campaign resume"):
        withdraw(connection, campaign_id)


def test_of_a_start_and_a_withdrawal_at_once_exactly_one_wins(database_url: str, connection: Connection) -> None:
    for _ in range(10):
        campaign_id = campaign_of(connection)
        won: list[str] = []

        def act(name: str, campaign_id: int = campaign_id, won: list[str] = won) -> None:
            with connect(database_url) as own:
                try:
                    {"start": begin, "withdraw": withdraw}[name](own, campaign_id)
                    won.append(name)
                except BulkpointError:
                    pass

        both = [threading.Thread(target=act, args=(name,)) for name in ("start", "withdraw")]
        for one in both:
            one.start()
        for one in both:
            one.join()
        state = get_campaign(connection, campaign_id).state
        assert [state] == [{"start": "RUNNING", "withdraw": "WITHDRAWN"}[name] for name in won]
        if won == ["start"]:
            stop_run(connection, campaign_id, actor="tester")
