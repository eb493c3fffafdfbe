"""Campaigns: the row itself, what it shows of its latest run, its counts, its runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, FailedApart, FailureKind, RunKind, RunState
from bulkpoint.rules.patience import Waiting
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class Campaign:
    """A campaign and its latest run (`run_no` and all fields named run_*: None before the first start).

    driver_until: the end of the driver's lease. driver_is_gone: the run says RUNNING, but no driver is alive. stopping:
    a person has stopped the run, and answers to its calls still come in. run_waiting: what its driver waits for
    (rules.patience.Waiting). creator and approved_by are claimed names, creator_login and approved_login the database's
    own; so are rejected_by and rejected_login. created_digest: of the list it was created with, None where another
    program loads it. same_as: the earlier campaign whose list this one repeats on purpose. archived_at: since then its
    payments are not in the database, but in files in the folder archive_place.

    Amounts are points. target_count, target_amount and digest are None before the freeze.
    """

    campaign_id: int
    name: str
    note: str
    state: CampaignState
    expected_count: int
    expected_amount: int
    target_count: int | None
    target_amount: int | None
    digest: bytes | None
    creator: str
    creator_login: str
    created_at: datetime
    not_before: datetime | None
    approved_by: str | None
    approved_login: str | None
    approved_at: datetime | None
    approved_digest: bytes | None
    same_as: int | None
    frozen_at: datetime | None
    run_id: int | None
    run_no: int | None
    run_kind: RunKind | None
    run_reason: str | None
    run_started_at: datetime | None
    run_finished_at: datetime | None
    driver_until: datetime | None
    driver_is_gone: bool
    run_waiting: dict[str, Any] | None = None
    stopping: bool = False
    archived_at: datetime | None = None
    archive_place: str | None = None
    created_digest: bytes | None = None
    rejected_by: str | None = None
    rejected_login: str | None = None
    rejected_at: datetime | None = None
    rejected_reason: str | None = None

    @property
    def waiting(self) -> Waiting | None:
        """What its run waits for; None also where the driver is gone, which knew it."""
        return None if self.run_waiting is None or self.driver_is_gone else Waiting.of(self.run_waiting)


@dataclass(frozen=True)
class QueuedCampaign:
    """A campaign that waits. `due` is false until its not_before has passed."""

    campaign_id: int
    due: bool


@dataclass(frozen=True)
class Counts(FailedApart):
    """Payments and points by state. FAILED includes UNKNOWN; failure_kinds: FAILED payments for every kind there is."""

    pending: int
    processing: int
    success: int
    failed: int
    unknown: int
    pending_amount: int
    processing_amount: int
    success_amount: int
    failed_amount: int
    unknown_amount: int
    failure_kinds: dict[str, int]


@dataclass(frozen=True)
class _CountsOf(Counts):
    campaign_id: int


@dataclass(frozen=True)
class CampaignRun:
    """One execution over a campaign's payments; `run_no` counts from 1 in each campaign."""

    run_id: int
    run_no: int
    kind: RunKind
    state: RunState
    reason: str | None
    actor: str
    started_at: datetime
    finished_at: datetime | None


_INSERT = Query("insert_campaign", int)
_CAMPAIGNS = Query("get_campaigns", Campaign)
_QUEUE = Query("list_queue", QueuedCampaign)
_RUNNING = Query("get_running_campaign", int)
_COUNTS = Query("get_campaign_counts", _CountsOf)
_RUNS = Query("list_campaign_runs", CampaignRun)
_LOCK = Query("lock_campaign", int)


def insert_campaign(
    connection: Connection,
    *,
    name: str,
    note: str,
    expected_count: int,
    expected_amount: int,
    creator: str,
    not_before: datetime | None,
) -> int:
    """Store a new campaign and return its id."""
    return _INSERT.one(
        connection,
        name=name,
        note=note,
        expected_count=expected_count,
        expected_amount=expected_amount,
        creator=creator,
        not_before=not_before,
    )


def get_campaign(connection: Connection, campaign_id: int) -> Campaign:
    """Raises RefusedError where there is no such campaign."""
    campaign = _CAMPAIGNS.first(connection, campaign_id=campaign_id, states=None, latest=None)
    if campaign is None:
        raise RefusedError("CAMPAIGN_UNKNOWN", "list_campaigns", campaign_id=campaign_id)
    return campaign


