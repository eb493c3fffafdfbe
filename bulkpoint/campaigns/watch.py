"""Follow a run until it ends, also through a short outage of the database."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

from bulkpoint.errors import UnreachableError
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.time_left import seconds_left
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.connect import Connection, Link
from bulkpoint.store.progress import Sample, done_before, recent_figures, sample_progress

LOOK_S = 1.0
# The end of a run is seen within this time.
END_LOOK_S = 0.2
ANSWER_S_MAX = 10.0
# A PostgreSQL that crashed or failed over is back within this time; a run survives that, so a watch does too.
DATABASE_PATIENCE_S = 120.0


def time_left(connection: Connection, campaign: Campaign, *, still_open: int) -> float | None:
    """Seconds until a RUNNING campaign has paid what is open, by its last minute; None where nothing says it."""
    if campaign.state != CampaignState.RUNNING or campaign.stopping or campaign.driver_is_gone:
        return None
    if campaign.run_id is None:
        return None
    figures = recent_figures(connection, campaign.run_id)
    return seconds_left(figures, still_open, done_before=done_before(connection, campaign.run_id))


def follow_run(
    url: str, campaign_id: int, *, look_s: float = LOOK_S, alive: Callable[[], bool] = lambda: True
) -> Iterator[Sample]:
    """Samples of the run that is there now, about one a second, until it has ended; at least one.

    `alive` says whether the job is still there, where the caller knows; the samples end when it is not. Raises
    UnreachableError when the database stays away for two minutes.
    """

    def look(connection: Connection) -> Sample:
        return sample_progress(connection, campaign_id)

    with closing(Link(url, name="bulkpoint watch", answer_s_max=ANSWER_S_MAX, patience_s=0)) as link:
        run_no: int | None = None
        next_at = 0.0
        last_answer = time.monotonic()
        while True:
            was_alive = alive()
            try:
                sample = link.ask(look)
            except UnreachableError:
                if time.monotonic() - last_answer > DATABASE_PATIENCE_S or not was_alive:
                    raise
                time.sleep(look_s)
                continue
            last_answer = time.monotonic()
            if run_no is not None and sample.run_no != run_no:
                return
            run_no = sample.run_no
            over = sample.state != CampaignState.RUNNING or not was_alive
            if over or last_answer >= next_at:
                next_at = last_answer + look_s
                yield sample
            if over:
                return
            time.sleep(min(look_s, END_LOOK_S))
