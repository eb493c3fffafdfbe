"""Payments of one member, for the help desk: found through the targets, with every call made for them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from bulkpoint.rules.by_hand import MoneySays
from bulkpoint.rules.lifecycle import CampaignState, FailureKind, PaymentState
from bulkpoint.rules.member_names import Eyes
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# An attempt's id has its worker's time, a payment has the database's times: they may differ by this much.
CLOCKS_DIFFER_MAX = timedelta(minutes=2)
_LAST_ID = UUID(int=2**128 - 1)


class FoundAttempt(NamedTuple):
    """One wire send for a payment. method: POST, or GET of a look-up; outcome: what the answer meant."""

    run_no: int
    sent_at: datetime
    answered_at: datetime | None
    method: str
    http_status: int | None
    outcome: str
    code: str | None
    transaction_id: str | None


@dataclass(frozen=True, slots=True)
class FoundPayment:
    """A payment of the member; amount in points, attempts in order of time.

    settled_by, settled_at, money_said, settled_reason: where it is SUCCESS by a person's word; else None.
    calls_removed_at: since then no call made before is here; None where none was removed.
    """

    campaign_id: int
    campaign_name: str
    campaign_state: CampaignState
    seq: int
    member_id: str
    amount: int
    reason: str
    state: PaymentState
    transaction_id: str | None
    failure_kind: FailureKind | None
    failure_code: str | None
    failure_message: str | None
    maybe_credited: bool
    next_try_at: datetime | None
    first_sent_at: datetime | None
    finished_at: datetime | None
    settled_by: str | None
    settled_at: datetime | None
    money_said: MoneySays | None
    settled_reason: str | None
    calls_removed_at: datetime | None
    attempts: tuple[FoundAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """A target of the member; where its campaign is not frozen (WAITING, or WITHDRAWN), it has no payment yet."""

    campaign_id: int
    campaign_name: str
    campaign_state: CampaignState
    member_id: str
    amount: int
    reason: str
    frozen: bool = False


_TARGETS = Query("find_targets", FoundTarget)
_PAYMENT = Query("find_payment", FoundPayment)
_COUNT_ATTEMPTS = Query("count_attempts", int)
_ATTEMPTS = Query("find_attempts", FoundAttempt)


def find_payments(
    connection: Connection, member_id: str, *, campaign_id: int | None = None
) -> list[FoundPayment | FoundTarget]:
    """What was paid, or will be, to a member, the newest campaign first; empty where there is nothing.

    Call it inside one_snapshot: a campaign that starts meanwhile would be missed. Only campaigns that have the member
    are opened, so time and locks grow with these, not with the campaigns of the database. The calls of a payment are
    searched between its first call and its end.
    """
    targets = _TARGETS.all(connection, member_id=member_id, campaign_id=campaign_id)
    return [_payment_of(connection, target) if target.frozen else target for target in targets]


def shown_to(eyes: Eyes, one: FoundPayment | FoundTarget) -> FoundPayment | FoundTarget:
    """The same as its reader may see it: the member, and texts that may name him."""
    if eyes.sees:
        return one
    member_id = one.member_id
    if isinstance(one, FoundTarget):
        return replace(one, member_id=eyes.member(member_id), reason=eyes.text(one.reason, member_id))
    attempts = tuple(
        each._replace(
            code=eyes.optional(each.code, member_id), transaction_id=eyes.optional(each.transaction_id, member_id)
        )
        for each in one.attempts
    )
    return replace(
        one,
        member_id=eyes.member(member_id),
        reason=eyes.text(one.reason, member_id),
        transaction_id=eyes.optional(one.transaction_id, member_id),
        failure_code=eyes.optional(one.failure_code, member_id),
        failure_message=eyes.optional(one.failure_message, member_id),
        settled_reason=eyes.optional(one.settled_reason, member_id),
        attempts=attempts,
    )


def count_attempts(connection: Connection, campaign_id: int) -> int:
    """How many attempts of a campaign are here."""
    return _COUNT_ATTEMPTS.one(connection, campaign_id=campaign_id)


def _payment_of(connection: Connection, target: FoundTarget) -> FoundPayment:
    payment = _PAYMENT.one(connection, member_id=target.member_id, campaign_id=target.campaign_id)
    return replace(payment, attempts=_attempts_of(connection, payment))


def _attempts_of(connection: Connection, payment: FoundPayment) -> tuple[FoundAttempt, ...]:
    if payment.first_sent_at is None:  # set before the first call, and cleared only where none was made
        return ()
    last = _LAST_ID
    # An UNKNOWN payment may be looked up at any time.
    if payment.finished_at is not None and payment.failure_kind != FailureKind.UNKNOWN:
        last = _first_id_of(payment.finished_at + CLOCKS_DIFFER_MAX)
    first = _first_id_of(payment.first_sent_at - CLOCKS_DIFFER_MAX)
    found = _ATTEMPTS.all(connection, campaign_id=payment.campaign_id, seq=payment.seq, first=first, last=last)
    return tuple(found)


def _first_id_of(moment: datetime) -> UUID:
    """The least UUIDv7 of a millisecond (RFC 9562, 5.7: the time is its first 48 bits)."""
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80)
