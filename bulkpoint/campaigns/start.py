"""Start a campaign: which one is next, and whether it may start now.

The job makes the run, not this: it takes the campaign's row, looks at everything again, freezes and goes. The checks
here come first so that a person hears of a problem at once instead of after Spark's start.
"""

from dataclasses import dataclass, replace

from bulkpoint.campaigns.digest import check_digest, refuse_another_digest
from bulkpoint.campaigns.readiness import check_ready, inspect_targets, policy_of
from bulkpoint.campaigns.runs import StartTerms
from bulkpoint.campaigns.transition import check_state
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import Command
from bulkpoint.rules.readiness import find_obstacle
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import Campaign, get_campaign, get_running_campaign, list_queue
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import Sample, recent_rate, sample_progress
from bulkpoint.store.right import require_right
from bulkpoint.views.format import duration, local_time
from bulkpoint.views.sentences import sentence


@dataclass(frozen=True)
class StartRequest:
    """How somebody wants a campaign started. digest: hexadecimal, or its first digits; reason: with the other two."""

    digest: str | None = None
    force: bool = False
    same_as: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Plan:
    """What would be started, for the question to a person, and the terms that its run is bound to."""

    campaign: Campaign
    digest: bytes
    terms: StartTerms


@dataclass(frozen=True)
class Skipped:
    """A campaign that waits and is not ready, and why."""

    campaign_id: int
    name: str
    why: str


def check_request(request: StartRequest) -> None:
    """Raises UsageError for options that cannot be, or cannot be together."""
    for option, given in (("--force", request.force), ("--same-as", request.same_as is not None)):
        if given and not (request.reason and request.reason.strip()):
            raise UsageError(f"{option} needs --reason: it is kept in the audit log.")
    if request.digest is not None:
        check_digest(request.digest)


def find_next(connection: Connection, settings: Settings) -> tuple[int | None, list[Skipped]]:
    """The oldest campaign that is ready, and the ones before it that are not."""
    skipped: list[Skipped] = []
    for waiting in list_queue(connection):
        campaign = get_campaign(connection, waiting.campaign_id)
        why = _not_due(campaign, settings) if not waiting.due else _why_not_ready(connection, campaign, settings)
        if why is None:
            return waiting.campaign_id, skipped
        skipped.append(Skipped(campaign.campaign_id, campaign.name, why))
    return None, skipped


def plan_start(connection: Connection, settings: Settings, campaign_id: int, request: StartRequest) -> Plan:
    """Check that a campaign may start now. A forced one passes by the queue's order and not_before, nothing else.

    Raises RefusedError with what stands in the way and what to do.
    """
    campaign = get_campaign(connection, campaign_id)
    check_state(Command.START, campaign)
    require_right(connection, Right.START)
    if request.force:
        require_right(connection, Right.FORCE)
    _refuse_while_another_runs(connection, settings, campaign_id)
    intake = inspect_targets(connection, campaign, policy_of(settings), same_as=request.same_as)
    digest = check_ready(campaign_id, intake, same_as=request.same_as)
    refuse_another_digest(campaign_id, digest, request.digest, Command.START)
    if not request.force:
        _refuse_out_of_order(connection, settings, campaign)
    return Plan(campaign, digest, StartTerms(digest, policy_of(settings), request.force, request.same_as))


def _not_due(campaign: Campaign, settings: Settings) -> str:
    assert campaign.not_before is not None, "without one a campaign is always due"
    return f"it is not to start before {local_time(campaign.not_before, settings.timezone)}"


def _why_not_ready(connection: Connection, campaign: Campaign, settings: Settings) -> str | None:
    intake = inspect_targets(connection, campaign, policy_of(settings))
    obstacle = find_obstacle(campaign.campaign_id, intake)
    return None if obstacle is None else sentence(replace(obstacle, remedies=())).rstrip(".")


def _refuse_out_of_order(connection: Connection, settings: Settings, campaign: Campaign) -> None:
    """The campaign itself is ready but for its time; an older one that is ready goes first."""
    for waiting in list_queue(connection):
        if waiting.campaign_id == campaign.campaign_id:
            if not waiting.due:
                raise RefusedError(
                    f"Campaign {campaign.campaign_id} cannot start: {_not_due(campaign, settings)}."
                    " `--force --reason T` starts it anyway, for a login with the right `force`."
                )
            return
        older = get_campaign(connection, waiting.campaign_id)
        if waiting.due and _why_not_ready(connection, older, settings) is None:
            raise RefusedError(
                f"Campaign {campaign.campaign_id} cannot start: campaign {older.campaign_id} ({older.name}) is older"
                " and ready, and the oldest goes first. Start that one (`bulkpoint campaign start next`), or jump the"
                " order with --force --reason T, for a login with the right `force`."
            )


def _refuse_while_another_runs(connection: Connection, settings: Settings, campaign_id: int) -> None:
    running = get_running_campaign(connection)
    if running is None:
        return
    sample = sample_progress(connection, running.campaign_id)
    assert running.run_started_at is not None, "what runs has a run"
    assert running.run_id is not None
    so_far = f"{100 * sample.done / sample.total:.1f} % of {sample.total:,} payments done"
    since = f"since {local_time(running.run_started_at, settings.timezone)}, {so_far}"
    named = f"campaign {running.campaign_id} ({running.name})"
    if running.driver_is_gone:
        raise RefusedError(
            f"Campaign {campaign_id} cannot start: {named} says RUNNING {since}, but its job is gone: nothing is paid."
            f" `bulkpoint campaign resume {running.campaign_id}` goes on with it,"
            f" `bulkpoint campaign stop {running.campaign_id}` ends it; one campaign runs at a time."
        )
    raise RefusedError(
        f"Campaign {campaign_id} cannot start while {named} is RUNNING: one runs at a time. It runs {since},"
        f" {_when_it_ends(sample, recent_rate(connection, running.run_id))}. Follow it with"
        f" `bulkpoint campaign watch {running.campaign_id}`, and start this one after it."
    )


def _when_it_ends(sample: Sample, rate: float | None) -> str:
    if sample.tps == 0:
        return "and is on hold (the limit is 0 TPS)"
    if not rate:
        return "and how long it takes cannot be said yet"
    return f"and ends in about {duration((sample.total - sample.done) / rate)} at its present rate"