def refuse_archived(campaign: Campaign) -> None:
    """Raises RefusedError for a campaign whose payments are not in the database any more."""
    if campaign.archived_at is not None:
        facts = {"campaign_id": campaign.campaign_id, "at": campaign.archived_at, "place": campaign.archive_place}
        raise RefusedError("CAMPAIGN_ARCHIVED", "read_the_archive", **facts)


def lock_campaign(connection: Connection, campaign_id: int) -> None:
    """Lock the campaign's row until the caller's transaction ends: the first lock of every change of its state."""
    _LOCK.first(connection, campaign_id=campaign_id)


def approve(connection: Connection, campaign_id: int, *, actor: str, digest: bytes) -> None:
    """Mark a campaign's targets as approved, in the caller's transaction, which has locked its row.

    Raises RefusedError where this login created the campaign itself (four-eyes): the database enforces it.
    """
    try:
        connection.execute(sql("approve_campaign"), {"campaign_id": campaign_id, "actor": actor, "digest": digest})
    except psycopg.errors.CheckViolation as error:
        raise RefusedError("CREATOR_CANNOT_APPROVE", "approve_by_another_login", campaign_id=campaign_id) from error


def reject(connection: Connection, campaign_id: int, *, actor: str, reason: str) -> None:
    """Mark a campaign as rejected, in the caller's transaction, which has locked its row.

    Raises RefusedError where this login created the campaign itself: the database enforces it.
    """
    try:
        connection.execute(sql("reject_campaign"), {"campaign_id": campaign_id, "actor": actor, "reason": reason})
    except psycopg.errors.CheckViolation as error:
        raise RefusedError("CREATOR_CANNOT_REJECT", "withdraw_instead", campaign_id=campaign_id) from error


def remember_created_digest(connection: Connection, campaign_id: int, digest: bytes) -> None:
    """Note with which list a campaign is created, in the caller's transaction."""
    connection.execute(sql("remember_created_digest"), {"campaign_id": campaign_id, "digest": digest})


def withdraw(connection: Connection, campaign_id: int, *, actor: str, reason: str) -> None:
    """Mark a campaign as withdrawn, in the caller's transaction, which has locked its row."""
    connection.execute(sql("withdraw_campaign"), {"campaign_id": campaign_id, "actor": actor, "reason": reason})


def list_campaigns(
    connection: Connection, states: Collection[CampaignState] = (), latest: int | None = None
) -> list[Campaign]:
    """Campaigns, oldest first; of these states only, where any are given; the `latest` ones, newest first."""
    return _CAMPAIGNS.all(connection, campaign_id=None, states=list(states) or None, latest=latest)


def list_queue(connection: Connection) -> list[QueuedCampaign]:
    """The campaigns that wait, oldest first."""
    return _QUEUE.all(connection)


def get_running_campaign(connection: Connection) -> Campaign | None:
    """The one that runs."""
    campaign_id = _RUNNING.first(connection)
    return None if campaign_id is None else get_campaign(connection, campaign_id)


def get_counts(connection: Connection, campaign: Campaign) -> Counts:
    """Counts by state; before the freeze everything expected is PENDING, and of a withdrawn campaign nothing."""
    return get_counts_of(connection, [campaign])[0]


def get_counts_of(connection: Connection, campaigns: Sequence[Campaign]) -> list[Counts]:
    """The counts of several campaigns, in their order, by one statement."""
    wanted = [campaign.campaign_id for campaign in campaigns]
    counted = {counts.campaign_id: counts for counts in _COUNTS.all(connection, campaign_ids=wanted)}
    return [counted.get(campaign.campaign_id) or _counts_before_freeze(campaign) for campaign in campaigns]


def _counts_before_freeze(campaign: Campaign) -> Counts:
    none_failed: dict[str, int] = dict.fromkeys(FailureKind, 0)
    expected = (campaign.expected_count, campaign.expected_amount)
    pending, points = (0, 0) if campaign.state == CampaignState.WITHDRAWN else expected
    return Counts(pending, 0, 0, 0, 0, points, 0, 0, 0, 0, none_failed)


def list_campaign_runs(connection: Connection, campaign_id: int) -> list[CampaignRun]:
    """The runs of a campaign, the first one first."""
    return _RUNS.all(connection, campaign_id=campaign_id)
