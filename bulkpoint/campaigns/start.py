"""Start a campaign: which one is next, and whether it may start now.

The job makes the run, not this module: it locks the campaign's row, checks everything again and freezes. The checks
here come first so that a person sees a problem at once instead of after Spark's start; nobody waits for those of a long
list where there is nothing to ask.
"""

from dataclasses import dataclass, replace

from bulkpoint.campaigns.digest import refuse_another_digest
from bulkpoint.campaigns.readiness import check_ready, inspect_targets, not_ready, policy_of, recall_targets
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.transition import check_state
from bulkpoint.campaigns.watch import time_left
from bulkpoint.errors import RefusedError
from bulkpoint.rules.findings import Finding
from bulkpoint.rules.lifecycle import Command
from bulkpoint.rules.readiness import find_obstacle
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import Campaign, get_campaign, get_running_campaign, list_queue
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import Sample, sample_progress
from bulkpoint.store.right import require_right
from bulkpoint.store.run_request import live_run_requests
from bulkpoint.store.snapshot import one_snapshot

# From here on a list is long: a million targets are read in two seconds.
LONG_LIST_ROWS = 100_000


@dataclass(frozen=True)
class StartPlan:
    """What would be started, for the question to a person; `request` is bound to the digest of these very targets,
    where they were read. left_to_job: they were not, the job reads them before it pays."""

    campaign: Campaign
    digest: bytes
    request: RunRequest
    findings: tuple[Finding, ...] = ()
    left_to_job: bool = False


@dataclass(frozen=True)
class Skipped:
    """A campaign that waits and is not ready, and why."""

    campaign_id: int
    name: str
    why: Refusal


def find_next(connection: Connection, settings: Settings) -> tuple[int | None, list[Skipped]]:
    """The oldest campaign that is ready, and the ones before it that are not."""
    skipped: list[Skipped] = []
    for waiting in list_queue(connection):
        campaign = get_campaign(connection, waiting.campaign_id)
        why = not_due(campaign) if not waiting.due else _why_not_ready(connection, campaign, settings)
        if why is None:
            return waiting.campaign_id, skipped
        skipped.append(Skipped(campaign.campaign_id, campaign.name, replace(why, remedies=())))
    return None, skipped


def plan_start(connection: Connection, settings: Settings, request: RunRequest, *, may_wait: bool = False) -> StartPlan:
    """Check that a campaign may start now. A forced start skips the queue's order and not_before, nothing else.

    may_wait: it need not start now; what runs, and older ones whose start was asked for before, are no obstacle.
    Raises RefusedError with the obstacle and what to do.
    """
    campaign_id = request.campaign_id
    campaign = _check_all_but_targets(connection, request, may_wait=may_wait)
    with one_snapshot(connection):
        found = inspect_targets(
            connection,
            campaign,
            policy_of(settings),
            same_as=request.same_as,
            accepted=request.accepted,
            actor=request.actor,
        )
    digest = check_ready(campaign_id, found, same_as=request.same_as)
    refuse_another_digest(campaign_id, digest, request.digest, Command.START)
    if not request.force:
        _refuse_out_of_order(connection, settings, campaign, may_wait=may_wait)
    return StartPlan(campaign, digest, request.model_copy(update={"digest": digest.hex()}), found.findings)


def plan_unasked(
    connection: Connection, settings: Settings, request: RunRequest, *, may_wait: bool = False
) -> StartPlan:
    """As plan_start, for a start that shows nobody a digest: a long list may be left to the job to read.

    It reads the list in the transaction that makes the run, and refuses it there as plan_start would, some seconds
    later. Here such a list counts as what it was when it was judged last; where that stands against its start, or
    nothing is known of it, it is read.
    """
    campaign = _check_all_but_targets(connection, request, may_wait=may_wait)
    if campaign.expected_count >= LONG_LIST_ROWS:
        known = _ready_as_recalled(connection, settings, campaign, request)
        if known is not None:
            return known
    return plan_start(connection, settings, request, may_wait=may_wait)


