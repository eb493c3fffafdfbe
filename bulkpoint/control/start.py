"""Start a campaign: which one is next, whether it may, and the audit of one that jumps the order.

The job makes the run, not this: it takes the campaign's row, freezes and goes. The checks here come first so that a
person hears of a problem at once instead of after Spark's start.
"""

from dataclasses import dataclass

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import CampaignState, Command, refusal
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import (
    Campaign,
    QueuedCampaign,
    get_campaign,
    get_running_campaign,
    list_queue,
)
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import write_event
from bulkpoint.store.target import digest_targets, total_targets


@dataclass(frozen=True)
class Plan:
    """What would be started, for the question to a person; tps: the present limit."""

    campaign: Campaign
    tps: int


@dataclass(frozen=True)
class Skipped:
    """A campaign that waits and is not ready, and why."""

    campaign_id: int
    name: str
    why: str


def find_next(connection: Connection) -> tuple[int | None, list[Skipped]]:
    """The oldest campaign that is ready, and the ones before it that are not."""
    skipped: list[Skipped] = []
    for waiting in list_queue(connection):
        why = _why_not_ready(connection, waiting)
        if why is None:
            return waiting.campaign_id, skipped
        skipped.append(Skipped(waiting.campaign_id, waiting.name, why))
    return None, skipped


def plan_start(
    connection: Connection, campaign_id: int, *, tps: int, digest: str | None = None, force: bool = False
) -> Plan:
    """Check that a campaign may start now. `force` passes by the queue's order and not_before, nothing else.

    Raises RefusedError with what stands in the way and what to do.
    """
    campaign = get_campaign(connection, campaign_id)
    wrong_state = refusal(Command.START, CampaignState(campaign.state), campaign_id)
    if wrong_state:
        raise RefusedError(wrong_state)
    running = get_running_campaign(connection)
    if running is not None:
        raise RefusedError(
            f"Campaign {campaign_id} cannot start while campaign {running[0]} ({running[1]}) is RUNNING: one runs at a"
            f" time. Follow it with `bulkpoint campaign watch {running[0]}` and start this one after it."
        )
    count, amount = total_targets(connection, campaign_id)
    if (count, amount) != (campaign.expected_count, campaign.expected_amount):
        raise RefusedError(
            f"Campaign {campaign_id} expects {campaign.expected_count:,} targets and {campaign.expected_amount:,}"
            f" points, but {count:,} and {amount:,} are loaded. Load the rest, or create it anew with the right totals."
        )
    if digest is not None:
        _refuse_another_digest(connection, campaign_id, digest)
    if not force:
        _refuse_out_of_order(connection, campaign_id)
    return Plan(campaign, tps)


def record_force(connection: Connection, plan: Plan, *, actor: str, reason: str) -> None:
    """Audit row and event of a start that jumps the order, in one transaction."""
    campaign_id = plan.campaign.campaign_id
    detail = {"reason": reason}
    with connection.transaction():
        write_audit(connection, action="force", campaign_id=campaign_id, run=None, actor=actor, detail=detail)
        write_event(connection, campaign_id=campaign_id, run=None, type="campaign.forced", actor=actor, data=detail)


def _why_not_ready(connection: Connection, waiting: QueuedCampaign) -> str | None:
    if not waiting.due:
        return "its time has not come"
    if total_targets(connection, waiting.campaign_id) != (waiting.expected_count, waiting.expected_amount):
        return "its targets do not add up to what is expected yet"
    return None


def _refuse_out_of_order(connection: Connection, campaign_id: int) -> None:
    first, skipped = find_next(connection)
    if first == campaign_id:
        return
    for one in skipped:
        if one.campaign_id == campaign_id:
            raise RefusedError(
                f"Campaign {campaign_id} cannot start: {one.why}. `--force --reason T` starts it anyway."
            )
    raise RefusedError(
        f"Campaign {campaign_id} cannot start: campaign {first} is older and ready, and the oldest goes first."
        f" Start that one (`bulkpoint campaign start next`), or jump the order with --force --reason T."
    )


def _refuse_another_digest(connection: Connection, campaign_id: int, digest: str) -> None:
    found = digest_targets(connection, campaign_id).hex()
    if digest.lower() != found:
        raise RefusedError(
            f"The targets of campaign {campaign_id} have the digest {found}, not the one given."
            " They changed since they were looked at: look again."
        )


def check_force(*, force: bool, reason: str | None) -> None:
    """Raises UsageError for a forced start without a reason, and for a reason without need."""
    if force and not (reason and reason.strip()):
        raise UsageError("--force needs --reason: it is kept in the audit log.")
