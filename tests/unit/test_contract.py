"""Contract v1: requests that are the same for every try, answers that never surprise the reader."""

import json
import sys
import types
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkpoint.errors import UsageError
from bulkpoint.money import answers
from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.reading import read
from bulkpoint.money.transport import Headers, HttpRequest, Reply
from bulkpoint.rules.answers import (
    Answer,
    CallTrouble,
    Credit,
    Outcome,
    classify,
    classify_look_up,
    is_transaction_id,
)
from bulkpoint.views.sentences import error_fields, sentence
from tests.world.answers import ASKED, CALL, KEY, credited, understood
from tests.world.refusals import refused

MONEY = MoneyV1({"token": "canary-token"})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["transaction_id", "code", "message", "campaign_id", "member_id", "amount"])
bodies = st.binary(max_size=50) | st.dictionaries(names, json_values).map(lambda fields: json.dumps(fields).encode())


@given(
    st.integers(1, 2**63 - 1),
    st.text(st.characters(), min_size=1, max_size=128),
    st.integers(1, 10**12),
    st.text(st.characters(), min_size=1),
)
@example(1, 'quote " backslash \\ slash / \u2028', 1, "설 선물 🎁 \ud800")
def test_a_request_carries_the_payment_unchanged(campaign_id: int, member_id: str, amount: int, reason: str) -> None:
    call = PointsCall(KEY, campaign_id, member_id, amount, reason)
    request = MONEY.pay(call)
    assert request == MONEY.pay(call)
    assert (request.method, request.path) == ("POST", "/v1/points")
    assert request.headers == {
        "Idempotency-Key": "6f1a2b3c-0000-5000-8000-000000000001",
        "Content-Type": "application/json",
        "Authorization": "Bearer canary-token",
    }
    assert request.body is not None
    assert request.body.isascii()
    assert json.loads(request.body) == {
        "campaign_id": campaign_id,
        "member_id": member_id,
        "amount": amount,
        "reason": reason,
    }


def test_a_look_up_carries_the_key_and_no_body() -> None:
    request = MONEY.look_up(CALL)
    assert (request.method, request.path, request.body) == ("GET", f"/v1/points/{KEY}", None)
    assert request.headers == {"Authorization": "Bearer canary-token"}
    assert MoneyV1({}).look_up(CALL).headers == {}


def test_the_token_is_not_shown() -> None:
    assert "canary" not in f"{MONEY!r} {MONEY} {MONEY.pay(CALL)!r} {MONEY.look_up(CALL)}"


@pytest.mark.parametrize("token", ["", "canary\n", "canary token", "canary\r\nX-Evil: 1", "canärie", "canary\x00"])
def test_a_token_that_no_header_can_carry_is_refused_unseen(token: str) -> None:
    with refused("The token for money has", UsageError) as caught:
        MoneyV1({"token": token})
    assert "can" not in str(error_fields(caught.value)).replace("can carry", "")


