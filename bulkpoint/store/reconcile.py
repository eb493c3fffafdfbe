"""Reconciliation: payments in doubt, the money API's list compared with ours, and the findings written to rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import psycopg

from bulkpoint.errors import RefusedError
from bulkpoint.rules.invariants import invariant
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.connect import Connection, refused_row
from bulkpoint.store.payment import Attempt, attempt_columns, numbers, texts
from bulkpoint.store.rows import Query
from bulkpoint.store.share import DRIVER_SHARE
from bulkpoint.store.sql import sql

# One statement: large enough to be cheap, small enough that its locks are short.
BATCH_ROWS_MAX = 1_000


class Kind(StrEnum):
    """How a payment differs from what the money API says, the worst first; from OPEN on: not known yet."""

    PAID_TWICE = "PAID_TWICE"  # several credits for one member
    NO_TARGET = "NO_TARGET"  # a credit for a member who is not in the campaign
    OTHER_AMOUNT = "OTHER_AMOUNT"
    OTHER_CREDIT = "OTHER_CREDIT"  # our key has another member, amount or campaign at the money API
    SAME_TRANSACTION = "SAME_TRANSACTION"  # the transaction id is that of another payment; the row stays as it is
    REVERSED = "REVERSED"  # taken back, by the list
    OTHER_TRANSACTION = "OTHER_TRANSACTION"  # SUCCESS in our record, under another id
    NOT_CREDITED = "NOT_CREDITED"  # SUCCESS in our record, unknown to the money API
    SETTLED_BY_HAND = "SETTLED_BY_HAND"  # SUCCESS by a person's word, and not in the money API's list
    NOT_SUCCESS = "NOT_SUCCESS"  # credited, and was not SUCCESS in our record: it is now
    UNPROVEN = "UNPROVEN"  # a credit of this member and amount, and nothing says that it is of this campaign
    LISTED_TWICE = "LISTED_TWICE"  # several lines with the same transaction id
    OPEN = "OPEN"  # may have been credited, and is not in the API's list
    TOO_EARLY = "TOO_EARLY"  # not found, but its last call is too recent for that to be proof
    IN_PROGRESS = "IN_PROGRESS"  # not found, but the last answer about it was "in progress"
    FORGOTTEN = "FORGOTTEN"  # not found, but its key is older than the API keeps keys
    NO_ANSWER = "NO_ANSWER"  # the API gave no usable answer
    REFUSED = "REFUSED"  # the API refuses to look this payment up (401, 403), and no others
    HELD = "HELD"  # a worker of the run that ended still has it
    CHANGED = "CHANGED"  # not credited, but the row changed during the look-up


class Ours(NamedTuple):
    """A payment in our record; amount in points."""

    state: str
    failure_kind: str | None
    amount: int
    transaction_id: str | None


class Theirs(NamedTuple):
    """What the money API has. credits, line: from a settlement: how many lines name the member, and one of them."""

    campaign_id: int | None
    member_id: str
    amount: int
    transaction_id: str | None
    credits: int = 1
    line: int | None = None


class Difference(NamedTuple):
    """One payment, or one credit, on which we and the money API do not agree, or not yet."""

    kind: Kind
    member_id: str
    ours: Ours | None
    theirs: Theirs | None


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A campaign's latest run, and the namespace of its keys."""

    campaign_id: int
    run_id: int
    run_no: int
    key_namespace: UUID


class InDoubtPayment(NamedTuple):
    """A payment that may have been credited, as it was read.

    last_sent_at: seconds since 1970 by the database; since_*: seconds, by the database's clock, before it was read;
    since_last_sent_s is a minimum. claim_epoch: the fencing token of the holder that claimed it.
    alive_s: how long that holder may still be at work.
    """

    seq: int
    member_id: str
    amount: int
    state: str
    failure_kind: str | None
    failure_code: str | None
    claim_share: int | None
    claim_epoch: int | None
    last_sent_at: float | None
    since_first_sent_s: float | None
    since_last_sent_s: float
    alive_s: float | None


