"""Targets: loaded in one stream, and summed to compare with the expected figures."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import psycopg

from bulkpoint.errors import RefusedError
from bulkpoint.store.connect import Connection, refused_row
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True, slots=True)
class _Total:
    count: int
    amount: Decimal
    largest: int


_TOTAL = Query("total_targets", _Total)
_DIGEST = Query("digest_targets", bytes)


def load_targets(connection: Connection, campaign_id: int, rows: Iterable[tuple[str, int, str]]) -> None:
    """Stream (member_id, amount, reason) into a campaign's targets.

    Call it in the transaction that creates the campaign: an error on the way, the caller's or the database's, then
    keeps neither. Raises RefusedError for a row that breaks a rule of the table.
    """
    try:
        with connection.cursor() as cursor, cursor.copy(sql("copy_targets")) as copy:
            for member_id, amount, reason in rows:
                copy.write_row((campaign_id, member_id, amount, reason))
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        raise RefusedError("TARGETS_REFUSED_BY_DATABASE", **refused_row(error)) from error


def total_targets(connection: Connection, campaign_id: int) -> tuple[int, int, int]:
    """Number of targets loaded, the sum of their points, and the most that one of them has."""
    found = _TOTAL.one(connection, campaign_id=campaign_id)
    return found.count, int(found.amount), found.largest


def digest_targets(connection: Connection, campaign_id: int) -> bytes:
    """SHA-256 over the targets in the order of the freeze: the same rows have the same digest."""
    return _DIGEST.one(connection, campaign_id=campaign_id)
