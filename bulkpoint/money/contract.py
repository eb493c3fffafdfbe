"""Contract v1 of the money API (docs/money-openapi.yaml): how a payment is requested, and how an answer is read.

An answer is the API's own when it is one JSON object with what the contract asks for: a transaction id and nothing that
contradicts it, or an error's code. Everything else is something in between, and says nothing about the payment.
"""

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import NamedTuple, NoReturn
from uuid import UUID

from bulkpoint.errors import UsageError
from bulkpoint.money.transport import HttpRequest, Reply
from bulkpoint.rules.answers import Answer, Credit, Outcome

KEY_NOT_FOUND = "KEY_NOT_FOUND"
# Of a credit that names another campaign, member, amount or key.
OTHER_PAYMENT = "OTHER_PAYMENT"

# Of answers with a code; every other 4xx refuses the payment, every other 5xx says nothing.
_STATUSES: dict[int, Outcome] = {
    401: Outcome.UNAUTHORIZED,
    403: Outcome.UNAUTHORIZED,
    408: Outcome.NOT_TAKEN,
    409: Outcome.IN_PROGRESS,
    422: Outcome.MISMATCH,
    425: Outcome.NOT_TAKEN,
    429: Outcome.THROTTLED,
}


def _only_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key appears twice")
    return fields


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


# json.loads without its options: two thirds of the cost.
_DECODER = json.JSONDecoder(object_pairs_hook=_only_once, parse_constant=_refuse_constant)
# Nearly every answer is this one, and needs no decoder: a third of the cost.
_CREDITED = Outcome.CREDITED
_USUAL_CREDIT = re.compile(rb'\{"transaction_id": ?"([\w.:/-]+)"\}\s*', re.ASCII).fullmatch


class PointsCall(NamedTuple):
    """One payment, as every try of it is sent: a try that differs in anything but time is refused with a 422."""

    key: UUID
    campaign_id: int
    member_id: str
    amount: int
    reason: str


class MoneyV1:
    """Builds the requests of contract v1 and reads its answers. Sends nothing, and no answer makes it raise."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """secrets: `token`, the bearer token, if the API needs one. Raises UsageError where no header can carry it."""
        token = secrets.get("token")
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

    def look_up(self, call: PointsCall) -> HttpRequest:
        """The request that asks what the API has under the call's key."""
        return HttpRequest("GET", f"/v1/points/{call.key}", self._look_up_headers, None)

    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        """What the answer to pay() says; None where it is not the API's own."""
        status = reply.status
        if status in (200, 201):
            usual = _USUAL_CREDIT(reply.body)
            if usual is not None:
                return Answer(_CREDITED, usual[1].decode("ascii"))
        fields = _fields(reply)
        if fields is None or status is None:
            return None
        if status in (200, 201):
            return _credit(fields, call)
        return _error(fields, reply, status)

    def read_look_up(self, call: PointsCall, reply: Reply) -> Answer | None:  # noqa: ARG002 (other APIs need it)
        """What the answer to look_up() says; a credit only where all of its fields are present."""
        fields, status = _fields(reply), reply.status
        if fields is None or status is None:
            return None
        if status == 200:
            return _found(fields)
        answer = _error(fields, reply, status)
        if answer is None or answer.outcome is not Outcome.REJECTED:
            return answer
        # The only proof of absence: another code is of another path, and what refuses a look-up refuses no payment.
        found_nothing = status == 404 and answer.code == KEY_NOT_FOUND
        return answer._replace(outcome=Outcome.NOT_FOUND) if found_nothing else None


def _fields(reply: Reply) -> dict[str, object] | None:
    """The JSON object in the body; None where there is no such object, or one of its keys is repeated."""
    try:
        fields = _DECODER.decode(reply.body.decode())
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of 5,000 digits; 60,000 brackets
        return None
    return fields if type(fields) is dict else None


def _credit(fields: dict[str, object], call: PointsCall) -> Answer:
    """Of a 200 or 201 to a payment. Whether the transaction id can be one is for rules/answers.py to say."""
    transaction_id = fields.get("transaction_id")
    if type(transaction_id) is not str:
        return Answer(Outcome.UNREADABLE, code=_text(fields, "code"), message=_message(fields))
    wrong = _contradiction(fields, call)
    if wrong is not None:
        return Answer(Outcome.UNREADABLE, code=wrong, message=_message(fields))
    return Answer(Outcome.CREDITED, transaction_id)


def _found(fields: dict[str, object]) -> Answer | None:
    """Of a 200 to a look-up."""
    campaign_id, member_id, amount = fields.get("campaign_id"), fields.get("member_id"), fields.get("amount")
    transaction_id = fields.get("transaction_id")
    if (
        type(transaction_id) is str
        and type(campaign_id) is int
        and type(member_id) is str
        and type(amount) is int
        and _error_beside(fields) is None
    ):
        return Answer(Outcome.CREDITED, transaction_id, credit=Credit(campaign_id, member_id, amount))
    return None


def _error(fields: dict[str, object], reply: Reply, status: int) -> Answer | None:
    """Of a 4xx or 5xx with a code; None for what is not an error of the contract."""
    code = _text(fields, "code")
    if code is None or not 400 <= status < 600:
        return None
    if fields.get("transaction_id") is not None:
        return Answer(Outcome.UNREADABLE, code=code, message=_message(fields))
    if status < 500:
        outcome = _STATUSES.get(status, Outcome.REJECTED)
    else:
        outcome = Outcome.NOT_TAKEN if status == 503 and reply.retry_after is not None else Outcome.SERVER_ERROR
    return Answer(outcome, code=code, message=_message(fields))


def _contradiction(fields: dict[str, object], call: PointsCall) -> str | None:
    """Why a credit is not believed: an error beside it, or another payment's values."""
    error = _error_beside(fields)
    if error is not None:
        return error
    for name, ours in (("campaign_id", call.campaign_id), ("member_id", call.member_id), ("amount", call.amount)):
        theirs = fields.get(name)
        if theirs is not None and (type(theirs) is not type(ours) or theirs != ours):
            return OTHER_PAYMENT
    key = fields.get("idempotency_key")
    return OTHER_PAYMENT if type(key) is str and key.lower() != str(call.key) else None


def _error_beside(fields: dict[str, object]) -> str | None:
    """The error that a credit carries, if any: the contract has `code` in errors only."""
    for name in ("code", "error", "errors"):
        value = fields.get(name)
        if value is not None and value is not False and value not in ("", [], {}):
            return value if type(value) is str else "CONTRADICTS_ITSELF"
    return None


def _text(fields: dict[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if type(value) is str and value.strip() else None


def _message(fields: dict[str, object]) -> str | None:
    return _text(fields, "message")