class Finding(NamedTuple):
    """What the money API says about one payment: credited under a transaction id, or not at all (None).

    `read` is the row as it was before the look-up; a credit needs none.
    """

    seq: int
    transaction_id: str | None
    read: InDoubtPayment | None = None


class Compared(NamedTuple):
    """How many payments and credits were compared, and lines of other classes with their points.

    unproven_lines: that do not say of which campaign they are. not_credited: failed, or not yet; reversed: taken back;
    elsewhere: credits of other campaigns, by our own record; unnamed: of members whom the campaign does not have, in a
    list that does not say whose they are. taken_back: SUCCESS payments that the list reverses. other_part: SUCCESS
    payments that are not in this part of the list.
    """

    payments: int
    credits: int
    unproven_lines: int
    not_credited_lines: int
    not_credited_points: int
    reversed_lines: int
    reversed_points: int
    elsewhere_lines: int
    elsewhere_points: int
    unnamed_lines: int
    unnamed_points: int
    taken_back_payments: int
    taken_back_points: int
    other_part_payments: int
    other_part_points: int


class DamagedTransaction(NamedTuple):
    """A transaction id that a spreadsheet took for a number: as it is listed, and as we know it."""

    line: int
    listed: str
    ours: str


class _LatestRun(NamedTuple):
    run_id: int
    run_no: int
    state: RunState
    key_namespace: UUID


class _Repair(NamedTuple):
    seq: int
    transaction_id: str


class _DifferenceRow(NamedTuple):
    kind: str
    member_id: str
    state: str | None
    failure_kind: str | None
    our_amount: int | None
    our_transaction_id: str | None
    amount: Decimal | None
    transaction_id: str | None
    credits: int
    line: int | None
    their_campaign: int | None
    their_member: str | None


_LATEST_RUN = Query("run_to_reconcile", _LatestRun)
_KEEP = Query("keep_from_starting", int)
_IN_DOUBT = Query("list_in_doubt", InDoubtPayment)
_PAID = Query("find_paid", InDoubtPayment)
_COUNT_IN_DOUBT = Query("count_in_doubt", int)
_APPLY = Query("apply_findings", int)
_DAMAGED = Query("find_damaged_transaction", DamagedTransaction)
_COMPARED = Query("count_compared", Compared)
_REPAIRS = Query("list_repairs", _Repair)
_DIFFERENCES = Query("list_differences", _DifferenceRow)


def find_run_to_reconcile(connection: Connection, campaign_id: int) -> tuple[EndedRun, RunState] | None:
    """The campaign's latest run and its state, which may still be RUNNING; None where it was never started."""
    found = _LATEST_RUN.first(connection, campaign_id=campaign_id)
    if found is None:
        return None
    return EndedRun(campaign_id, found.run_id, found.run_no, found.key_namespace), found.state


def keep_from_starting(connection: Connection, campaign_id: int) -> None:
    """No run of the campaign begins until the caller's transaction has ended."""
    _KEEP.first(connection, campaign_id=campaign_id)


def list_in_doubt(
    connection: Connection, run: EndedRun, *, after: int = 0, seqs: Sequence[int] | None = None
) -> list[InDoubtPayment]:
    """The next 1,000 payments in doubt after the number `after`, in order; with `seqs` only those of them."""
    return _IN_DOUBT.all(
        connection,
        campaign_id=run.campaign_id,
        run_id=run.run_id,
        after=after,
        seqs=None if seqs is None else numbers(seqs),
        rows_max=BATCH_ROWS_MAX,
    )


def find_paid(connection: Connection, run: EndedRun) -> InDoubtPayment | None:
    """The payment of the campaign that was paid last, in the form of those in doubt; None where none was."""
    return _PAID.first(connection, campaign_id=run.campaign_id)


