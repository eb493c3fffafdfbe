"""The adapters in conf/examples, reply by reply; tests/acceptance/test_adapters.py pays with them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint import files
from bulkpoint.errors import UsageError
from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.reading import read
from bulkpoint.money.transport import Reply
from bulkpoint.rules.answers import Outcome, classify
from tests.world.refusals import refused

EXAMPLES = files.path_of("conf/examples/adapters")
LINES_MAX = 49  # of an example: under 50: an API of another contract costs no more
SECRETS = {"token": "an-api-key", "merchant": "M-1", "sign_key": "the-sign-key-of-a-merchant"}
SIGNED_FORM, ACCEPT_AND_POLL = "signed_form:SignedForm", "accept_and_poll:AcceptAndPoll"
CALL = PointsCall(UUID(int=7), 3, "회원 & 1", 1500, "보상=3%\n")


@pytest.fixture(autouse=True)
def _examples_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.mark.parametrize("file", sorted(Path(EXAMPLES).glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_short_and_the_guide_names_it(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LINES_MAX
    assert f"conf/examples/adapters/{file.name}" in files.path_of("docs/money-adapter.md").read_text()


def test_a_signed_form_says_everything_once_and_always_the_same() -> None:
    adapter = load_adapter(SIGNED_FORM, SECRETS)
    request = adapter.pay(CALL)
    assert request == adapter.pay(CALL) == load_adapter(SIGNED_FORM, SECRETS).pay(CALL)
    assert request.body is not None
    fields = parse_qs(request.body.decode(), strict_parsing=True)
    sign = fields.pop("sign")
    assert fields == {
        "merchantId": ["M-1"],
        "orderId": [str(CALL.key)],
        "userId": ["회원 & 1"],
        "amount": ["1500"],
        "memo": ["보상=3%\n"],
    }
    assert re.fullmatch("[0-9a-f]{64}", sign[0])
    assert "the-sign-key" not in repr(request) + request.body.decode()


OK = {"resultCode": "0000", "tid": "T-1", "userId": "회원 & 1", "amount": "1500"}
DONE = {"status": "DONE", "id": "T-1", "user": "회원 & 1", "points": 1500}


@pytest.mark.parametrize(
    ("name", "status", "body", "outcome"),
    [
        (SIGNED_FORM, 200, OK, Outcome.CREDITED),
        (SIGNED_FORM, 200, OK | {"userId": "other"}, Outcome.UNREADABLE),
        (SIGNED_FORM, 200, OK | {"amount": "1501"}, Outcome.UNREADABLE),
        (SIGNED_FORM, 200, OK | {"tid": " "}, Outcome.UNREADABLE),
        (SIGNED_FORM, 200, {"resultCode": "0000"}, Outcome.UNREADABLE),
        (SIGNED_FORM, 200, {"resultCode": "1001"}, Outcome.REJECTED),
        (SIGNED_FORM, 200, {"resultCode": "2001"}, Outcome.MISMATCH),
        (SIGNED_FORM, 200, {"resultCode": "9001"}, Outcome.THROTTLED),
        (SIGNED_FORM, 200, {"resultCode": "9002"}, Outcome.UNAUTHORIZED),
        (SIGNED_FORM, 200, {"resultCode": "never seen"}, Outcome.SERVER_ERROR),
        (SIGNED_FORM, 200, {"resultCode": 7}, Outcome.SERVER_ERROR),
        (SIGNED_FORM, 200, {"resultCode": ["1001"]}, Outcome.SERVER_ERROR),
        (SIGNED_FORM, 200, {"resultCode": "1001", "resultMsg": {"a": 1}}, Outcome.REJECTED),
        (SIGNED_FORM, 200, OK | {"tid": 5}, Outcome.UNREADABLE),
        (SIGNED_FORM, 200, {}, Outcome.UNREADABLE),
        (SIGNED_FORM, 200, [], Outcome.UNREADABLE),
        (SIGNED_FORM, 404, {"resultCode": "1001"}, Outcome.FOREIGN),
        (SIGNED_FORM, 429, "a gateway's page", Outcome.THROTTLED),
        (ACCEPT_AND_POLL, 429, "a gateway's page", Outcome.THROTTLED),
        (SIGNED_FORM, 502, OK, Outcome.SERVER_ERROR),
        (ACCEPT_AND_POLL, 202, {"status": "QUEUED"}, Outcome.ACCEPTED),
        (ACCEPT_AND_POLL, 200, DONE, Outcome.CREDITED),
        (ACCEPT_AND_POLL, 200, DONE | {"points": 15}, Outcome.UNREADABLE),
        (ACCEPT_AND_POLL, 200, DONE | {"error": "BAD_KEY"}, Outcome.SERVER_ERROR),
        (ACCEPT_AND_POLL, 200, {"status": "DECLINED", "why": "CLOSED"}, Outcome.REJECTED),
        (ACCEPT_AND_POLL, 409, {"error": "OTHER_CONTENT"}, Outcome.MISMATCH),
        (ACCEPT_AND_POLL, 401, {"error": "BAD_KEY"}, Outcome.UNAUTHORIZED),
        (ACCEPT_AND_POLL, 503, {"error": "BUSY"}, Outcome.NOT_TAKEN),
        (ACCEPT_AND_POLL, 404, {}, Outcome.FOREIGN),
        (ACCEPT_AND_POLL, 202, {"status": "never seen"}, Outcome.UNREADABLE),
    ],
)
def test_an_example_reads_what_its_api_says(name: str, status: int, body: object, outcome: Outcome) -> None:
    reply = Reply(status, json.dumps(body).encode())
    answer = read(load_adapter(name, SECRETS), CALL, reply, look_up=False)
    assert classify(answer).outcome is outcome


@pytest.mark.parametrize("name", [SIGNED_FORM, ACCEPT_AND_POLL])
@given(status=st.integers(100, 599), body=st.binary(max_size=200), retry_after=st.text(max_size=10))
def test_no_reply_of_something_else_credits_or_refuses(name: str, status: int, body: bytes, retry_after: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        adapter = load_adapter(name, SECRETS)
    reply = Reply(status, body, retry_after)
    for look_up in (False, True):
        outcome = read(adapter, CALL, reply, look_up=look_up).outcome
        assert outcome in (Outcome.THROTTLED, Outcome.FOREIGN, Outcome.SERVER_ERROR, Outcome.UNREADABLE)


@pytest.mark.parametrize("returned", [True, "0000", (1, 2), Outcome.CREDITED, {"outcome": "CREDITED"}])
def test_what_is_no_answer_at_all_is_not_believed(returned: object) -> None:
    adapter = MoneyV1(SECRETS)
    adapter.read_pay = lambda *_: returned  # type: ignore[method-assign, assignment]
    answer = read(adapter, CALL, Reply(200, b"{}"), look_up=False)
    assert (classify(answer).outcome, answer.code) == (Outcome.UNREADABLE, "ADAPTER_RAISED")


@pytest.mark.parametrize("name", [SIGNED_FORM, ACCEPT_AND_POLL])
@pytest.mark.parametrize("secrets", [{}, {"merchant": "M-1"}])
def test_a_missing_secret_is_named(name: str, secrets: Mapping[str, str]) -> None:
    with refused("needs the secret", UsageError):
        load_adapter(name, secrets)
