"""Payments: claimed before the call, recorded after it, both under the fencing token of a share.

This is the hot path of the database, so rows are named tuples (a frozen dataclass costs four times as much to make) and
arrays are written here as PostgreSQL literals (psycopg's own conversion of lists took half of a worker's time).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg

from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.rules.invariants import invariant
from bulkpoint.store.connect import Connection, is_defect
from bulkpoint.store.rows import Query
from bulkpoint.store.share import RunToken, ShareToken
from bulkpoint.store.sql import sql


class Claim(NamedTuple):
    """A payment that is ours to send. tries: calls of this run so far that count against the retry limit.

    since_first_sent_s, since_last_sent_s: None where it was never sent. failure_code: the result of its last try, and
    refused: whether that was the money API's own refusal of this payment.
    """

    seq: int
    tries: int = 0
    maybe_credited: bool = False
    failure_code: str | None = None
    refused: bool = False
    since_first_sent_s: float | None = None
    since_last_sent_s: float | None = None


class Attempt(NamedTuple):
    """One wire send; times are seconds since 1970 by the sender's stamp. method: POST, or GET of a look-up."""

    attempt_id: str
    method: str
    seq: int
    sent_at: float
    answered_at: float | None
    http_status: int | None
    outcome: str
    code: str | None
    transaction_id: str | None


class Change(NamedTuple):
    """A payment's new values; applied only under the claim's token, a SUCCESS always.

    not_credited: the money API itself said so, which ends maybe_credited. refused: so has it refused
    this payment; without a failure_message, the stored one stays. last_sent_at: of a POST, None if none left.
    halt: the run's, and its reason; the recorder commits it with this change.
    """

    seq: int
    state: str
    token: ShareToken
    tries: int
    maybe_credited: bool
    not_credited: bool = False
    refused: bool = False
    known_unsent: bool = False
    last_sent_at: float | None = None
    next_try_at: float | None = None
    transaction_id: str | None = None
    failure_kind: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    halt: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _OpenRow:
    count: int
    first: int | None
    last: int | None
    due_in_s: float | None


class Conflict(NamedTuple):
    """A credit that the database refuses: the payment already is SUCCESS under another transaction id (is_second), or
    the id is another payment's.
    """

    seq: int
    transaction_id: str
    is_second: bool


class HaltReasons(NamedTuple):
    """Why a result halts its run. halt: of one of the results, with its reason; None: none of them does.

    second_id, same_id: the reasons of the two kinds of Conflict, as templates of PostgreSQL's format(): %1$s the
    payment's number, %2$s its transaction id; of same_id also %3$s and %4$s, the number and campaign of the payment
    that has the id, which are empty where it is one of the same batch.
    """

    second_id: str
    same_id: str
    halt: tuple[str, str] | None = None


class PaymentNumber(NamedTuple):
    """Which payment: its number within its campaign."""

    campaign_id: int
    seq: int


class UnwritableError(Exception):
    """PostgreSQL refuses these results: one of them breaks a rule, or has a text that cannot be stored."""


@dataclass(frozen=True, slots=True)
class OpenPayments:
    """What a sweep would find: rows that are not final, and how long until the first may be claimed (seconds)."""

    count: int
    first: int
    last: int
    due_in_s: float


# Of the results that _RECORD_SUCCESSES writes.
_SUCCESS = "SUCCESS"
_CREDITED = ("CREDITED", None)  # outcome and code of the attempt
_NOTHING_ELSE = (False, False, False, False)  # maybe_credited to known_unsent
_NO_FAILURE = (None, None, None, None)  # failure_kind to halt
_DURATION_BOUNDS = f"{{{','.join(map(str, DURATION_BOUNDS_S))}}}"  # by which call_tally counts

_CLAIM_FRESH = Query("claim_fresh_payments", int)
_CLAIM = Query("claim_payments", Claim)
_RECORD_SUCCESSES = Query("record_successes", int)
_RECORD = Query("record_results", Conflict)
_MEMBER = Query("member_of_payment", str)
_OWNER = Query("owner_of_transaction", PaymentNumber)
_OTHER_OWNER = Query("other_owner_of_transaction", PaymentNumber)
_OPEN = Query("open_payments", _OpenRow)


def wave_query(campaign_id: int, first: int, last: int) -> str:
    """The statement by which Spark reads one wave; all three are numbers, so SQL injection is not possible."""
    return sql("wave_of_payments").decode().format(campaign_id=int(campaign_id), first=int(first), last=int(last))


