"""The figures that monitoring collects, as they are now: a few short statements that read no payment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# Prometheus gives a scrape 10 s; all statements together take a part of a second.
STATEMENT_S_MAX = 5.0
# A campaign is named by its figures while it runs and so long after its end, and no more of them than that, the latest
# first: each has up to 13 series, and a database of 10,000 campaigns must not make 130,000.
SHOWN_DAYS = 7
SHOWN_CAMPAIGNS_MAX = 100


@dataclass(frozen=True)
class CampaignsInState:
    """How many campaigns show this state."""

    state: CampaignState
    campaigns: int


@dataclass(frozen=True)
class CounterSum:
    """Payments and points of one campaign in one state; failure_kind: of FAILED ones, its name."""

    campaign_id: int
    state: str
    failure_kind: str | None
    payments: int
    points: int


@dataclass(frozen=True)
class DriverLease:
    """A run that says RUNNING, and until when its driver is certainly alive."""

    campaign_id: int
    driver_until: datetime


@dataclass(frozen=True)
class ShareNow:
    """A share of the limit. rate: calls a second that the money API lets through of it, None: all. open: the money API
    answers nothing usable, and the share only probes it.
    """

    share: int
    leased: bool
    rate: float | None
    open: bool


@dataclass(frozen=True)
class OutboxNow:
    """Events that wait for Kafka, since when the oldest does, and those that Kafka refuses."""

    waiting: int
    oldest_waiting: datetime | None
    parked: int


_CAMPAIGNS = Query("count_campaigns", CampaignsInState)
_SHOWN = Query("list_shown_campaigns", int)
_COUNTERS = Query("sum_counters", CounterSum)
_UNKNOWN = Query("count_unknown", int)
_LEASES = Query("list_driver_leases", DriverLease)
_SHARES = Query("list_share_conditions", ShareNow)
_OUTBOX = Query("count_outbox", OutboxNow)
_PARTITIONS = Query("count_partitions", int)


def count_campaigns(connection: Connection) -> dict[CampaignState, int]:
    """By the state that each shows; one that no campaign has is not there."""
    return {found.state: found.campaigns for found in _CAMPAIGNS.all(connection)}


def list_shown_campaigns(connection: Connection) -> list[int]:
    """The campaigns that figures name, by SHOWN_DAYS and SHOWN_CAMPAIGNS_MAX."""
    return _SHOWN.all(connection, days=SHOWN_DAYS, campaigns_max=SHOWN_CAMPAIGNS_MAX)


def sum_counters(connection: Connection, campaign_ids: Sequence[int]) -> list[CounterSum]:
    """Payments and points of these campaigns by state and kind of failure."""
    return _COUNTERS.all(connection, campaign_ids=list(campaign_ids))


def count_unknown(connection: Connection) -> int:
    """Payments that may have been credited, over all campaigns that are not archived."""
    return _UNKNOWN.one(connection)


def list_driver_leases(connection: Connection) -> list[DriverLease]:
    """Of the run that says RUNNING; none where none does."""
    return _LEASES.all(connection)


def list_shares(connection: Connection) -> list[ShareNow]:
    """Every share of the limit, whoever has it."""
    return _SHARES.all(connection)


def read_outbox(connection: Connection) -> OutboxNow:
    """How many events have not left."""
    return _OUTBOX.one(connection)


def count_partitions(connection: Connection) -> int:
    """Tables of payments and of attempts: two for each campaign that was started and is not archived."""
    return _PARTITIONS.one(connection)
