"""What becomes of a payment after a call: counted tries, waits, and never "failed" for what may have been credited."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkpoint.rules.answers import Answer, CallTrouble, Halt, Outcome, classify, classify_look_up
from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.rules.promises import MoneyPromises
from bulkpoint.rules.retry import (
    JITTER_S,
    LOOK_UPS_MAX,
    RETRY_AFTER_S_MAX,
    UNCOUNTED_TRIES_MAX,
    WAIT_S_MIN,
    Decision,
    RetryPolicy,
    absence_proven_in_s,
    decide,
    decide_look_up,
    is_a_try,
    may_send,
    parse_retry_after,
)
from tests.world.answers import ASKED, PAGE, credited, lost, refused, understood

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
RETRIES = 3

observations = st.builds(
    Answer,
    outcome=st.sampled_from(Outcome),
    transaction_id=st.none() | st.just("t-1"),
    retry_after_s=st.none() | st.floats(0, RETRY_AFTER_S_MAX),
)


def three_retries(tries: int) -> float | None:
    assert tries >= 1
    return 3.0 if tries <= RETRIES else None


def after(*observed: Answer, maybe_credited: bool = False) -> Decision:
    """The payment after these answers, one after another."""
    decision = Decision(PaymentState.PENDING, 0, maybe_credited)
    for one in observed:
        assert decision.state is PaymentState.PENDING, "nothing is sent for a payment that has its result"
        decision = decide(
            classify(one),
            tries=decision.tries,
            maybe_credited=decision.maybe_credited,
            next_try=three_retries,
        )
    return decision


def test_a_policy_allows_so_many_retries_each_after_the_backoff_and_a_little_chance() -> None:
    numbers = iter([0.0, 1.0, 0.5, 0.25])
    policy = RetryPolicy(retries=3, backoff_s=3.0, random=lambda: next(numbers))
    assert [policy.next_try(tries) for tries in (1, 2, 3)] == [3.0, 3.0 + JITTER_S, 3.0 + JITTER_S / 2]
    assert policy.next_try(4) is None
    assert policy.next_try(5) is None
    assert policy.wait_s() == 3.0 + JITTER_S / 4
    assert policy.calls_max == 1 + 3 + LOOK_UPS_MAX


def test_without_retries_the_first_call_is_the_only_try() -> None:
    assert RetryPolicy(retries=0, backoff_s=3.0, random=lambda: 0.0).next_try(1) is None


def test_a_credit_is_a_success() -> None:
    decision = after(credited())
    assert (decision.state, decision.tries, decision.transaction_id) == (PaymentState.SUCCESS, 1, "t-1")


def test_a_payment_gets_one_call_and_three_retries() -> None:
    down = refused(503, "BUSY", retry_after="0")
    assert [after(*[down] * n).wait_s for n in (1, 2, 3)] == [3.0, 3.0, 3.0]
    spent = after(*[down] * 4)
    assert (spent.state, spent.tries, spent.failure_kind) == (PaymentState.FAILED, 4, FailureKind.UNAVAILABLE)
    assert (spent.failure_code, spent.failure_message) == ("BUSY", "in words")


def test_a_rejection_is_final_at_once() -> None:
    decision = after(refused(400, "NO_MEMBER"))
    assert (decision.state, decision.failure_kind, decision.tries) == (PaymentState.FAILED, FailureKind.REJECTED, 1)
    assert decision.failure_code == "NO_MEMBER"


def assert_waits_for_its_look_up(decision: Decision, failure_code: str) -> None:
    assert (decision.state, decision.maybe_credited) == (PaymentState.PENDING, True)
    assert (decision.failure_code, decision.failure_kind) == (failure_code, None)
    assert decision.wait_s is not None
    assert decision.wait_s >= WAIT_S_MIN


def test_a_rejection_after_a_timeout_is_looked_up() -> None:
    decision = after(lost(CallTrouble.TIMED_OUT), refused(400, "NO_MEMBER"))
    assert_waits_for_its_look_up(decision, "NO_MEMBER")


def test_a_mismatch_after_a_timeout_is_unknown_and_still_halts() -> None:
    decision = after(refused(500), refused(422))
    assert (decision.failure_kind, decision.halt) == (FailureKind.UNKNOWN, Halt.MISMATCH)
    assert decision.state is PaymentState.FAILED, "a halted run sends nothing more"
    assert after(refused(422)).failure_kind is FailureKind.MISMATCH


def test_a_conflict_for_ever_is_looked_up_as_that_whatever_money_calls_it() -> None:
    assert_waits_for_its_look_up(after(*[refused(409, "BUSY")] * 4), "IN_PROGRESS")


@pytest.mark.parametrize("observed", [refused(429), understood(429, PAGE), lost(CallTrouble.NOT_CONNECTED)])
def test_what_is_not_the_payments_fault_never_spends_its_tries(observed: Answer) -> None:
    decision = after(*[observed] * 50)
    assert (decision.state, decision.tries, decision.wait_s) == (PaymentState.PENDING, 0, WAIT_S_MIN)


def test_no_right_to_pay_gives_the_payment_back_and_halts() -> None:
    decision = after(refused(500), refused(401))
    assert (decision.state, decision.wait_s, decision.halt) == (PaymentState.PENDING, None, Halt.UNAUTHORIZED)
    assert decision.maybe_credited


def test_an_accepted_payment_is_only_asked_about_with_longer_and_longer_waits_until_its_tries_are_used_up() -> None:
    accepted = Answer(Outcome.ACCEPTED)
    decision = after(accepted)
    waits = []
    while decision.state is PaymentState.PENDING:
        assert (decision.failure_code, decision.maybe_credited) == ("ACCEPTED", True), "it is never sent again"
        waits.append(decision.wait_s)
        decision = look_up(accepted, tries=decision.tries, failure_code=decision.failure_code)
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert (decision.state, decision.failure_kind) == (PaymentState.FAILED, FailureKind.UNKNOWN)
    assert decision.failure_code == "ACCEPTED"


def test_an_accepted_payment_that_cannot_be_found_is_still_asked_about() -> None:
    absent = look_up(Answer(Outcome.NOT_FOUND), absence_proven_in_s=None, tries=1, failure_code="ACCEPTED")
    assert (absent.state, absent.wait_s, absent.failure_code) == (PaymentState.PENDING, 4.0, "ACCEPTED")


def test_money_says_when_to_ask_about_an_accepted_payment() -> None:
    assert after(Answer(Outcome.ACCEPTED, retry_after_s=20.0)).wait_s == 20.0


def test_what_money_accepted_and_refused_later_is_rejected_by_its_code() -> None:
    decision = look_up(Answer(Outcome.REJECTED, code="NO_MEMBER"), failure_code="ACCEPTED")
    assert (decision.state, decision.failure_kind) == (PaymentState.FAILED, FailureKind.REJECTED)
    assert (decision.failure_code, decision.not_credited) == ("NO_MEMBER", True)


def test_a_page_for_everything_is_looked_up_and_never_a_refusal() -> None:
    decision = after(*[understood(404, PAGE)] * 4)
    assert_waits_for_its_look_up(decision, "FOREIGN")


def test_a_call_that_never_left_gives_the_payment_back() -> None:
    assert after(lost(CallTrouble.NOT_SENT)) == Decision(PaymentState.PENDING, 0, False)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_money_may_ask_for_a_longer_wait(status: int) -> None:
    assert after(refused(status, retry_after="20")).wait_s == 20.0
    assert after(refused(status, retry_after="0")).wait_s in {3.0, WAIT_S_MIN}


@given(st.lists(observations, min_size=1, max_size=60), st.booleans())
def test_what_may_have_been_credited_never_ends_failed_but_unknown(
    observed: list[Answer], maybe_credited: bool
) -> None:
    decision = Decision(PaymentState.PENDING, 0, maybe_credited)
    perhaps = maybe_credited
    for one in observed:
        verdict = classify(one)
        perhaps = perhaps or verdict.credited == "PERHAPS"
        decision = decide(verdict, tries=decision.tries, maybe_credited=decision.maybe_credited, next_try=three_retries)
        assert decision.tries <= 1 + RETRIES
        if decision.state is not PaymentState.PENDING or decision.failure_code is not None:
            break  # it ended, or is looked up from now on
    assert (decision.state is PaymentState.FAILED) == (decision.failure_kind is not None)
    assert (decision.state is PaymentState.SUCCESS) == (decision.transaction_id is not None)
    if decision.state is not PaymentState.SUCCESS:
        assert decision.maybe_credited == perhaps
    if decision.state is PaymentState.FAILED:
        assert (decision.failure_kind is FailureKind.UNKNOWN) == perhaps
        assert decision.tries >= 1
    assert decision.wait_s is None or decision.wait_s >= WAIT_S_MIN


def look_up(
    observed: Answer,
    *,
    absence_proven_in_s: float | None = 0.0,
    tries: int = 4,
    maybe_credited: bool = True,
    failure_code: str | None = "TIMED_OUT",
    refused: bool = False,
) -> Decision:
    verdict = classify_look_up(observed, asked=ASKED, absence_is_proof=absence_proven_in_s == 0)
    return decide_look_up(
        verdict,
        tries=tries,
        maybe_credited=maybe_credited,
        failure_code=failure_code,
        calls_max=6,
        absence_proven_in_s=absence_proven_in_s,
        refused=refused,
    )


def test_a_look_up_turns_unknown_into_what_is_known() -> None:
    found = look_up(credited(look_up=True, **ASKED._asdict()))
    assert (found.state, found.transaction_id, found.tries) == (PaymentState.SUCCESS, "t-1", 5)
    absent = look_up(refused(404, "KEY_NOT_FOUND", look_up=True))
    assert (absent.state, absent.failure_kind) == (PaymentState.FAILED, FailureKind.UNAVAILABLE)
    assert (absent.maybe_credited, absent.not_credited, absent.failure_code) == (False, True, "TIMED_OUT")


ABSENT, GONE = Answer(Outcome.NOT_FOUND), lost(CallTrouble.TIMED_OUT, look_up=True)


def looked_up(decision: Decision, *observed: Answer) -> Decision:
    """The payment after a call and these answers to its look-ups, one after another."""
    for one in observed:
        assert decision.state is PaymentState.PENDING, "it has its result"
        decision = look_up(one, tries=decision.tries, failure_code=decision.failure_code, refused=decision.refused)
    return decision


@pytest.mark.parametrize("perhaps", [lost(CallTrouble.TIMED_OUT), refused(500), understood(404, PAGE)])
@pytest.mark.parametrize("look_ups", [(ABSENT,), (GONE, ABSENT), (refused(503, "BUSY", look_up=True), ABSENT)])
def test_what_money_refused_and_proves_absent_is_rejected_by_its_code(
    perhaps: Answer, look_ups: tuple[Answer, ...]
) -> None:
    decision = after(perhaps, refused(404, "MEMBER_NOT_FOUND"))
    assert_waits_for_its_look_up(decision, "MEMBER_NOT_FOUND")
    assert decision.failure_message == "in words", "it is stored now, and stays"
    ended = looked_up(decision, *look_ups)
    assert (ended.state, ended.failure_kind) == (PaymentState.FAILED, FailureKind.REJECTED)
    assert (ended.failure_code, ended.not_credited, ended.maybe_credited) == ("MEMBER_NOT_FOUND", True, False)


def test_a_refused_payment_that_an_earlier_run_may_have_credited_is_rejected_as_well() -> None:
    ended = looked_up(after(refused(404, "MEMBER_NOT_FOUND"), maybe_credited=True), ABSENT)
    assert (ended.failure_kind, ended.failure_code) == (FailureKind.REJECTED, "MEMBER_NOT_FOUND")


def test_a_refusal_that_no_look_up_confirms_stays_unknown_and_known_as_a_refusal() -> None:
    ended = looked_up(after(refused(500), refused(404, "MEMBER_NOT_FOUND")), *[GONE] * 4)
    assert (ended.failure_kind, ended.refused) == (FailureKind.UNKNOWN, True)


def test_what_was_credited_before_its_refusal_is_a_success() -> None:
    ended = looked_up(after(refused(500), refused(404, "MEMBER_NOT_FOUND")), GONE, Answer(Outcome.CREDITED, "t-1"))
    assert (ended.state, ended.refused) == (PaymentState.SUCCESS, False)


@pytest.mark.parametrize("last", [refused(503, "BUSY"), refused(500), lost(CallTrouble.RESET), refused(409, "BUSY")])
def test_what_was_never_refused_and_is_absent_is_unavailable(last: Answer) -> None:
    decision = after(lost(CallTrouble.TIMED_OUT), last, last, last)
    assert not looked_up(decision, ABSENT).refused
    assert looked_up(decision, ABSENT).failure_kind is FailureKind.UNAVAILABLE


def test_what_money_still_works_on_is_not_refused() -> None:
    decision = looked_up(after(refused(500), refused(404, "MEMBER_NOT_FOUND")), Answer(Outcome.ACCEPTED))
    assert (decision.failure_code, decision.refused) == ("ACCEPTED", False)


def test_not_found_too_early_is_asked_again_when_it_is_proof() -> None:
    early = look_up(refused(404, "KEY_NOT_FOUND", look_up=True), absence_proven_in_s=57.5)
    assert (early.state, early.wait_s, early.failure_code) == (PaymentState.PENDING, 57.5, "TIMED_OUT")
    assert (early.maybe_credited, early.not_credited) == (True, False)


@pytest.mark.parametrize(
    "observed",
    [
        refused(404, "KEY_NOT_FOUND", look_up=True),
        understood(404, PAGE, look_up=True),
        refused(500, look_up=True),
        understood(200, look_up=True),
        lost(CallTrouble.RESET, look_up=True),
    ],
)
def test_a_payment_of_which_nothing_can_be_learnt_ends_unknown(observed: Answer) -> None:
    spent = look_up(observed, absence_proven_in_s=5.0, tries=5)
    assert (spent.state, spent.failure_kind, spent.failure_code) == (
        PaymentState.FAILED,
        FailureKind.UNKNOWN,
        "TIMED_OUT",
    )
    assert (spent.maybe_credited, spent.not_credited) == (True, False)


def test_a_not_found_that_never_becomes_proof_ends_unknown_at_once() -> None:
    assert (
        look_up(refused(404, "KEY_NOT_FOUND", look_up=True), absence_proven_in_s=None).failure_kind
        is FailureKind.UNKNOWN
    )


def test_a_payment_that_was_only_refused_does_not_become_unknown_by_a_look_up() -> None:
    absent = look_up(refused(404, "KEY_NOT_FOUND", look_up=True), absence_proven_in_s=None, maybe_credited=False)
    assert (absent.failure_kind, absent.maybe_credited) == (FailureKind.UNAVAILABLE, False)


def test_a_throttled_look_up_is_no_try() -> None:
    throttled = look_up(refused(429, look_up=True, retry_after="7"), tries=5)
    assert (throttled.state, throttled.tries, throttled.wait_s) == (PaymentState.PENDING, 5, 7.0)


def test_a_credit_of_something_else_under_our_key_halts_the_run() -> None:
    other = look_up(credited(look_up=True, **ASKED._replace(amount=ASKED.amount + 1)._asdict()))
    assert (other.state, other.failure_kind) == (PaymentState.FAILED, FailureKind.UNKNOWN)
    assert other.halt is Halt.MISMATCH


def test_absence_is_proof_only_between_the_last_send_and_moneys_forgetting() -> None:
    def proof_s(last_s: float, first_s: float, code: str | None = None) -> float | None:
        return absence_proven_in_s(
            since_last_sent_s=last_s, since_first_sent_s=first_s, retention_s=86_400, after_s=60, failure_code=code
        )

    assert proof_s(50, 70) == 10
    assert proof_s(60, 70) == 0
    assert proof_s(60, 86_399.9) == 0
    assert proof_s(60, 86_400) is None
    assert proof_s(50, 86_395) is None, "by the time it would be proof, money has forgotten"
    assert proof_s(60, 70, "IN_PROGRESS") is None


def test_what_was_refused_and_is_too_old_to_be_sent_has_no_new_kind() -> None:
    not_found, busy = refused(404, "KEY_NOT_FOUND", look_up=True), refused(503, look_up=True)
    for answer in (not_found, busy, lost(CallTrouble.TIMED_OUT, look_up=True)):
        verdict = classify_look_up(answer, asked=ASKED, absence_is_proof=False)
        decision = decide_look_up(
            verdict, tries=9, maybe_credited=False, failure_code=None, calls_max=6, absence_proven_in_s=None
        )
        assert (decision.state, decision.failure_code) == (PaymentState.FAILED, "KEY_TOO_OLD"), verdict.outcome


def test_a_key_that_money_may_have_forgotten_is_never_sent_again() -> None:
    promises = MoneyPromises(key_retention_h=24, settle_s=60, connect_timeout_s=1, timeout_s=5)
    assert may_send(since_first_sent_s=None, promises=promises)
    assert may_send(since_first_sent_s=86_393, promises=promises)
    assert not may_send(since_first_sent_s=86_394, promises=promises), "its call may arrive 6 s later"
    assert not may_send(since_first_sent_s=86_400, promises=promises)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("0", 0.0),
        ("60", 60.0),
        ("  7 ", 7.0),
        ("61", RETRY_AFTER_S_MAX),
        ("9" * 5000, RETRY_AFTER_S_MAX),
        ("Wed, 04 Mar 2026 05:06:37 GMT", 30.0),
        ("Wednesday, 04-Mar-26 05:06:37 GMT", 30.0),  # the two older forms a client must still read
        ("Wed Mar  4 05:06:37 2026", 30.0),
        ("Wed, 04 Mar 2026 05:06:37 -0000", 30.0),
        ("Wed, 04 Mar 2026 05:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_S_MAX),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("1e3", None),
        ("+5", None),
        ("７", None),
        ("٣", None),
        ("Wed, 99 Mar 2026 05:06:37 GMT", None),
        ("Wed, 04 Mar 2026 05:06:37 +99999999999999", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str, wait_s: float | None) -> None:
    assert parse_retry_after(value, NOW) == wait_s


@given(st.text() | st.text("0123456789 :,-+GMTa") | st.from_regex(r"\A[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} .*\Z"))
@example("Wed, 04 Mar 0001 00:00:00 +2359")
def test_no_retry_after_is_refused_loudly_or_waits_for_ever(value: str) -> None:
    wait_s = parse_retry_after(value, NOW)
    assert wait_s is None or 0 <= wait_s <= RETRY_AFTER_S_MAX


@given(st.integers(0, 60), st.integers(-12, 14))
def test_a_date_is_read_in_its_own_zone(seconds: int, zone_h: int) -> None:
    at = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=zone_h)))
    assert parse_retry_after(format_datetime(at), NOW) == seconds


BUSY = [(refused(503, retry_after="1"), 503), (understood(503, PAGE), 503), (refused(408), 408), (refused(425), 425)]


@pytest.mark.parametrize(("answer", "status"), [*BUSY, (understood(404, PAGE), 404)])
def test_a_refusal_for_want_of_room_is_no_try_while_others_are_served(answer: Answer, status: int) -> None:
    verdict = classify(answer)
    assert not is_a_try(verdict, status, crowded=True, uncounted=0)
    assert is_a_try(verdict, status, crowded=False, uncounted=0), "it may be this payment's own trouble"
    assert is_a_try(verdict, status, crowded=True, uncounted=UNCOUNTED_TRIES_MAX), "and not for ever"
    decision = decide(verdict, tries=3, maybe_credited=False, next_try=three_retries, counts=False)
    assert (decision.state, decision.tries) == (PaymentState.PENDING, 3)
    assert decision.maybe_credited == (verdict.credited == "PERHAPS")


def test_what_may_be_a_payments_own_trouble_is_a_try_whatever_happens_to_others() -> None:
    own = [
        (refused(500), 500),
        (lost(CallTrouble.TIMED_OUT), None),
        (lost(CallTrouble.RESET), None),
        (refused(409), 409),
    ]
    for answer, status in own:
        assert is_a_try(classify(answer), status, crowded=True, uncounted=0)
    assert not is_a_try(classify(refused(429)), 429, crowded=False, uncounted=0)


def test_a_look_up_that_is_refused_for_want_of_room_is_no_try_either() -> None:
    verdict = classify_look_up(understood(503, PAGE, look_up=True), asked=ASKED, absence_is_proof=True)
    assert not is_a_try(verdict, 503, crowded=True, uncounted=0)
    decision = decide_look_up(
        verdict,
        tries=5,
        maybe_credited=True,
        failure_code="SERVER_ERROR",
        calls_max=6,
        absence_proven_in_s=0.0,
        counts=False,
    )
    assert (decision.state, decision.tries) == (PaymentState.PENDING, 5)