def _check_all_but_targets(connection: Connection, request: RunRequest, *, may_wait: bool) -> Campaign:
    campaign = get_campaign(connection, request.campaign_id)
    check_state(Command.START, campaign)
    require_right(connection, Right.START, asked=request.request_id)
    if request.force:
        require_right(connection, Right.FORCE, asked=request.request_id)
    if not may_wait:
        _refuse_while_another_runs(connection, request.campaign_id)
    return campaign


def _ready_as_recalled(
    connection: Connection, settings: Settings, campaign: Campaign, request: RunRequest
) -> StartPlan | None:
    """The plan of a start against which nothing is known; its request has no other digest than the one given."""
    campaign_id = campaign.campaign_id
    if not request.force and not _is_first_and_due(connection, campaign_id):
        return None  # what comes before it is looked at, its own list first
    recalled = recall_targets(
        connection,
        campaign,
        policy_of(settings),
        same_as=request.same_as,
        accepted=request.accepted,
        actor=request.actor,
    )
    if recalled is None:
        return None
    try:
        digest = check_ready(campaign_id, recalled, same_as=request.same_as)
        refuse_another_digest(campaign_id, digest, request.digest, Command.START)
    except RefusedError:
        return None  # perhaps no more: the list is read, and decides
    return StartPlan(campaign, digest, request, recalled.findings, left_to_job=True)


def _is_first_and_due(connection: Connection, campaign_id: int) -> bool:
    queue = list_queue(connection)
    return bool(queue) and queue[0].campaign_id == campaign_id and queue[0].due


def not_due(campaign: Campaign) -> Refusal:
    """What stands in the way of a campaign whose time has not come."""
    facts = {"campaign_id": campaign.campaign_id, "not_before": campaign.not_before}
    return Refusal("NOT_DUE", facts, ("start_by_force",))


def _why_not_ready(connection: Connection, campaign: Campaign, settings: Settings) -> Refusal | None:
    with one_snapshot(connection):
        found = inspect_targets(connection, campaign, policy_of(settings))
    return find_obstacle(campaign.campaign_id, found)


def _refuse_out_of_order(connection: Connection, settings: Settings, campaign: Campaign, *, may_wait: bool) -> None:
    """The campaign is ready except for its time (not_before); an older one that is ready goes first."""
    for waiting in list_queue(connection):
        if waiting.campaign_id == campaign.campaign_id:
            if not waiting.due:
                raise not_ready(campaign.campaign_id, not_due(campaign))
            return
        if may_wait and live_run_requests(connection, waiting.campaign_id):
            continue
        older = get_campaign(connection, waiting.campaign_id)
        if waiting.due and _why_not_ready(connection, older, settings) is None:
            facts = {"older_id": older.campaign_id, "older_name": older.name}
            raise not_ready(campaign.campaign_id, Refusal("OLDER_ONE_IS_READY", facts, ("start_next_or_force",)))


def _refuse_while_another_runs(connection: Connection, campaign_id: int) -> None:
    running = get_running_campaign(connection)
    if running is None:
        return
    sample = sample_progress(connection, running.campaign_id)
    facts = {
        "campaign_id": campaign_id,
        "running_id": running.campaign_id,
        "running_name": running.name,
        "since": running.run_started_at,
        "done_percent": 100 * sample.done / sample.total,
        "total": sample.total,
    }
    if running.driver_is_gone:
        raise RefusedError("ANOTHER_ONE_LOST_ITS_JOB", "resume_or_stop_that_one", **facts)
    left_s = time_left(connection, running, still_open=sample.total - sample.done)
    outlook = _when_it_ends(sample, left_s)
    raise RefusedError("ANOTHER_ONE_IS_RUNNING", "watch_and_start_after_it", **facts, outlook=outlook)


def _when_it_ends(sample: Sample, left_s: float | None) -> Refusal:
    if sample.tps == 0:
        return Refusal("IS_ON_HOLD")
    return Refusal("END_NOT_KNOWN_YET") if left_s is None else Refusal("ENDS_IN", {"left_s": left_s})
