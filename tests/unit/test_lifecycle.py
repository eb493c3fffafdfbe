"""Which command may change which state, and what people are told when it may not."""

import itertools
import re

import pytest

from bulkpoint import files
from bulkpoint.rules.lifecycle import (
    TRANSITIONS,
    CampaignState,
    Command,
    FailureKind,
    PaymentState,
    RunKind,
    RunState,
    refusal,
)
from bulkpoint.views.sentences import sentence

# Commands to a campaign, not to the deployment.
OF_A_CAMPAIGN = [command for command, row in TRANSITIONS.items() if row.to is not None]


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        (None, {Command.CREATE}),
        (CampaignState.WAITING, {Command.START, Command.FORCE, Command.APPROVE, Command.REJECT, Command.WITHDRAW}),
        (CampaignState.WITHDRAWN, set()),
        (CampaignState.RUNNING, {Command.STOP, Command.RESUME, Command.COMPLETE, Command.FAIL}),
        (CampaignState.COMPLETED, {Command.RETRY}),
        (CampaignState.FAILED, {Command.RESUME}),
        (CampaignState.STOPPED, {Command.RESUME}),
    ],
)
def test_each_state_takes_its_own_commands(state: CampaignState | None, commands: set[Command]) -> None:
    assert {command for command, row in TRANSITIONS.items() if state in row.sources} == commands
    if state is not None:
        assert {command for command in OF_A_CAMPAIGN if refusal(command, state, 7) is None} == commands


def test_the_table_knows_every_command_and_gives_the_reason_of_every_edge() -> None:
    assert TRANSITIONS.keys() == set(Command)
    assert all(why for row in TRANSITIONS.values() for why in row.sources.values())


def test_what_opens_a_run_leads_to_running() -> None:
    assert all((row.opens is not None) == (row.to is CampaignState.RUNNING) for row in TRANSITIONS.values())


@pytest.mark.parametrize(("command", "state"), list(itertools.product(OF_A_CAMPAIGN, CampaignState)))
def test_a_refusal_says_what_to_do_instead_and_that_is_allowed(command: Command, state: CampaignState) -> None:
    refused = refusal(command, state, 7)
    if refused is None:
        return
    said = sentence(refused)
    assert f"Campaign 7 is {state}" in said
    assert "cannot be" in said or "cannot end" in said
    for word, campaign_id in re.findall(r"`bulkpoint campaign (\w+) (\S+?)`", said):
        assert campaign_id == "7"
        assert word == "watch" or state in TRANSITIONS[Command(word)].sources, said


@pytest.mark.parametrize(
    ("name", "enum"),
    [
        ("run_state", RunState),
        ("run_kind", RunKind),
        ("payment_state", PaymentState),
        ("failure_kind", FailureKind),
    ],
)
def test_the_enums_are_the_databases(name: str, enum: type[RunState]) -> None:
    sql = files.read_text("sql/schema.sql")
    values = re.search(rf"create type {name} as enum \((.*?)\)", sql)
    assert values is not None
    assert re.findall(r"'(\w+)'", values[1]) == [member.value for member in enum]