def count_in_doubt(connection: Connection, run: EndedRun) -> int:
    """How many payments of the campaign may have been credited without our knowledge. One scan of the campaign."""
    return _COUNT_IN_DOUBT.one(connection, campaign_id=run.campaign_id)


def apply_findings(
    connection: Connection, run: EndedRun, attempts: Sequence[Attempt], findings: Sequence[Finding]
) -> set[int]:
    """Write look-ups' attempts, payments and the driver's counters in one statement; safe to repeat.

    Returns the numbers of the payments that changed: not those that are SUCCESS already, nor those found not credited
    that are no longer as they were read.
    """
    invariant(len({finding.seq for finding in findings}) == len(findings), "two findings of one payment in a batch")
    changed = _APPLY.all(
        connection,
        campaign_id=run.campaign_id,
        run_id=run.run_id,
        share=DRIVER_SHARE,
        **attempt_columns(attempts),
        seqs=numbers(f.seq for f in findings),
        transaction_ids=texts(f.transaction_id for f in findings),
        read_states=numbers(f.read and f.read.state for f in findings),
        read_shares=numbers(f.read and f.read.claim_share for f in findings),
        read_epochs=numbers(f.read and f.read.claim_epoch for f in findings),
        read_last_sent_ats=numbers(f.read and f.read.last_sent_at for f in findings),
    )
    return set(changed)


def load_settlement(connection: Connection, lines: Iterable[tuple[int, str, int, str | None, str, bool]]) -> None:
    """Stream (line, member_id, amount, transaction_id, line_class, proven) into a table, for the caller's transaction.

    Raises RefusedError for what the database will not store.
    """
    connection.execute(sql("create_settlement"))
    try:
        with connection.cursor() as cursor, cursor.copy(sql("copy_settlement")) as copy:
            for line in lines:
                copy.write_row(line)
    except psycopg.DataError as error:
        raise RefusedError("SETTLEMENT_REFUSED_BY_DATABASE", **refused_row(error)) from error
    connection.execute(sql("analyze_settlement"))


def find_damaged_transaction(connection: Connection, run: EndedRun) -> DamagedTransaction | None:
    """The first line of the loaded settlement that proves that a spreadsheet has changed its transaction ids."""
    return _DAMAGED.first(connection, campaign_id=run.campaign_id)


def compare_settlement(connection: Connection, run: EndedRun, *, partial: bool = False) -> Compared:
    """Compare every payment with the loaded settlement; returns how many there were of both.

    partial: it is one part of several, so a payment that it does not name may be in another.
    """
    wanted = {"campaign_id": run.campaign_id, "partial": partial}
    for statement in ("find_other_payments", "sort_settlement", "compare_settlement"):
        connection.execute(sql(statement), wanted)
    return _COMPARED.one(connection, **wanted)


def repair_from_settlement(connection: Connection, run: EndedRun) -> int:
    """Make SUCCESS what the API credited correctly and our record did not have; returns how many rows changed."""
    return sum(
        len(apply_findings(connection, run, [], [Finding(*repair) for repair in batch]))
        for batch in _REPAIRS.batches(connection, BATCH_ROWS_MAX)
    )


def list_differences(connection: Connection) -> Iterator[Difference]:
    """What compare_settlement found, as it was before any repair, the worst kinds first; a thousand rows at a time."""
    for batch in _DIFFERENCES.batches(connection, BATCH_ROWS_MAX, kinds=[kind.value for kind in Kind]):
        for row in batch:
            ours = theirs = None
            if row.state is not None and row.our_amount is not None:
                ours = Ours(row.state, row.failure_kind, row.our_amount, row.our_transaction_id)
            if row.amount is not None:
                theirs = Theirs(
                    row.their_campaign,
                    row.their_member or row.member_id,
                    int(row.amount),
                    row.transaction_id,
                    row.credits,
                    row.line,
                )
            yield Difference(Kind(row.kind), row.member_id, ours, theirs)
