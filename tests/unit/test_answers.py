"""What answers mean: the table of the contract row by row, and that no answer whatever falls through it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.rules.answers import (
    CALLS,
    CODE_CHARACTERS_MAX,
    LOOK_UPS,
    MESSAGE_CHARACTERS_MAX,
    Action,
    Answer,
    Credit,
    Credited,
    Halt,
    Observed,
    Strain,
    Trouble,
    clean,
    understand,
    understand_look_up,
)
from bulkpoint.rules.lifecycle import FailureKind

ASKED = Credit(7, "member-1", 1500)

texts = st.none() | st.text(max_size=600) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=20)
observations = st.builds(
    Observed,
    status=st.none() | st.integers(100, 599),
    trouble=st.none() | st.sampled_from(Trouble),
    retry_after_s=st.none() | st.floats(0, 3600),
    transaction_id=st.none() | st.text(min_size=1, max_size=5),
    code=texts,
    message=texts,
    credit=st.none() | st.just(ASKED) | st.just(Credit(7, "member-1", 1)),
)


def paid(status: int, *, trouble: Trouble | None = None, credit: Credit | None = None) -> Observed:
    return Observed(status, trouble, transaction_id="t-1", credit=credit)


@pytest.mark.parametrize(
    ("observed", "answer", "credited", "action", "kind"),
    [
        (paid(200), Answer.CREDITED, Credited.YES, Action.SUCCEED, None),
        (paid(201), Answer.CREDITED, Credited.YES, Action.SUCCEED, None),
        (Observed(409), Answer.IN_PROGRESS, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        *(
            (Observed(status), Answer.REJECTED, Credited.NO, Action.FAIL, FailureKind.REJECTED)
            for status in (400, 404, 405, 410, 402, 413, 418, 451, 499)
        ),
        (Observed(401), Answer.UNAUTHORIZED, Credited.NO, Action.RETURN, None),
        (Observed(403), Answer.UNAUTHORIZED, Credited.NO, Action.RETURN, None),
        (Observed(422), Answer.MISMATCH, Credited.NO, Action.FAIL, FailureKind.MISMATCH),
        (Observed(429), Answer.THROTTLED, Credited.NO, Action.WAIT, None),
        (Observed(408), Answer.NOT_TAKEN, Credited.NO, Action.RETRY, FailureKind.UNAVAILABLE),
        (Observed(425), Answer.NOT_TAKEN, Credited.NO, Action.RETRY, FailureKind.UNAVAILABLE),
        (Observed(503, retry_after_s=0.0), Answer.NOT_TAKEN, Credited.NO, Action.RETRY, FailureKind.UNAVAILABLE),
        (Observed(503), Answer.SERVER_ERROR, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        *(
            (
                Observed(status, retry_after_s=1.0),
                Answer.SERVER_ERROR,
                Credited.PERHAPS,
                Action.RETRY,
                FailureKind.UNKNOWN,
            )
            for status in (500, 501, 502, 504, 599)
        ),
        *(
            (paid(status), Answer.UNREADABLE, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN)
            for status in (100, 199, 202, 204, 299, 301, 302, 304, 307, 399)
        ),
        (Observed(200), Answer.UNREADABLE, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (Observed(None), Answer.UNREADABLE, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (
            paid(200, trouble=Trouble.TOO_LARGE),
            Answer.UNREADABLE,
            Credited.PERHAPS,
            Action.RETRY,
            FailureKind.UNKNOWN,
        ),
        (Observed(None, Trouble.GARBLED), Answer.UNREADABLE, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (Observed(None, Trouble.NOT_CONNECTED), Answer.NOT_CONNECTED, Credited.NO, Action.WAIT, None),
        (Observed(None, Trouble.NOT_SENT), Answer.NOT_SENT, Credited.NO, Action.RETURN, None),
        (Observed(None, Trouble.TIMED_OUT), Answer.TIMED_OUT, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (Observed(200, Trouble.TIMED_OUT), Answer.TIMED_OUT, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (Observed(None, Trouble.RESET), Answer.LOST, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        (Observed(None, Trouble.SENT_TWICE), Answer.LOST, Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN),
        # The head of a refusal is the refusal, whatever became of its body.
        (Observed(404, Trouble.TOO_LARGE), Answer.REJECTED, Credited.NO, Action.FAIL, FailureKind.REJECTED),
        (Observed(401, Trouble.RESET), Answer.UNAUTHORIZED, Credited.NO, Action.RETURN, None),
    ],
)
def test_each_answer_means_what_the_contract_says(
    observed: Observed, answer: Answer, credited: Credited, action: Action, kind: FailureKind | None
) -> None:
    meaning = understand(observed)
    assert (meaning.answer, meaning.credited, meaning.action, meaning.failure_kind) == (answer, credited, action, kind)


def test_only_what_concerns_every_payment_halts_the_run() -> None:
    halts = {answer: row.halt for answer, row in CALLS.items() if row.halt}
    assert halts == {
        Answer.UNAUTHORIZED: Halt.UNAUTHORIZED,
        Answer.MISMATCH: Halt.MISMATCH,
    }


def test_what_says_nothing_about_a_payment_is_no_try_of_it() -> None:
    no_tries = {answer for answer, row in CALLS.items() if not row.counts_as_try}
    assert no_tries == {Answer.THROTTLED, Answer.UNAUTHORIZED, Answer.NOT_SENT, Answer.NOT_CONNECTED}


def test_a_refused_payment_says_nothing_about_money() -> None:
    calm = {answer for answer, row in CALLS.items() if row.strain is Strain.NONE}
    assert {Answer.REJECTED, Answer.CREDITED, Answer.NOT_SENT} <= calm
    assert CALLS[Answer.THROTTLED].strain is Strain.SLOW_DOWN


@given(observations)
def test_no_answer_falls_through_the_table(observed: Observed) -> None:
    meaning = understand(observed)
    row = CALLS[meaning.answer]
    assert (meaning.credited, meaning.action, meaning.failure_kind) == (row.credited, row.action, row.kind)
    assert (meaning.transaction_id is not None) == (meaning.action is Action.SUCCEED)
    for text, most in ((meaning.code, CODE_CHARACTERS_MAX), (meaning.message, MESSAGE_CHARACTERS_MAX)):
        assert text is None or (len(text) <= most and text.isprintable())
        assert text is None or text.encode() is not None  # no half of a character


@given(observations)
def test_what_left_and_was_not_clearly_refused_is_never_not_credited(observed: Observed) -> None:
    never_left = observed.trouble in {Trouble.NOT_CONNECTED, Trouble.NOT_SENT}
    refused = (
        observed.trouble is not Trouble.SENT_TWICE and observed.status is not None and 400 <= observed.status < 500
    )
    not_begun = observed.status == 503 and observed.retry_after_s is not None
    if understand(observed).credited is Credited.NO:
        assert never_left or refused or not_begun


@given(st.integers(400, 499))
def test_a_head_beside_a_refused_second_send_is_of_neither(status: int) -> None:
    assert understand(Observed(status, Trouble.SENT_TWICE)).credited is Credited.PERHAPS


@given(st.integers(-5, 99) | st.integers(600, 99_999))
def test_a_status_that_is_none_is_no_refusal(status: int) -> None:
    assert understand(paid(status)).answer is Answer.UNREADABLE


@pytest.mark.parametrize(
    ("observed", "absence_is_proof", "answer"),
    [
        (paid(200, credit=ASKED), False, Answer.FOUND),
        (paid(200, credit=Credit(7, "member-1", 1501)), True, Answer.FOUND_OTHER),
        (paid(200, credit=Credit(7, "member-2", 1500)), True, Answer.FOUND_OTHER),
        (paid(200), True, Answer.NO_ANSWER),
        (Observed(200, credit=ASKED), True, Answer.NO_ANSWER),
        (paid(200, credit=ASKED, trouble=Trouble.RESET), True, Answer.NO_ANSWER),
        (Observed(404), True, Answer.NOT_FOUND),
        (Observed(404), False, Answer.NOT_FOUND_YET),
        (Observed(401), True, Answer.UNAUTHORIZED),
        (Observed(429), True, Answer.THROTTLED),
        (Observed(410), True, Answer.NO_ANSWER),
        (Observed(500), True, Answer.NO_ANSWER),
        (Observed(None, Trouble.NOT_SENT), True, Answer.NOT_SENT),
        (Observed(None, Trouble.NOT_CONNECTED), True, Answer.NO_ANSWER),
        (Observed(None, Trouble.TIMED_OUT), True, Answer.NO_ANSWER),
    ],
)
def test_a_look_up_means_what_the_contract_says(observed: Observed, absence_is_proof: bool, answer: Answer) -> None:
    assert understand_look_up(observed, asked=ASKED, absence_is_proof=absence_is_proof).answer is answer


@given(observations, st.booleans())
def test_a_look_up_settles_nothing_without_money_saying_so(observed: Observed, absence_is_proof: bool) -> None:
    meaning = understand_look_up(observed, asked=ASKED, absence_is_proof=absence_is_proof)
    assert LOOK_UPS[meaning.answer].credited is meaning.credited
    if meaning.credited is Credited.YES:
        assert observed.status == 200
        assert observed.credit == ASKED
    if meaning.credited is Credited.NO:
        assert observed.status == 404
        assert absence_is_proof


def test_what_cannot_be_printed_is_replaced_and_the_rest_is_cut() -> None:
    assert clean("회원 \x00\ud800\x1b[31m없음\r\n", 500) == "회원 \ufffd\ufffd\ufffd[31m없음\ufffd\ufffd"
    assert clean("x" * 10_000, 500) == "x" * 500
