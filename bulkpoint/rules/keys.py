"""The idempotency key of a payment: the one place that knows how it is made."""

from hashlib import sha1
from uuid import UUID

_VERSION_5 = 5 << 76
_VARIANT_RFC = 2 << 62
_NEITHER = ~(0xF << 76 | 0x3 << 62)


def idempotency_key(namespace: UUID, member_id: str) -> UUID:
    """RFC 9562's version 5 UUID of a member in a campaign's namespace: the same for every call that pays this member.

    Equal to uuid.uuid5, at half its cost: a campaign makes a million keys.
    """
    digest = sha1(namespace.bytes + member_id.encode(), usedforsecurity=False).digest()
    return UUID(int=int.from_bytes(digest[:16], "big") & _NEITHER | _VERSION_5 | _VARIANT_RFC)
