"""What `check` looks at besides a run that is RUNNING: a few statements, none of which reads payments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bulkpoint.rules.lifecycle import CampaignState, RunKind
from bulkpoint.rules.troubles import DELIVERY_S_MAX, IDLE_HOLD_S_MAX, START_S_MAX
from bulkpoint.store.connect import Connection
from bulkpoint.store.notification import NOTIFIED_WITHIN_S
from bulkpoint.store.rows import Query


@dataclass(frozen=True)
class EndedTrouble:
    """A campaign whose last run ended `since`. open: payments that have not ended; not_paid: FAILED, not UNKNOWN.

    processing: those of the open ones that were claimed, and perhaps sent.
    """

    campaign_id: int
    name: str
    state: CampaignState
    reason: str | None
    since: datetime
    age_s: float
    open: int
    processing: int
    not_paid: int
    unknown: int


@dataclass(frozen=True)
class WaitingCampaign:
    """A campaign that was not started. late_s: seconds since its not_before, or since it was
    created after that; negative where that comes; None: none."""

    campaign_id: int
    name: str
    creator_login: str
    created_at: datetime
    not_before: datetime | None
    approved: bool
    age_s: float
    late_s: float | None


@dataclass(frozen=True)
class UnacceptedFindings:
    """A campaign whose list was judged `since`; findings: the names of those that nobody has accepted, with commas."""

    campaign_id: int
    name: str
    since: datetime
    findings: str
    age_s: float


@dataclass(frozen=True)
class StartNotTaken:
    """A run that was asked for by `actor`, a claimed name, and that no job makes.

    agent_missing: it was left to an agent, and none is alive.
    """

    campaign_id: int
    name: str
    kind: RunKind
    actor: str
    since: datetime
    age_s: float
    agent_missing: bool


@dataclass(frozen=True)
class IdleHold:
    """A limit of 0 while nothing runs: set by whom, a claimed name, and why."""

    since: datetime
    who: str
    why: str | None


@dataclass(frozen=True)
class Backlog:
    """What was not delivered: how many, and of when the oldest is."""

    count: int
    since: datetime


@dataclass(frozen=True)
class LockTable:
    """Locks that are held in the server's lock table, and for how many it has room; tables and indexes that we have."""

    at: datetime
    used: int
    tables: int
    indexes: int
    room: int


_ENDED = Query("list_ended_troubles", EndedTrouble)
_ACKNOWLEDGED = Query("is_acknowledged", bool)
_WAITING = Query("list_waiting_campaigns", WaitingCampaign)
_FINDINGS = Query("list_unaccepted_findings", UnacceptedFindings)
_STARTS = Query("list_starts_not_taken", StartNotTaken)
_HOLD = Query("find_idle_hold", IdleHold)
_MESSAGES = Query("count_unsent_messages", Backlog)
_EVENTS = Query("count_unpublished", Backlog)
_LOCKS = Query("lock_table", LockTable)


def list_ended_troubles(connection: Connection) -> list[EndedTrouble]:
    """Campaigns whose last run left something for a person, and of which nobody has said that it stays so."""
    return _ENDED.all(connection)


def list_waiting_campaigns(connection: Connection) -> list[WaitingCampaign]:
    """Campaigns that were not started, oldest first."""
    return _WAITING.all(connection)


def list_unaccepted_findings(connection: Connection) -> list[UnacceptedFindings]:
    """Campaigns that cannot start before a person has looked at what was found in their lists."""
    return _FINDINGS.all(connection)


def is_acknowledged(connection: Connection, campaign_id: int, run_no: int) -> bool:
    """Whether somebody has said that what this run left stays as it is."""
    return _ACKNOWLEDGED.one(connection, campaign_id=campaign_id, run_no=run_no)


def list_starts_not_taken(connection: Connection) -> list[StartNotTaken]:
    """Runs that were asked for, and that no job makes; the latest of each campaign."""
    return _STARTS.all(connection, start_s_max=START_S_MAX)


def find_idle_hold(connection: Connection) -> IdleHold | None:
    """A limit of 0 that was set long ago, while nothing runs."""
    return _HOLD.first(connection, idle_hold_s_max=IDLE_HOLD_S_MAX)


def count_unsent_messages(connection: Connection, types: Sequence[str], channel: str) -> Backlog | None:
    """Events of these types that should have reached the channel by now."""
    limits = {"age_s_max": NOTIFIED_WITHIN_S, "delivery_s_max": DELIVERY_S_MAX}
    return _MESSAGES.first(connection, types=list(types), channel=channel, **limits)


def count_unpublished(connection: Connection) -> Backlog | None:
    """Campaigns whose events should have been published by now; the deployment counts as one."""
    return _EVENTS.first(connection, delivery_s_max=DELIVERY_S_MAX)


def read_lock_table(connection: Connection) -> LockTable:
    """How full the server's lock table is at this moment."""
    return _LOCKS.one(connection)
