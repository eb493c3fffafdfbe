"""What answers mean: the table of the contract row by row, and that no answer whatever falls through it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.rules.answers import (
    CALL_OUTCOMES,
    CODE_CHARACTERS_MAX,
    LOOK_UP_OUTCOMES,
    MESSAGE_CHARACTERS_MAX,
    Action,
    CallResult,
    CallTrouble,
    Credit,
    Credited,
    Halt,
    Outcome,
    Overload,
    classify,
    classify_look_up,
)
from bulkpoint.rules.lifecycle import FailureKind
from bulkpoint.text import clean

ASKED = Credit(7, "member-1", 1500)

texts = st.none() | st.text(max_size=600) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=20)
observations = st.builds(
    CallResult,
    status=st.none() | st.integers(100, 599),
    trouble=st.none() | st.sampled_from(CallTrouble),
    retry_after_s=st.none() | st.floats(0, 3600),
    transaction_id=st.none() | st.text(min_size=1, max_size=5),
    code=texts,
    message=texts,
    credit=st.none() | st.just(ASKED) | st.just(Credit(7, "member-1", 1)),
)


def paid(status: int, *, trouble: CallTrouble | None = None, credit: Credit | None = None) -> CallResult:
    return CallResult(status, trouble, transaction_id="t-1", credit=credit)


@pytest.mark.parametrize(
    ("observed", "answer", "credited", "action", "kind"),
    [
        (paid(200), Outcome.CREDITED, Credited.YES, Action.SUCCEED, None),
        (paid(201), Outcome.CREDITED, Credited.YES, Action.SUCCEED, None),
        (CallResult(409), Outcome.IN_PROGRESS, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        *(
            (CallResult(status), Outcome.REJECTED, Credited.NO, Action.FAIL, FailureKind.REJECTED)
            for status in (400, 404, 405, 410, 402, 413, 418, 451, 499)
        ),
        (CallResult(401), Outcome.UNAUTHORIZED, Credited.NO, Action.RETURN, None),
        (CallResult(403), Outcome.UNAUTHORIZED, Credited.NO, Action.RETURN, None),
        (CallResult(422), Outcome.MISMATCH, Credited.NO, Action.FAIL, FailureKind.MISMATCH),
        (CallResult(429), Outcome.THROTTLED, Credited.NO, Action.WAIT, None),
        (CallResult(408), Outcome.NOT_TAKEN, Credited.NO, Action.RETRY, FailureKind.UNAVAILABLE),
        (CallResult(425), Outcome.NOT_TAKEN, Credited.NO, Action.RETRY, FailureKind.UNAVAILABLE),
        (CallResult(503, retry_after_s=0.0), Outcome.NOT_TAKEN, Credited.NO, Action.RETRY, FailureKind.UNAVAILABLE),
        (CallResult(503), Outcome.SERVER_ERROR, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        *(
            (
                CallResult(status, retry_after_s=1.0),
                Outcome.SERVER_ERROR,
                Credited.PERHAPS,
                Action.RETRY,
                FailureKind.UNKNOWN,
            )
            for status in (500, 501, 502, 504, 599)
        ),
        *(
            (paid(status), Outcome.UNREADABLE, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN)
            for status in (100, 199, 202, 204, 299, 301, 302, 304, 307, 399)
        ),
        (CallResult(200), Outcome.UNREADABLE, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (CallResult(None), Outcome.UNREADABLE, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (
            paid(200, trouble=CallTrouble.TOO_LARGE),
            Outcome.UNREADABLE,
            Credited.PERHAPS,
            Action.RETRY,
            FailureKind.UNKNOWN,
        ),
        (
            CallResult(None, CallTrouble.GARBLED),
            Outcome.UNREADABLE,
            Credited.PERHAPS,
            Action.RETRY,
            FailureKind.UNKNOWN,
        ),
        (CallResult(None, CallTrouble.NOT_CONNECTED), Outcome.NOT_CONNECTED, Credited.NO, Action.WAIT, None),
        (CallResult(None, CallTrouble.NOT_SENT), Outcome.NOT_SENT, Credited.NO, Action.RETURN, None),
        (
            CallResult(None, CallTrouble.TIMED_OUT),
            Outcome.TIMED_OUT,
            Credited.PERHAPS,
            Action.RETRY,
            FailureKind.UNKNOWN,
        ),
        (
            CallResult(200, CallTrouble.TIMED_OUT),
            Outcome.TIMED_OUT,
            Credited.PERHAPS,
            Action.RETRY,
            FailureKind.UNKNOWN,
        ),
        (CallResult(None, CallTrouble.RESET), Outcome.LOST, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (CallResult(None, CallTrouble.SENT_TWICE), Outcome.LOST, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        # The head of a refusal is the refusal, whatever became of its body.
        (CallResult(404, CallTrouble.TOO_LARGE), Outcome.REJECTED, Credited.NO, Action.FAIL, FailureKind.REJECTED),
        (CallResult(401, CallTrouble.RESET), Outcome.UNAUTHORIZED, Credited.NO, Action.RETURN, None),
    ],
)
def test_each_answer_means_what_the_contract_says(
    observed: CallResult, answer: Outcome, credited: Credited, action: Action, kind: FailureKind | None
) -> None:
    verdict = classify(observed)
    assert (verdict.outcome, verdict.credited, verdict.action, verdict.failure_kind) == (answer, credited, action, kind)


def test_only_what_concerns_every_payment_halts_the_run() -> None:
    halts = {answer: row.halt for answer, row in CALL_OUTCOMES.items() if row.halt}
    assert halts == {
        Outcome.UNAUTHORIZED: Halt.UNAUTHORIZED,
        Outcome.MISMATCH: Halt.MISMATCH,
    }


def test_what_says_nothing_about_a_payment_is_no_try_of_it() -> None:
    no_tries = {answer for answer, row in CALL_OUTCOMES.items() if not row.counts_as_try}
    assert no_tries == {Outcome.THROTTLED, Outcome.UNAUTHORIZED, Outcome.NOT_SENT, Outcome.NOT_CONNECTED}


def test_a_refused_payment_says_nothing_about_money() -> None:
    calm = {answer for answer, row in CALL_OUTCOMES.items() if row.overload is Overload.NONE}
    assert {Outcome.REJECTED, Outcome.CREDITED, Outcome.NOT_SENT} <= calm
    assert CALL_OUTCOMES[Outcome.THROTTLED].overload is Overload.THROTTLED


@given(observations)
def test_no_answer_falls_through_the_table(observed: CallResult) -> None:
    verdict = classify(observed)
    row = CALL_OUTCOMES[verdict.outcome]
    assert (verdict.credited, verdict.action, verdict.failure_kind) == (row.credited, row.action, row.kind)
    assert (verdict.transaction_id is not None) == (verdict.action is Action.SUCCEED)
    for text, most in ((verdict.code, CODE_CHARACTERS_MAX), (verdict.message, MESSAGE_CHARACTERS_MAX)):
        assert text is None or (len(text) <= most and text.isprintable())
        assert text is None or text.encode() is not None  # no half of a character


@given(observations)
def test_what_left_and_was_not_clearly_refused_is_never_not_credited(observed: CallResult) -> None:
    never_left = observed.trouble in {CallTrouble.NOT_CONNECTED, CallTrouble.NOT_SENT}
    refused = (
        observed.trouble is not CallTrouble.SENT_TWICE and observed.status is not None and 400 <= observed.status < 500
    )
    not_begun = observed.status == 503 and observed.retry_after_s is not None
    if classify(observed).credited is Credited.NO:
        assert never_left or refused or not_begun


@given(st.integers(400, 499))
def test_a_head_beside_a_refused_second_send_is_of_neither(status: int) -> None:
    assert classify(CallResult(status, CallTrouble.SENT_TWICE)).credited is Credited.PERHAPS


@given(st.integers(-5, 99) | st.integers(600, 99_999))
def test_a_status_that_is_none_is_no_refusal(status: int) -> None:
    assert classify(paid(status)).outcome is Outcome.UNREADABLE


@pytest.mark.parametrize(
    ("observed", "absence_is_proof", "answer"),
    [
        (paid(200, credit=ASKED), False, Outcome.FOUND),
        (paid(200, credit=Credit(7, "member-1", 1501)), True, Outcome.FOUND_OTHER),
        (paid(200, credit=Credit(7, "member-2", 1500)), True, Outcome.FOUND_OTHER),
        (paid(200), True, Outcome.NO_ANSWER),
        (CallResult(200, credit=ASKED), True, Outcome.NO_ANSWER),
        (paid(200, credit=ASKED, trouble=CallTrouble.RESET), True, Outcome.NO_ANSWER),
        (CallResult(404), True, Outcome.NOT_FOUND),
        (CallResult(404), False, Outcome.NOT_FOUND_YET),
        (CallResult(401), True, Outcome.UNAUTHORIZED),
        (CallResult(429), True, Outcome.THROTTLED),
        (CallResult(410), True, Outcome.NO_ANSWER),
        (CallResult(500), True, Outcome.NO_ANSWER),
        (CallResult(None, CallTrouble.NOT_SENT), True, Outcome.NOT_SENT),
        (CallResult(None, CallTrouble.NOT_CONNECTED), True, Outcome.NO_ANSWER),
        (CallResult(None, CallTrouble.TIMED_OUT), True, Outcome.NO_ANSWER),
    ],
)
def test_a_look_up_means_what_the_contract_says(observed: CallResult, absence_is_proof: bool, answer: Outcome) -> None:
    assert classify_look_up(observed, asked=ASKED, absence_is_proof=absence_is_proof).outcome is answer


@given(observations, st.booleans())
def test_a_look_up_settles_nothing_without_money_saying_so(observed: CallResult, absence_is_proof: bool) -> None:
    verdict = classify_look_up(observed, asked=ASKED, absence_is_proof=absence_is_proof)
    assert LOOK_UP_OUTCOMES[verdict.outcome].credited is verdict.credited
    if verdict.credited is Credited.YES:
        assert observed.status == 200
        assert observed.credit == ASKED
    if verdict.credited is Credited.NO:
        assert observed.status == 404
        assert absence_is_proof


def test_what_cannot_be_printed_is_replaced_and_the_rest_is_cut() -> None:
    assert clean("회원 \x00\ud800\x1b[31m없음\r\n", 500) == "회원 \ufffd\ufffd\ufffd[31m없음\ufffd\ufffd"
    assert clean("x" * 10_000, 500) == "x" * 500
