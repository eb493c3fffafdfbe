"""Results of look-ups: payments settled, put off, or left open; written in batches, with every call that was made."""

import math
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bulkpoint.errors import BulkpointError, RefusedError, UnreachableError
from bulkpoint.pay.call_loop import Call
from bulkpoint.pay.gate import boot_clock
from bulkpoint.reconcile.in_doubt import PaymentInDoubt, PaymentsInDoubt
from bulkpoint.reconcile.own_refusals import OwnRefusals, Refused
from bulkpoint.rules.answers import Credited, Halt, Outcome, Overload, Verdict
from bulkpoint.rules.patience import Heard
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import Attempt, PaymentNumber, owner_of_transaction
from bulkpoint.store.reconcile import (
    BATCH_ROWS_MAX,
    Difference,
    EndedRun,
    Finding,
    InDoubtPayment,
    Kind,
    Ours,
    Theirs,
    apply_findings,
    count_in_doubt,
    find_paid,
)
from bulkpoint.text import clean

FLUSH_EVERY_S = 0.5
# Calls of one payment without a usable answer, and the seconds between them. A throttled call does not count.
TRIES_MAX = 4
AGAIN_AFTER_S = 1.0
# Of a member id that the money API has under our key, and that is not ours.
CHARACTERS_SHOWN_MAX = 200

Report = Callable[[Difference], None]


@dataclass(slots=True)
class LookedUp:
    """Counts of payments looked up and their results: credited (now SUCCESS), not credited, or still open."""

    looked_up: int = 0
    credited: int = 0
    not_credited: int = 0
    unknown: int = 0


