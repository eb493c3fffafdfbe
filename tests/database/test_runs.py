"""Runs: one at a time, each change of state with its audit row and its event, the driver's lease as a fence."""

import threading
from collections.abc import Iterator

import pytest

from bulkpoint.errors import BulkpointError, RefusedError
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.run import begin_run, end_run, renew_driver, stop_run
from bulkpoint.store.share import run_is_live


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=2, actor="tester")
        yield connection


def campaign_of(connection: Connection, count: int, *, expected: int | None = None) -> int:
    row = connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values ('c', %s, %s, 'tester')"
        " returning campaign_id",
        (expected or count, expected or count),
    ).fetchone()
    assert row is not None
    connection.execute(
        "insert into campaign_target select %s, 'm' || i, 1, 'r' from generate_series(1, %s) i", (row[0], count)
    )
    return int(row[0])


def begin(connection: Connection, campaign_id: int):  # type: ignore[no-untyped-def]
    return begin_run(connection, campaign_id, kind="INITIAL", actor="tester", reason=None, shares=2)


def written(connection: Connection) -> tuple[list[str], list[str]]:
    events = connection.execute("select type from outbox_event order by event_no").fetchall()
    audit = connection.execute("select action from audit_event order by audit_no").fetchall()
    return [row[0] for row in events], [row[0] for row in audit]


def test_a_start_freezes_numbers_and_digests_the_targets(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 12)
    begin(connection, campaign_id)
    rows = connection.execute("select seq, member_id from payment order by seq").fetchall()
    assert [seq for seq, _ in rows] == list(range(1, 13))
    assert [member for _, member in rows] == sorted(member for _, member in rows)
    frozen = connection.execute("select target_count, target_amount, length(digest) from campaign").fetchone()
    assert frozen == (12, 12, 32)
    assert written(connection) == (["campaign.started"], ["start"])


def test_a_frozen_campaign_takes_no_more_targets(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 2)
    begin(connection, campaign_id)
    with pytest.raises(Exception, match="was frozen"):
        connection.execute("insert into campaign_target values (%s, 'late', 1, 'r')", (campaign_id,))


def test_a_start_waits_for_an_open_loader_and_sees_its_rows(connection: Connection, database_url: str) -> None:
    campaign_id = campaign_of(connection, 2, expected=3)
    with connect(database_url) as loader:
        loader.execute("begin")
        loader.execute("insert into campaign_target values (%s, 'third', 1, 'r')", (campaign_id,))
        started = threading.Thread(target=begin, args=(connection, campaign_id))
        started.start()
        started.join(0.5)
        assert started.is_alive(), "the start must wait for the loader"
        loader.execute("commit")
        started.join(10)
    assert connection.execute("select count(*) from payment").fetchone() == (3,)


def test_totals_that_do_not_match_refuse_the_start_and_leave_nothing(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 2, expected=3)
    with pytest.raises(RefusedError, match="expects 3 targets"):
        begin(connection, campaign_id)
    assert connection.execute("select count(*) from campaign_run").fetchone() == (0,)
    assert written(connection) == ([], [])


def test_a_second_campaign_is_refused_while_one_runs(connection: Connection) -> None:
    begin(connection, campaign_of(connection, 1))
    with pytest.raises(RefusedError, match="one campaign runs at a time"):
        begin(connection, campaign_of(connection, 1))


def test_of_many_racing_starts_one_wins(connection: Connection, database_url: str) -> None:
    campaigns = [campaign_of(connection, 3) for _ in range(4)]
    won: list[int] = []
    refused: list[str] = []

    def race(campaign_id: int) -> None:
        with connect(database_url) as mine:
            try:
                begin(mine, campaign_id)
                won.append(campaign_id)
            except BulkpointError as error:
                refused.append(str(error))

    racers = [threading.Thread(target=race, args=(campaign_id,)) for campaign_id in campaigns * 2]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert len(won) == 1
    assert len(refused) == len(racers) - 1


def test_an_unknown_campaign_is_refused(connection: Connection) -> None:
    with pytest.raises(RefusedError, match="no campaign 77"):
        begin(connection, 77)


def test_a_stop_writes_state_event_and_audit_together(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 2)
    run = begin(connection, campaign_id)
    summary = stop_run(connection, campaign_id, actor="operator", reason="money asked")
    assert (summary.state, summary.reason, summary.open) == ("STOPPED", "money asked", 2)
    assert written(connection) == (["campaign.started", "campaign.stopped"], ["start", "stop"])
    assert not run_is_live(connection, run.token)
    with pytest.raises(RefusedError, match="resume"):
        stop_run(connection, campaign_id, actor="operator")


def test_a_stopped_run_cannot_be_completed_by_its_driver(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 1)
    run = begin(connection, campaign_id)
    stop_run(connection, campaign_id, actor="operator")
    assert end_run(connection, run, "FAILED") is None
    assert written(connection)[0] == ["campaign.started", "campaign.stopped"]


def test_a_driver_that_comes_too_late_writes_nothing(connection: Connection) -> None:
    run = begin(connection, campaign_of(connection, 1))
    connection.execute("update campaign_run set driver_until = clock_timestamp() - interval '1 s'")
    assert renew_driver(connection, run) is None
    assert not run_is_live(connection, run.token)
    assert end_run(connection, run, "FAILED") is None


def test_a_campaign_that_has_run_is_not_started_again(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 1)
    begin(connection, campaign_id)
    stop_run(connection, campaign_id, actor="operator")
    with pytest.raises(RefusedError, match="resume"):
        begin(connection, campaign_id)
