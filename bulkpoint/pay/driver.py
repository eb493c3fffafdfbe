"""How a run is executed: one campaign, from RUNNING to its end. Read this first.

    launch/job.py      the program: reads the request, finds the campaign, starts Spark, and calls pay_campaign
    pay_campaign       begin and pay_run, once, and again for each automatic retry that is due
      begin            makes the run RUNNING; the first start of a campaign freezes its targets into payments
      pay_run          one run by its Driver; then its events are delivered
        Driver.pay     the run's waves, its sweeps, its end
          _pay_waves   the payments in ranges of seq, each range one Spark job; two are in flight, so that the end of
                       one does not leave the limit unused. A RETRY or RESUME cuts its ranges from open payments
          _sweep       later waves over rows that came back: retries that were not yet due, rows of a lost worker
          wave.py      one Spark job: JDBC read, repartition to one partition per share, pay_partition in each
          _end         COMPLETED or FAILED, unless the run was stopped

Spark only distributes the work. PostgreSQL remembers each payment and whether it was paid; the gate decides when a call
may leave (pay/call_loop.py). So this file keeps no result: it asks the database what is left, and stops when nothing
is.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

from pyspark.sql import SparkSession

from bulkpoint import log
from bulkpoint.campaigns.asked_run import ask_for_run, end_request
from bulkpoint.campaigns.promises import apply_promises, keep_promises, promises_of
from bulkpoint.campaigns.readiness import policy_of
from bulkpoint.campaigns.resume import let_workers_end
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.campaigns.stop import POLL_S, SETTLE_S, TIMEOUTS_MAX
from bulkpoint.campaigns.tps import differing_setting
from bulkpoint.errors import RUN_EXIT_CODES, BulkpointError, ExitCode, RefusedError, UnreachableError
from bulkpoint.log import Level
from bulkpoint.pay.heartbeat import Heartbeat, reason_of
from bulkpoint.pay.lease import LeaseTerms
from bulkpoint.pay.log import say
from bulkpoint.pay.stop_signals import StopSignals
from bulkpoint.pay.task import PartitionTask
from bulkpoint.pay.wave import WaveEnd, WavePayer
from bulkpoint.rules.answers import Halt
from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.waves import (
    FAILED_WAVES_MAX,
    FailedInARow,
    Standstill,
    Wave,
    cut,
    shares_of_sweep,
    wave_rows,
    waves,
)
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Connection, DatabaseAwayError, Link, connect, first_line, reachable
from bulkpoint.store.limit import ensure_limit, get_limit
from bulkpoint.store.payment import OpenPayments, open_payments
from bulkpoint.store.progress import RunSummary, sample_progress, summarize_run
from bulkpoint.store.run import Run, RunStanding, close_gates, how_it_ends, open_buckets, renew_driver
from bulkpoint.streams import say_traceback
from bulkpoint.views.end_reasons import end_reason
from bulkpoint.views.sentences import sentence

WAVES_IN_FLIGHT = 2
# Enough for one scan of a campaign of a hundred million payments.
ANSWER_S_MAX = 600.0
# Into how many ranges per wave the open payments of a later run are counted before its waves are cut.
BUCKETS_A_WAVE = 20
# When the database has been away for longer than the patience, it is asked for the end of the run for so long.
END_S_MAX = 5.0


@dataclass(frozen=True)
class SparkInUse:
    """A session, and its shares: the partitions that send at the same time, each with its part of the limit."""

    session: SparkSession
    shares: int


@dataclass(frozen=True)
class JobEnvironment:
    """What a job pays with.

    spark: waits until Spark has started, which it may still do while the targets are frozen; raises why it does not.
    conninfo: the database, for processes that do not have our environment. deliver: called when a run has ended;
    publishes its events.
    """

    spark: Callable[[], SparkInUse]
    conninfo: str
    settings: Settings
    deliver: Callable[[RunSummary], None]


def pay_campaign(request: RunRequest, job: JobEnvironment) -> ExitCode:
    """Pay one campaign and return how its last run ended.

    Raises RefusedError when it may not start, UnreachableError when the database is out of reach; the campaign is then
    unchanged.
    """
    with StopSignals() as signals:
        promised = with_promises(request, job)
        summary = pay_run(begin(request, promised, signals), promised, signals)
        for again in automatic_retries(request, job.settings):
            if summary is None or not retry_is_due(summary):
                break
            try:
                with connect(job.conninfo, name="bulkpoint driver") as connection, reachable(job.conninfo):
                    ask_for_run(connection, again, taken=True)  # so that a stop finds it before it begins
                    if signals.asked_within(job.settings.backoff_s):
                        end_request(connection, again, Refusal("BY_SIGNAL"))
                        break
                promised = with_promises(again, job)  # they may have changed since the run before
                run = begin(again, promised)
            except BulkpointError as error:
                why = sentence(error, timezone=job.settings.timezone)
                say(f"no automatic retry: {why}", event="retry_refused", level=Level.WARNING)
                break
            summary = pay_run(run, promised, signals)
    return ExitCode.RUN_FAILED if summary is None else RUN_EXIT_CODES[summary.state]


def with_promises(request: RunRequest, job: JobEnvironment) -> JobEnvironment:
    """The job with what the money API promises this deployment, the same for the driver and the partitions of a run."""
    with connect(job.conninfo, name="bulkpoint driver") as connection, reachable(job.conninfo):
        in_force = keep_promises(connection, job.settings, actor=request.actor)
    for remark in in_force.remarks:
        say(sentence(remark, timezone=job.settings.timezone), event="setting_differs", level=Level.WARNING)
    return replace(job, settings=apply_promises(in_force, job.settings))


def begin(request: RunRequest, job: JobEnvironment, signals: StopSignals | None = None) -> Run:
    """Make the run; raises RefusedError when it may not begin. job: with the promises that the run relies on.

    signals: they end the wait for Spark, and with it the job; no run is made then.
    """

    def shares() -> int:
        with nullcontext() if signals is None else signals.passed_on():
            return job.spark().shares

    with connect(job.conninfo, name="bulkpoint driver") as connection, reachable(job.conninfo):
        ensure_limit(connection, tps=job.settings.tps, shares=1, actor=request.actor)  # the run divides it
        remark = differing_setting(get_limit(connection), job.settings)
        if remark is not None:
            say(sentence(remark, timezone=job.settings.timezone), event="setting_differs", level=Level.WARNING)
        promises = promises_of(job.settings)
        if request.kind == RunKind.RESUME:
            let_workers_end(connection, request.campaign_id, wait_s=TIMEOUTS_MAX * promises.timeout_s + SETTLE_S)
        policy = policy_of(job.settings)
        return begin_run(connection, request, shares=shares, policy=policy, promises=promises)


def pay_run(run: Run, job: JobEnvironment, signals: StopSignals) -> RunSummary | None:
    """Pay one run to its end and have its events delivered; None when another driver took it over."""
    log.about(campaign=run.token.campaign_id, run=run.run_no)
    shares = job.spark().shares
    which = f"campaign {run.token.campaign_id}, run {run.run_no}"
    say(f"{which}: {run.open_count:,} payments, {shares} shares", event="run_begun")
    summary = Driver(run, job, signals).pay()
    if summary is None:
        lost = "this run was taken over by another driver; nothing more is written here"
        say(lost, event="run_lost", level=Level.ERROR)
    else:
        say(f"{which}: {summary.state}", event="run_ended")
        job.deliver(summary)
    return summary


def automatic_retries(request: RunRequest, settings: Settings) -> Iterator[RunRequest]:
    """The runs that may follow the requested one, over the payments that it left FAILED."""
    for number in range(1, settings.auto_retry_runs + 1):
        yield RunRequest(
            campaign=request.campaign_id,
            kind=RunKind.RETRY,
            actor=request.actor,
            holder=request.holder,
            follows=request.asked,
            reason=end_reason("AUTOMATIC_RETRY", number=number, of=settings.auto_retry_runs),
        )


def retry_is_due(summary: RunSummary) -> bool:
    """Whether a run left FAILED payments of the kinds that a retry takes by default."""
    return summary.state == RunState.COMPLETED and summary.failed > summary.refused


class Driver:
    """Executes one run."""

    def __init__(self, run: Run, job: JobEnvironment, signals: StopSignals) -> None:
        spark = job.spark()
        self._run = run
        self._job = job
        self._shares = spark.shares
        self._link = Link(job.conninfo, name="bulkpoint driver", answer_s_max=ANSWER_S_MAX)
        self._task = PartitionTask(run.token, run.key_namespace, job.conninfo, job.settings)
        self._heartbeat = Heartbeat(
            job.conninfo,
            run,
            job.settings,
            cancel=spark.session.sparkContext.cancelAllJobs,
            asked_to_stop=lambda: signals.asked,
        )
        group = f"campaign-{run.token.campaign_id}-run-{run.run_no}"
        self._waves = WavePayer(spark.session, spark.shares, self._task, self._heartbeat, group=group)

    def pay(self) -> RunSummary | None:
        """Pay everything that is open and end the run; None when another driver took it over.

        Raises UnreachableError when the database stays away: the run then stays as it is, for `resume`.
        """
        try:
            trouble = self._work()
            self._let_it_settle(trouble)
            self._heartbeat.stop()
            return None if self._heartbeat.lost else self._end(trouble)
        except (DatabaseAwayError, RefusedError) as error:
            raise UnreachableError(
                "RUN_LEFT_WITHOUT_DATABASE", "resume", campaign_id=self._run.token.campaign_id, why=error.refusal
            ) from error
        finally:
            self._heartbeat.stop()
            self._link.close()

    def _work(self) -> str | None:
        """Pay what is open; the reason to fail the run, or None."""
        trouble: str | None
        try:
            trouble = self._pay_waves() or self._sweep()
        except DatabaseAwayError:
            raise
        except RefusedError as error:
            trouble = end_reason(Halt.DATABASE_REFUSED, why=sentence(error))
        except Exception as error:  # noqa: BLE001 (a defect ends the run too, with its reason; the log has the rest)
            say_traceback(error)
            what = f"{type(error).__name__}: {first_line(error)}"
            trouble = end_reason(Halt.DEFECT, why=end_reason("DRIVER_BROKE", what=what))
        return trouble if self._heartbeat.trouble is None else reason_of(self._heartbeat.trouble)

    def _pay_waves(self) -> str | None:
        """The campaign in ranges of seq; the reason to fail the run, or None."""
        plan = self._plan()
        failed = FailedInARow(self._ended_payments)
        with ThreadPoolExecutor(WAVES_IN_FLIGHT, thread_name_prefix="wave") as in_flight:
            try:
                for wave in in_flight.map(partial(self._pay_wave_if_running, of=len(plan)), plan):
                    if failed.too_many(paid=wave.paid):
                        self._heartbeat.over.set()  # the waves still planned are not begun
                        return self._failed_in_a_row("WAVES_FAILED")
            except BaseException:
                self._heartbeat.over.set()
                raise
        return None

    def _plan(self) -> list[Wave]:
        """All payments in even ranges; for a later run only open payments, so that a hundred rows are one wave."""
        rows = wave_rows(self._link.ask(get_limit).tps, self._shares, self._job.settings.wave_seconds)
        if self._run.kind == RunKind.INITIAL:
            return list(waves(1, self._run.target_count, rows))
        bucket_rows = max(1, rows // BUCKETS_A_WAVE)
        campaign_id = self._run.token.campaign_id
        counts = self._link.ask(lambda connection: open_buckets(connection, campaign_id, bucket_rows))
        return list(cut(counts, bucket_rows=bucket_rows, rows=rows))

    def _sweep(self) -> str | None:
        """Rows that came back, until none is open; the reason to fail the run, or None."""
        failed, number = FailedInARow(self._ended_payments), 0
        settings, self._heartbeat.sweeping = self._job.settings, True
        in_database_s = LeaseTerms.of(self._task).in_database_s
        standstill = Standstill(max(settings.breaker_patience_s, 2 * in_database_s))
        while not self._heartbeat.over.is_set():
            left = self._link.ask(self._what_is_open)
            if left is None:
                return None
            if self._wait(max(left.due_in_s, standstill.wait_s)):
                return None
            number += 1
            say(f"sweep {number}: {left.count:,} payments that came back", event="sweep")
            ended, began_at = self._ended_payments(), time.monotonic()
            wave = self._waves.pay(
                Wave(number, left.first, left.last),
                f"sweep {number}: {left.count:,} payments",
                shares=shares_of_sweep(left.count, self._link.ask(get_limit).tps, self._shares),
            )
            if failed.too_many(paid=wave.paid):
                return self._failed_in_a_row("SWEEPS_FAILED")
            moved = wave.sent > 0 or self._ended_payments() > ended
            if standstill.too_long(moved=moved, lasted_s=time.monotonic() - began_at):
                return self._why_nothing_moves(standstill)
        return None

    def _wait(self, seconds: float) -> bool:
        """Wait until payments are due; True when the run is over."""
        waits = self._heartbeat.waits
        waits.due_at = time.monotonic() + seconds
        over = self._heartbeat.over.wait(seconds)
        waits.due_at = None
        return over

    def _failed_in_a_row(self, code: str) -> str:
        return end_reason(code, number=FAILED_WAVES_MAX, why=self._waves.failure or end_reason("SEE_JOBS_LOG"))

    def _why_nothing_moves(self, standstill: Standstill) -> str:
        why = self._heartbeat.waits.reason() or self._waves.failure or end_reason("STILL_CLAIMED")
        facts = {"sweeps": standstill.sweeps, "seconds": f"{standstill.spent_s:.0f}"}
        return end_reason(Halt.STALLED, why=end_reason("SWEEPS_SENT_NOTHING", **facts, why=why))

    def _pay_wave_if_running(self, wave: Wave, *, of: int) -> WaveEnd:
        if self._heartbeat.over.is_set():
            return WaveEnd(paid=True)
        return self._waves.pay(wave, f"wave {wave.number} of {of}: payments {wave.first_seq:,} to {wave.last_seq:,}")

    def _let_it_settle(self, trouble: str | None) -> None:
        """Before a run ends early: close its gates, and wait for results that workers may still record.

        So the end is announced with figures that are final. A worker that lost its executor or was cancelled keeps its
        share for as long as its last call may take; that bounds the wait. With no payment PROCESSING there is none.
        """
        heart = self._heartbeat
        early = trouble is not None or heart.halt is not None or heart.stopping
        if not early or heart.lost or heart.database_is_away or heart.state != RunState.RUNNING:
            return
        if trouble is not None:
            self._link.ask(partial(close_gates, token=self._run.token, reason=trouble))
        gives_up_at = time.monotonic() + TIMEOUTS_MAX * self._job.settings.money_timeout_s + SETTLE_S
        while time.monotonic() < gives_up_at and not heart.lost:
            ending = self._link.ask(partial(how_it_ends, campaign_id=self._run.token.campaign_id))
            if ending is None or ending.settled or ending.processing == 0:
                return
            time.sleep(POLL_S)

    def _end(self, trouble: str | None) -> RunSummary | None:
        """End the run, unless a stop has ended it; None when it is now another driver's."""
        if self._heartbeat.database_is_away:  # it was waited for; who waits now is the person who resumes
            self._link.close()
            self._link = Link(self._job.conninfo, name="bulkpoint driver", answer_s_max=END_S_MAX, patience_s=END_S_MAX)
            if self._link.ask(self._renew_after_absence) is None:
                return None
        if self._heartbeat.state == RunState.RUNNING:
            if self._heartbeat.halt is None and trouble is None:
                trouble = self._link.ask(self._heartbeat.too_many_failed)
            state = RunState.FAILED if self._heartbeat.halt or trouble else RunState.COMPLETED
            why = None if self._heartbeat.halt else trouble  # the reason of a halt is on the run already
            ended = self._link.ask(lambda connection: end_run(connection, self._run, state, why))
            if ended is not None:
                return ended
        # A stop has ended it, maybe just now; or we have, and the reply to the commit was lost.
        summary = self._link.ask(lambda connection: summarize_run(connection, self._run.token.run_id))
        return None if summary.state == RunState.RUNNING else summary

    def _renew_after_absence(self, connection: Connection) -> RunStanding | None:
        return renew_driver(connection, self._run, after_absence=True)

    def _ended_payments(self) -> int:
        return self._link.ask(lambda connection: sample_progress(connection, self._run.token.campaign_id)).done

    def _what_is_open(self, connection: Connection) -> OpenPayments | None:
        return open_payments(connection, self._run.token.campaign_id)