class Findings:
    """The sink of one command's look-ups: collects their results, and writes them.

    `report` is called for each payment that stays open or differs. answered_at: when the last call ended. in_vain_at:
    when the last one left that got no usable answer. trouble: why no more look-ups begin; calls under way are still
    awaited.
    """

    def __init__(
        self, connection: Connection, run: EndedRun, payments: PaymentsInDoubt, report: Report, *, patience_s: float
    ) -> None:
        self.figures = LookedUp()
        self.answered_at = boot_clock()
        self.in_vain_at = -math.inf
        self.trouble: BulkpointError | None = None
        self._connection = connection
        self._run = run
        self._payments = payments
        self._report = report
        self._patience_s = patience_s
        self._refusals = OwnRefusals(payments.ask_first, self._find_paid)
        self._attempts: list[Attempt] = []
        self._settled: dict[int, tuple[Finding, InDoubtPayment]] = {}
        self._put_off: array[int] = array("q")  # too early to know: eight bytes for each payment
        self._put_off_until = 0.0
        self._last_round = False
        self._unanswered: array[int] = array("q")  # asked again once all others were
        self._unanswered_until = 0.0
        self._last_try = False
        self._flushed_at = boot_clock()

    def not_sent(self, call: Call[PaymentInDoubt]) -> None:
        """It waits for another permit."""
        if call.payment.is_witness:
            self._payments.ask_first(call.payment)
        else:
            self._payments.ready.append(call.payment)

    def out_of_patience(self, heard: Heard) -> None:
        """The command has waited long enough for the money API; `heard`: what it heard last."""
        self._give_up(last=heard.code or heard.outcome)

    def _give_up(self, *, last: str | None) -> None:
        self.flush()
        self.trouble = UnreachableError(
            "LOOK_UP_WITHOUT_ANSWER",
            "reconcile_when_money_answers",
            campaign_id=self._run.campaign_id,
            seconds=self._patience_s,
            last=last,
            left=count_in_doubt(self._connection, self._run),
        )

    def answered(self, call: Call[PaymentInDoubt], verdict: Verdict) -> None:
        """Keep the attempt and what the answer says about the payment; ask again where it says nothing."""
        self.answered_at = call.answered_at
        if call.attempt is not None:
            self._attempts.append(call.attempt)
        payment, refused = call.payment, self._refusals.judge(call, verdict)
        if refused is Refused.OF_US:
            self.trouble = RefusedError("LOOK_UP_UNAUTHORIZED", "check_money_token")
        elif verdict.halt is Halt.MONEY_STOPPED:
            self._give_up(last=verdict.message or verdict.outcome.value)
        elif refused is Refused.AGAIN:
            self.not_sent(call)
        elif refused is Refused.AFTER_WITNESS:
            self._payments.ask_again(payment, due_at=call.answered_at + AGAIN_AFTER_S)
        elif refused is Refused.OWN:
            self.leave_open(payment.row, Kind.REFUSED)
        elif not payment.is_witness and not self._conclude(call, verdict):
            self._ask_again(call, verdict)

    def _find_paid(self) -> PaymentInDoubt | None:
        row = find_paid(self._connection, self._run)
        now = boot_clock()
        return None if row is None else PaymentInDoubt.of(row, self._run.key_namespace, read_from=now, read_until=now)

    def record(self, attempts: Iterable[Attempt]) -> None:
        """Add calls that left and whose answers were not awaited."""
        self._attempts.extend(attempts)

    def _conclude(self, call: Call[PaymentInDoubt], verdict: Verdict) -> bool:
        """Use an answer; False where it says nothing, and the API should be asked again."""
        row, proof_s = call.payment.row, call.absence_proven_in_s
        if verdict.credited is not Credited.PERHAPS:
            self._settled[row.seq] = (Finding(row.seq, verdict.transaction_id, row), row)
        elif verdict.outcome is Outcome.FOUND_OTHER and call.answer.credit is not None:
            campaign_id, member_id, amount = call.answer.credit
            credit = Theirs(campaign_id, clean(member_id, CHARACTERS_SHOWN_MAX), amount, call.answer.transaction_id)
            self.leave_open(row, Kind.OTHER_CREDIT, credit)
        elif verdict.outcome is Outcome.ACCEPTED:
            self.leave_open(row, Kind.IN_PROGRESS)
        elif verdict.outcome is not Outcome.NOT_FOUND_YET:
            return False
        elif proof_s is None:
            at_work = row.failure_code in (Outcome.IN_PROGRESS, Outcome.ACCEPTED)
            self.leave_open(row, Kind.IN_PROGRESS if at_work else Kind.FORGOTTEN)
        elif self._last_round:
            self.leave_open(row, Kind.TOO_EARLY)
        else:
            self._ask_later(row, proof_s)
        return True

    def _ask_again(self, call: Call[PaymentInDoubt], verdict: Verdict) -> None:
        """A throttled call goes again when it may; a payment without an answer goes to the end, after all others."""
        payment = call.payment
        due_at = call.answered_at + max(AGAIN_AFTER_S, verdict.retry_after_s or 0.0)
        if verdict.overload is Overload.THROTTLED:
            self._payments.ask_again(payment, due_at=due_at)
            return
        if call.sent_at is not None:
            self.in_vain_at = max(self.in_vain_at, call.sent_at)
        if self._last_try:
            self.leave_open(payment.row, Kind.NO_ANSWER)
        else:
            self._unanswered.append(payment.seq)
            self._unanswered_until = max(self._unanswered_until, due_at)

    def take_unanswered(self, *, last_try: bool) -> tuple["array[int]", float]:
        """The numbers of the payments without an answer so far, to be asked in so many seconds.

        last_try: those that get none then either are left open.
        """
        self._last_try = last_try
        seqs, self._unanswered = self._unanswered, array("q")
        return seqs, max(0.0, self._unanswered_until - boot_clock())

    def is_held(self, row: InDoubtPayment) -> bool:
        """Whether a worker may still work on it: then it is put off, or left open if it was put off before."""
        if row.alive_s is None:
            return False
        if self._last_round:
            self.leave_open(row, Kind.HELD)
        else:
            self._ask_later(row, row.alive_s)
        return True

    def leave_open(self, row: InDoubtPayment, kind: Kind, theirs: Theirs | None = None) -> None:
        """Leave the payment as it is: whether it was credited is not known."""
        self.figures.looked_up += 1
        self.figures.unknown += 1
        self._report(Difference(kind, row.member_id, Ours(row.state, row.failure_kind, row.amount, None), theirs))

    def take_put_off(self) -> tuple["array[int]", float]:
        """The numbers of the payments to ask about once more, and in how many seconds; nothing is put off twice."""
        self._last_round = True
        seqs, self._put_off = self._put_off, array("q")
        return seqs, max(0.0, self._put_off_until - boot_clock())

    def _ask_later(self, row: InDoubtPayment, in_s: float) -> None:
        self._put_off.append(row.seq)
        self._put_off_until = max(self._put_off_until, boot_clock() + in_s)

    def flush_if_due(self, now: float) -> None:
        """Write what has waited for half a second, or fills a batch."""
        if now - self._flushed_at >= FLUSH_EVERY_S or len(self._settled) >= BATCH_ROWS_MAX:
            self.flush()

    def flush(self) -> None:
        """Write the findings since the last time, and count what really changed."""
        self._flushed_at = boot_clock()
        if not (self._attempts or self._settled):
            return
        settled = self._settled
        findings = [finding for finding, _ in settled.values()]
        changed = apply_findings(self._connection, self._run, self._attempts, findings)
        self._settled, self._attempts = {}, []
        for seq, (finding, row) in settled.items():
            if finding.transaction_id is None and seq not in changed:
                self.leave_open(row, Kind.CHANGED)
                continue
            if finding.transaction_id is not None and seq not in changed and not self._is_ours(finding):
                theirs = Theirs(self._run.campaign_id, row.member_id, row.amount, finding.transaction_id)
                self.leave_open(row, Kind.SAME_TRANSACTION, theirs)
                continue
            self.figures.looked_up += 1
            if finding.transaction_id is None:
                self.figures.not_credited += 1
            else:
                self.figures.credited += 1

    def _is_ours(self, finding: Finding) -> bool:
        """Whether its transaction id is that of this payment, which is SUCCESS already."""
        owner = owner_of_transaction(self._connection, finding.transaction_id or "")
        return owner == PaymentNumber(self._run.campaign_id, finding.seq)