def no_payment_query() -> str:
    """As wave_query, of one row that is no payment."""
    return sql("row_of_no_payment").decode()


def claim_payments(connection: Connection, run: RunToken, token: ShareToken, seqs: Sequence[int]) -> list[Claim]:
    """Make these payments PROCESSING under the token; returns those that really became ours."""
    holder = {
        "campaign_id": run.campaign_id,
        "run_id": run.run_id,
        "driver_epoch": run.driver_epoch,
        "share": token.share,
        "epoch": token.epoch,
        "holder": token.holder,
    }
    claims = [Claim(seq) for seq in _CLAIM_FRESH.all(connection, seqs=numbers(seqs), **holder)]
    if len(claims) < len(seqs):
        left = set(seqs).difference([claim.seq for claim in claims])
        claims += _CLAIM.all(connection, seqs=numbers(sorted(left)), **holder)
    return claims


def record_results(
    connection: Connection,
    run: RunToken,
    share: int,
    attempts: Sequence[Attempt],
    changes: Sequence[Change],
    *,
    reasons: HaltReasons,
) -> list[Conflict]:
    """Write attempts, payments and the share's counters; safe to repeat.

    A payment and its attempts are written in one statement: most SUCCESS ones in a lean one, the rest in another.
    `changes` have each payment once, with its last result. Returns the credits that were refused: the money API does
    not deduplicate, or names two credits alike. A payment with the transaction id of another, of whatever campaign,
    ends FAILED, kind UNKNOWN: it is perhaps credited. The run is halted with them, and for `reasons.halt`. Raises
    UnwritableError, with the database's message.
    """
    invariant(len({change.seq for change in changes}) == len(changes), "two changes of one payment in a batch")
    written = _record_successes(connection, run, share, _plain_successes(attempts, changes))
    if written:
        attempts = [attempt for attempt in attempts if attempt.seq not in written]
        changes = [change for change in changes if change.seq not in written]
    if not attempts and not changes and reasons.halt is None:
        return []
    parameters = {
        "campaign_id": run.campaign_id,
        "run_id": run.run_id,
        "share": share,
        "halt": reasons.halt and reasons.halt[0],
        "halt_reason": reasons.halt and reasons.halt[1],
        "second_id": reasons.second_id,
        "same_id": reasons.same_id,
        **attempt_columns(attempts),
        "seqs": numbers(c.seq for c in changes),
        "states": numbers(c.state for c in changes),
        "claim_shares": numbers(c.token.share for c in changes),
        "claim_epochs": numbers(c.token.epoch for c in changes),
        "tries": numbers(c.tries for c in changes),
        "maybe_credited": numbers(c.maybe_credited for c in changes),
        "not_credited": numbers(c.not_credited for c in changes),
        "refused": numbers(c.refused for c in changes),
        "known_unsent": numbers(c.known_unsent for c in changes),
        "last_sent_ats": numbers(c.last_sent_at for c in changes),
        "next_try_ats": numbers(c.next_try_at for c in changes),
        "transaction_ids": texts(c.transaction_id for c in changes),
        "failure_kinds": numbers(c.failure_kind for c in changes),
        "failure_codes": texts(c.failure_code for c in changes),
        "failure_messages": texts(c.failure_message for c in changes),
    }
    try:
        return _RECORD.all(connection, **parameters)
    except (psycopg.Error, ValueError) as error:
        if isinstance(error, psycopg.Error) and not is_defect(error):
            raise  # the link, the server or the login is at fault, not the results
        raise UnwritableError(f"{type(error).__name__}: {error}") from error


def _plain_successes(attempts: Sequence[Attempt], changes: Sequence[Change]) -> list[tuple[Attempt, Change]]:
    """The results that the lean statement can write: with one claim, number of tries and HTTP status in common."""
    only = {attempt.seq: attempt for attempt in attempts}
    if len(only) < len(attempts):
        calls = Counter(attempt.seq for attempt in attempts)
        only = {seq: attempt for seq, attempt in only.items() if calls[seq] == 1}
    plain: list[tuple[Attempt, Change]] = []
    common: tuple[ShareToken, int, int | None] | None = None
    for change in changes:
        if change.state != _SUCCESS or change[4:8] != _NOTHING_ELSE or change[11:] != _NO_FAILURE:
            continue
        attempt = only.get(change.seq)
        if (
            attempt is None
            or attempt.method != "POST"
            or attempt[6:8] != _CREDITED
            or attempt.sent_at != change.last_sent_at
            or attempt.transaction_id != change.transaction_id
            or change.transaction_id is None
            or change.next_try_at is not None
        ):
            continue
        common = common or (change.token, change.tries, attempt.http_status)
        if (change.token, change.tries, attempt.http_status) == common:
            plain.append((attempt, change))
    plain.sort(key=_number)  # every statement locks payments in this order, so two of them never deadlock
    return plain


