"""Every command in every state: it leads where the table says, with its event and its audit row, or changes nothing."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.create import Caps, NewCampaign, create_campaign
from bulkpoint.campaigns.runs import NO_TERMS, StartTerms, begin_run, end_run, stop_run
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.campaigns.transition import WrongStateError, recorded, transition
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.rules.lifecycle import TRANSITIONS, CampaignState, Command, RunKind, RunState
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.run import Run, halt_run
from tests.world.refusals import refused

# What people ask of one campaign; its driver's two, and those without a campaign, come after them.
ASKED = [
    Command.APPROVE,
    Command.WITHDRAW,
    Command.START,
    Command.FORCE,
    Command.RESUME,
    Command.RETRY,
    Command.STOP,
]


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


def begin(connection: Connection, kind: RunKind, terms: StartTerms = NO_TERMS) -> Run:
    return begin_run(connection, 1, kind=kind, actor="tester", reason="r", shares=2, terms=terms)


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
            end_run(connection, run, RunState.FAILED)
        case CampaignState.COMPLETED:
            settle(connection)
            end_run(connection, run, RunState.COMPLETED)


def settle(connection: Connection) -> None:
    """Every payment ends FAILED."""
    connection.execute("update payment set state = 'FAILED', failure_kind = 'UNAVAILABLE', first_sent_at = now()")
    connection.execute("update campaign_counter set pending = 0, failed = 3, failed_unavailable = 3")


def give(connection: Connection, command: Command) -> None:
    match command:
        case Command.START:
            begin(connection, RunKind.INITIAL)
        case Command.FORCE:
            begin(connection, RunKind.INITIAL, StartTerms(forced=True))
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


def written(connection: Connection) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Every event but those of progress, with the audit row that was written with it."""
    events = connection.execute(
        "select type, nullif(campaign_id, 0), run, actor, data from outbox_event where type <> 'campaign.progressed'"
        " order by occurred_at, event_no"
    ).fetchall()
    audit = connection.execute(
        "select action, campaign_id, run, actor, detail from audit_event order by audit_no"
    ).fetchall()
    return list(zip(events, audit, strict=True))


def assert_written(connection: Connection, *commands: Command, before: int = 0) -> None:
    """Each of these has one event and one audit row, of one campaign, run and actor, which say the same."""
    rows = written(connection)[before:]
    expected = [(TRANSITIONS[command].event, TRANSITIONS[command].action) for command in commands]
    assert [(event[0], noted[0]) for event, noted in rows] == expected
    for event, noted in rows:
        assert event[1:4] == noted[1:4]
        detail = {key: value for key, value in noted[4].items() if key != "targets"}  # the file of a creation
        assert detail == {key: event[4][key] for key in detail}, "the audit row says what the event says"


@pytest.mark.parametrize(("state", "command"), list(itertools.product(CampaignState, ASKED)))
def test_a_command_leads_where_the_table_says_or_changes_nothing(
    connection: Connection, state: CampaignState, command: Command
) -> None:
    bring_to(connection, state)
    assert get_campaign(connection, 1).state == state
    before = everything(connection)
    row = TRANSITIONS[command]
    its_driver_lives = (state, command) == (CampaignState.RUNNING, Command.RESUME)
    if state not in row.sources or its_driver_lives:
        with refused("its driver is alive" if its_driver_lives else "Campaign 1 is"):
            give(connection, command)
        assert everything(connection) == before
        return
    give(connection, command)
    campaign = get_campaign(connection, 1)
    if command is Command.FORCE:
        row = TRANSITIONS[Command.START]
    assert campaign.state == row.to
    assert campaign.run_kind == row.opens if row.opens else campaign.run is None or command is Command.STOP
    also = [Command.FORCE, Command.START] if command is Command.FORCE else [command]
    assert_written(connection, *also, before=len(before[1]))


@pytest.mark.parametrize("command", [Command.COMPLETE, Command.FAIL])
def test_an_end_by_the_driver_leads_where_the_table_says(connection: Connection, command: Command) -> None:
    run = begin(connection, RunKind.INITIAL)
    settle(connection)
    end = TRANSITIONS[command].to
    assert end is not None
    assert end_run(connection, run, RunState(end)) is not None
    assert get_campaign(connection, 1).state == end
    assert_written(connection, Command.START, command)
    assert end_run(connection, run, RunState(end)) is None
    assert_written(connection, Command.START, command)


def test_a_creation_and_a_change_of_the_limit_are_written_as_the_table_says(connection: Connection) -> None:
    new = NewCampaign("d", expected_count=1, expected_amount=1)
    assert create_campaign(connection, new, actor="tester", caps=Caps()) == 2
    assert_written(connection, Command.CREATE)
    set_tps(connection, tps=7, actor="tester", reason="r", until=None)
    assert_written(connection, Command.CREATE, Command.SET_TPS)


@pytest.mark.parametrize("command", [command for command, row in TRANSITIONS.items() if row.to is not None])
def test_a_block_that_is_left_by_an_exception_has_written_nothing(connection: Connection, command: Command) -> None:
    state = next(iter(TRANSITIONS[command].sources))
    bring_to(connection, state or CampaignState.WAITING)
    before = everything(connection)
    with pytest.raises(ZeroDivisionError), contextlib.ExitStack() as block:  # noqa: PT012 (half made by then)
        if state is None:
            change = block.enter_context(recorded(connection, command, actor="tester"))
        else:
            _, change = block.enter_context(transition(connection, 1, command, actor="tester"))
        change.campaign_id = 1
        change.detail["half"] = "made"
        connection.execute("update campaign set note = 'half made'")
        raise ZeroDivisionError
    assert everything(connection) == before


@pytest.mark.parametrize("state", list(CampaignState))
def test_the_block_of_a_command_is_not_entered_in_another_state(connection: Connection, state: CampaignState) -> None:
    bring_to(connection, state)
    before = everything(connection)
    for command, row in TRANSITIONS.items():
        if row.to is not None and state not in row.sources:
            with refused("Campaign 1 is", WrongStateError), transition(connection, 1, command, actor="tester"):
                pytest.fail(f"the block of {command} was entered")
    assert everything(connection) == before


def test_a_run_without_a_driver_is_resumed(connection: Connection) -> None:
    begin(connection, RunKind.INITIAL)
    connection.execute("update campaign_run set driver_until = clock_timestamp() - interval '1 s'")
    give(connection, Command.RESUME)
    assert [state for _, _, state in everything(connection)[2]] == ["FAILED", "RUNNING"]
    assert everything(connection)[0][1:] == [("campaign.failed",), ("campaign.resumed",)]
    assert everything(connection)[1][1:] == [("fail",), ("resume",)]
