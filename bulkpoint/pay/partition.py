"""One partition of a wave, in an executor: takes a share of the limit, claims, sends, records, gives everything back.

    main thread    reads Spark's batches, claims about a second ahead, brings retries back when they are due
    sender         keeps calls to money under way, each through the gate (sender.py)
    recorder       writes attempts, payments and counters (recorder.py)
    renewer        keeps the share and closes the gate when the run ends or the link stalls (lease.py)

Every thread is joined before pay_partition returns, also on error. Trouble that concerns the run is written on the run,
and the partition returns normally: the driver ends the run.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Self

from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.clients import make_calls
from bulkpoint.money.transport import Calls
from bulkpoint.pay.claims import CLAIM_ROWS_MAX, FrozenPayment, Rows, claim
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease, LeaseTerms, take_share
from bulkpoint.pay.recorder import Recorder
from bulkpoint.pay.sender import CallRules, Sender, SenderQueues
from bulkpoint.pay.task import PartitionTask, Payment
from bulkpoint.rules.answers import Halt
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.settings import read_secret
from bulkpoint.store.connect import Connection, Link
from bulkpoint.store.payment import Change
from bulkpoint.store.run import halt_run
from bulkpoint.store.share import run_is_live

if TYPE_CHECKING:
    import pyarrow as pa

# The main thread looks after its queues this often.
TICK_S = 0.01
SHARE_POLL_S = 0.3
ANSWER_S_MAX = 5.0
# Claimed and not yet sent: about a second of permits, and never more than this.
AHEAD_ROWS_MAX = 4_000
# Waiting to be sent again; beyond this they go back for a sweep (a bound on memory during an outage).
AGAIN_ROWS_MAX = 5_000
# Calls under way in one partition: at 250 calls a second, enough for money that takes a second to answer.
IN_FLIGHT_MAX = 256


def pay_partition(job: PartitionTask, batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """Pay the rows of one partition; yields one report row."""
    import pyarrow as pa

    with Partition(job) as partition:
        partition.pay(Rows(batches))
        report = {"taken": [partition.taken], "sent": [partition.sent]}
    yield pa.RecordBatch.from_pydict(report)


class Partition:
    """What one partition keeps from hold to hold of a share."""

    def __init__(self, job: PartitionTask) -> None:
        settings = job.settings
        self.taken = 0
        self.sent = 0
        self._job = job
        name = f"bulkpoint worker of run {job.run.run_id}"
        self._terms = LeaseTerms(job.conninfo, name, job.run, settings.money_timeout_s, settings.limit_counts_from)
        self._link = Link(job.conninfo, name=name, answer_s_max=ANSWER_S_MAX)
        self._recorder = Recorder(job.conninfo, name, job.run)
        self._rules = CallRules.of(settings)
        token = read_secret(settings.money_token_file, "MONEY_TOKEN_FILE") if settings.money_token_file else None
        self._adapter = load_adapter(settings.money_adapter, token)
        self._open_calls = partial(make_calls, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._recorder.close()
        finally:
            self._link.close()

    def pay(self, rows: Rows) -> None:
        """Hold a share, and another when that one is lost or moves away, until the rows or the run are at an end."""
        while not rows.ended:
            lease = self._wait_for_share()
            if lease is None:
                return
            hold = LeaseWork(self._job, lease, self._recorder, self._desk(lease), self._open_calls)
            try:
                hold.pay(rows, self._link)
            finally:
                self._give_up(hold, rows)
            if lease.run_over or hold.halted:
                return

    def _wait_for_share(self) -> Lease | None:
        """The next share to be had; None when the run is over."""
        while True:
            lease = self._link.ask(self._take_share)
            if lease is not None:
                return lease
            if not self._link.ask(partial(run_is_live, run=self._job.run)):
                return None
            time.sleep(SHARE_POLL_S)

    def _take_share(self, connection: Connection) -> Lease | None:
        return take_share(connection, self._terms, self._make_gate)

    def _make_gate(self) -> LeasedGate:
        settings = self._job.settings
        return LeasedGate(
            guard_s=settings.guard_ms / 1000,
            counts_from=settings.limit_counts_from,
            patience_s=settings.breaker_patience_s,
        )

    def _desk(self, lease: Lease) -> SenderQueues:
        return SenderQueues(
            self._job.run.campaign_id,
            lease,
            self._recorder,
            adapter=self._adapter,
            rules=self._rules,
        )

    def _give_up(self, hold: "LeaseWork", rows: Rows) -> None:
        """Join the sender, write what came of their calls, and only then let the next holder in."""
        self.taken += hold.taken
        run = self._job.run
        try:
            rows.give_back(hold.close())
            self.sent += hold.sent
            self._recorder.flush()
            for seq in self._recorder.paid_twice[:1]:
                hold.desk.halt_run(Halt.NOT_DEDUPLICATED, f"money gave payment {seq} a second transaction id")
            for seq, why in self._recorder.unwritable[:1]:
                hold.desk.halt_run(Halt.DEFECT, f"the result of payment {seq} cannot be written ({why})")
            if hold.desk.halt is not None:
                halt, reason = hold.desk.halt
                self._link.ask(lambda connection: halt_run(connection, run, halt, reason))
        finally:
            hold.lease.stop()
        self._link.ask(hold.lease.release)


class LeaseWork:
    """The work under one hold of one share."""

    def __init__(
        self, job: PartitionTask, lease: Lease, recorder: Recorder, desk: SenderQueues, open_calls: Callable[[], Calls]
    ) -> None:
        self.lease = lease
        self.desk = desk
        self.taken = 0
        self._job = job
        self._recorder = recorder
        self._sender = Sender(
            desk,
            open_calls,
            in_flight_max=job.settings.in_flight or IN_FLIGHT_MAX,
            http_timeout_s=job.settings.money_timeout_s,
        )
        self._sender.start()
        self._again: list[tuple[float, int, Payment]] = []  # heap: due at, seq
        self._brought_back = 0  # payments handed to the sender a second time
        self._returned = 0  # payments taken from it, unsent

    @property
    def halted(self) -> bool:
        recorder = self.desk.recorder
        return self.desk.halt is not None or bool(recorder.paid_twice) or recorder.trouble is not None

    @property
    def sent(self) -> int:
        return self._sender.sent

    def pay(self, rows: Rows, link: Link) -> None:
        """Keep the sender busy until the rows are sent, or the hold is over."""
        while not self.lease.over and not self.halted:
            if self.lease.gate.breaker_open:
                self._let_go_of_what_waits(rows)
            self._bring_back_what_is_due()
            room = self._ahead_max() - self._in_hand()
            if room >= min(CLAIM_ROWS_MAX, max(1, self._ahead_max() // 4)) and not rows.ended:
                self._claim(rows.take(min(room, CLAIM_ROWS_MAX)), link)
                continue
            if rows.ended and self._in_hand() == 0 and not self.desk.again:
                return
            time.sleep(TICK_S)

    def close(self) -> list[Payment]:
        """Let no more calls out, join the sender, write back what is unsent or not yet due.

        Returns the payments that were claimed and not sent; they are PENDING again.
        """
        self.lease.gate.close()
        self._sender.end()
        self._sender.join()
        self.desk.unsent.extend(self.desk.ready)
        self._collect_again()
        now, wall = boot_clock(), self.lease.stamp
        for due_at, _, payment in self._again:
            self._return(payment, due_at=wall(due_at) if due_at > now else None)
        unsent = list(self.desk.unsent)
        for payment in unsent:
            self._return(payment, due_at=None)
        return unsent

    def _claim(self, taken: list[FrozenPayment], link: Link) -> None:
        if not taken:
            return
        run, token, namespace = self._job.run, self.lease.token, self._job.key_namespace
        payments = link.ask(lambda connection: claim(connection, run, token, namespace, taken))
        self.taken += len(payments)
        for payment in payments:
            self.desk.ready.append(payment)

    def _in_hand(self) -> int:
        """With the sender: queued for it, or in flight."""
        return self.taken + self._brought_back - self._returned - self._sender.done

    def _ahead_max(self) -> int:
        return min(AHEAD_ROWS_MAX, max(1, int(self.lease.gate.rate)) + self._sender.under_way)

    def _let_go_of_what_waits(self, rows: Rows) -> None:
        """While the breaker is open only probes go out: all but one of the payments in hand go back, tries kept.

        They are written before any of them can be claimed again: a row let go late would be let go in mid-call.
        """
        self._collect_again()
        let_go = []
        while len(self.desk.ready) > 1:
            let_go.append(self.desk.ready.pop())
        for payment in let_go:
            self._return(payment, due_at=None)
        for due_at, _, payment in self._again:
            self._return(payment, due_at=self.lease.stamp(due_at))
        if not let_go and not self._again:
            return
        self._returned += len(let_go)
        self._again.clear()
        self.desk.recorder.flush()
        rows.give_back(let_go)

    def _bring_back_what_is_due(self) -> None:
        self._collect_again()
        now = boot_clock()
        while self._again and self._again[0][0] <= now:
            _, _, payment = heapq.heappop(self._again)
            self._brought_back += 1
            self.desk.ready.append(payment)
        while len(self._again) > AGAIN_ROWS_MAX:
            due_at, _, payment = self._again.pop()
            self._return(payment, due_at=self.lease.stamp(due_at))

    def _collect_again(self) -> None:
        while self.desk.again:
            due_at, payment = self.desk.again.popleft()
            heapq.heappush(self._again, (due_at, payment.seq, payment))

    def _return(self, payment: Payment, *, due_at: float | None) -> None:
        self._recorder.add(
            None,
            Change(
                seq=payment.seq,
                state=PaymentState.PENDING.value,
                token=self.lease.token,
                tries=payment.tries,
                maybe_credited=payment.maybe_credited,
                known_unsent=payment.first_sent_at is None,
                next_try_at=due_at,
                failure_code=payment.failure_code,
            ),
        )
