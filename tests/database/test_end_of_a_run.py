"""How a command ends that followed a run: its result, and with --json the error in the same object."""

import json
from typing import Any

import click
import pytest

from bulkpoint.cli.following import exit_as_the_run
from bulkpoint.cli.output import Output
from bulkpoint.cli.session import Session
from bulkpoint.errors import BulkpointError, ExitCode
from bulkpoint.settings import load_settings
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import World


@pytest.fixture
def session(world: World, database_url: str) -> Session:
    return Session(load_settings({}), database_url, world.connection, "kim")


def leaving(session: Session, output: Output, *, quiet: bool = False) -> BaseException | None:
    """What exit_as_the_run ends with for campaign 1 and its first run."""
    with click.Context(click.Command("start"), obj=output).scope():
        try:
            exit_as_the_run(session, 1, 1, quiet=quiet)
        except (BulkpointError, SystemExit) as end:
            return end
    return None


def test_a_completed_run_is_a_result_without_an_error(
    world: World, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    world.campaign(targets=2).begun().paid(2).ended("COMPLETED")
    assert leaving(session, Output(as_json=True)) is None
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (printed["state"], printed["success"], "error" in printed) == ("COMPLETED", 2, False)


@pytest.mark.parametrize(
    ("state", "code", "exit_code"),
    [("STOPPED", "RUN_STOPPED", ExitCode.STOPPED), ("FAILED", "RUN_FAILED", ExitCode.RUN_FAILED)],
)
def test_a_run_that_did_not_complete_is_one_object_with_its_figures_and_the_error(
    state: str, code: str, exit_code: ExitCode, world: World, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = world.campaign(targets=3).begun().paid(1)
    campaign.stopped(reason="wrong list") if state == "STOPPED" else campaign.ended("FAILED", "wrong list")
    output = Output(as_json=True)
    end = leaving(session, output)
    assert isinstance(end, BulkpointError)
    assert (end.exit_code, end.refusal.code) == (exit_code, code)
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (printed["state"], printed["success"], printed["error"]["code"]) == (state, 1, code)
    counts = {"open": 2, "not_processed": 2, "processing": 0}
    assert printed["error"]["facts"] == {"campaign_id": 1, "run": 1, "why": "wrong list", **counts}
    assert output.printed, "so the error is not printed a second time"
    assert "(wrong list); payments not processed: 2. Go on with `bulkpoint campaign resume 1`." in sentence(end)


def test_as_text_the_result_says_it_all(world: World, session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    world.campaign(targets=3).begun().stopped()
    end = leaving(session, Output())
    assert isinstance(end, SystemExit)
    assert end.code == ExitCode.STOPPED
    assert capsys.readouterr().out.startswith("campaign 1 STOPPED 중단")


def test_a_run_that_was_watched_ends_with_its_error_alone(
    world: World, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    world.campaign(targets=3).begun().stopped()
    output = Output(as_json=True)
    end = leaving(session, output, quiet=True)
    assert isinstance(end, BulkpointError)
    assert sentence(end).startswith("Run 1 of campaign 1 was stopped (no reason given)")
    assert (capsys.readouterr().out, output.printed) == ("", False), "main prints the error, as the last line"
