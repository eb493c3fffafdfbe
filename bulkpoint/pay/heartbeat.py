"""The driver's heartbeat: renews the run's lease, sees its end, keeps samples, cancels jobs that do not end."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from bulkpoint.campaigns.runs import QUARTERS, publish_progress
from bulkpoint.campaigns.stop import ask_to_stop, end_if_settled
from bulkpoint.campaigns.tps import restore_tps_if_due
from bulkpoint.errors import BulkpointError, RefusedError
from bulkpoint.log import Level
from bulkpoint.pay.log import say
from bulkpoint.pay.waits import Waits
from bulkpoint.rules.answers import Halt
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.guard import FailureGuard, TooMany
from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.settings import Settings
from bulkpoint.store.connect import PATIENCE_S, Connection, DatabaseAwayError, Link, PeriodicLink, first_line
from bulkpoint.store.progress import commonest_failure, count_results, keep_progress, sample_progress
from bulkpoint.store.run import Run, halt_run, renew_driver
from bulkpoint.views.end_reasons import end_reason
from bulkpoint.views.sentences import sentence

BEAT_S = 1.0
ANSWER_S_MAX = 5.0
# What partitions need for a graceful shutdown after a stop, in addition to the HTTP timeout of the last calls.
DRAIN_S = 5.0


class Heartbeat:
    """Beats every second from its own thread until `stop`.

    `waits`: what the run waits for. `state`: the run's state as last seen; `stopping`: a person has stopped it, and a
    beat ends it once it is settled; `lost`: the run is no longer this driver's, which then must not write. `over` is
    set as soon as no new work may begin. `trouble`: why the driver cannot go on though the run is its own: the database
    stayed away for longer than the patience, refuses what a beat must write, or a beat met a defect. Then only the
    lease is renewed, so that the driver can end the run.
    """

    def __init__(
        self,
        conninfo: str,
        run: Run,
        settings: Settings,
        *,
        cancel: Callable[[], None],
        asked_to_stop: Callable[[], str | None],
    ) -> None:
        self.waits = Waits(run, settings)
        self.state = RunState.RUNNING
        self.halt: str | None = None
        self.stopping = False
        self.lost = False
        self.trouble: Exception | None = None
        self.over = threading.Event()
        self._run = run
        self._settings = settings
        self._cancel = cancel
        self.sweeping = False  # the driver pays what came back
        self._guard: FailureGuard | None = None
        self._asked_to_stop = asked_to_stop
        self._over_since: float | None = None
        self._absent_since: float | None = None
        self._absent_by: Cause | None = None  # what was said of an absence last
        self._next_sample_at = 0.0
        self._quarters = 0  # quarters of the payments done at the last look
        self._beats = PeriodicLink(
            conninfo,
            self._turn,
            name="bulkpoint heartbeat",
            thread_name="heartbeat",
            every_s=BEAT_S,
            answer_s_max=ANSWER_S_MAX,
            on_trouble=self._end_work,
        )

    def stop(self) -> None:
        """Stop the heartbeat."""
        self._beats.stop()

    @property
    def database_is_away(self) -> bool:
        """Whether the last beat did not reach the database, or could not write to it."""
        return self._absent_since is not None

    def _turn(self, link: Link) -> bool:
        try:
            link.ask(self._beat if self.trouble is None else self._only_renew)
            self._say_that_it_is_back()
        except DatabaseAwayError as error:
            # The lease bounds how long others wait for this driver; the patience, how long it waits itself.
            now = time.monotonic()
            self._absent_since = self._absent_since or now
            self._say_why_it_is_away(error)
            if now > self._absent_since + PATIENCE_S:
                self._end_work(error)
        except Exception as error:  # noqa: BLE001 (the driver ends the run for it)
            if self.trouble is None:
                self._halt(link, error)
                self._end_work(error)
        self._cancel_what_will_not_end()
        return True

    def _say_why_it_is_away(self, error: DatabaseAwayError) -> None:
        """Once for each cause: a failover is a lost connection, and then a standby that is read-only."""
        if error.ruling.cause != self._absent_by:
            self._absent_by = error.ruling.cause
            say(f"the heartbeat waits for the database: {sentence(error)}", event="database_away", level=Level.WARNING)

    def _say_that_it_is_back(self) -> None:
        if self._absent_since is not None:
            absent_s = time.monotonic() - self._absent_since
            say(f"the database answers the heartbeat again after {absent_s:.0f} s", event="database_back")
        self._absent_since = self._absent_by = None

    def _end_work(self, error: Exception) -> None:
        self.trouble = self.trouble or error
        self.over.set()

    def _halt(self, link: Link, error: Exception) -> None:
        """Close every gate at once; where even that is refused, the workers see the lease expire."""
        halt = Halt.DATABASE_REFUSED if isinstance(error, RefusedError) else Halt.DEFECT
        with suppress(Exception):
            link.ask(lambda connection: halt_run(connection, self._run.token, halt, reason_of(error)))
            self.halt = halt.value

    def _only_renew(self, connection: Connection) -> None:
        self.lost = renew_driver(connection, self._run, after_absence=self.database_is_away) is None

    def _beat(self, connection: Connection) -> None:
        campaign_id, actor = self._run.token.campaign_id, self._run.actor
        reason = self._asked_to_stop()
        if reason is not None and self.state == RunState.RUNNING and not self.stopping:
            with suppress(RefusedError):  # it ended by itself just now
                ask_to_stop(connection, campaign_id, actor=actor, reason=reason)
                end_if_settled(connection, campaign_id, actor=actor)
        elif self.stopping and self.state == RunState.RUNNING:
            end_if_settled(connection, campaign_id, actor=actor)
        renewed = renew_driver(connection, self._run, after_absence=self.database_is_away)
        if renewed is None:
            self.lost = True
            self.over.set()
            return
        self.state, self.halt, self.stopping = renewed
        if self.state != RunState.RUNNING or self.halt is not None or self.stopping:
            self.over.set()
            return
        restore_tps_if_due(connection)
        self.waits.look(connection)
        if time.monotonic() >= self._next_sample_at:
            self._next_sample_at = time.monotonic() + self._settings.progress_seconds
            keep_progress(connection, self._run.token.run_id)
            self._publish_quarter(connection)
        self._look_at_failures(connection)

    def _publish_quarter(self, connection: Connection) -> None:
        sample = sample_progress(connection, self._run.token.campaign_id)
        passed = sum(100 * sample.done >= percent * sample.total for percent in QUARTERS)
        if passed > self._quarters:
            publish_progress(connection, self._run)
        self._quarters = passed

    def _look_at_failures(self, connection: Connection) -> None:
        """Halt the run when too many of its latest results are FAILED."""
        campaign_id = self._run.token.campaign_id
        results = count_results(connection, campaign_id)
        if self._guard is None:  # the first beat comes before the first wave
            self._guard = FailureGuard(
                self._settings.max_failed_ratio, results, retried=self._run.kind == RunKind.RETRY
            )
        too_many = self._guard.look(results, sweeping=self.sweeping)
        if too_many is not None:
            reason = self._why_too_many(connection, too_many)
            halt_run(connection, self._run.token, Halt.TOO_MANY_FAILURES.value, reason)

    def too_many_failed(self, connection: Connection) -> str | None:
        """For a run that has paid all it could: the reason to end it FAILED, because most of its payments failed."""
        if self._guard is None:
            return None
        too_many = self._guard.at_end(count_results(connection, self._run.token.campaign_id))
        if too_many is None:
            return None
        return end_reason(Halt.TOO_MANY_FAILURES, why=self._why_too_many(connection, too_many))

    def _why_too_many(self, connection: Connection, found: TooMany) -> str:
        most = commonest_failure(connection, self._run.token.campaign_id, found.since)
        ratio = f"{self._settings.max_failed_ratio:g}"
        facts = {"failed": f"{found.failed:,}", "results": f"{found.results:,}", "ratio": ratio}
        if most is None:
            return end_reason("MOST_FAILED", **facts)
        return end_reason("MOST_FAILED_OF_KIND", kind=most.kind, code=most.code, **facts)

    def _cancel_what_will_not_end(self) -> None:
        if not self.over.is_set():
            return
        now = time.monotonic()
        self._over_since = self._over_since or now
        # Results that the database refuses are kept for as long as a person may put that right (pay/recorder.py).
        refused = self.halt == Halt.DATABASE_REFUSED or isinstance(self.trouble, RefusedError)
        if now > self._over_since + self._settings.money_timeout_s + DRAIN_S + (PATIENCE_S if refused else 0):
            self._cancel()


def reason_of(error: Exception) -> str:
    """Why a run cannot go on, for people."""
    if isinstance(error, BulkpointError):
        return sentence(error)
    return end_reason("HEARTBEAT_BROKE", what=f"{type(error).__name__}: {first_line(error)}")
