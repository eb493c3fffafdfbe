"""Asks money about every payment of a campaign that may have been credited, and settles those it answers for.

A look-up is a call like any other to the limit: it is made under a share, through the gate, and recorded as an attempt.
One thread, many calls under way; what was learnt is written every half second, so an end in mid-way loses nothing.
"""

import heapq
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

from bulkpoint.errors import BulkpointError, RefusedError, UnreachableError
from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.transport import Calls, Reply, make_calls
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease, LeaseTimes, take_share
from bulkpoint.pay.question import Question
from bulkpoint.rules.answers import (
    Answer,
    Credit,
    Credited,
    Meaning,
    Observed,
    Strain,
    Trouble,
    clean,
    understand_look_up,
)
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.settings import Settings, read_secret
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit, get_limit
from bulkpoint.store.payment import Attempt
from bulkpoint.store.reconcile import (
    BATCH_ROWS_MAX,
    Difference,
    EndedRun,
    Finding,
    Kind,
    Ours,
    Theirs,
    Uncertain,
    apply_findings,
    check_reconcilable,
    list_uncertain,
)

# Calls under way: at a share of 250 a second, enough for money that takes an eighth of a second to answer.
IN_FLIGHT_MAX = 32
# Calls of one payment that bring no usable answer, and the seconds between them. Being throttled is no such call.
TRIES = 4
AGAIN_AFTER_S = 1.0
# Longest that one payment waits because money asked for it.
RETRY_AFTER_S_MAX = 60.0
# A running campaign holds every share; one that ends, or a wave's boundary, frees one.
SHARE_WAIT_S_MAX = 60.0
SHARE_POLL_S = 0.3
# With calls to make and a share in hand, none has ended for so long: is the limit on hold?
STALLED_S_MAX = 60.0
FLUSH_EVERY_S = 0.5
LOOK_AGAIN_S = 0.01
CHARACTERS_SHOWN_MAX = 200

Say = Callable[[str], None]
Report = Callable[[Difference], None]


@dataclass(slots=True)
class LookedUp:
    """Payments asked about, and what became of them: credited (now SUCCESS), not credited, or still open."""

    looked_up: int = 0
    credited: int = 0
    not_credited: int = 0
    unknown: int = 0


def look_up_uncertain(
    connection: Connection,
    database_url: str,
    settings: Settings,
    campaign_id: int,
    *,
    actor: str,
    say: Say,
    report: Report,
) -> LookedUp:
    """Look every uncertain payment up at money, write what it says, and report each that stays open or differs.

    Waits once for payments whose last call is too recent for "not found" to be proof. The last of what was learnt and
    the audit row commit together; an end in mid-way, also by a signal, keeps and audits what was learnt until then.
    Raises RefusedError where the campaign is RUNNING or was never started, where no share of the limit is to be had and
    where money refuses the token; UnreachableError where money is out of reach.
    """
    run = check_reconcilable(connection, campaign_id)
    with closing(make_calls(settings)) as calls:
        inquiry = Inquiry(connection, database_url, settings, run, calls, actor=actor, say=say, report=report)
        try:
            inquiry.ask(_all_pages(connection, run))
            inquiry.wait_for_proof()
            inquiry.ask(_pages_of(connection, run, inquiry.put_off()))
        except BaseException:
            inquiry.close(finished=False)
            raise
        inquiry.close(finished=True)
    return inquiry.figures


def _all_pages(connection: Connection, run: EndedRun) -> Iterator[list[Uncertain]]:
    after = 0
    while page := list_uncertain(connection, run, after=after):
        yield page
        after = page[-1].seq


def _pages_of(connection: Connection, run: EndedRun, seqs: "array[int]") -> Iterator[list[Uncertain]]:
    for first in range(0, len(seqs), BATCH_ROWS_MAX):
        yield list_uncertain(connection, run, seqs=seqs[first : first + BATCH_ROWS_MAX])


