"""What guards money is checked also under `python -O`, and a defect ends a command with a sentence and a code."""

import json
import subprocess
import sys

import pytest

from bulkpoint.pay.recorder import REASONS
from bulkpoint.rules.gate import Gate
from bulkpoint.rules.invariants import DefectError, invariant
from bulkpoint.rules.shares import permits
from bulkpoint.store.payment import Change, record_results
from bulkpoint.store.share import RunToken, ShareToken

A_COMMAND_WITH_A_DEFECT = """
import sys
from bulkpoint.cli.main import bulkpoint, main
from bulkpoint.cli.output import json_option
from bulkpoint.rules.gate import Gate

assert False, "asserts are off here"

@bulkpoint.command()
@json_option()
def send():
    gate = Gate(guard_s=0.01, rate=1)
    gate.record_send(5.0)
    gate.record_send(5.5)
    print("sent twice in a second")

main()
"""


def optimized(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program as `python -O` runs it."""
    return subprocess.run(
        [sys.executable, "-O", "-c", program, *arguments], check=False, capture_output=True, text=True, timeout=60
    )


def test_an_invariant_says_what_is_wrong_and_one_that_holds_says_nothing() -> None:
    invariant(True, "never seen")
    with pytest.raises(DefectError, match="the sums differ"):
        invariant(False, "the sums differ")


def test_no_call_leaves_early_also_where_asserts_are_off() -> None:
    ended = optimized(A_COMMAND_WITH_A_DEFECT, "send")
    assert ended.stdout == ""
    assert "DefectError: a call left before the gate allowed it" in ended.stderr, "the log has where it was"


def test_a_defect_ends_a_command_with_its_code_and_its_sentence_last() -> None:
    ended = optimized(A_COMMAND_WITH_A_DEFECT, "send")
    assert ended.returncode == 5
    assert ended.stderr.splitlines()[-1] == (
        "bulkpoint: This is a defect of bulkpoint: a call left before the gate allowed it."
        " Nothing more is paid. Keep the log above, and report it."
    )


def test_a_program_reads_a_defect_as_it_reads_a_refusal() -> None:
    ended = optimized(A_COMMAND_WITH_A_DEFECT, "send", "--json")
    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["code"]) == (5, "DEFECT")
    assert error["facts"] == {"what": "a call left before the gate allowed it"}


def test_what_nobody_foresaw_is_a_defect_too() -> None:
    program = A_COMMAND_WITH_A_DEFECT.replace("gate.record_send(5.5)", "{}['member']")
    ended = optimized(program, "send")
    assert ended.returncode == 5
    assert "This is a defect of bulkpoint: KeyError: 'member'." in ended.stderr.splitlines()[-1]


def test_the_limit_is_never_divided_into_shares_that_are_not_there() -> None:
    for share in (-1, 4):
        with pytest.raises(DefectError):
            permits(1000, 4, share)


def test_a_batch_never_holds_two_words_on_one_payment() -> None:
    token = ShareToken(0, 1, None)  # type: ignore[arg-type]
    changes = [Change(7, "SUCCESS", token, 1, False, transaction_id="t"), Change(7, "PENDING", token, 1, False)]
    with pytest.raises(DefectError, match="two changes of one payment"):
        record_results(None, RunToken(1, 1, 1), 0, [], changes, reasons=REASONS)  # type: ignore[arg-type]


def test_the_gate_takes_no_answer_of_a_call_that_never_left() -> None:
    gate = Gate(guard_s=0.01, counts_from="answer", rate=1)
    with pytest.raises(DefectError, match="never left"):
        gate.answered(5.0)
