"""Samples of the lists that were seen, and where the members of a new list are found in earlier ones.

A member's hash is that of intake/list_sketch.py. Each statement opens at most one partition of the payments.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

from bulkpoint.rules.copies import REMEMBERED_DAYS, ListSample
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


class EarlierList(NamedTuple):
    """The list of a campaign that was started, or that waits before the new one."""

    campaign_id: int
    waiting: bool
    target_count: int


class _Sampled(NamedTuple):
    campaign_id: int
    packed: bytes


class _MembersOf(NamedTuple):
    campaign_id: int
    members: int


class _Hashed(NamedTuple):
    rows: bytes
    members: list[str]


_SNAPSHOT = Query("present_snapshot", str)
_COMPARED_IN = Query("get_compared_in", str)
_EARLIER = Query("list_earlier_lists", EarlierList)
_SAMPLED_HASHES = Query("get_sampled_hashes", _Sampled)
_SAMPLED_AMOUNTS = Query("get_sampled_amounts", _Sampled)
_NOT_PAID = Query("count_not_paid", _MembersOf)
_COUNTED = Query("count_members_in", _MembersOf)
_FOUND = Query("find_members_in", bytes)
_NOT_PAID_AMONG = Query("find_not_paid_among", bytes)
_HASHES_NOT_PAID = Query("hash_not_paid", bytes)
_HASHES = Query("hash_targets", _Hashed)


def keep_list_sample(connection: Connection, campaign_id: int, sample: ListSample) -> None:
    """Keep the sample of a campaign's list for the lists to come, in the caller's transaction."""
    connection.execute(sql("keep_list_sample"), {"campaign_id": campaign_id, **asdict(sample)})


def present_snapshot(connection: Connection) -> str:
    """Which transactions this moment sees: taken before a comparison, it says which lists were compared."""
    return _SNAPSHOT.one(connection)


def get_compared_in(connection: Connection, campaign_id: int, digest: bytes) -> str | None:
    """What the comparison of a campaign's list saw; None where this list was not compared yet."""
    return _COMPARED_IN.first(connection, campaign_id=campaign_id, digest=digest)


def earlier_lists(connection: Connection, campaign_id: int, *, compared_in: str | None = None) -> list[EarlierList]:
    """The lists of the last 90 days that a campaign's list is compared with, the youngest first.

    compared_in: without the lists that an earlier comparison saw.
    """
    return _EARLIER.all(connection, campaign_id=campaign_id, compared_in=compared_in, days=REMEMBERED_DAYS)


def sampled_hashes(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, bytes]:
    """The hashes in the sample of each list: 8 bytes each, ascending."""
    return dict(_SAMPLED_HASHES.all(connection, campaign_ids=list(campaign_ids)))


def sampled_amounts(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, bytes]:
    """The amounts of the same members, in the same order: 8 bytes each."""
    return dict(_SAMPLED_AMOUNTS.all(connection, campaign_ids=list(campaign_ids)))


def count_not_paid(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, int]:
    """Payments of each campaign that FAILED as REJECTED or UNAVAILABLE, where there are any."""
    return dict(_NOT_PAID.all(connection, campaign_ids=list(campaign_ids)))


def count_members_in(connection: Connection, campaign_ids: Sequence[int], members: Sequence[str]) -> dict[int, int]:
    """How many of the members are in the list of each campaign, where there are any."""
    return dict(_COUNTED.all(connection, campaign_ids=list(campaign_ids), members=list(members)))


def find_members_in(connection: Connection, campaign_id: int, members: Sequence[str]) -> bytes:
    """Members that a campaign's list has: the place in `members` (4 bytes) and the amount there (8 bytes)."""
    return _FOUND.one(connection, campaign_id=campaign_id, members=list(members))


def find_not_paid_among(connection: Connection, campaign_id: int, members: Sequence[str]) -> bytes:
    """Members whose payment FAILED there as REJECTED or UNAVAILABLE: the place in `members` (4 bytes)."""
    return _NOT_PAID_AMONG.one(connection, campaign_id=campaign_id, members=list(members))


def hash_not_paid(connection: Connection, campaign_id: int) -> bytes:
    """The hashes of all members whose payment FAILED there as REJECTED or UNAVAILABLE. One scan of the campaign."""
    return _HASHES_NOT_PAID.one(connection, campaign_id=campaign_id)


def hash_targets(
    connection: Connection, campaign_id: int, *, below: bytes, members_below: bytes
) -> tuple[bytes, list[str]]:
    """Hash and amount (8 bytes each) of targets with a hash below a bound, and the ids of those below another one.

    In no order. One scan of the campaign.
    """
    hashed = _HASHES.one(connection, campaign_id=campaign_id, below=below, members_below=members_below)
    return hashed.rows, hashed.members
