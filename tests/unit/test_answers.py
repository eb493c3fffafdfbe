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
    Answer,
    CallTrouble,
    Credit,
    Credited,
    Halt,
    Outcome,
    Overload,
    classify,
    classify_look_up,
    is_transaction_id,
)
from bulkpoint.rules.lifecycle import FailureKind
from bulkpoint.text import clean
from tests.world.answers import ASKED, PAGE, credited, lost, refused, understood

texts = st.none() | st.text(max_size=600) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=20)
answers = st.builds(
    Answer,
    outcome=st.sampled_from(Outcome),
    transaction_id=st.none() | st.text(min_size=1, max_size=5),
    code=texts,
    message=texts,
    retry_after_s=st.none() | st.floats(0, 3600),
    credit=st.none() | st.just(ASKED) | st.just(Credit(7, "member-1", 1)),
)

SUCCESS = (Credited.YES, Action.SUCCEED, None)
PERHAPS = (Credited.PERHAPS, Action.RETRY, FailureKind.UNKNOWN)
REJECTED = (Credited.NO, Action.FAIL, FailureKind.REJECTED)
NOT_TAKEN = (Credited.NO, Action.RETRY, FailureKind.UNAVAILABLE)
THROTTLED = (Credited.NO, Action.WAIT, None)


@pytest.mark.parametrize(
    ("answer", "outcome", "means"),
    [
        (credited(), Outcome.CREDITED, SUCCESS),
        (understood(201, b'{"transaction_id":"t-1"}'), Outcome.CREDITED, SUCCESS),
        (refused(409), Outcome.IN_PROGRESS, PERHAPS),
        *((refused(status), Outcome.REJECTED, REJECTED) for status in (400, 404, 405, 410, 402, 413, 418, 451, 499)),
        (refused(401), Outcome.UNAUTHORIZED, (Credited.NO, Action.RETURN, None)),
        (refused(403), Outcome.UNAUTHORIZED, (Credited.NO, Action.RETURN, None)),
        (refused(422), Outcome.MISMATCH, (Credited.NO, Action.FAIL, FailureKind.MISMATCH)),
        (refused(429), Outcome.THROTTLED, THROTTLED),
        (refused(408), Outcome.NOT_TAKEN, NOT_TAKEN),
        (refused(425), Outcome.NOT_TAKEN, NOT_TAKEN),
        (refused(503, retry_after="0"), Outcome.NOT_TAKEN, NOT_TAKEN),
        (refused(503), Outcome.SERVER_ERROR, PERHAPS),
        (refused(503, retry_after="-1"), Outcome.SERVER_ERROR, PERHAPS),
        *((refused(status, retry_after="1"), Outcome.SERVER_ERROR, PERHAPS) for status in (500, 501, 502, 504, 599)),
        # The page of a gateway is no answer of the API. A 429 of anyone slows us down.
        *(
            (understood(status, PAGE), Outcome.FOREIGN, PERHAPS)
            for status in (400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 426, 431, 499)
        ),
        (understood(404), Outcome.FOREIGN, PERHAPS),
        (understood(429, PAGE), Outcome.THROTTLED, THROTTLED),
        (understood(503, PAGE), Outcome.SERVER_ERROR, PERHAPS),
        (understood(503, PAGE, retry_after="5"), Outcome.SERVER_ERROR, PERHAPS),
        *((understood(status, PAGE), Outcome.SERVER_ERROR, PERHAPS) for status in (500, 502, 504)),
        *(
            (understood(status, b'{"transaction_id":"t-1"}'), Outcome.UNREADABLE, PERHAPS)
            for status in (100, 103, 199, 202, 204, 299, 301, 302, 304, 307, 399)
        ),
        (understood(200), Outcome.UNREADABLE, PERHAPS),
        (understood(200, PAGE), Outcome.UNREADABLE, PERHAPS),
        (understood(None), Outcome.UNREADABLE, PERHAPS),
        # No whole reply: not even the head of a refusal is one.
        (understood(200, trouble=CallTrouble.TOO_LARGE), Outcome.UNREADABLE, PERHAPS),
        (understood(404, trouble=CallTrouble.TOO_LARGE), Outcome.FOREIGN, PERHAPS),
        (understood(400, trouble=CallTrouble.RESET), Outcome.FOREIGN, PERHAPS),
        (understood(422, trouble=CallTrouble.TIMED_OUT), Outcome.FOREIGN, PERHAPS),
        (understood(401, trouble=CallTrouble.RESET), Outcome.FOREIGN, PERHAPS),
        (understood(503, trouble=CallTrouble.RESET, retry_after="1"), Outcome.SERVER_ERROR, PERHAPS),
        (understood(429, trouble=CallTrouble.RESET), Outcome.THROTTLED, THROTTLED),
        (understood(200, trouble=CallTrouble.TIMED_OUT), Outcome.TIMED_OUT, PERHAPS),
        (understood(404, trouble=CallTrouble.SENT_TWICE), Outcome.LOST, PERHAPS),
        (lost(CallTrouble.GARBLED), Outcome.UNREADABLE, PERHAPS),
        (lost(CallTrouble.NOT_CONNECTED), Outcome.NOT_CONNECTED, (Credited.NO, Action.WAIT, None)),
        (lost(CallTrouble.NOT_SENT), Outcome.NOT_SENT, (Credited.NO, Action.RETURN, None)),
        (lost(CallTrouble.TIMED_OUT), Outcome.TIMED_OUT, PERHAPS),
        (lost(CallTrouble.RESET), Outcome.LOST, PERHAPS),
        (lost(CallTrouble.SENT_TWICE), Outcome.LOST, PERHAPS),
        # Of other APIs
        (Answer(Outcome.ACCEPTED), Outcome.ACCEPTED, (Credited.PERHAPS, Action.LOOK_UP, FailureKind.UNKNOWN)),
        (Answer(Outcome.STOPPED), Outcome.STOPPED, (Credited.PERHAPS, Action.RETURN, None)),
        # What only a look-up can say
        (Answer(Outcome.NOT_FOUND), Outcome.UNREADABLE, PERHAPS),
    ],
)
def test_each_answer_means_what_the_contract_says(
    answer: Answer, outcome: Outcome, means: tuple[Credited, Action, FailureKind | None]
) -> None:
    verdict = classify(answer)
    assert verdict.outcome is outcome
    assert (verdict.credited, verdict.action, verdict.failure_kind) == means


