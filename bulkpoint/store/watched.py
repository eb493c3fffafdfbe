"""What people watch in a browser: lists of campaigns and payments by the key, what a run's calls and shares do now.

Each statement reads a bounded number of rows, whatever the size of the campaign, or their number.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bulkpoint.rules.lifecycle import CampaignState, FailureKind, PaymentState, RunKind
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.store.audit import AuditEvent
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# Where a list of campaigns begins, newest first.
NEWEST = BIGINT_MAX
# The calls that say what the money API answers now: a second of them, or a quarter of an hour of a slow run's.
CALLS_MAX = 1_000
CALL_ROWS_MAX = 20
# A campaign has one that others take, and what runs jobs takes one after the other.
REQUESTS_MAX = 20


class QueueHead(NamedTuple):
    """A campaign that waits. due: its not_before has passed. waiting: how many wait in all."""

    campaign_id: int
    due: bool
    waiting: int


@dataclass(frozen=True, slots=True)
class CallsOfKind:
    """How often the latest calls came to the same; latest: when the last of these left."""

    method: str
    outcome: str
    http_status: int | None
    code: str | None
    count: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class ShareAtWork:
    """A share of the limit. leased: by a partition of the run. permits: calls a second at most.

    slowed_to: what the money API lets it send, None where it does not slow it down. open_since: of its breaker.
    asked_until: the money API has asked it to wait until then. trouble, code: of its last call without a usable answer.
    """

    share: int
    leased: bool
    permits: int
    slowed_to: float | None
    open_since: datetime | None
    asked_until: datetime | None
    trouble: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class WalkedPayment:
    """One payment of a list; amount in points. seq: its number in the campaign."""

    seq: int
    member_id: str
    amount: int
    reason: str
    state: PaymentState
    failure_kind: FailureKind | None
    failure_code: str | None
    failure_message: str | None
    transaction_id: str | None
    tries: int
    maybe_credited: bool
    first_sent_at: datetime | None
    next_try_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A run that was asked for by `actor`, a claimed name, and is not made yet."""

    campaign_id: int
    name: str
    kind: RunKind
    actor: str
    requested_at: datetime


_CAMPAIGNS = Query("page_of_campaigns", Campaign)
_QUEUE = Query("head_of_queue", QueueHead)
_CALLS = Query("count_latest_calls", CallsOfKind)
_SHARES = Query("shares_at_work", ShareAtWork)
_HISTORY = Query("recent_history", AuditEvent)
_PAYMENTS = Query("walk_payments", WalkedPayment)
_MEMBER = Query("member_numbered", str)
_NUMBER = Query("number_of_member", int)
_REQUESTS = Query("open_run_requests", OpenRequest)
_MAY_WRITE = Query("may_write", bool)


def page_of_campaigns(
    connection: Connection,
    *,
    rows_max: int,
    before: int = NEWEST,
    states: Collection[CampaignState] = (),
    text: str | None = None,
) -> list[Campaign]:
    """The newest campaigns with an id below `before`. text: a part of the name, whatever its case, or the number."""
    number = int(text) if text is not None and text.isdecimal() and int(text) < NEWEST else None
    return _CAMPAIGNS.all(
        connection, before=before, states=list(states) or None, text=text, number=number, rows_max=rows_max
    )


def head_of_queue(connection: Connection, *, rows_max: int) -> list[QueueHead]:
    """The campaigns that wait and come first."""
    return _QUEUE.all(connection, rows_max=rows_max)


def count_latest_calls(connection: Connection, campaign_id: int) -> list[CallsOfKind]:
    """What the latest calls of a campaign came to, the most frequent first."""
    return _CALLS.all(connection, campaign_id=campaign_id, calls_max=CALLS_MAX, rows_max=CALL_ROWS_MAX)


def shares_at_work(connection: Connection, run_id: int, *, rows_max: int) -> list[ShareAtWork]:
    """The shares of the limit, and which of them the run has."""
    return _SHARES.all(connection, run_id=run_id, rows_max=rows_max)


def recent_history(connection: Connection, campaign_id: int, *, rows_max: int) -> list[AuditEvent]:
    """The latest rows of a campaign's history, oldest first."""
    return _HISTORY.all(connection, campaign_id=campaign_id, rows_max=rows_max)[::-1]


def walk_payments(
    connection: Connection,
    campaign_id: int,
    *,
    after: int,
    up_to: int,
    rows_max: int,
    state: PaymentState | None = None,
    kinds: Sequence[FailureKind] = (),
    code: str | None = None,
) -> list[WalkedPayment]:
    """Payments above number `after`, in order: of this state, of one of these kinds, with this code, where given."""
    wanted = {"state": state, "kinds": list(kinds) or None, "code": code}
    return _PAYMENTS.all(connection, campaign_id=campaign_id, after=after, up_to=up_to, rows_max=rows_max, **wanted)


def member_numbered(connection: Connection, campaign_id: int, seq: int) -> str | None:
    """The member of a campaign's payment; None where there is no such number."""
    return _MEMBER.first(connection, campaign_id=campaign_id, seq=seq)


def number_of_member(connection: Connection, campaign_id: int, member_id: str) -> int | None:
    """The number of a member's payment in a campaign; None where it has none."""
    return _NUMBER.first(connection, campaign_id=campaign_id, member_id=member_id)


def open_run_requests(connection: Connection) -> list[OpenRequest]:
    """What is asked for, in any campaign, the oldest first."""
    return _REQUESTS.all(connection, rows_max=REQUESTS_MAX)


def may_write(connection: Connection) -> bool:
    """Whether this login may stop what runs."""
    return _MAY_WRITE.one(connection)