def _number(result: tuple[Attempt, Change]) -> int:
    return result[1].seq


def _record_successes(
    connection: Connection, run: RunToken, share: int, plain: Sequence[tuple[Attempt, Change]]
) -> set[int]:
    """Write what _plain_successes returned; returns the numbers of the payments that were as expected, and written."""
    if not plain:
        return set()
    attempt, change = plain[0]
    try:
        return set(
            _RECORD_SUCCESSES.all(
                connection,
                campaign_id=run.campaign_id,
                run_id=run.run_id,
                share=share,
                claim_share=change.token.share,
                claim_epoch=change.token.epoch,
                tries=change.tries,
                http_status=attempt.http_status,
                seqs=numbers(a.seq for a, _ in plain),
                attempt_ids=numbers(a.attempt_id for a, _ in plain),
                sent_ats=numbers(a.sent_at for a, _ in plain),
                answered_ats=numbers(a.answered_at for a, _ in plain),
                transaction_ids=texts(a.transaction_id for a, _ in plain),
                duration_bounds=_DURATION_BOUNDS,
            )
        )
    except (psycopg.Error, ValueError) as error:
        if isinstance(error, psycopg.Error) and not is_defect(error):
            raise
        return set()  # an id of another payment, or a text that cannot be stored: the other statement says which


def owner_of_transaction(connection: Connection, transaction_id: str) -> PaymentNumber | None:
    """The payment that this transaction id of the money API names, in whatever campaign; None where there is none."""
    return _OWNER.first(connection, transaction_id=transaction_id)


def member_of_payment(connection: Connection, number: PaymentNumber) -> str:
    """Whose payment it is; people know no payment by its number."""
    return _MEMBER.one(connection, **number._asdict())


def other_owner_of_transaction(connection: Connection, transaction_id: str, own: PaymentNumber) -> PaymentNumber | None:
    """Another payment than `own` that has the id as a person or a file names it: in any case, and any form of a letter.

    An id of the money API's own answer is compared exactly: owner_of_transaction.
    """
    return _OTHER_OWNER.first(connection, transaction_id=transaction_id, **own._asdict())


def attempt_columns(attempts: Sequence[Attempt]) -> dict[str, str]:
    """Attempts as the parameters of a statement that inserts and counts them, one array per column."""
    return {
        "attempt_ids": numbers(a.attempt_id for a in attempts),
        "methods": numbers(a.method for a in attempts),
        "attempt_seqs": numbers(a.seq for a in attempts),
        "sent_ats": numbers(a.sent_at for a in attempts),
        "answered_ats": numbers(a.answered_at for a in attempts),
        "http_statuses": numbers(a.http_status for a in attempts),
        "outcomes": texts(a.outcome for a in attempts),
        "attempt_codes": texts(a.code for a in attempts),
        "attempt_transactions": texts(a.transaction_id for a in attempts),
        "duration_bounds": _DURATION_BOUNDS,
    }


def numbers(values: Iterable[object]) -> str:
    """An array literal of values that need no quotes: numbers, booleans, UUIDs, the words of an enum; None is NULL."""
    return f"{{{','.join(['null' if value is None else str(value) for value in values])}}}"


def texts(values: Iterable[str | None]) -> str:
    """An array literal of any text; None is NULL."""
    return f"{{{','.join(['null' if value is None else _quoted(value) for value in values])}}}"


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def open_payments(connection: Connection, campaign_id: int) -> OpenPayments | None:
    """What is left to pay, for the next sweep; None when every row is final. One scan of the campaign."""
    found = _OPEN.one(connection, campaign_id=campaign_id)
    if found.first is None or found.last is None:
        return None
    return OpenPayments(found.count, found.first, found.last, max(0.0, found.due_in_s or 0.0))
