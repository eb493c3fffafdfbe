"""Campaigns that leave the database: their rows in batches, their digests, and the transaction that removes them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import psycopg

from bulkpoint.errors import RefusedError
from bulkpoint.rules.digest import CHUNK_ROWS
from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

# How long a payer of another campaign may wait for us, and how often we ask: a drop locks the tables of all campaigns.
DROP_WAITS_MS = 50
# For those who change this very campaign: a reconciliation, a payment that is being settled.
CHANGES_WAIT_MS = 5_000


class ArchivedPayment(NamedTuple):
    """A payment as its file has it. Names that end in _at: microseconds since 1970, UTC. amount: points."""

    campaign_id: int
    seq: int
    member_id: str
    amount: int
    reason: str
    state: str
    transaction_id: str | None
    failure_kind: str | None
    failure_code: str | None
    failure_message: str | None
    tries: int
    retry_runs: int
    maybe_credited: bool
    refused: bool
    first_sent_at: int | None
    last_sent_at: int | None
    finished_at: int | None
    next_try_at: int | None
    retried_kind: str | None
    retried_code: str | None
    retried_message: str | None


class ArchivedAttempt(NamedTuple):
    """A call as its file has it. run_id: the manifest says which run of the campaign that is."""

    campaign_id: int
    attempt_id: str
    method: str
    seq: int
    run_id: int
    sent_at: int
    answered_at: int | None
    http_status: int | None
    outcome: str
    code: str | None
    transaction_id: str | None


@dataclass(frozen=True, slots=True)
class ArchiveHead:
    """A campaign beyond its row, for the manifest. ended_s_ago: since its last run ended; None where none has."""

    key_namespace: str
    creator_login: str
    login: str
    database: str
    schema_version: str
    unpublished_events: int
    ended_s_ago: float | None


class DigestedRows(NamedTuple):
    """A batch of rows: how many, their points, the key of the last one, and their digest; None where there are none."""

    rows: int
    amount: int
    last: str | None
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class Archive:
    """Where a campaign is. archived_by: a claimed name; manifest_digest: SHA-256, 32 bytes."""

    archived_at: datetime
    archived_by: str
    place: str
    manifest_digest: bytes
    payments: int
    attempts: int


@dataclass(frozen=True, slots=True)
class _Counted:
    state: str
    failure_kind: str | None
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class ArchivedSum:
    """Payments that ended within a quarter of an hour (None: they have not), for one reason (None: all others)."""

    ended_from: datetime | None
    reason: str | None
    state: PaymentState
    failure_kind: FailureKind | None
    count: int
    amount: int


# Of the transaction, not of the session. It takes no transaction id: the server goes on cleaning up what others leave
# while files are written for minutes.
_LOCK = b"select pg_try_advisory_xact_lock(hashtextextended('archive ' || current_schema(), %(campaign_id)s))"
_WAIT_FOR_LOCKS = Query("wait_for_locks", str)
_HEAD = Query("archive_head", ArchiveHead)
_PAYMENTS = Query("archive_payments", ArchivedPayment)
_ATTEMPTS = Query("archive_attempts", ArchivedAttempt)
_DIGEST_PAYMENTS = Query("digest_payments", DigestedRows)
_DIGEST_ATTEMPTS = Query("digest_attempts", DigestedRows)
_ARCHIVE = Query("get_archive", Archive)
_OLD = Query("list_old_campaigns", int)
_COUNT = Query("count_archived", int)
_OLD_ATTEMPTS = Query("list_old_attempts", int)
_REMOVE_ATTEMPTS = Query("remove_attempts", int)
_SUMS = Query("list_archived_sums", ArchivedSum)
_BY_STATE = Query("count_by_state", _Counted)

_FIRST_ID = "00000000-0000-0000-0000-000000000000"
# A state and, where it is FAILED, the kind of failure.
Outcome = tuple[str, str | None]


def begin_archive(connection: Connection, campaign_id: int) -> None:
    """Keep others from archiving the campaign until the transaction ends. Raises RefusedError where one does."""
    row = connection.execute(_LOCK, {"campaign_id": campaign_id}).fetchone()
    if row is None or not row[0]:
        raise RefusedError("ARCHIVE_UNDER_WAY", "wait_for_archive", campaign_id=campaign_id)


def read_head(connection: Connection, campaign_id: int) -> ArchiveHead:
    """What the manifest says, and what decides whether the campaign may be archived."""
    return _HEAD.one(connection, campaign_id=campaign_id)


def payments_as_csv(connection: Connection, campaign_id: int, after: int | None) -> bytes:
    """The next CHUNK_ROWS payments in the order of seq, as Query.csv has them; by a statement of its own, so that the
    server goes on cleaning up between two."""
    return _PAYMENTS.csv(connection, campaign_id=campaign_id, after=after or 0, rows_max=CHUNK_ROWS)


def attempts_as_csv(connection: Connection, campaign_id: int, after: str | None) -> bytes:
    """The next CHUNK_ROWS attempts in the order of attempt_id, in the same way."""
    return _ATTEMPTS.csv(connection, campaign_id=campaign_id, after=after or _FIRST_ID, rows_max=CHUNK_ROWS)


def digest_payments(connection: Connection, campaign_id: int) -> Iterator[DigestedRows]:
    """The digests of the payments by batch, as the database computes them."""
    return _digest(connection, _DIGEST_PAYMENTS, campaign_id, 0)


def digest_attempts(connection: Connection, campaign_id: int) -> Iterator[DigestedRows]:
    """The digests of the attempts by batch."""
    return _digest(connection, _DIGEST_ATTEMPTS, campaign_id, _FIRST_ID)


def _digest(
    connection: Connection, query: Query[DigestedRows], campaign_id: int, first: int | str
) -> Iterator[DigestedRows]:
    after: int | str | None = first
    while (batch := query.one(connection, campaign_id=campaign_id, after=after, rows_max=CHUNK_ROWS)).rows:
        yield batch
        after = batch.last


def count_by_state(connection: Connection, campaign_id: int) -> tuple[Counter[Outcome], Counter[Outcome]]:
    """Payments and points by state and kind of failure, as the counters have them."""
    counted = _BY_STATE.all(connection, campaign_id=campaign_id)
    counts = Counter({(each.state, each.failure_kind): each.count for each in counted})
    return counts, Counter({(each.state, each.failure_kind): each.amount for each in counted})


def lock_payments(connection: Connection, campaign_id: int) -> None:
    """Keep everyone from changing the campaign's rows until the transaction ends.

    Raises RefusedError where somebody changes them and does not come to an end.
    """
    try:
        with connection.transaction():
            _WAIT_FOR_LOCKS.one(connection, ms=CHANGES_WAIT_MS)
            connection.execute(sql("lock_payments"), {"campaign_id": campaign_id})
            _WAIT_FOR_LOCKS.one(connection, ms=0)
    except psycopg.errors.LockNotAvailable as error:
        raise RefusedError("ARCHIVE_WHILE_CHANGED", "try_again", campaign_id=campaign_id) from error


def mark_archived(
    connection: Connection,
    campaign_id: int,
    *,
    actor: str,
    place: str,
    manifest: bytes,
    payments: int,
    attempts: int,
) -> None:
    """The campaign is archived, its targets are gone, and what its payments came to is kept. manifest: its SHA-256."""
    values = {"place": place, "manifest": manifest, "payments": payments, "attempts": attempts}
    connection.execute(sql("archive_campaign"), {"campaign_id": campaign_id, "actor": actor} | values)


def try_to_drop(connection: Connection, campaign_id: int, write: Callable[[], None]) -> bool:
    """Drop the partitions of an archived campaign; false where others use the tables of all campaigns just now.

    write: what belongs to the same step and locks what all campaigns share, as the audit log; undone with it.
    """
    with suppress(psycopg.errors.LockNotAvailable), connection.transaction():
        _WAIT_FOR_LOCKS.one(connection, ms=DROP_WAITS_MS)
        write()
        connection.execute(sql("drop_archived_partitions"), {"campaign_id": campaign_id})
        return True
    return False


def list_old_attempts(connection: Connection, *, age_s: float) -> list[int]:
    """Campaigns that ended at least so long ago with nothing left to do, and whose attempts were not removed yet."""
    return _OLD_ATTEMPTS.all(connection, age_s=age_s)


def remove_attempts(connection: Connection, campaign_id: int, *, actor: str, age_s: float) -> int:
    """Remove a campaign's attempts, if it ended at least so long ago; returns how many there were.

    Raises RefusedError where somebody reads them and does not come to an end.
    """
    try:
        with connection.transaction():
            _WAIT_FOR_LOCKS.one(connection, ms=CHANGES_WAIT_MS)
            return _REMOVE_ATTEMPTS.one(connection, campaign_id=campaign_id, actor=actor, age_s=age_s)
    except psycopg.errors.LockNotAvailable as error:
        raise RefusedError("ARCHIVE_WHILE_CHANGED", "try_again", campaign_id=campaign_id) from error


def get_archive(connection: Connection, campaign_id: int) -> Archive | None:
    """None where the campaign is not archived."""
    return _ARCHIVE.first(connection, campaign_id=campaign_id)


def list_old_campaigns(connection: Connection, *, age_s: float) -> list[int]:
    """Campaigns that ended at least so long ago, the oldest first, without those that are archived."""
    return _OLD.all(connection, age_s=age_s)


def count_archived(connection: Connection) -> int:
    """How many campaigns are archived."""
    return _COUNT.one(connection)


def list_archived_sums(connection: Connection, campaign_id: int) -> list[ArchivedSum]:
    """What the payments of an archived campaign came to; some thousand rows at most."""
    return _SUMS.all(connection, campaign_id=campaign_id)