class Inquiry:
    """The look-ups of one command: at most two rounds of questions."""

    def __init__(
        self,
        connection: Connection,
        database_url: str,
        settings: Settings,
        run: EndedRun,
        calls: Calls,
        *,
        actor: str,
        say: Say,
        report: Report,
    ) -> None:
        self.figures = LookedUp()
        self._connection = connection
        self._connect = partial(connect, database_url, name=f"bulkpoint reconcile of campaign {run.campaign_id}")
        self._settings = settings
        self._run = run
        self._calls = calls
        self._actor = actor
        self._say = say
        self._report = report
        token = read_secret(settings.money_token_file, "MONEY_TOKEN_FILE") if settings.money_token_file else None
        self._adapter = load_adapter(settings.money_adapter, token)
        self._times = LeaseTimes(settings.money_timeout_s, settings.limit_counts_from)
        self._ready: deque[Question] = deque()
        self._again: list[tuple[float, int, Question]] = []  # due at, seq
        self._under_way: set[Question] = set()
        self._attempts: list[Attempt] = []
        self._findings: dict[int, tuple[Finding, Uncertain]] = {}
        self._put_off: array[int] = array("q")  # too early to tell: eight bytes a payment
        self._put_off_until = 0.0
        self._last_round = False
        self._flushed_at = self._said_at = self._moved_at = boot_clock()
        self._trouble: BulkpointError | None = None  # nothing more is asked; calls under way are waited for

    def ask(self, pages: Iterator[list[Uncertain]]) -> None:
        """Put every question of the pages, a page at a time; returns when each has its answer or is put off."""
        while True:
            read_from = boot_clock()
            page = next(pages, None)
            read_until = boot_clock()
            if page is None:
                return
            self._ready.extend(
                Question(row, read_from=read_from, read_until=read_until) for row in page if not self._is_held(row)
            )
            while self._ready or self._again:
                lease = self._wait_for_share()
                try:
                    self._ask_under(lease)
                finally:
                    lease.stop()
                    if not self._calls.under_way:  # else it frees itself when they have surely arrived
                        lease.release(self._connection)
                if self._trouble is not None:
                    raise self._trouble

    def wait_for_proof(self) -> None:
        """Sleep until "not found" is proof for the payments that were put off; the next round is the last."""
        self._last_round = True
        if not self._put_off:
            return
        self._flush()
        wait_s = max(0.0, self._put_off_until - boot_clock())
        self._say(
            f"{len(self._put_off):,} payments were sent so lately that money may not know of them yet:"
            f" asking once more in {wait_s:,.0f} s ..."
        )
        time.sleep(wait_s)

    def put_off(self) -> "array[int]":
        """The numbers of the payments to ask about once more."""
        seqs, self._put_off = self._put_off, array("q")
        return seqs

    def close(self, *, finished: bool) -> None:
        """Write what was learnt last, and the audit row, together; calls that nobody waited for are recorded too."""
        self._attempts += [question.attempt() for question in self._under_way if question.sent_at is not None]
        with self._connection.transaction():
            self._flush()
            write_audit(
                self._connection,
                action="reconcile",
                campaign_id=self._run.campaign_id,
                run=self._run.run,
                actor=self._actor,
                detail={"by": "look-up", **asdict(self.figures), "finished": finished},
            )

    def _is_held(self, row: Uncertain) -> bool:
        """Whether a worker may still be at work on it: then it is put off, or left open if it was already."""
        if row.alive_s is None:
            return False
        if self._last_round:
            self._leave_open(row, Kind.HELD)
        else:
            self._ask_later(row, row.alive_s)
        return True

    def _wait_for_share(self) -> Lease:
        ensure_limit(self._connection, tps=self._settings.tps, shares=self._settings.partitions or 1, actor=self._actor)
        gives_up_at = boot_clock() + SHARE_WAIT_S_MAX
        said = False
        while True:
            lease = take_share(self._connection, self._connect, None, self._times, self._make_gate)
            if lease is not None:
                self._moved_at = boot_clock()
                return lease
            on_hold = get_limit(self._connection).tps == 0
            why = "the limit is 0 TPS (on hold)" if on_hold else "a running campaign holds the whole limit"
            if boot_clock() > gives_up_at:
                raise RefusedError(
                    f"No look-up can be made: {why}. What was learnt until now is kept."
                    f" `bulkpoint tps show` shows the limit; reconcile campaign {self._run.campaign_id} again later."
                )
            if not said:
                self._say(f"Waiting up to {SHARE_WAIT_S_MAX:.0f} s for a share of the limit: {why} ...")
                said = True
            time.sleep(SHARE_POLL_S)

    def _make_gate(self) -> LeasedGate:
        settings = self._settings
        return LeasedGate(
            guard_s=settings.guard_ms / 1000,
            counts_from=settings.limit_counts_from,
            patience_s=settings.breaker_patience_s,
        )

    def _ask_under(self, lease: Lease) -> None:
        """Ask while the share is held; calls under way are always waited for."""
        while True:
            wait_s = LOOK_AGAIN_S
            if not lease.over and self._trouble is None:
                wait_s = self._begin_calls(lease)
            elif not self._calls.under_way:
                break
            for question, reply in self._calls.ended(wait_s):
                self._settle(question, reply)
            self._look_round()
            if not (self._ready or self._again or self._calls.under_way):
                break
        self._flush()

    def _begin_calls(self, lease: Lease) -> float:
        """Begin what may go now; how long to wait for an answer before looking again, in seconds."""
        now = boot_clock()
        while self._again and self._again[0][0] <= now:
            self._ready.append(heapq.heappop(self._again)[2])
        if not self._ready:
            self._moved_at = now
        while self._ready and self._calls.under_way < IN_FLIGHT_MAX:
            opens_in_s = lease.gate.try_enter()
            if opens_in_s > 0:
                return min(opens_in_s, LOOK_AGAIN_S)
            question = self._ready.popleft()
            question.enter(lease)
            self._under_way.add(question)
            key = idempotency_key(self._run.key_namespace, question.row.member_id)
            self._calls.begin(question, self._adapter.look_up(key), on_wire=question.on_wire)
        return LOOK_AGAIN_S

    def _settle(self, question: Question, reply: Reply) -> None:
        answered_at = boot_clock()
        self._under_way.remove(question)
        row, gate = question.row, question.lease.gate
        if question.inside:
            gate.leave()
        observed = self._adapter.read_look_up(reply, datetime.now(UTC))
        proof_s = question.proof_in_s(self._settings, answered_at)
        asked = Credit(self._run.campaign_id, row.member_id, row.amount)
        meaning = understand_look_up(observed, asked=asked, absence_is_proof=proof_s == 0)
        if question.sent_at is not None:
            timed_out = observed.trouble is Trouble.TIMED_OUT
            gate.answered(unknown_for_s=self._settings.money_timeout_s if timed_out else 0.0)
            self._attempts.append(question.attempt(observed, meaning, None if reply.trouble else answered_at))
        elif meaning.answer is Answer.NOT_SENT:
            self._ready.append(question)
            return
        self._moved_at = answered_at
        if gate.heard(meaning.strain, meaning.retry_after_s):
            self._trouble = UnreachableError(
                f"Money has given no usable answer for {self._settings.breaker_patience_s:,.0f} s (last:"
                f" {meaning.answer.value}). What was learnt until then is kept: reconcile campaign"
                f" {self._run.campaign_id} again when money answers."
            )
        self._conclude(question, observed, meaning, proof_s, answered_at)

    def _conclude(
        self, question: Question, observed: Observed, meaning: Meaning, proof_s: float | None, now: float
    ) -> None:
        row = question.row
        if meaning.credited is not Credited.PERHAPS:
            self._findings[row.seq] = (Finding(row.seq, meaning.transaction_id, row), row)
        elif meaning.answer is Answer.UNAUTHORIZED:
            self._trouble = RefusedError(
                "Money refuses our token to look payments up (401 or 403). Check BULKPOINT_MONEY_TOKEN_FILE; what was"
                " learnt until now is kept."
            )
        elif meaning.answer is Answer.FOUND_OTHER and observed.credit is not None:
            campaign_id, member_id, amount = observed.credit
            credit = Theirs(campaign_id, clean(member_id, CHARACTERS_SHOWN_MAX), amount, observed.transaction_id)
            self._leave_open(row, Kind.OTHER_CREDIT, credit)
        elif meaning.answer is Answer.NOT_FOUND_YET:
            self._not_yet(row, proof_s)
        else:
            question.tries += meaning.strain is not Strain.SLOW_DOWN
            if question.tries >= TRIES:
                self._leave_open(row, Kind.NO_ANSWER)
                return
            wait_s = min(max(AGAIN_AFTER_S, meaning.retry_after_s or 0.0), RETRY_AFTER_S_MAX)
            heapq.heappush(self._again, (now + wait_s, row.seq, question))

    def _not_yet(self, row: Uncertain, proof_s: float | None) -> None:
        if proof_s is None:
            self._leave_open(row, Kind.IN_PROGRESS if row.failure_code == Answer.IN_PROGRESS else Kind.FORGOTTEN)
        elif self._last_round:
            self._leave_open(row, Kind.TOO_EARLY)
        else:
            self._ask_later(row, proof_s)

    def _ask_later(self, row: Uncertain, in_s: float) -> None:
        self._put_off.append(row.seq)
        self._put_off_until = max(self._put_off_until, boot_clock() + in_s)

    def _leave_open(self, row: Uncertain, kind: Kind, theirs: Theirs | None = None) -> None:
        self.figures.looked_up += 1
        self.figures.unknown += 1
        self._report(Difference(kind, row.member_id, Ours(row.state, row.failure_kind, row.amount, None), theirs))

    def _look_round(self) -> None:
        """What is due by the clock: writing, a line of progress, giving up."""
        now = boot_clock()
        if now - self._flushed_at >= FLUSH_EVERY_S or len(self._findings) >= BATCH_ROWS_MAX:
            self._flush()
        if now - self._said_at >= self._settings.progress_seconds:
            self._said_at = now
            self._say(f"looked up {self.figures.looked_up:,} ...")
        if self._ready and now - self._moved_at > STALLED_S_MAX:
            self._moved_at = now
            if get_limit(self._connection).tps == 0:
                self._trouble = RefusedError(
                    f"No look-up has been let out for {STALLED_S_MAX:.0f} s: the limit is 0 TPS (on hold). What was"
                    " learnt until now is kept. `bulkpoint tps show` shows the limit; reconcile campaign"
                    f" {self._run.campaign_id} again later."
                )

    def _flush(self) -> None:
        """Write what was learnt since the last time, and count what really changed."""
        self._flushed_at = boot_clock()
        if not (self._attempts or self._findings):
            return
        findings, attempts = self._findings, self._attempts
        changed = apply_findings(self._connection, self._run, attempts, [finding for finding, _ in findings.values()])
        self._findings, self._attempts = {}, []
        for seq, (finding, row) in findings.items():
            if finding.transaction_id is not None:
                self.figures.looked_up += 1
                self.figures.credited += 1
            elif seq in changed:
                self.figures.looked_up += 1
                self.figures.not_credited += 1
            else:
                self._leave_open(row, Kind.CHANGED)
