"""A 401 or 403 of one payment is told from that of everybody: decided from what other calls have shown."""

import pytest

from bulkpoint.rules.answers import Answer, Halt, Outcome, classify, classify_look_up
from bulkpoint.rules.authorization import (
    REFUSED_FOR_S,
    REFUSED_IN_A_ROW,
    Authorization,
    Refusal,
    refused_alone,
    refused_before,
)
from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.rules.retry import decide, decide_look_up
from tests.world.answers import ASKED, refused


def refuse(
    authorization: Authorization, at: float, *, times: int = 1, refusals: int = 0, look_up: bool = False
) -> Refusal:
    for _ in range(times):
        meaning = authorization.refused(since=at, answered_at=at + 0.05, refusals=refusals, look_up=look_up)
    return meaning


def test_a_refusal_while_a_later_call_was_let_in_is_the_payments_own() -> None:
    authorization = Authorization()
    authorization.let_in(10.1)
    assert refuse(authorization, 10.0) is Refusal.OWN


def test_a_call_that_was_let_in_before_proves_nothing() -> None:
    authorization = Authorization()
    authorization.let_in(10.1)
    authorization.let_in(9.0)
    assert refuse(authorization, 10.2) is Refusal.AGAIN


def test_a_payment_comes_again_twice_and_is_then_looked_up() -> None:
    authorization = Authorization()
    meanings = [refuse(authorization, 10.0 + n, refusals=n) for n in range(3)]
    assert meanings == [Refusal.AGAIN, Refusal.AGAIN, Refusal.LOOK_UP]
    assert refuse(authorization, 14.0, refusals=3, look_up=True) is Refusal.OF_US


def test_a_payment_that_comes_again_is_compared_by_its_first_call() -> None:
    authorization = Authorization()
    assert refuse(authorization, 10.0) is Refusal.AGAIN
    authorization.let_in(10.02)
    assert authorization.refused(since=10.0, answered_at=10.5, refusals=1, look_up=False) is Refusal.OWN


def test_a_look_up_that_is_refused_comes_again_twice_too() -> None:
    authorization = Authorization()
    meanings = [refuse(authorization, 10.0 + n, refusals=n, look_up=True) for n in range(3)]
    assert meanings == [Refusal.AGAIN, Refusal.AGAIN, Refusal.OF_US]


def test_many_refusals_in_a_row_need_no_look_up() -> None:
    authorization = Authorization()
    assert refuse(authorization, 10.0, times=REFUSED_IN_A_ROW) is Refusal.AGAIN, "all of one moment: it may pass"
    assert refuse(authorization, 10.0 + REFUSED_FOR_S) is Refusal.OF_US


def test_one_call_that_is_let_in_ends_the_row() -> None:
    authorization = Authorization()
    refuse(authorization, 10.0, times=REFUSED_IN_A_ROW)
    authorization.let_in(9.9)
    assert refuse(authorization, 11.0) is Refusal.AGAIN


def test_pages_alone_halt_only_when_nothing_else_comes() -> None:
    authorization = Authorization()
    pages = [authorization.refused_by_page(10.0 + n / 10) for n in range(REFUSED_IN_A_ROW)]
    assert pages == [False] * (REFUSED_IN_A_ROW - 1) + [True]


@pytest.mark.parametrize("status", [401, 403])
def test_a_payment_that_is_refused_alone_is_rejected_by_the_code(status: int) -> None:
    verdict = refused_alone(classify(refused(status, "ACCOUNT_CLOSED")), look_up=False, maybe_credited=False)
    decision = decide(verdict, tries=0, maybe_credited=False, next_try=lambda _: None)
    assert (decision.state, decision.failure_kind) == (PaymentState.FAILED, FailureKind.REJECTED)
    assert (decision.failure_code, decision.halt, decision.tries) == ("ACCOUNT_CLOSED", None, 1)


def test_what_may_be_credited_is_not_rejected_by_a_refusal() -> None:
    verdict = refused_alone(classify(refused(403)), look_up=False, maybe_credited=True)
    decision = decide(verdict, tries=3, maybe_credited=True, next_try=lambda _: None)
    assert (decision.state, decision.failure_code) == (PaymentState.PENDING, "SOME_CODE"), "it is looked up"
    of_look_up = classify_look_up(refused(403, look_up=True), asked=ASKED, absence_is_proof=True)
    verdict = refused_alone(of_look_up, look_up=True, maybe_credited=True)
    assert (verdict.halt, verdict.failure_kind) == (None, FailureKind.UNKNOWN)


@pytest.mark.parametrize("absence_is_proof", [True, False])
def test_a_look_up_that_is_let_in_and_finds_nothing_confirms_the_refusal(absence_is_proof: bool) -> None:
    not_found = refused(404, "KEY_NOT_FOUND", look_up=True)
    verdict = classify_look_up(not_found, asked=ASKED, absence_is_proof=absence_is_proof)
    decision = decide_look_up(
        refused_before(verdict, "FORBIDDEN"),
        tries=0,
        maybe_credited=False,
        failure_code="FORBIDDEN",
        calls_max=6,
        absence_proven_in_s=0.0 if absence_is_proof else 60.0,
    )
    assert (decision.state, decision.failure_kind) == (PaymentState.FAILED, FailureKind.REJECTED)
    assert decision.failure_code == "FORBIDDEN"


def test_a_look_up_that_finds_the_credit_is_a_credit() -> None:
    verdict = classify_look_up(Answer(Outcome.CREDITED, "t-1"), asked=ASKED, absence_is_proof=True)
    assert refused_before(verdict, "FORBIDDEN") == verdict


def test_a_refusal_of_us_halts() -> None:
    assert classify(refused(401)).halt is Halt.UNAUTHORIZED