def test_only_what_concerns_every_payment_halts_the_run() -> None:
    halts = {answer: row.halt for answer, row in CALL_OUTCOMES.items() if row.halt}
    assert halts == {
        Outcome.UNAUTHORIZED: Halt.UNAUTHORIZED,
        Outcome.MISMATCH: Halt.MISMATCH,
        Outcome.STOPPED: Halt.MONEY_STOPPED,
    }


def test_what_says_nothing_about_a_payment_is_no_try_of_it() -> None:
    no_tries = {answer for answer, row in CALL_OUTCOMES.items() if not row.counts_as_try}
    assert no_tries == {
        Outcome.THROTTLED,
        Outcome.UNAUTHORIZED,
        Outcome.NOT_SENT,
        Outcome.NOT_CONNECTED,
        Outcome.STOPPED,
    }


def test_a_refused_payment_says_nothing_about_money_and_a_page_does() -> None:
    calm = {answer for answer, row in CALL_OUTCOMES.items() if row.overload is Overload.NONE}
    assert {Outcome.REJECTED, Outcome.CREDITED, Outcome.NOT_SENT} <= calm
    assert CALL_OUTCOMES[Outcome.THROTTLED].overload is Overload.THROTTLED
    assert CALL_OUTCOMES[Outcome.FOREIGN].overload is Overload.FAILING


@given(answers)
def test_no_answer_falls_through_the_table(answer: Answer) -> None:
    verdict = classify(answer)
    row = CALL_OUTCOMES[verdict.outcome]
    assert (verdict.credited, verdict.action, verdict.failure_kind) == (row.credited, row.action, row.kind)
    assert (verdict.transaction_id is not None) == (verdict.action is Action.SUCCEED)
    for text, most in ((verdict.code, CODE_CHARACTERS_MAX), (verdict.message, MESSAGE_CHARACTERS_MAX)):
        assert text is None or (len(text) <= most and text.isprintable())
        assert text is None or text.encode() is not None  # no half of a character


@given(
    st.none() | st.integers(-5, 1_000),
    st.sampled_from([b"", b"{}", PAGE, b'{"message":"Forbidden"}', b'{"code":404}', b'{"code":" "}', b'["NO_MEMBER"]']),
    st.none() | st.sampled_from(CallTrouble),
    st.booleans(),
)
def test_only_the_apis_own_whole_answer_says_that_nothing_was_credited(
    status: int | None, body: bytes, trouble: CallTrouble | None, look_up: bool
) -> None:
    answer = understood(status, body, trouble=trouble, look_up=look_up)
    verdict = classify_look_up(answer, asked=ASKED, absence_is_proof=True) if look_up else classify(answer)
    if trouble in {CallTrouble.NOT_CONNECTED, CallTrouble.NOT_SENT} or verdict.outcome is Outcome.THROTTLED:
        return  # it never left, or was held back
    assert verdict.credited is Credited.PERHAPS


