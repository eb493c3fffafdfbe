"""Which run is reconciled: a campaign's latest, once it has ended."""

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.rules.rights import Right
from bulkpoint.store.campaign import get_campaign, refuse_archived
from bulkpoint.store.connect import Connection
from bulkpoint.store.reconcile import EndedRun, find_run_to_reconcile
from bulkpoint.store.right import require_right


def check_reconcilable(connection: Connection, campaign_id: int, right: Right = Right.START) -> EndedRun:
    """The campaign's latest run, if it has ended and this login has the right; RefusedError with what to do instead."""
    require_right(connection, right)
    campaign = get_campaign(connection, campaign_id)
    refuse_archived(campaign)
    found = find_run_to_reconcile(connection, campaign_id)
    if found is None:
        raise RefusedError("RECONCILE_NEVER_STARTED", campaign_id=campaign_id, state=campaign.state)
    run, state = found
    if state == RunState.RUNNING:
        raise RefusedError("RECONCILE_WHILE_RUNNING", "wait_or_stop", campaign_id=campaign_id)
    return run
