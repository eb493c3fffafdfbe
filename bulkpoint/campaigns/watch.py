"""Follow a run until it ends, also over a short absence of the database."""

import time
from collections.abc import Callable, Iterator

from bulkpoint.errors import UnreachableError
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.store.connect import Connection, connect, reachable
from bulkpoint.store.progress import Sample, sample_progress

LOOK_S = 1.0
# A PostgreSQL that crashed or was failed over is back within this; a run outlives it, so whoever watches it should.
DATABASE_PATIENCE_S = 120.0


class Onlooker:
    """Looks at a campaign again and again; opens a new connection where the old one broke."""

    def __init__(self, url: str, campaign_id: int) -> None:
        self._url = url
        self._campaign_id = campaign_id
        self._connection: Connection | None = None

    def look(self) -> Sample:
        """Raises UnreachableError; the next look may succeed again."""
        if self._connection is None:
            self._connection = connect(self._url, name="bulkpoint watch")
        try:
            with reachable(self._url):
                return sample_progress(self._connection, self._campaign_id)
        except UnreachableError:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def follow_run(
    url: str, campaign_id: int, *, look_s: float = LOOK_S, alive: Callable[[], bool] = lambda: True
) -> Iterator[Sample]:
    """Samples of the run that is there now, about one a second, until it has ended; at least one.

    `alive` says whether the job is still there, where the caller knows; the samples end when it is not. Raises
    UnreachableError when the database stays away for two minutes.
    """
    onlooker = Onlooker(url, campaign_id)
    try:
        run_no: int | None = None
        last_answer = time.monotonic()
        while True:
            was_alive = alive()
            try:
                sample = onlooker.look()
            except UnreachableError:
                if time.monotonic() - last_answer > DATABASE_PATIENCE_S or not was_alive:
                    raise
                time.sleep(look_s)
                continue
            last_answer = time.monotonic()
            if run_no is not None and sample.run_no != run_no:
                return
            run_no = sample.run_no
            yield sample
            if sample.state != CampaignState.RUNNING or not was_alive:
                return
            time.sleep(look_s)
    finally:
        onlooker.close()
