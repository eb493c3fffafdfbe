"""What a run waits for, looked at with every beat of its driver: kept on the run's row, said, and bounded."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bulkpoint.rules.answers import Halt
from bulkpoint.rules.patience import Heard, Patience, Waiting, WaitsFor, heard_by_all
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Connection
from bulkpoint.store.run import Run, halt_run, note_waiting
from bulkpoint.store.share import SharesOfRun, shares_of_run
from bulkpoint.views.end_reasons import end_reason
from bulkpoint.views.waiting import waiting_words

# A share of the limit is free again at the latest when the lease of a dead holder ends: its HTTP timeout and a few
# seconds. A reconciliation may have the shares for longer than that.
SHARE_S_MIN = 60.0
# A cluster that gives no slot for this long has other work to do: the run ends, and can be resumed.
TASKS_S_MAX = 600.0


class Waits:
    """What one run waits for.

    The driver says where it is: inside `tasks` while a Spark job is under way, `due_at` while it waits for payments to
    be due (time.monotonic). `look` is for the heartbeat; it halts the run when it has waited long enough.
    """

    def __init__(self, run: Run, settings: Settings) -> None:
        self.due_at: float | None = None
        self._run = run
        self._settings = settings
        self._patience = Patience(limit_s=settings.breaker_patience_s, backoff_s=settings.backoff_s)
        self._jobs = 0
        self._jobs_change = threading.Lock()
        self._stored: Waiting | None = None
        self._standing: tuple[WaitsFor, float] | None = None  # what no task of ours moves, and since when

    @contextmanager
    def tasks(self) -> Iterator[None]:
        """While a Spark job is under way; several may be."""
        with self._jobs_change:
            self._jobs += 1
        try:
            yield
        finally:
            with self._jobs_change:
                self._jobs -= 1

    def look(self, connection: Connection) -> None:
        """Look at the shares, keep what the run waits for, and halt it when that takes too long."""
        shares = shares_of_run(connection, self._run.token)
        heard = heard_by_all([Heard(**one) for one in shares.heard])
        over = self._patience.look(heard, tps=shares.tps, now=shares.now)
        waiting = self._patience.waiting(heard, url=self._settings.money_url or "", now=shares.now)
        if waiting is None:
            waiting = self._own_waiting(shares)
            if waiting is not None and waiting.what in (WaitsFor.SHARE, WaitsFor.TASKS):
                self._halt_after(connection, waiting, shares.now)
        elif over:
            patience_s = f"{self._settings.breaker_patience_s:g}"
            reason = end_reason("NOTHING_USABLE", patience_s=patience_s, waiting=self._words(waiting))
            halt_run(connection, self._run.token, Halt.MONEY_UNAVAILABLE.value, reason)
        self._keep(connection, waiting)

    def reason(self) -> str | None:
        """What the run waited for when it was looked at last, in words; None for nothing."""
        return None if self._stored is None else self._words(self._stored)

    def _own_waiting(self, shares: SharesOfRun) -> Waiting | None:
        """Where the money API is not the cause: what else stands between the run and its next call."""
        if shares.tps == 0:
            self._standing = None
            return None
        due_at = self.due_at
        if due_at is not None:
            self._standing = None
            left_s = due_at - time.monotonic()
            return Waiting(WaitsFor.NEXT_TRY, shares.now, round(shares.now + left_s)) if left_s > 1 else None
        if not self._jobs or shares.leased:
            self._standing = None
            return None
        what = WaitsFor.TASKS if shares.free else WaitsFor.SHARE
        if self._standing is None or self._standing[0] != what:
            self._standing = (what, shares.now)
        return Waiting(*self._standing)

    def _halt_after(self, connection: Connection, waiting: Waiting, now: float) -> None:
        longest = {
            WaitsFor.SHARE: max(SHARE_S_MIN, self._settings.breaker_patience_s),
            WaitsFor.TASKS: TASKS_S_MAX,
        }[waiting.what]
        if now - waiting.since > longest:
            reason = end_reason("NOTHING_SENT", seconds=f"{longest:g}", waiting=self._words(waiting))
            halt_run(connection, self._run.token, Halt.STALLED.value, reason)

    def _keep(self, connection: Connection, waiting: Waiting | None) -> None:
        """Write it where it changed; a wait for the next try is the same one whenever it was looked at."""
        before = self._stored
        if waiting is not None and before is not None and waiting[:1] + waiting[2:] == before[:1] + before[2:]:
            return
        if waiting != before:
            note_waiting(connection, self._run, waiting)
            self._stored = waiting

    def _words(self, waiting: Waiting) -> str:
        return waiting_words(waiting, language="en", timezone=self._settings.timezone)