@given(
    st.none() | st.integers(100, 599),
    bodies,
    st.none() | st.text(),
    st.none() | st.sampled_from(CallTrouble),
)
@example(200, b"[" * 60_000, None, None)
@example(200, b'{"transaction_id":' + b"9" * 5_000 + b"}", None, None)
@example(200, b'{"transaction_id":"\\ud800"}', None, None)
@example(200, b'{"transaction_id":"t-1"}', None, CallTrouble.RESET)
def test_no_answer_makes_the_reader_raise(
    status: int | None, body: bytes, retry_after: str | None, trouble: CallTrouble | None
) -> None:
    reply = Reply(status, body, retry_after, trouble, "detail")
    verdict = classify(read(MONEY, CALL, reply, look_up=False))
    look_up = classify_look_up(read(MONEY, CALL, reply, look_up=True), asked=ASKED, absence_is_proof=True)
    for transaction_id in (verdict.transaction_id, look_up.transaction_id):
        if transaction_id is not None:
            assert trouble is None
            assert is_transaction_id(transaction_id)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"t-1"',
        b"<html>",
        b"\xff\xfe",
        b'{"transaction_id":null}',
        b'{"transaction_id":1}',
        b'{"transaction_id":""}',
        b'{"transaction_id":" "}',
        b'{"transaction_id":"null"}',
        b'{"transaction_id":"None"}',
        b'{"transaction_id":"undefined"}',
        b'{"transaction_id":"-"}',
        b'{"transaction_id":"000"}',
        b'{"transaction_id":["t-1"]}',
        b'{"transaction_id":"a\\u0000b"}',
        b'{"transaction_id":"' + b"x" * 201 + b'"}',
        b'{"Transaction_Id":"t-1"}',
        b'{"transaction_id":"t-1"',
        b'{"transaction_id":"t-1"}{"transaction_id":"t-2"}',
        b'[{"transaction_id":"t-1"}]',
        b'{"data":{"transaction_id":"t-1"}}',
        # A key that is repeated, at the top or deeper
        b'{"transaction_id":"t-1","transaction_id":"t-2"}',
        b'{"transaction_id":"t-1","transaction_id":"t-1"}',
        b'{"transaction_id":"t-1","more":{"a":1,"a":2}}',
        b'{"transaction_id":"t-1","transaction\\u005fid":"t-2"}',
        b'{"transaction_id":"t-1","more":NaN}',
        # An error beside the id
        b'{"transaction_id":"t-1","code":"INSUFFICIENT_BALANCE"}',
        b'{"transaction_id":"t-1","code":7}',
        b'{"transaction_id":"t-1","error":"declined"}',
        b'{"transaction_id":"t-1","error":{"message":"declined"}}',
        b'{"transaction_id":"t-1","errors":["declined"]}',
        # Another payment
        b'{"transaction_id":"t-1","member_id":"member-2"}',
        b'{"transaction_id":"t-1","member_id":"Member-1"}',
        b'{"transaction_id":"t-1","campaign_id":8}',
        b'{"transaction_id":"t-1","amount":1501}',
        b'{"transaction_id":"t-1","amount":"1500"}',
        b'{"transaction_id":"t-1","amount":1500.0}',
        b'{"transaction_id":"t-1","idempotency_key":"6f1a2b3c-0000-5000-8000-000000000002"}',
    ],
)
@pytest.mark.parametrize("status", [200, 201])
def test_an_answer_that_cannot_be_believed_is_perhaps_a_credit(body: bytes, status: int) -> None:
    assert classify(understood(status, body)).outcome is Outcome.UNREADABLE


@pytest.mark.parametrize(
    "fields",
    [
        {},
        ASKED._asdict(),
        {"idempotency_key": str(KEY).upper()},
        {"code": None, "error": None, "errors": [], "member_id": None},
        {"message": ["?"], "more": 1, "balance": {"points": 1500}},
    ],
)
def test_a_credit_may_say_more_as_long_as_it_does_not_contradict_itself(fields: dict[str, Any]) -> None:
    verdict = classify(credited("t-1", **fields))
    assert (verdict.outcome, verdict.transaction_id) == (Outcome.CREDITED, "t-1")


def test_a_contradiction_is_named() -> None:
    declined = credited("t-1", code="INSUFFICIENT_BALANCE", message="no money")
    assert (declined.outcome, declined.code, declined.message) == (
        Outcome.UNREADABLE,
        "INSUFFICIENT_BALANCE",
        "no money",
    )
    assert credited("t-1", member_id="member-2").code == "OTHER_PAYMENT"


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 503])
def test_an_error_with_a_transaction_id_is_perhaps_a_credit(status: int) -> None:
    body = b'{"code":"SOME_CODE","transaction_id":"t-1"}'
    assert classify(understood(status, body)).outcome is Outcome.UNREADABLE


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"Forbidden"}',
        b'{"code":404,"message":"no"}',
        b'{"code":"","message":"no"}',
        b'{"code":null}',
        b'{"error":{"code":"NO_MEMBER"}}',
        b'["NO_MEMBER"]',
        b'{"code":"NO_MEMBER"',
        b'{"code":"NO_MEMBER","code":"OTHER"}',
        b'\xef\xbb\xbf{"code":"NO_MEMBER"}',
    ],
)
def test_a_refusal_without_the_contracts_code_is_of_something_in_between(body: bytes) -> None:
    assert classify(understood(404, body)).outcome is Outcome.FOREIGN


def test_an_answer_is_read_whole() -> None:
    busy = understood(503, b'{"code":"BUSY","message":"later","more":1}', retry_after="7")
    assert (busy.outcome, busy.code, busy.message, busy.retry_after_s) == (Outcome.NOT_TAKEN, "BUSY", "later", 7.0)
    credit = understood(201, b'{"transaction_id":"t-1"}')
    assert (credit.outcome, credit.transaction_id) == (Outcome.CREDITED, "t-1")


def test_trouble_is_explained_in_the_clients_words() -> None:
    assert understood(None, trouble=CallTrouble.RESET).message == "the client's words"


