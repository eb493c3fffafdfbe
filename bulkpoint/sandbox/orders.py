"""Reads what a payer asks for, strictly: pure functions of the request's text."""

import json
import re
from typing import Final, NamedTuple

AMOUNT_MAX: Final = 10**12  # points
CAMPAIGN_ID_MAX: Final = 2**63 - 1
MEMBER_ID_CHARACTERS_MAX: Final = 128
REASON_CHARACTERS_MAX: Final = 500
FIELDS: Final = frozenset({"campaign_id", "member_id", "amount", "reason"})

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # half of a character, which JSON can name and UTF-8 cannot carry


class Order(NamedTuple):
    """One credit as asked for. Two requests with one key must carry equal orders."""

    campaign_id: int
    member_id: str
    amount: int
    reason: str


class InvalidOrderError(ValueError):
    """The request breaks the contract; the text says how."""


def read_key(text: str) -> int:
    """The 128-bit value of an idempotency key: a UUID in its usual form of 36 characters, upper or lower case."""
    if not _UUID.fullmatch(text):
        raise InvalidOrderError("Idempotency-Key must be one UUID of the form 8-4-4-4-12")
    return int(text.replace("-", ""), 16)


def key_text(key: int) -> str:
    """The usual form of a key, in lower case."""
    digits = f"{key:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read_order(body: bytes) -> Order:
    """The order in a request's body. Raises InvalidOrderError naming the field and the rule."""
    try:
        fields = _DECODER.decode(body.decode())
    except InvalidOrderError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidOrderError("the body is not JSON in UTF-8") from error
    if not isinstance(fields, dict):
        raise InvalidOrderError("the body must be a JSON object")
    if fields.keys() != FIELDS:
        raise InvalidOrderError(f"the body must have exactly the fields {', '.join(sorted(FIELDS))}")
    return Order(
        _whole("campaign_id", fields["campaign_id"], CAMPAIGN_ID_MAX),
        _member_id(fields["member_id"]),
        _whole("amount", fields["amount"], AMOUNT_MAX),
        _text("reason", fields["reason"], REASON_CHARACTERS_MAX),
    )


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidOrderError("a field appears twice")
    return fields


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_repeats)  # json.loads would make one for each request


def _whole(name: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidOrderError(f"{name} must be a whole number from 1 to {most}")
    return value


def _text(name: str, value: object, characters_max: int) -> str:
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= characters_max
        or (not value.isascii() and _SURROGATE.search(value))
    ):
        raise InvalidOrderError(f"{name} must be text of 1 to {characters_max} characters")
    return value


def _member_id(value: object) -> str:
    member_id = _text("member_id", value, MEMBER_ID_CHARACTERS_MAX)
    if member_id != member_id.strip() or (not member_id.isprintable() and _CONTROL.search(member_id)):
        raise InvalidOrderError("member_id must have no control characters and no space at its ends")
    return member_id
