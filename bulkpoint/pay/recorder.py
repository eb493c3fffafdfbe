"""Writes what came of the calls: in batches, half a second late at most, and until it is really written."""

import threading
import time
from collections import deque
from collections.abc import Callable

import psycopg

from bulkpoint.errors import UnreachableError
from bulkpoint.store.connect import Connection, answered_within
from bulkpoint.store.payment import Attempt, Change, record_results
from bulkpoint.store.share import RunToken

FLUSH_EVERY_S = 0.25
# One statement: large enough to be cheap, small enough that its locks are short.
BATCH_ROWS_MAX = 1_000
ANSWER_S_MAX = 10.0
# While the database is away nothing is sent, so what waits here is bounded by the calls in flight; after this long the
# worker gives up, and the rows are taken up by another as perhaps credited.
PATIENCE_S = 120.0
RECONNECT_EVERY_S = 0.5


class Recorder:
    """Takes results from sender threads (`add`) and writes them from a thread of its own."""

    def __init__(self, connect: Callable[[], Connection], run: RunToken) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._run = run
        self._waiting: deque[tuple[Attempt | None, Change]] = deque()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self.trouble: Exception | None = None
        self._thread = threading.Thread(target=self._write_for_ever, name="recorder", daemon=True)
        self._thread.start()

    def add(self, attempt: Attempt | None, change: Change) -> None:
        """One call's attempt, if it left, and what its payment becomes."""
        self._waiting.append((attempt, change))
        if len(self._waiting) >= BATCH_ROWS_MAX:
            self._wake.set()

    def flush(self) -> None:
        """Return when everything added so far is in the database; raises what kept it out."""
        self._write_batch()  # at least once: it waits for a batch that is being written now
        while self._waiting and self.trouble is None:
            self._write_batch()
        if self.trouble is not None:
            raise self.trouble

    def close(self) -> None:
        """Write the rest and end; raises what kept it out."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        try:
            self.flush()
        finally:
            if self._connection is not None:
                self._connection.close()

    def _write_for_ever(self) -> None:
        while not self._closing and self.trouble is None:
            self._wake.wait(FLUSH_EVERY_S)
            self._wake.clear()
            while self._waiting and self.trouble is None:
                self._write_batch()

    def _write_batch(self) -> None:
        with self._writing:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_ROWS_MAX))]
            if not batch:
                return
            try:
                self._write(batch)
            except (psycopg.Error, UnreachableError) as error:
                self._waiting.extendleft(reversed(batch))
                self.trouble = error

    def _write(self, batch: list[tuple[Attempt | None, Change]]) -> None:
        gives_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._connection = self._connection or self._connect()
                with answered_within(self._connection, ANSWER_S_MAX):
                    for share, attempts, changes in by_share(batch):
                        record_results(self._connection, self._run, share, attempts, changes)
            except (psycopg.OperationalError, UnreachableError):
                # Also when the reply to the commit was lost: a repeated record changes nothing.
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                if time.monotonic() >= gives_up_at:
                    raise
                time.sleep(RECONNECT_EVERY_S)
            else:
                return


def by_share(batch: list[tuple[Attempt | None, Change]]) -> list[tuple[int, list[Attempt], list[Change]]]:
    """The batch as statements: all attempts, and the last word on each payment, by the share that claimed it.

    A SUCCESS is the last word whatever follows it.
    """
    shares: dict[int, tuple[list[Attempt], dict[int, Change]]] = {}
    for attempt, change in batch:
        attempts, changes = shares.setdefault(change.token.share, ([], {}))
        if attempt is not None:
            attempts.append(attempt)
        earlier = changes.get(change.seq)
        if earlier is None or earlier.state != "SUCCESS":
            changes[change.seq] = change
    return [(share, attempts, list(changes.values())) for share, (attempts, changes) in shares.items()]
