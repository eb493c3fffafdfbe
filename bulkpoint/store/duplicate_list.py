"""Lists that were seen before: paying the same list twice is the most common accident."""

from bulkpoint.rules.copies import REMEMBERED_DAYS
from bulkpoint.rules.readiness import SameList
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

_SAME_LIST = Query("find_same_list", SameList)
_MAY_BE = Query("list_of_these_totals_exists", bool)


def remember_list(connection: Connection, campaign_id: int, digest: bytes) -> None:
    """Note that a campaign has the list of this digest, in the caller's transaction."""
    connection.execute(sql("remember_list"), {"campaign_id": campaign_id, "digest": digest})


def find_same_list(connection: Connection, campaign_id: int, digest: bytes) -> SameList | None:
    """The other campaign that had this list last, within 90 days; None where there is none, or it was withdrawn."""
    return _SAME_LIST.first(connection, campaign_id=campaign_id, digest=digest, days=REMEMBERED_DAYS)


def may_be_seen_before(connection: Connection, *, count: int, amount: int) -> bool:
    """Whether a list of so many targets and points was seen within 90 days: if not, none of them is the same."""
    return _MAY_BE.one(connection, count=count, amount=amount, days=REMEMBERED_DAYS)


def allow_repetition(connection: Connection, campaign_id: int, *, same_as: int, reason: str) -> None:
    """Note that a campaign's list is meant to be the same as an earlier one's, in the caller's transaction."""
    connection.execute(sql("allow_repetition"), {"campaign_id": campaign_id, "same_as": same_as, "reason": reason})
