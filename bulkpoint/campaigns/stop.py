"""A stop: starts on their way are called back, no new call leaves, and those under way are waited for."""

import time
from dataclasses import dataclass
from datetime import datetime

from bulkpoint.campaigns.asked_run import call_back
from bulkpoint.campaigns.promises import show_promises
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import Sample, last_call, sample_progress
from bulkpoint.store.run_request import AskedRun

POLL_S = 0.2
# After the longest call: time for the job to record its answer and give back the rows it had not sent.
SETTLE_S = 5.0


@dataclass(frozen=True)
class Stopped:
    """How a stopped campaign stands. settled: nothing is under way any more."""

    sample: Sample
    last_call: datetime | None
    settled: bool


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


def wait_until_settled(connection: Connection, settings: Settings, campaign_id: int) -> Stopped:
    """Wait until no call is under way, for the time a call may take and 5 s at most; then say how it stands."""
    timeout_s = show_promises(connection, settings).promises.timeout_s
    deadline = time.monotonic() + timeout_s + SETTLE_S
    while True:
        sample = sample_progress(connection, campaign_id)
        settled = sample.processing == 0
        if settled or time.monotonic() > deadline:
            return Stopped(sample, last_call(connection, campaign_id), settled)
        time.sleep(POLL_S)