@pytest.mark.parametrize(
    ("body", "credit"),
    [
        (
            b'{"transaction_id":"t-1","campaign_id":7,"member_id":"m","amount":5}',
            Credit(campaign_id=7, member_id="m", amount=5),
        ),
        (b'{"transaction_id":"t-1","campaign_id":7,"member_id":"m"}', None),
        (b'{"transaction_id":"t-1","campaign_id":7,"member_id":"m","amount":5.0}', None),
        (b'{"transaction_id":"t-1","campaign_id":true,"member_id":"m","amount":5}', None),
        (b'{"transaction_id":"t-1","campaign_id":"7","member_id":"m","amount":5}', None),
        (b'{"transaction_id":"t-1","campaign_id":7,"member_id":"m","amount":5,"code":"RETURNED"}', None),
        (b'{"transaction_id":"t-1","campaign_id":7,"member_id":"m","amount":5,"amount":6}', None),
        (b"{}", None),
    ],
)
def test_a_look_up_is_believed_only_with_all_its_fields(body: bytes, credit: Credit | None) -> None:
    assert understood(200, body, look_up=True).credit == credit


class Lines:
    """An adapter for a made-up API whose answers are lines of text."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.key = secrets["signing_key"]

    def pay(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("POST", "/pay", {}, str(call.key).encode())

    def look_up(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("GET", f"/pay?key={call.key}&member={call.member_id}", {}, None)

    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        word, _, rest = reply.body.decode().partition(" ")
        match word:
            case "credited":
                return answers.credited(rest, Credit(call.campaign_id, reply.headers["x-member"], call.amount))
            case "accepted":
                return answers.accepted()
            case "slower":
                return answers.slow_down(5.0)
        return None

    read_look_up = read_pay


LINES = Lines({"signing_key": "canary"})


@pytest.mark.parametrize(
    ("body", "headers", "outcome"),
    [
        (b"credited t-1", [b"X-Member: member-1"], Outcome.CREDITED),
        (b"credited t-1", [b"HTTP/1.1 200 OK", b"x-MEMBER:member-1 "], Outcome.CREDITED),
        (b"credited t-1", [b"X-Member: member-2"], Outcome.UNREADABLE),
        (b"credited null", [b"X-Member: member-1"], Outcome.UNREADABLE),
        (b"credited t-1", [], Outcome.UNREADABLE),  # it raised KeyError
        (b"\xff", [], Outcome.UNREADABLE),  # it raised UnicodeDecodeError
        (b"accepted", [], Outcome.ACCEPTED),
        (b"slower", [], Outcome.THROTTLED),
        (b"<html>", [], Outcome.UNREADABLE),
    ],
)
def test_what_an_adapter_says_is_checked_before_it_is_believed(
    body: bytes, headers: list[bytes], outcome: Outcome
) -> None:
    assert classify(read(LINES, CALL, Reply(200, body, headers=Headers(headers)), look_up=False)).outcome is outcome


def test_a_page_before_another_api_is_a_page() -> None:
    assert classify(read(LINES, CALL, Reply(404, b"<html>"), look_up=False)).outcome is Outcome.FOREIGN
    assert classify(read(LINES, CALL, Reply(429, b"<html>", "3"), look_up=False)).retry_after_s == 3.0


def test_retry_after_is_read_for_every_adapter_and_its_own_word_counts_more() -> None:
    assert read(LINES, CALL, Reply(202, b"accepted", "7"), look_up=False).retry_after_s == 7.0
    assert read(LINES, CALL, Reply(200, b"slower", "7"), look_up=False).retry_after_s == 5.0


def test_a_secret_that_an_adapter_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("adapters_of_test")
    module.__dict__.update(Lines=Lines)
    monkeypatch.setitem(sys.modules, "adapters_of_test", module)
    with refused("needs the secret signing_key", UsageError):
        load_adapter("adapters_of_test:Lines", {})
    assert isinstance(load_adapter("adapters_of_test:Lines", {"signing_key": "k"}), Lines)


def test_without_a_name_the_adapter_is_that_of_contract_v1() -> None:
    assert isinstance(load_adapter(None, {}), MoneyV1)
    assert isinstance(load_adapter("bulkpoint.money.contract:MoneyV1", {}), MoneyV1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:Money", "no_such_module cannot be imported"),
        ("adapters_of_test:Missing", "has no class Missing"),
        ("adapters_of_test:function", "has no class function"),
        ("adapters_of_test:Partial", "lacks look_up, read_pay, read_look_up"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_named(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("adapters_of_test")
    partial = type("Partial", (), {"pay": lambda: None})
    module.__dict__.update(Partial=partial, function=lambda: None)
    monkeypatch.setitem(sys.modules, "adapters_of_test", module)
    with refused("BULKPOINT_MONEY_ADAPTER", UsageError) as caught:
        load_adapter(name, {})
    assert words in sentence(caught.value)