@pytest.mark.parametrize(
    ("answer", "absence_is_proof", "outcome"),
    [
        (credited(look_up=True, **ASKED._asdict()), False, Outcome.FOUND),
        (credited(look_up=True, campaign_id=7, member_id="member-1", amount=1501), True, Outcome.FOUND_OTHER),
        (credited(look_up=True, campaign_id=7, member_id="member-2", amount=1500), True, Outcome.FOUND_OTHER),
        (credited(look_up=True), True, Outcome.NO_ANSWER),
        (credited("null", look_up=True, **ASKED._asdict()), True, Outcome.NO_ANSWER),
        (credited(look_up=True, code="FAILED", **ASKED._asdict()), True, Outcome.NO_ANSWER),
        (understood(200, look_up=True), True, Outcome.NO_ANSWER),
        (understood(200, trouble=CallTrouble.RESET, look_up=True), True, Outcome.NO_ANSWER),
        (refused(404, "KEY_NOT_FOUND", look_up=True), True, Outcome.NOT_FOUND),
        (refused(404, "KEY_NOT_FOUND", look_up=True), False, Outcome.NOT_FOUND_YET),
        # No proof of absence: another code, a page, nothing, half of it, another status
        (refused(404, "NOT_FOUND", look_up=True), True, Outcome.NO_ANSWER),
        (refused(404, "MEMBER_NOT_FOUND", look_up=True), True, Outcome.NO_ANSWER),
        (understood(404, PAGE, look_up=True), True, Outcome.NO_ANSWER),
        (understood(404, look_up=True), True, Outcome.NO_ANSWER),
        (understood(404, trouble=CallTrouble.RESET, look_up=True), True, Outcome.NO_ANSWER),
        (understood(404, b'{"code":"KEY_NOT_FOUND"', look_up=True), True, Outcome.NO_ANSWER),
        (understood(404, b'["KEY_NOT_FOUND"]', look_up=True), True, Outcome.NO_ANSWER),
        (understood(404, b'{"code":"KEY_NOT_FOUND","transaction_id":"t-1"}', look_up=True), True, Outcome.NO_ANSWER),
        *((refused(status, "KEY_NOT_FOUND", look_up=True), True, Outcome.NO_ANSWER) for status in (400, 410, 409, 422)),
        (understood(410, PAGE, look_up=True), True, Outcome.NO_ANSWER),
        (refused(401, look_up=True), True, Outcome.UNAUTHORIZED),
        (understood(401, PAGE, look_up=True), True, Outcome.NO_ANSWER),
        (refused(429, look_up=True), True, Outcome.THROTTLED),
        (understood(429, PAGE, look_up=True), True, Outcome.THROTTLED),
        (refused(500, look_up=True), True, Outcome.NO_ANSWER),
        (lost(CallTrouble.NOT_SENT, look_up=True), True, Outcome.NOT_SENT),
        (lost(CallTrouble.NOT_CONNECTED, look_up=True), True, Outcome.NO_ANSWER),
        (lost(CallTrouble.TIMED_OUT, look_up=True), True, Outcome.NO_ANSWER),
        # Of other APIs
        (Answer(Outcome.CREDITED, "t-1"), True, Outcome.FOUND),
        (Answer(Outcome.ACCEPTED), True, Outcome.ACCEPTED),
        (Answer(Outcome.STOPPED), True, Outcome.STOPPED),
    ],
)
def test_a_look_up_means_what_the_contract_says(answer: Answer, absence_is_proof: bool, outcome: Outcome) -> None:
    assert classify_look_up(answer, asked=ASKED, absence_is_proof=absence_is_proof).outcome is outcome


@given(answers, st.booleans())
def test_a_look_up_settles_nothing_without_money_saying_so(answer: Answer, absence_is_proof: bool) -> None:
    verdict = classify_look_up(answer, asked=ASKED, absence_is_proof=absence_is_proof)
    assert LOOK_UP_OUTCOMES[verdict.outcome].credited is verdict.credited
    if verdict.credited is Credited.YES:
        assert answer.outcome is Outcome.CREDITED
        assert answer.credit in (None, ASKED)
    if verdict.credited is Credited.NO:
        assert answer.outcome is Outcome.REJECTED or (answer.outcome is Outcome.NOT_FOUND and absence_is_proof)


@pytest.mark.parametrize(
    "text", ["t-1", "tx-56f0913bb3-000000001", "1", "10", "0-1", "거래-1", "N", "a" * 200, "null-1"]
)
def test_a_transaction_id_names_one_credit(text: str) -> None:
    assert is_transaction_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *(None, 1, True, ["t-1"], "", " ", "\t", "\u3000", "\u00a0", " t-1", "t-1 ", "a\x00b", "t\u200b1", "\ufefft-1"),
        *("null", "NULL", "None", "none", "undefined", "nil", "NaN", "N/A", "[object Object]", "false", "(null)"),
        *("-", "--", "...", "—", "。", "0", "000", "00000000-0000-0000-0000-000000000000", "{}", "a" * 201, "\ud800"),
    ],
)
def test_what_programs_write_for_nothing_is_no_transaction_id(text: object) -> None:
    assert not is_transaction_id(text)


def test_what_cannot_be_printed_is_replaced_and_the_rest_is_cut() -> None:
    assert clean("회원 \x00\ud800\x1b[31m없음\r\n", 500) == "회원 \ufffd\ufffd\ufffd[31m없음\ufffd\ufffd"
    assert clean("x" * 10_000, 500) == "x" * 500
