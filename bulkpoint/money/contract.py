"""Contract v1 of the money API (docs/money-openapi.yaml): how a payment is requested, and how an answer is read.

Each field of an answer is checked by itself, not the answer as a whole as in pydantic: a credit stays a credit even
when its message field is not text.
"""

import json
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import NamedTuple
from uuid import UUID

from bulkpoint.errors import UsageError
from bulkpoint.money.transport import HttpRequest, Reply
from bulkpoint.rules.answers import CallResult, Credit
from bulkpoint.rules.retry import parse_retry_after

TRANSACTION_ID_CHARACTERS_MAX = 200

_DECODER = json.JSONDecoder()  # json.loads without its options: two thirds of the cost


class PointsCall(NamedTuple):
    """One payment, as every try of it is sent: a try that differs in anything but time is refused with a 422."""

    key: UUID
    campaign_id: int
    member_id: str
    amount: int
    reason: str


class MoneyV1:
    """Builds the requests of contract v1 and reads its answers. Sends nothing, and no answer makes it raise."""

    def __init__(self, token: str | None) -> None:
        """token: the bearer token, if the API needs one. Raises UsageError where no header can carry it."""
        self._look_up_headers: dict[str, str] = {}
        if token is not None:
            if not (token and token.isascii() and token.isprintable() and " " not in token):
                raise UsageError("MONEY_TOKEN_WRONG")
            self._look_up_headers["Authorization"] = f"Bearer {token}"
        self._pay_headers = {**self._look_up_headers, "Content-Type": "application/json"}

    def pay(self, call: PointsCall) -> HttpRequest:
        """The request that credits a member."""
        # By hand, in ASCII with escapes: a sixth of the cost of json.dumps, and no text can make it fail.
        body = (
            f'{{"campaign_id":{call.campaign_id},"member_id":{encode_basestring_ascii(call.member_id)},'
            f'"amount":{call.amount},"reason":{encode_basestring_ascii(call.reason)}}}'
        )
        headers = {**self._pay_headers, "Idempotency-Key": str(call.key)}
        return HttpRequest("POST", "/v1/points", headers, body.encode("ascii"))

    def look_up(self, key: UUID) -> HttpRequest:
        """The request that asks what the API has under a key."""
        return HttpRequest("GET", f"/v1/points/{key}", self._look_up_headers, None)

    def read_pay(self, reply: Reply, now: datetime) -> CallResult:
        """What the answer to pay() says. now: aware, for a Retry-After that is a date."""
        return _observed(reply, _fields(reply), now)

    def read_look_up(self, reply: Reply, now: datetime) -> CallResult:
        """What the answer to look_up() says; a credit only where all of its fields are present."""
        fields = _fields(reply)
        campaign_id, member_id, amount = fields.get("campaign_id"), fields.get("member_id"), fields.get("amount")
        observed = _observed(reply, fields, now)
        if type(campaign_id) is int and type(member_id) is str and type(amount) is int:
            return observed._replace(credit=Credit(campaign_id, member_id, amount))
        return observed


def _fields(reply: Reply) -> dict[str, object]:
    """The JSON object in the body; empty where there is none, or it is incomplete."""
    if reply.trouble is not None or not reply.body:
        return {}
    try:
        fields = _DECODER.decode(reply.body.decode())
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of 5,000 digits; 60,000 brackets
        return {}
    return fields if type(fields) is dict else {}


def _observed(reply: Reply, fields: dict[str, object], now: datetime) -> CallResult:
    transaction_id, code, message = fields.get("transaction_id"), fields.get("code"), fields.get("message")
    return CallResult(
        reply.status,
        reply.trouble,
        None if reply.retry_after is None else parse_retry_after(reply.retry_after, now),
        transaction_id if type(transaction_id) is str and _is_transaction_id(transaction_id) else None,
        code if type(code) is str else None,
        message if type(message) is str else reply.detail,
    )


def _is_transaction_id(text: str) -> bool:
    return 0 < len(text) <= TRANSACTION_ID_CHARACTERS_MAX and text.isprintable()
