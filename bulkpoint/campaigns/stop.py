"""Stop a run by hand: at once for new calls, then wait for those that are under way."""

import time
from dataclasses import dataclass
from datetime import datetime

from bulkpoint.campaigns.runs import stop_run
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import Sample, last_call, sample_progress

POLL_S = 0.2
# Beyond the longest call: what the job needs to record its answer and hand back the rows it had not sent.
SETTLE_S = 5.0


@dataclass(frozen=True)
class Stopped:
    """How a stopped campaign stands. settled: nothing is under way any more."""

    sample: Sample
    last_call: datetime | None
    settled: bool


def stop_campaign(connection: Connection, campaign_id: int, *, actor: str, reason: str | None = None) -> None:
    """RUNNING becomes STOPPED, with its audit row and its event, in one transaction: no call leaves a second later.

    Raises RefusedError where the campaign is not RUNNING.
    """
    stop_run(connection, campaign_id, actor=actor, reason=reason)


def wait_until_settled(connection: Connection, settings: Settings, campaign_id: int) -> Stopped:
    """Wait until no call is under way, for the time a call may take and 5 s at most; then say how it stands."""
    deadline = time.monotonic() + settings.money_timeout_s + SETTLE_S
    while True:
        sample = sample_progress(connection, campaign_id)
        settled = sample.processing == 0
        if settled or time.monotonic() > deadline:
            return Stopped(sample, last_call(connection, campaign_id), settled)
        time.sleep(POLL_S)
