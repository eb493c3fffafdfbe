"""How a program ends that did not do what it was asked, and how a job hands that to the command that started it."""

from datetime import UTC, datetime

import click
import pytest

from bulkpoint.errors import BulkpointError, ExitCode, RefusedError, UsageError
from bulkpoint.launch.ends import end_of_job, error_of, handed_over
from bulkpoint.rules.invariants import DefectError
from bulkpoint.rules.refusals import Refusal, from_json, to_json
from bulkpoint.views.sentences import sentence

NESTED = Refusal(
    "CAMPAIGN_UNKNOWN",
    {
        "campaign_id": 3,
        "name": "봄 이벤트\n둘째 줄",
        "at": datetime(2026, 1, 31, 9, 0, 0, 123456, tzinfo=UTC),
        "digest": bytes(range(32)),
        "others": (1, "two", None, True, 0.5),
        "why": Refusal("ENDED_MEANWHILE", {"campaign_id": 3}, ("show",)),
        "problems": (Refusal("DEFECT", {"what": "x"}),),
    },
    ("list_campaigns", "show"),
)


def test_a_refusal_is_the_same_after_a_way_as_json_on_one_line() -> None:
    text = to_json(NESTED)
    assert "\n" not in text
    assert from_json(text) == NESTED


def test_a_job_hands_its_refusal_over_to_the_command_that_started_it(capsys: pytest.CaptureFixture[str]) -> None:
    error = RefusedError(NESTED)
    assert end_of_job(error, followed=True) == ExitCode.REFUSED
    lines = ["Spark says something", *capsys.readouterr().err.splitlines()]
    assert handed_over(lines) == NESTED
    assert lines[-1] == f"bulkpoint: {sentence(error)}"


def test_a_job_of_a_scheduler_only_says_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    end_of_job(RefusedError(NESTED), followed=False)
    assert capsys.readouterr().err == f"bulkpoint: {sentence(NESTED)}\n"


def test_the_last_refusal_of_a_log_counts_and_a_log_without_one_has_none() -> None:
    lines = [f"bulkpoint-refusal: {to_json(Refusal(code))}" for code in ("FIRST", "LAST")]
    assert handed_over([*lines, "bulkpoint: a sentence"]) == Refusal("LAST")
    assert handed_over(["bulkpoint: wave 1 of 2"]) is None


@click.command()
@click.option("--count", type=int)
@click.option("--kind", type=click.Choice(["csv", "html"]), required=True)
def program(count: int, kind: str) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cuont", "1"], "No such option '--cuont'. Did you mean '--count'? `bulkpoint"),
        (["--count", "many"], "Invalid value for '--count': 'many' is not a valid integer."),
        ([], "Missing option '--kind'. Choose from: csv, html."),
    ],
)
def test_what_click_refuses_is_a_usage_error_on_one_line_with_a_way_to_help(arguments: list[str], said: str) -> None:
    with pytest.raises(click.ClickException) as raised:
        program.main(arguments, prog_name="bulkpoint program", standalone_mode=False)
    error = error_of(raised.value)
    assert isinstance(error, UsageError)
    assert error.refusal.code == "USAGE"
    assert sentence(error).startswith(said)
    assert all(argument in sentence(error) for argument in arguments[:1])
    assert sentence(error).endswith(" `bulkpoint program --help` shows how.")
    assert "\n" not in sentence(error)


def test_our_own_error_stays_as_it_is() -> None:
    error = RefusedError(NESTED)
    assert error_of(error) is error


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (DefectError("the counts do not add up"), "a defect of bulkpoint: the counts do not add up."),
        (ValueError("no\nsecond line"), "a defect of bulkpoint: ValueError: no."),
    ],
)
def test_anything_else_is_a_defect_whose_traceback_is_in_the_log(
    raised: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error: BulkpointError = error_of(raised)
    assert error.exit_code == ExitCode.RUN_FAILED
    assert said in sentence(error)
    assert type(raised).__name__ in capsys.readouterr().err
