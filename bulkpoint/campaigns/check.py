"""`check`: everything that is not as it should be, found by a few statements; and what a person says stays so."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from bulkpoint.addresses import is_this_machine
from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, RunKind
from bulkpoint.rules.readiness import find_missing_targets
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.rules.troubles import (
    APPROVAL_S_MAX,
    DEPLOYMENT,
    LOCKS_SHARE_MAX,
    LOOKED_AT_MAX,
    OVERDUE_S_MAX,
    Trouble,
    TroubleKind,
)
from bulkpoint.settings import Settings
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import Campaign, get_campaign, get_running_campaign, lock_campaign, refuse_archived
from bulkpoint.store.connect import Connection
from bulkpoint.store.right import require_right
from bulkpoint.store.target import total_targets
from bulkpoint.store.trouble import (
    EndedTrouble,
    WaitingCampaign,
    count_unpublished,
    count_unsent_messages,
    find_idle_hold,
    is_acknowledged,
    list_ended_troubles,
    list_starts_not_taken,
    list_unaccepted_findings,
    list_waiting_campaigns,
    read_lock_table,
)

SECONDS_A_DAY = 86_400
_COMMANDS = {RunKind.INITIAL: "start", RunKind.RESUME: "resume", RunKind.RETRY: "retry"}


def find_troubles(
    connection: Connection, settings: Settings, *, notified: Sequence[str], look_at_targets: bool = True
) -> list[Trouble]:
    """What needs a person, or should be known, beyond a run that is RUNNING (store/alert.py). Changes nothing.

    notified: the types of the events of which people get a message. look_at_targets: whether to count those of a few
    campaigns that are overdue, which scans them.
    """
    return [
        *_of_ended(connection, settings),
        *_of_waiting(connection, settings, LOOKED_AT_MAX if look_at_targets else 0),
        *_of_findings(connection, settings),
        *_of_starts(connection, settings),
        *_of_delivery(connection, settings, notified),
        *_of_deployment(connection, settings),
    ]


def _old_after_s(settings: Settings) -> float:
    return settings.check_days * SECONDS_A_DAY


def _of_ended(connection: Connection, settings: Settings) -> Iterator[Trouble]:
    for ended in list_ended_troubles(connection):
        facts = {
            "open": ended.open,
            "not_processed": ended.open - ended.processing,
            "processing": ended.processing,
            "not_paid": ended.not_paid,
            "unknown": ended.unknown,
            "why": ended.reason,
        }
        kinds = [kind for kind in (_kind_of_end(ended),) if kind is not None]
        if ended.unknown:
            kinds.append(TroubleKind.UNKNOWN_LEFT)
        for kind in kinds:
            needs_person = ended.age_s < _old_after_s(settings)
            yield Trouble(kind, ended.campaign_id, ended.name, ended.since, facts, needs_person)


def _kind_of_end(ended: EndedTrouble) -> TroubleKind | None:
    if ended.state == CampaignState.FAILED and (ended.open or ended.not_paid):
        return TroubleKind.RUN_FAILED
    return TroubleKind.RUN_STOPPED if ended.state == CampaignState.STOPPED and ended.open else None


def _of_waiting(connection: Connection, settings: Settings, looked_at_max: int) -> Iterator[Trouble]:
    """Campaigns that nobody started when they were due, and those that nobody approves."""
    running, looked_at = get_running_campaign(connection), 0
    for waiting in list_waiting_campaigns(connection):
        late_s = waiting.late_s or 0.0
        overdue = late_s > OVERDUE_S_MAX
        recent = max(waiting.age_s if waiting.late_s is None else late_s, 0.0) < _old_after_s(settings)
        if settings.require_approval and not waiting.approved:
            needs_person = recent and (overdue or waiting.age_s > APPROVAL_S_MAX)
            yield Trouble(
                TroubleKind.APPROVAL_WAITING,
                waiting.campaign_id,
                waiting.name,
                waiting.created_at,
                {"creator": waiting.creator_login},
                needs_person,
            )
        elif overdue and waiting.not_before is not None:
            looked_at += 1
            why = _missing_targets(connection, waiting) if looked_at <= looked_at_max else None
            needs_person = recent and (why is not None or running is None)
            if why is None:
                why = _not_started(waiting, running)
            facts = {"why": why}
            yield Trouble(
                TroubleKind.OVERDUE, waiting.campaign_id, waiting.name, waiting.not_before, facts, needs_person
            )


def _not_started(waiting: WaitingCampaign, running: Campaign | None) -> Refusal:
    """Why a campaign that has its targets waits."""
    if running is None:
        return Refusal("NOBODY_STARTED_IT", {"campaign_id": waiting.campaign_id})
    return Refusal("ANOTHER_ONE_RUNS", {"running_id": running.campaign_id})


def _missing_targets(connection: Connection, waiting: WaitingCampaign) -> Refusal | None:
    """Why its targets are not the expected ones; None where they are. One scan of them."""
    campaign = get_campaign(connection, waiting.campaign_id)
    expected = campaign.expected_count, campaign.expected_amount
    count, amount, _ = total_targets(connection, waiting.campaign_id)
    return find_missing_targets(waiting.campaign_id, expected=expected, found=(count, amount))


def _of_findings(connection: Connection, settings: Settings) -> Iterator[Trouble]:
    for found in list_unaccepted_findings(connection):
        facts = {"findings": found.findings}
        needs_person = APPROVAL_S_MAX < found.age_s < _old_after_s(settings)
        yield Trouble(TroubleKind.FINDINGS_WAITING, found.campaign_id, found.name, found.since, facts, needs_person)


def _of_starts(connection: Connection, settings: Settings) -> Iterator[Trouble]:
    for start in list_starts_not_taken(connection):
        facts = {"who": start.actor, "command": _COMMANDS[start.kind]}
        needs_person = start.age_s < _old_after_s(settings)
        kind = TroubleKind.NO_AGENT if start.agent_missing else TroubleKind.START_NOT_TAKEN
        yield Trouble(kind, start.campaign_id, start.name, start.since, facts, needs_person)


def _of_delivery(connection: Connection, settings: Settings, notified: Sequence[str]) -> Iterator[Trouble]:
    if settings.kafka_bootstrap_servers is not None and (events := count_unpublished(connection)) is not None:
        yield _deployment(TroubleKind.EVENTS_WAITING, events.since, count=events.count)
    if settings.slack_channel is not None:
        messages = count_unsent_messages(connection, notified, settings.slack_channel)
        if messages is not None:
            yield _deployment(TroubleKind.MESSAGES_WAITING, messages.since, count=messages.count)


def _of_deployment(connection: Connection, settings: Settings) -> Iterator[Trouble]:
    hold = find_idle_hold(connection)
    if hold is not None:
        yield _deployment(TroubleKind.LIMIT_ZERO, hold.since, who=hold.who, why=hold.why)
    locks = read_lock_table(connection)
    if locks.used >= LOCKS_SHARE_MAX * locks.room:
        yield _deployment(TroubleKind.LOCK_TABLE, locks.at, used=locks.used, room=locks.room)
    if locks.tables + locks.indexes > LOCKS_SHARE_MAX * locks.room:
        needed = {"tables": locks.tables, "relations": locks.tables + locks.indexes, "room": locks.room}
        dump_fails = locks.tables > LOCKS_SHARE_MAX * locks.room
        yield Trouble(TroubleKind.LOCK_TABLE_SMALL, DEPLOYMENT, "", locks.at, needed, needs_person=dump_fails)
    if settings.database_url is None and settings.money_url is not None and not is_this_machine(settings.money_url):
        facts = {"url": settings.money_url}
        yield Trouble(TroubleKind.EMBEDDED_DATABASE, DEPLOYMENT, "", locks.at, facts, needs_person=False)


def _deployment(kind: TroubleKind, since: datetime, **facts: Any) -> Trouble:
    return Trouble(kind, DEPLOYMENT, "", since, facts)


def acknowledge_end(connection: Connection, campaign_id: int, *, actor: str, reason: str) -> tuple[int, bool]:
    """Say that what a campaign's last run left stays as it is: `check` names it no more, until another run begins.

    Returns the run's number, and whether somebody had said so before: then nothing is written, else an audit row.
    Raises RefusedError where the login has no right, the campaign is unknown, or no run of it has ended and left
    anything.
    """
    with connection.transaction():
        lock_campaign(connection, campaign_id)
        campaign = get_campaign(connection, campaign_id)
        require_right(connection, Right.START)
        refuse_archived(campaign)
        if campaign.run_no is None or campaign.state == CampaignState.RUNNING:
            facts = {"campaign_id": campaign_id, "state": campaign.state}
            raise RefusedError("NOTHING_TO_ACKNOWLEDGE", **facts)
        if is_acknowledged(connection, campaign_id, campaign.run_no):
            return campaign.run_no, True
        if all(ended.campaign_id != campaign_id for ended in list_ended_troubles(connection)):
            raise RefusedError("NOTHING_LEFT", campaign_id=campaign_id, run=campaign.run_no, state=campaign.state)
        write_audit(
            connection,
            action="acknowledge",
            campaign_id=campaign_id,
            run_no=campaign.run_no,
            actor=actor,
            detail={"reason": reason},
        )
    return campaign.run_no, False
