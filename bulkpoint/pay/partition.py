"""One partition of a wave, in an executor: takes a share of the limit, claims, sends, records, gives everything back.

    main thread    reads Spark's batches, claims about a second ahead, brings retries back when due (in_hand.py)
    sender         keeps calls to the money API under way, each through the gate (call_loop.py, sender.py)
    recorder       writes attempts, payments and counters (recorder.py)
    renewer        keeps the share and closes the gate when the run ends or the link stalls (lease.py)

Every thread is joined before pay_partition returns, also on error. Trouble that concerns the whole run is written to
the run's row, and the partition returns normally: the driver ends the run. So it does where the database stays away
or refuses: it reports why, and Spark does not repeat it.
"""

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Self

from bulkpoint import log
from bulkpoint.campaigns.correction import correct_end
from bulkpoint.errors import BulkpointError, RefusedError
from bulkpoint.log import Level
from bulkpoint.pay.call_loop import CallTerms
from bulkpoint.pay.claims import CLAIM_ROWS_MAX, FrozenPayment, Rows, SparkInputError, claim
from bulkpoint.pay.gate import boot_clock
from bulkpoint.pay.in_hand import PaymentsInHand
from bulkpoint.pay.lease import Lease, LeaseTerms, renewing_link, take_share
from bulkpoint.pay.log import say
from bulkpoint.pay.recorder import Recorder
from bulkpoint.pay.sender import PaymentSink, Sender
from bulkpoint.pay.task import PartitionTask, Payment, report_batch
from bulkpoint.rules.answers import Halt
from bulkpoint.rules.connections import PARTITION_CONNECTIONS
from bulkpoint.rules.invariants import DefectError
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.rules.retry import RetryPolicy
from bulkpoint.store.connect import PATIENCE_S, Connection, DatabaseAwayError, Link, first_line
from bulkpoint.store.payment import Change
from bulkpoint.store.run import halt_run
from bulkpoint.store.share import run_is_live
from bulkpoint.streams import say_traceback
from bulkpoint.views.end_reasons import end_reason
from bulkpoint.views.sentences import sentence

if TYPE_CHECKING:
    import pyarrow as pa

# The main thread checks its queues this often.
TICK_S = 0.01
SHARE_POLL_S = 0.3
# A partition without connections looks about so often whether another one has given some back.
CONNECT_AGAIN_S = 2.0
ANSWER_S_MAX = 5.0
# Claimed and not yet sent: about a second of permits, and never more than this.
AHEAD_ROWS_MAX = 4_000
# Payments that wait until they are due; more than this go back for a sweep (a bound on memory during an outage).
WAITING_ROWS_MAX = 5_000
# Calls under way in one partition: at 250 calls a second, enough for an API that takes one second to answer.
IN_FLIGHT_MAX = 256


