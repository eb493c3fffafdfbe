"""The digest of a list of targets, as the function target_digest() of the database makes it.

SHA-256 over the rows in the order of member_id's bytes, in chunks of 10,000 rows and then over the chunks' hashes. So a
file and the campaign it was loaded into have the same digest.
"""

from collections.abc import Iterable
from hashlib import sha256
from itertools import islice

CHUNK_ROWS = 10_000


def row_bytes(member_id: str, amount: int, reason: str) -> bytes:
    """The hashed form of a row; the lengths, in bytes, keep two different lists from giving the same text."""
    member, why = member_id.encode(), reason.encode()
    return b"%d:%b,%d,%d:%b\n" % (len(member), member, amount, len(why), why)


def member_bytes(row: bytes) -> bytes:
    """The member_id in row_bytes; the rows are ordered by it."""
    length, _, rest = row.partition(b":")
    return rest[: int(length)]


def digest_rows(rows: Iterable[bytes]) -> bytes:
    """The digest, 32 bytes, of row_bytes that come in the order of member_bytes, each member once."""
    remaining = iter(rows)
    whole = sha256()
    while chunk := b"".join(islice(remaining, CHUNK_ROWS)):
        whole.update(sha256(chunk).digest())
    return whole.digest()
