"""What the sandbox takes as an order, and what it does not."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.sandbox.ledger import LINE_BYTES_MAX, Credit
from bulkpoint.sandbox.orders import InvalidOrderError, Order, key_text, read_key, read_order

GOOD: dict[str, Any] = {"campaign_id": 7, "member_id": "m-1", "amount": 5000, "reason": "감사"}


def test_an_order_is_taken_as_it_is() -> None:
    assert read_order(json.dumps(GOOD).encode()) == Order(7, "m-1", 5000, "감사")
    assert read_order(json.dumps(GOOD, ensure_ascii=False).encode()) == Order(7, "m-1", 5000, "감사")


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 10**12 + 1},
        {"amount": 1.0},
        {"amount": "1"},
        {"amount": True},
        {"amount": None},
        {"campaign_id": 0},
        {"campaign_id": 2**63},
        {"campaign_id": "7"},
        {"member_id": ""},
        {"member_id": " m"},
        {"member_id": "m "},
        {"member_id": "m\x00"},
        {"member_id": "m\nm"},
        {"member_id": "m\x85m"},
        {"member_id": "\ud800"},
        {"member_id": "m" * 129},
        {"member_id": 5},
        {"reason": ""},
        {"reason": "r" * 501},
        {"reason": "\udfff"},
        {"colour": "blue"},
    ],
)
def test_an_order_outside_the_contract_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidOrderError):
        read_order(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize("field", list(GOOD))
def test_a_missing_field_is_refused(field: str) -> None:
    with pytest.raises(InvalidOrderError, match=field):
        read_order(json.dumps({name: value for name, value in GOOD.items() if name != field}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b'{"campaign_id": 7, "member_id": "m", "amount": 1e3, "reason": "r"}',
        b'{"campaign_id": 7, "member_id": "m", "amount": NaN, "reason": "r"}',
        b'{"campaign_id": 7, "member_id": "m", "amount": 1, "amount": 2, "reason": "r"}',
        b'{"campaign_id": 7, "member_id": "m", "amount": ' + b"9" * 5000 + b', "reason": "r"}',
        b"[" * 16_000,
    ],
)
def test_a_body_that_is_no_object_of_these_fields_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidOrderError):
        read_order(body)


@given(st.uuids())
def test_a_key_is_the_same_in_upper_and_lower_case(key: uuid.UUID) -> None:
    assert read_key(str(key)) == read_key(str(key).upper()) == key.int
    assert key_text(key.int) == str(key)


@pytest.mark.parametrize("text", ["", "x", "0" * 32, f"{{{uuid.UUID(int=7)}}}", f"{uuid.UUID(int=7)},1"])
def test_a_key_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidOrderError):
        read_key(text)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(member_id=TEXT, reason=TEXT, amount=st.integers(1, 10**12))
def test_a_credit_is_read_back_as_it_was_written(member_id: str, reason: str, amount: int) -> None:
    credit = Credit(2**127, Order(2**63 - 1, member_id, amount, reason), "tx-1", "2026-11-22T15:02:34.058872Z")
    line = credit.line()
    assert Credit.read(line) == credit
    assert line.count(b"\n") == 1


def test_the_longest_credit_is_read_in_one_go() -> None:
    longest = Order(2**63 - 1, "\U0010ffff" * 128, 10**12, "\U0010ffff" * 500)
    assert (
        len(Credit(2**128 - 1, longest, "tx-0123456789-999999999", "2026-11-22T15:02:34.058872Z").line())
        < LINE_BYTES_MAX
    )