def pay_partition(job: PartitionTask, batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """Pay the rows of one partition; yields one report row."""
    log.use(job.settings.log_format)
    log.about(campaign=job.run.campaign_id)
    trouble: str | None = None
    partition = Partition(job)
    try:
        with partition:
            partition.pay(Rows(batches))
    except (DatabaseAwayError, RefusedError) as error:
        trouble = sentence(error, timezone=job.settings.timezone)
        say(f"a partition ends: {trouble}", event="partition_ended", level=Level.WARNING)
    yield report_batch(partition.taken, partition.sent, trouble)


class Partition:
    """What one partition keeps from one lease of a share to the next."""

    def __init__(self, job: PartitionTask) -> None:
        settings = job.settings
        self.taken = 0
        self.sent = 0
        self._job = job
        self._lease_terms = LeaseTerms.of(job)
        name = self._lease_terms.name
        self._call_terms = CallTerms.of(job.run.campaign_id, settings)
        self._retry = RetryPolicy(settings.retries, settings.backoff_s, random.random)
        self._link = Link(job.conninfo, name=name, answer_s_max=ANSWER_S_MAX)
        self._renewals = renewing_link(self._lease_terms)  # another one for each lease
        self._recorder = Recorder(job.conninfo, name, job.run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._recorder.close()
            # A worker that was frozen may have recorded answers after the end of its run was announced. They are stored
            # in any case: that they are announced must not fail the task.
            with suppress(BulkpointError):
                run = self._job.run
                self._link.ask(partial(correct_end, campaign_id=run.campaign_id, run_id=run.run_id))
        finally:
            self._link.close()
            self._renewals.close()  # a lease closes it by itself; it is still ours where no share was free

    def pay(self, rows: Rows) -> None:
        """Lease a share, and another when that one is lost or moved away, until the rows or the run have ended."""
        while not rows.ended:
            lease = self._wait_for_share()
            if lease is None:
                return
            work = LeaseWork(self._job, lease, self._recorder, self._call_terms, self._retry)
            try:
                work.pay(rows, self._link)
            except DefectError as error:
                work.sink.halt_run(Halt.DEFECT, str(error))
                raise
            except RefusedError as error:
                work.sink.halt_run(Halt.DATABASE_REFUSED, sentence(error))
            except (DatabaseAwayError, SparkInputError):
                raise
            except Exception as error:
                what = f"{type(error).__name__}: {first_line(error)}"
                work.sink.halt_run(Halt.DEFECT, end_reason("PARTITION_BROKE", what=what))
                raise
            finally:
                self._give_up(work, rows)
            if lease.run_over or work.halted:
                return

    def _wait_for_share(self) -> Lease | None:
        """The next free share; None when the run is over."""
        self._connect_all()
        while True:
            lease = self._link.ask(self._take_share)
            if lease is not None:
                return lease
            if not self._link.ask(partial(run_is_live, run=self._job.run)):
                return None
            time.sleep(SHARE_POLL_S)

    def _take_share(self, connection: Connection) -> Lease | None:
        return take_share(connection, self._lease_terms, self._call_terms.make_gate, self._renewals)

    def _connect_all(self) -> None:
        """Have every connection that sending takes, or none, so that partitions never wait for one another's.

        Where the server has too few, some shares send and other partitions wait here for what they give back, for as
        long as for a database that is away; their rows are left for a sweep. Raises DatabaseAwayError after that.
        """
        self._renewals = renewing_link(self._lease_terms)
        gives_up_at: float | None = None
        while True:
            try:
                self._link.open()
                self._recorder.connect()
                self._renewals.open()
            except DatabaseAwayError as error:
                self._disconnect_all()
                if gives_up_at is None:
                    gives_up_at = time.monotonic() + PATIENCE_S
                    waits = f"a partition waits for its {PARTITION_CONNECTIONS} connections: {sentence(error)}"
                    say(waits, event="partition_waits", level=Level.WARNING)
                if time.monotonic() > gives_up_at:
                    raise
                time.sleep(CONNECT_AGAIN_S * (0.5 + random.random()))  # noqa: S311 (so that one of them is first)
            else:
                return

    def _disconnect_all(self) -> None:
        self._link.close()
        self._recorder.disconnect()
        self._renewals.close()

    def _give_up(self, work: "LeaseWork", rows: Rows) -> None:
        """Join the sender, write the results of its calls, and only then release the share."""
        self.taken += work.taken
        run, sink, recorder = self._job.run, work.sink, self._recorder
        try:
            rows.give_back(work.close())
            self.sent += work.sent
            self._halt_where_a_thread_ended(work.lease.trouble, "RENEWER_BROKE", sink)
            try:
                recorder.flush()
            except DatabaseAwayError:
                raise
            except Exception as error:  # noqa: BLE001 (raised again when the recorder is closed)
                self._halt_where_a_thread_ended(error, "RECORDER_BROKE", sink)
            for seq in work.in_hand.seqs:
                sink.halt_run(Halt.DEFECT, end_reason("PAYMENT_LOST", seq=seq))
            for seq, why in recorder.unwritable[:1]:
                sink.halt_run(Halt.DEFECT, end_reason("RESULT_UNWRITABLE", seq=seq, why=why))
            if sink.halt is not None:
                halt, reason = sink.halt
                self._link.ask(lambda connection: halt_run(connection, run, halt, reason))
        finally:
            work.lease.stop()
        with suppress(RefusedError):  # it expires by itself
            self._link.ask(work.lease.release)

    @staticmethod
    def _halt_where_a_thread_ended(error: Exception | None, code: str, sink: PaymentSink) -> None:
        match error:
            case None:
                return
            case RefusedError():
                sink.halt_run(Halt.DATABASE_REFUSED, sentence(error))
            case DefectError():
                sink.halt_run(Halt.DEFECT, str(error))
            case _:
                say_traceback(error)
                what = f"{type(error).__name__}: {first_line(error)}"
                sink.halt_run(Halt.DEFECT, end_reason(code, what=what))


class LeaseWork:
    """The work under one lease of one share."""

    def __init__(
        self, job: PartitionTask, lease: Lease, recorder: Recorder, terms: CallTerms, retry: RetryPolicy
    ) -> None:
        self.lease = lease
        self.taken = 0
        self._job = job
        self._recorder = recorder
        self.in_hand = PaymentsInHand(promises=lambda: lease.promises)
        self.sink = PaymentSink(self.in_hand, lease, recorder, retry)
        in_flight_max = job.settings.in_flight or IN_FLIGHT_MAX
        self._sender = Sender(terms, lease, self.in_hand, self.sink, in_flight_max=in_flight_max)
        self._sender.start()

    @property
    def halted(self) -> bool:
        """Whether nothing more may be sent, under any lease."""
        recorder = self._recorder
        prevented = recorder.trouble or recorder.refused
        return self.sink.halt is not None or recorder.halted or prevented is not None

    @property
    def sent(self) -> int:
        """Wire sends that ended."""
        return self._sender.sent

    def pay(self, rows: Rows, link: Link) -> None:
        """Keep the sender busy until the rows are sent, or the lease is over."""
        in_hand = self.in_hand
        while not self.lease.over and not self.halted:
            if self.lease.gate.breaker_open:
                self._give_back_what_waits(rows)
            in_hand.bring_back_due()
            for due_at, payment in in_hand.take_waiting(beyond=WAITING_ROWS_MAX):
                self._return(payment, due_at=self.lease.clock.stamp(due_at))
            ahead_max = self._ahead_max()
            room = ahead_max - in_hand.with_sender
            if room >= min(CLAIM_ROWS_MAX, max(1, ahead_max // 4)) and not rows.ended:
                self._claim(rows.take(min(room, CLAIM_ROWS_MAX)), link)
                continue
            if rows.ended and in_hand.only_waiting:
                return
            time.sleep(TICK_S)

    def close(self) -> list[Payment]:
        """Close the gate, join the sender, write back what is unsent or not yet due.

        Returns the payments that were claimed and not sent; they are PENDING again.
        """
        self.lease.gate.close()
        self._sender.end()
        self._sender.join()
        in_hand, now = self.in_hand, boot_clock()
        for due_at, payment in in_hand.take_waiting():
            self._return(payment, due_at=self.lease.clock.stamp(due_at) if due_at > now else None)
        unsent = in_hand.take_unsent() + in_hand.take_ready()
        for payment in unsent:
            self._return(payment, due_at=None)
        return unsent

    def _claim(self, rows: list[FrozenPayment], link: Link) -> None:
        if not rows:
            return
        run, token, namespace = self._job.run, self.lease.token, self._job.key_namespace
        payments = link.ask(lambda connection: claim(connection, run, token, namespace, rows))
        self.in_hand.add(payments)
        self.taken += len(payments)

    def _ahead_max(self) -> int:
        return min(AHEAD_ROWS_MAX, max(1, int(self.lease.gate.rate)) + self._sender.under_way)

    def _give_back_what_waits(self, rows: Rows) -> None:
        """While the breaker is open only probes go out: all but one of the payments in hand go back, tries kept.

        They are written before any of them can be claimed again: a late write would give a row back in mid-call.
        """
        waiting, ready = self.in_hand.take_waiting(), self.in_hand.take_ready(beyond=1)
        if not waiting and not ready:
            return
        for payment in ready:
            self._return(payment, due_at=None)
        for due_at, payment in waiting:
            self._return(payment, due_at=self.lease.clock.stamp(due_at))
        self._recorder.flush()
        rows.give_back(ready)

    def _return(self, payment: Payment, *, due_at: float | None) -> None:
        self._recorder.add(
            None,
            Change(
                seq=payment.seq,
                state=PaymentState.PENDING,
                token=self.lease.token,
                tries=payment.tries,
                maybe_credited=payment.maybe_credited,
                refused=payment.refused,
                known_unsent=payment.first_sent_at is None,
                next_try_at=due_at,
                failure_code=payment.failure_code,
            ),
        )
