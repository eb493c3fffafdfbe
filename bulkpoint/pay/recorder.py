"""Writes the results of calls: in batches, at most half a second late, repeated until they are stored."""

import threading
import time
from collections import deque
from collections.abc import Sequence

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.store.connect import PATIENCE_S, Connection, Link
from bulkpoint.store.payment import (
    Attempt,
    Change,
    HaltReasons,
    UnwritableError,
    record_results,
)
from bulkpoint.store.share import RunToken
from bulkpoint.views.end_reasons import end_reason

FLUSH_EVERY_S = 0.25
# One statement: large enough to be cheap, small enough that its locks are short.
BATCH_ROWS_MAX = 1_000
ANSWER_S_MAX = 10.0
# A refusal ends when a person changes it, so it is enough to look this often.
REFUSED_AGAIN_S = 1.0

# The halts that only the database can know of; the reason of others comes with their result.
REASONS = HaltReasons(
    second_id=end_reason("SECOND_ID", seq="%1$s", transaction_id="%2$s"),
    same_id=end_reason("SAME_ID", seq="%1$s", transaction_id="%2$s", other_seq="%3$s", other_campaign="%4$s"),
)

Result = tuple[Attempt | None, Change]


class Recorder:
    """Takes results from sender threads (`add`) and writes them from a thread of its own.

    While the database is away nothing is sent, so the queue is bounded by the calls in flight. When it stays away the
    worker gives up, and another takes over its rows (orphans) as possibly credited. `halted`: the run was halted
    with the results that demand it; `unwritable`: those whose result the database refuses, and
    why. `refused`: only a person can let results into the database again; nothing more may be sent then, `flush` raises
    it, and `close` waits until they are written or the patience has passed. `trouble`: nothing helps any more; both
    raise it.
    """

    def __init__(self, conninfo: str, name: str, run: RunToken) -> None:
        self._link = Link(conninfo, name=name, answer_s_max=ANSWER_S_MAX)
        self._run = run
        self.halted = False
        self.unwritable: list[tuple[int, str]] = []
        self._waiting: deque[Result] = deque()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self.refused: RefusedError | None = None
        self._refused_since = 0.0
        self.trouble: Exception | None = None
        self._thread = threading.Thread(target=self._write_for_ever, name="recorder", daemon=True)
        self._thread.start()

    def connect(self) -> None:
        """Have a connection before there is a result to write. Raises DatabaseAwayError at once."""
        with self._writing:
            self._link.open()

    def disconnect(self) -> None:
        """Leave the connection to another partition; the next result takes one again."""
        with self._writing:
            self._link.close()

    def add(self, attempt: Attempt | None, change: Change) -> None:
        """Add one call's attempt, if it left, and its payment's new values."""
        self._waiting.append((attempt, change))
        if len(self._waiting) >= BATCH_ROWS_MAX:
            self._wake.set()

    def flush(self) -> None:
        """Return when everything added so far is in the database; raises what prevents it."""
        self._write_batch()  # at least once: it waits for a batch that is being written now
        while self._waiting and self.trouble is None and self.refused is None:
            self._write_batch()
        if (prevented := self.trouble or self.refused) is not None:
            raise prevented

    def close(self) -> None:
        """Write the rest and end; raises what prevented it.

        What a person can still allow within the patience is waited for: no row becomes an orphan by a mistake that is
        put right.
        """
        self._closing = True
        self._wake.set()
        self._thread.join()
        try:
            self._write_all()
            self.flush()
        finally:
            self._link.close()

    def _write_for_ever(self) -> None:
        while not self._closing and self.trouble is None:
            self._wake.wait(FLUSH_EVERY_S)
            self._wake.clear()
            self._write_all()

    def _write_all(self) -> None:
        while self._waiting and self.trouble is None:
            self._write_batch()
            if self.refused is not None:
                if time.monotonic() > self._refused_since + PATIENCE_S:
                    self.trouble = self.refused
                    return
                time.sleep(REFUSED_AGAIN_S)

    def _write_batch(self) -> None:
        with self._writing:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_ROWS_MAX))]
            if not batch:
                return
            try:
                self._write(batch)
                self.refused = None
            except RefusedError as error:
                self._waiting.extendleft(reversed(batch))
                if self.refused is None:
                    self._refused_since = time.monotonic()
                self.refused = error
            except Exception as error:  # noqa: BLE001 (raised by flush, in the thread that waits for the write)
                self._waiting.extendleft(reversed(batch))
                self.trouble = error

    def _write(self, batch: list[Result]) -> None:
        """Write all of it; a row that PostgreSQL refuses does not prevent the record of others."""
        try:
            self._link.ask(lambda connection: self._record(connection, batch))
        except UnwritableError as error:
            bare = [without_texts(result) for result in batch]
            if len(batch) > 1:
                middle = len(batch) // 2
                self._write(batch[:middle])
                self._write(batch[middle:])
            elif batch != bare:
                self._write(bare)
            else:
                self.unwritable.append((batch[0][1].seq, str(error)))

    def _record(self, connection: Connection, batch: list[Result]) -> None:
        # Repeated where the reply to the commit was lost: a second record changes nothing.
        halt = next((change.halt for _, change in batch if change.halt is not None), None)
        reasons = REASONS._replace(halt=halt)
        for share, attempts, changes in by_share(batch):
            conflicts = record_results(connection, self._run, share, attempts, changes, reasons=reasons)
            self.halted = self.halted or halt is not None or bool(conflicts)


def without_texts(result: Result) -> Result:
    """The result without the money API's own texts; a transaction id stays, because it was checked strictly."""
    attempt, change = result
    code = change.failure_code and "UNREADABLE"  # not None: for an open payment it means that the tries are used up
    return attempt and attempt._replace(code=None), change._replace(failure_code=code, failure_message=None)


def by_share(batch: Sequence[Result]) -> list[tuple[int, list[Attempt], list[Change]]]:
    """The batch as statements: all attempts, and the last change of each payment, by the share that claimed it.

    A SUCCESS is final, whatever follows it.
    """
    shares: dict[int, tuple[list[Attempt], dict[int, Change]]] = {}
    for attempt, change in batch:
        share = change.token.share
        if share not in shares:
            shares[share] = [], {}
        attempts, changes = shares[share]
        if attempt is not None:
            attempts.append(attempt)
        earlier = changes.get(change.seq)
        if earlier is None or earlier.state != PaymentState.SUCCESS:
            changes[change.seq] = change
    return [(share, attempts, list(changes.values())) for share, (attempts, changes) in shares.items()]
