"""Every command in every state of a campaign: it leads where the table says, told and noted, or changes nothing."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.runs import begin_run, end_run, stop_run
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, Command, RunKind, transition
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.run import halt_run

EVENTS = {
    Command.START: ("campaign.started", "start"),
    Command.STOP: ("campaign.stopped", "stop"),
    Command.RESUME: ("campaign.resumed", "resume"),
    Command.RETRY: ("campaign.retried", "retry"),
    Command.APPROVE: ("campaign.approved", "approve"),
    Command.WITHDRAW: ("campaign.withdrawn", "withdraw"),
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=2, actor="tester")
        connection.execute(
            "insert into campaign (name, expected_count, expected_amount, creator, creator_login)"
            " values ('c', 3, 3, 'alice', 'alice')"
        )
        connection.execute("insert into campaign_target select 1, 'm' || i, 1, 'r' from generate_series(1, 3) i")
        yield connection


def begin(connection: Connection, kind: RunKind) -> Any:
    return begin_run(connection, 1, kind=kind, actor="tester", reason=None, shares=2)


def bring_to(connection: Connection, state: CampaignState) -> None:
    """By the ways a campaign really gets there."""
    if state is CampaignState.WAITING:
        return
    if state is CampaignState.WITHDRAWN:
        withdraw_campaign(connection, 1, actor="tester", reason="r")
        return
    run = begin(connection, RunKind.INITIAL)
    match state:
        case CampaignState.STOPPED:
            stop_run(connection, 1, actor="tester")
        case CampaignState.FAILED:
            halt_run(connection, run.token, "UNAUTHORIZED", "money said no")
            end_run(connection, run, "FAILED")
        case CampaignState.COMPLETED:
            connection.execute(
                "update payment set state = 'FAILED', failure_kind = 'UNAVAILABLE', first_sent_at = now()"
            )
            connection.execute("update campaign_counter set pending = 0, failed = 3, failed_unavailable = 3")
            end_run(connection, run, "COMPLETED")


def give(connection: Connection, command: Command) -> None:
    match command:
        case Command.START:
            begin(connection, RunKind.INITIAL)
        case Command.RESUME:
            begin(connection, RunKind.RESUME)
        case Command.RETRY:
            begin(connection, RunKind.RETRY)
        case Command.STOP:
            stop_run(connection, 1, actor="tester")
        case Command.APPROVE:
            approve_campaign(connection, 1, actor="tester")
        case Command.WITHDRAW:
            withdraw_campaign(connection, 1, actor="tester", reason="r")


def everything(connection: Connection) -> list[Any]:
    """What a command may change."""
    return [
        connection.execute(statement).fetchall()
        for statement in (
            b"select type from outbox_event where campaign_id = 1 order by event_no",
            b"select action from audit_event order by audit_no",
            b"select run, kind, state from campaign_run order by run",
            b"select seq, state, retry_runs from payment order by seq",
            b"select * from campaign_count",
            b"select * from campaign",
        )
    ]


@pytest.mark.parametrize(("state", "command"), list(itertools.product(CampaignState, Command)))
def test_a_command_leads_where_the_table_says_or_changes_nothing(
    connection: Connection, state: CampaignState, command: Command
) -> None:
    bring_to(connection, state)
    assert get_campaign(connection, 1).state == state
    before = everything(connection)
    edge = transition(command, state)
    if edge is None or (state, command) == (CampaignState.RUNNING, Command.RESUME):
        with pytest.raises(RefusedError, match="its driver is alive" if edge else "Campaign 1 is"):
            give(connection, command)
        assert everything(connection) == before
        return
    give(connection, command)
    campaign = get_campaign(connection, 1)
    assert campaign.state == edge.to
    assert campaign.run_kind == edge.opens if edge.opens else campaign.run is None or command is Command.STOP
    events, audit = everything(connection)[:2]
    told, noted = EVENTS[command]
    assert (events[len(before[0]) :], audit[len(before[1]) :]) == ([(told,)], [(noted,)])


def test_a_run_without_a_driver_is_resumed(connection: Connection) -> None:
    begin(connection, RunKind.INITIAL)
    connection.execute("update campaign_run set driver_until = clock_timestamp() - interval '1 s'")
    give(connection, Command.RESUME)
    assert [state for _, _, state in everything(connection)[2]] == ["FAILED", "RUNNING"]
    assert everything(connection)[0][1:] == [("campaign.failed",), ("campaign.resumed",)]
    assert everything(connection)[1][1:] == [("fail",), ("resume",)]
