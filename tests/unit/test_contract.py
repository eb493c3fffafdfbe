"""Contract v1: requests that are the same for every try, answers that never surprise the reader."""

import json
import sys
import types
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkpoint.errors import UsageError
from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.contract import TRANSACTION_ID_CHARACTERS_MAX, MoneyV1, PointsCall
from bulkpoint.money.transport import Reply
from bulkpoint.rules.answers import CallTrouble, Credit, Outcome, classify
from bulkpoint.views.sentences import error_fields, sentence
from tests.world.refusals import refused

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
KEY = UUID("6f1a2b3c-0000-5000-8000-000000000001")
MONEY = MoneyV1("canary-token")

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
    request = MONEY.look_up(KEY)
    assert (request.method, request.path, request.body) == ("GET", f"/v1/points/{KEY}", None)
    assert request.headers == {"Authorization": "Bearer canary-token"}
    assert MoneyV1(None).look_up(KEY).headers == {}


def test_the_token_is_not_shown() -> None:
    call = PointsCall(KEY, 7, "member-1", 1500, "Gift")
    assert "canary" not in f"{MONEY!r} {MONEY} {MONEY.pay(call)!r} {MONEY.look_up(KEY)}"


@pytest.mark.parametrize("token", ["", "canary\n", "canary token", "canary\r\nX-Evil: 1", "canärie", "canary\x00"])
def test_a_token_that_no_header_can_carry_is_refused_unseen(token: str) -> None:
    with refused("The token for money has", UsageError) as caught:
        MoneyV1(token)
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
    for observed in (MONEY.read_pay(reply, NOW), MONEY.read_look_up(reply, NOW)):
        assert (observed.status, observed.trouble) == (status, trouble)
        if observed.transaction_id is not None:
            assert trouble is None
            assert 1 <= len(observed.transaction_id) <= TRANSACTION_ID_CHARACTERS_MAX
            assert observed.transaction_id.isprintable()
        classify(observed)


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
        b'{"transaction_id":["t-1"]}',
        b'{"transaction_id":"a\\u0000b"}',
        b'{"transaction_id":"' + b"x" * 201 + b'"}',
        b'{"Transaction_Id":"t-1"}',
        b'{"transaction_id":"t-1"',
    ],
)
def test_a_200_without_a_transaction_id_is_perhaps_a_credit(body: bytes) -> None:
    assert classify(MONEY.read_pay(Reply(200, body), NOW)).outcome is Outcome.UNREADABLE


def test_an_answer_is_read_whole() -> None:
    refused = MONEY.read_pay(Reply(503, b'{"code":"BUSY","message":"later","more":1}', "7"), NOW)
    assert (refused.status, refused.code, refused.message, refused.retry_after_s) == (503, "BUSY", "later", 7.0)
    credited = MONEY.read_pay(Reply(201, b'{"transaction_id":"t-1"}'), NOW)
    assert (credited.status, credited.transaction_id) == (201, "t-1")


def test_one_wrong_field_does_not_hide_the_others() -> None:
    observed = MONEY.read_pay(Reply(200, b'{"transaction_id":"t-1","code":7,"message":["?"]}'), NOW)
    assert (observed.transaction_id, observed.code, observed.message) == ("t-1", None, None)


def test_trouble_is_explained_in_the_clients_words() -> None:
    observed = MONEY.read_pay(Reply(None, trouble=CallTrouble.RESET, detail="Connection reset by peer"), NOW)
    assert observed.message == "Connection reset by peer"


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
        (b"{}", None),
    ],
)
def test_a_look_up_is_believed_only_with_all_its_fields(body: bytes, credit: Credit | None) -> None:
    assert MONEY.read_look_up(Reply(200, body), NOW).credit == credit


def test_without_a_name_the_adapter_is_that_of_contract_v1() -> None:
    assert isinstance(load_adapter(None, None), MoneyV1)
    assert isinstance(load_adapter("bulkpoint.money.contract:MoneyV1", None), MoneyV1)


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
        load_adapter(name, None)
    assert words in sentence(caught.value)
