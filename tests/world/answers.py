"""Answers of a money API of contract v1, as the engine understands them: from the bytes of a reply."""

import json
from typing import Any
from uuid import UUID

from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.reading import read
from bulkpoint.money.transport import Reply
from bulkpoint.rules.answers import Answer, CallTrouble, Credit

KEY = UUID("6f1a2b3c-0000-5000-8000-000000000001")
CALL = PointsCall(KEY, 7, "member-1", 1500, "설 선물")
ASKED = Credit(7, "member-1", 1500)
PAGE = b"<html><head><title>404 Not Found</title></head></html>"

_MONEY = MoneyV1({})


def understood(
    status: int | None,
    body: bytes = b"",
    *,
    trouble: CallTrouble | None = None,
    retry_after: str | None = None,
    look_up: bool = False,
) -> Answer:
    """What a reply with this body says."""
    return read(_MONEY, CALL, Reply(status, body, retry_after, trouble, "the client's words"), look_up=look_up)


def credited(transaction_id: str = "t-1", *, look_up: bool = False, **fields: Any) -> Answer:
    """What a 200 with this transaction id says, and with other fields beside it."""
    return understood(200, json.dumps({"transaction_id": transaction_id, **fields}).encode(), look_up=look_up)


def refused(status: int, code: str = "SOME_CODE", *, look_up: bool = False, retry_after: str | None = None) -> Answer:
    """What the contract's own error says."""
    body = json.dumps({"code": code, "message": "in words"}).encode()
    return understood(status, body, look_up=look_up, retry_after=retry_after)


def lost(trouble: CallTrouble, *, look_up: bool = False) -> Answer:
    """What a call without any reply says."""
    return understood(None, trouble=trouble, look_up=look_up)
