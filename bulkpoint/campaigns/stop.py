"""After a stop: no new call leaves, and those under way are waited for."""

import time
from dataclasses import dataclass
from datetime import datetime

from bulkpoint.campaigns.promises import show_promises
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import Sample, last_call, sample_progress

POLL_S = 0.2
# After the longest call: time for the job to record its answer and give back the rows it had not sent.
SETTLE_S = 5.0


@dataclass(frozen=True)
class Stopped:
    """How a stopped campaign stands. settled: nothing is under way any more."""

    sample: Sample
    last_call: datetime | None
    settled: bool


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
