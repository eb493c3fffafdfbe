"""What the demo shows as proof must be able to fail."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bulkpoint.demo import slack_box
from bulkpoint.demo_proof import compare, most_in_a_second, share_used
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.store.proof import Result

PAID = [Result(f"m{n}", 100, PaymentState.SUCCESS, f"t{n}", "") for n in range(3)]
FAILED = Result("m9", 100, PaymentState.FAILED, None, "REJECTED")
LEDGER = [{"member_id": f"m{n}", "amount": 100} for n in range(3)]


def test_equal_sides_are_equal() -> None:
    assert compare([*PAID, FAILED], LEDGER).equal


@pytest.mark.parametrize(
    ("results", "ledger", "wrong"),
    [
        (PAID, [*LEDGER, LEDGER[0]], "credited_twice"),
        ([replace(PAID[0], amount=101), *PAID[1:]], LEDGER, "other_amount"),
        (PAID, LEDGER[1:], "paid_not_credited"),
        (PAID[1:], LEDGER, "credited_not_paid"),
        ([*PAID, FAILED], [*LEDGER, {"member_id": "m9", "amount": 100}], "credited_not_paid"),
    ],
)
def test_each_kind_of_difference_is_seen(results: list[Result], ledger: list[dict[str, object]], wrong: str) -> None:
    compared = compare(results, ledger)
    assert not compared.equal
    assert getattr(compared, wrong) == 1


def test_the_most_in_a_second_is_of_any_second_not_of_the_clocks() -> None:
    assert most_in_a_second([0.0, 0.6, 0.7, 1.2, 1.5, 1.65]) == 4
    assert most_in_a_second([0.0, 1.0, 2.0]) == 1
    assert most_in_a_second([]) == 0


def test_the_share_of_the_limit_leaves_out_what_waits_for_retries() -> None:
    sends = [(number / 100, number) for number in range(1_001)] + [(30.0, 5)]
    assert share_used(sends, 100) == pytest.approx(1.0)
    assert share_used(sends, 200) == pytest.approx(0.5)


def test_the_slack_box_cuts_no_command() -> None:
    text = "Rejected 9: sent again as they are, they are refused again. Once the cause is gone:"
    text += " `bulkpoint campaign retry 1 --kind REJECTED`"
    written = io.StringIO()
    console = Console(width=100, soft_wrap=True, file=written)
    console.print(slack_box(text), soft_wrap=False)
    assert [word for word in text.split() if word not in written.getvalue()] == []
