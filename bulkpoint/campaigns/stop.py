"""A stop: starts on their way are called back, every gate is closed, and the run ends when its figures are final.

A stop is written on the run. That closes every gate within a second; the answers to calls under way still come in. Once
none can come any more the run ends STOPPED: state, event, audit row and message have the same figures as the payments.
Whoever sees that first ends it, the driver's heartbeat or the command that stops; so a dead driver delays nothing.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from bulkpoint.campaigns.asked_run import call_back
from bulkpoint.campaigns.promises import show_promises
from bulkpoint.campaigns.runs import end_halted, end_stopped
from bulkpoint.campaigns.transition import check_state
from bulkpoint.rules.lifecycle import CampaignState, Command
from bulkpoint.settings import Settings
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import get_campaign, lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import RunSummary, Sample, last_call, sample_progress
from bulkpoint.store.run import ask_stop, how_it_ends
from bulkpoint.store.run_request import AskedRun

POLL_S = 0.2
# A share is leased for 3 s, its longest calls and 1 s after the last renewal (pay/lease.py), and nobody renews it once
# the run is stopped. So this long after the longest calls, no result can come in.
SETTLE_S = 8.0
# With calls counted from the answer, one that timed out may reach the money API a timeout later.
TIMEOUTS_MAX = 2


@dataclass(frozen=True)
class Stopped:
    """How a stopped campaign stands."""

    sample: Sample
    last_call: datetime | None


def call_back_starts(
    connection: Connection, campaign_id: int, *, actor: str, reason: str | None
) -> tuple[CampaignState, list[AskedRun]]:
    """Call back every run that is asked for and not made; returns them, and the campaign's state after that.

    A run that is being made at this moment is waited for: then it is RUNNING, and nothing was called back. Raises
    RefusedError where there is no such campaign.
    """
    get_campaign(connection, campaign_id)
    with connection.transaction():
        called_back = call_back(connection, campaign_id, actor=actor, reason=reason)
    return get_campaign(connection, campaign_id).state, called_back


def ask_to_stop(connection: Connection, campaign_id: int, *, actor: str, reason: str | None = None) -> None:
    """Close every gate of the campaign's run, by hand, from anywhere. It ends STOPPED once it is settled.

    A second one who asks changes nothing, nor does a stop of a run that was halted: that one ends FAILED. Raises
    RefusedError when the campaign is unknown or not RUNNING.
    """
    check_state(Command.STOP, get_campaign(connection, campaign_id))  # at once: a loader locks a WAITING campaign
    with connection.transaction():
        lock_campaign(connection, campaign_id)
        campaign = get_campaign(connection, campaign_id)
        check_state(Command.STOP, campaign)
        assert campaign.run_id is not None, "a RUNNING campaign has a run"
        run_no = ask_stop(connection, campaign.run_id, actor=actor, reason=reason)
        if run_no is not None:
            detail = {"reason": reason}
            write_audit(
                connection, action="stop.ask", campaign_id=campaign_id, run_no=run_no, actor=actor, detail=detail
            )


def end_if_settled(
    connection: Connection, campaign_id: int, *, actor: str, even_unsettled: bool = False
) -> RunSummary | None:
    """End a run that a person has stopped, once no result of it can come in any more; None while it can.

    Also one that was halted and whose driver is gone: nobody else would end it, so `actor` does. even_unsettled: it was
    waited for long enough.
    """
    with connection.transaction():
        lock_campaign(connection, campaign_id)
        ending = how_it_ends(connection, campaign_id)
        if ending is None or not (ending.settled or even_unsettled):
            return None
        if ending.stop_actor is not None:
            return end_stopped(connection, campaign_id, ending)
        if ending.halt is not None and (ending.driver_is_gone or even_unsettled):
            return end_halted(connection, campaign_id, ending.run_id, actor=actor)
        return None


def wait_until_ended(connection: Connection, settings: Settings, campaign_id: int, *, actor: str) -> Stopped:
    """Wait until a run that was stopped has ended, and end it as soon as it is settled; then say how it stands.

    That takes as long as the longest call, and at most two timeouts and 8 s; then it is ended in any case.
    """
    timeout_s = show_promises(connection, settings).promises.timeout_s
    deadline = time.monotonic() + TIMEOUTS_MAX * timeout_s + SETTLE_S
    while get_campaign(connection, campaign_id).state == CampaignState.RUNNING:
        late = time.monotonic() > deadline
        if end_if_settled(connection, campaign_id, actor=actor, even_unsettled=late) is None:
            time.sleep(POLL_S)
    return Stopped(sample_progress(connection, campaign_id), last_call(connection, campaign_id))
