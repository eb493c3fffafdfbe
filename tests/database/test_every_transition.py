"""Every command in every state: it leads where the table says, with its event and its audit row, or changes nothing."""

import contextlib
import itertools
from typing import Any

import pytest

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.runs import end_run
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.campaigns.transition import WrongStateError, recorded, transition
from bulkpoint.rules.lifecycle import TRANSITIONS, CampaignState, Command, RunState
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

# What people ask of one campaign; its driver's two, and those without a campaign, come after them.
ASKED = [
    Command.APPROVE,
    Command.REJECT,
    Command.WITHDRAW,
    Command.START,
    Command.FORCE,
    Command.RESUME,
    Command.RETRY,
    Command.STOP,
]


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign()


def bring_to(campaign: Campaign, state: CampaignState) -> None:
    """By the ways a campaign really gets there."""
    match state:
        case CampaignState.WITHDRAWN:
            campaign.withdrawn()
        case CampaignState.RUNNING:
            campaign.begun()
        case CampaignState.STOPPED:
            campaign.begun().stopped()
        case CampaignState.FAILED:
            campaign.begun().halted().ended("FAILED")
        case CampaignState.COMPLETED:
            campaign.begun().failed(3, "UNAVAILABLE").ended("COMPLETED")


def give(campaign: Campaign, command: Command) -> None:
    match command:
        case Command.START:
            campaign.begun(reason="r")
        case Command.FORCE:
            campaign.begun(reason="r", force=True)
        case Command.RESUME:
            campaign.begun("RESUME", reason="r")
        case Command.RETRY:
            campaign.begun("RETRY", reason="r")
        case Command.STOP:
            campaign.stopped()
        case Command.APPROVE:
            campaign.approved()
        case Command.REJECT:
            campaign.rejected()
        case Command.WITHDRAW:
            campaign.withdrawn()


def everything(connection: Connection) -> list[Any]:
    """What a command may change."""
    return [
        connection.execute(statement).fetchall()
        for statement in (
            b"select type from outbox_event where campaign_id = 1 order by event_no",
            b"select action from audit_event order by audit_no",
            b"select run_no, kind, state from campaign_run order by run_no",
            b"select seq, state, retry_runs from payment order by seq",
            b"select * from campaign_count",
            b"select * from campaign",
        )
    ]


def written(connection: Connection) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Every event but those of progress, with the audit row that was written with it."""
    events = connection.execute(
        "select type, nullif(campaign_id, 0), run_no, actor, data from outbox_event where type <> 'campaign.progressed'"
        " order by occurred_at, event_no"
    ).fetchall()
    audit = connection.execute(
        "select action, campaign_id, run_no, actor, detail from audit_event order by audit_no"
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
    connection: Connection, campaign: Campaign, state: CampaignState, command: Command
) -> None:
    bring_to(campaign, state)
    assert get_campaign(connection, 1).state == state
    before = everything(connection)
    row = TRANSITIONS[command]
    its_driver_lives = (state, command) == (CampaignState.RUNNING, Command.RESUME)
    if state not in row.sources or its_driver_lives:
        with refused("its driver is alive" if its_driver_lives else "Campaign 1 is"):
            give(campaign, command)
        assert everything(connection) == before
        return
    give(campaign, command)
    found = get_campaign(connection, 1)
    if command is Command.FORCE:
        row = TRANSITIONS[Command.START]
    assert found.state == row.to
    assert found.run_kind == row.opens if row.opens else found.run_no is None or command is Command.STOP
    also = [Command.FORCE, Command.START] if command is Command.FORCE else [command]
    assert_written(connection, *also, before=len(before[1]))


@pytest.mark.parametrize("command", [Command.COMPLETE, Command.FAIL])
def test_an_end_by_the_driver_leads_where_the_table_says(
    connection: Connection, campaign: Campaign, command: Command
) -> None:
    run = campaign.begun().failed(3, "UNAVAILABLE").run
    end = TRANSITIONS[command].to
    assert end is not None
    assert end_run(connection, run, RunState(end)) is not None
    assert get_campaign(connection, 1).state == end
    assert_written(connection, Command.START, command)
    assert end_run(connection, run, RunState(end)) is None
    assert_written(connection, Command.START, command)


def test_a_creation_and_a_change_of_the_limit_are_written_as_the_table_says(
    connection: Connection, campaign: Campaign
) -> None:
    new = NewCampaign("d", expected_count=1, expected_amount=1)
    assert create_campaign(connection, new, actor="tester", limits=NO_LIMITS) == 2
    assert_written(connection, Command.CREATE)
    set_tps(connection, tps=7, actor="tester", reason="r", until=None)
    assert_written(connection, Command.CREATE, Command.SET_TPS)


@pytest.mark.parametrize("command", [command for command, row in TRANSITIONS.items() if row.to is not None])
def test_a_block_that_is_left_by_an_exception_has_written_nothing(
    connection: Connection, campaign: Campaign, command: Command
) -> None:
    state = next(iter(TRANSITIONS[command].sources))
    bring_to(campaign, state or CampaignState.WAITING)
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
def test_the_block_of_a_command_is_not_entered_in_another_state(
    connection: Connection, campaign: Campaign, state: CampaignState
) -> None:
    bring_to(campaign, state)
    before = everything(connection)
    for command, row in TRANSITIONS.items():
        if row.to is not None and state not in row.sources:
            with refused("Campaign 1 is", WrongStateError), transition(connection, 1, command, actor="tester"):
                pytest.fail(f"the block of {command} was entered")
    assert everything(connection) == before


def test_a_run_without_a_driver_is_resumed(connection: Connection, campaign: Campaign) -> None:
    campaign.begun().without_driver().begun("RESUME")
    assert [state for _, _, state in everything(connection)[2]] == ["FAILED", "RUNNING"]
    assert everything(connection)[0][1:] == [("campaign.failed",), ("campaign.resumed",)]
    assert everything(connection)[1][1:] == [("fail",), ("resume",)]
