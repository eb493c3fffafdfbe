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
from dataclasses import asdict
from datetime import UTC, datetime

from bulkpoint.errors import BulkpointError, RefusedError, UnreachableError
from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.clients import make_calls
from bulkpoint.money.transport import Calls, Reply
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease, LeaseTerms, take_share
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.reconcile.findings import Findings, LookedUp, Report
from bulkpoint.reconcile.question import Question
from bulkpoint.rules.answers import CallTrouble, Credit, Outcome, Overload, Verdict, classify_look_up
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, read_secret
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import ensure_limit, get_limit
from bulkpoint.store.reconcile import BATCH_ROWS_MAX, EndedRun, InDoubtPayment, Kind, list_in_doubt
from bulkpoint.views.sentences import sentence

# Calls under way: at a share of 250 a second, enough for money that takes an eighth of a second to answer.
IN_FLIGHT_MAX = 32
# Calls of one payment that bring no usable answer, and the seconds between them. Being throttled is no such call.
TRIES = 4
AGAIN_AFTER_S = 1.0
# A running campaign holds every share; one that ends, or a wave's boundary, frees one.
SHARE_WAIT_S_MAX = 60.0
SHARE_POLL_S = 0.3
# With calls to make and a share in hand, none has ended for so long: is the limit on hold?
STALLED_S_MAX = 60.0
LOOK_AGAIN_S = 0.01

Say = Callable[[str], None]


def look_up_in_doubt(
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
    findings = Findings(connection, run, report)
    with closing(make_calls(settings)) as calls:
        inquiry = LookUpRun(connection, database_url, settings, run, calls, findings=findings, actor=actor, say=say)
        try:
            inquiry.ask(_all_pages(connection, run))
            inquiry.ask(_pages_of(connection, run, inquiry.wait_for_proof()))
        except BaseException:
            inquiry.close(finished=False)
            raise
        inquiry.close(finished=True)
    return findings.figures


def _all_pages(connection: Connection, run: EndedRun) -> Iterator[list[InDoubtPayment]]:
    after = 0
    while page := list_in_doubt(connection, run, after=after):
        yield page
        after = page[-1].seq


def _pages_of(connection: Connection, run: EndedRun, seqs: "array[int]") -> Iterator[list[InDoubtPayment]]:
    for first in range(0, len(seqs), BATCH_ROWS_MAX):
        yield list_in_doubt(connection, run, seqs=seqs[first : first + BATCH_ROWS_MAX])


class LookUpRun:
    """The look-ups of one command: at most two rounds of questions."""

    def __init__(
        self,
        connection: Connection,
        database_url: str,
        settings: Settings,
        run: EndedRun,
        calls: Calls,
        *,
        findings: Findings,
        actor: str,
        say: Say,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._run = run
        self._calls = calls
        self._findings = findings
        self._actor = actor
        self._say = say
        token = read_secret(settings.money_token_file, "MONEY_TOKEN_FILE") if settings.money_token_file else None
        self._adapter = load_adapter(settings.money_adapter, token)
        name = f"bulkpoint reconcile of campaign {run.campaign_id}"
        self._terms = LeaseTerms(database_url, name, None, settings.money_timeout_s, settings.limit_counts_from)
        self._ready: deque[Question] = deque()
        self._again: list[tuple[float, int, Question]] = []  # due at, seq
        self._under_way: set[Question] = set()
        self._said_at = self._moved_at = boot_clock()
        self._trouble: BulkpointError | None = None  # nothing more is asked; calls under way are waited for

    def ask(self, pages: Iterator[list[InDoubtPayment]]) -> None:
        """Put every question of the pages, a page at a time; returns when each has its answer or is put off."""
        while True:
            read_from = boot_clock()
            page = next(pages, None)
            read_until = boot_clock()
            if page is None:
                return
            self._ready.extend(
                Question(row, read_from=read_from, read_until=read_until)
                for row in page
                if not self._findings.is_held(row)
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

    def wait_for_proof(self) -> "array[int]":
        """Sleep until "not found" is proof for the payments that were put off; their numbers, for the last round."""
        self._findings.flush()
        seqs, wait_s = self._findings.take_put_off()
        if seqs:
            self._say(
                f"{len(seqs):,} payments were sent so lately that money may not know of them yet:"
                f" asking once more in {wait_s:,.0f} s ..."
            )
            time.sleep(wait_s)
        return seqs

    def close(self, *, finished: bool) -> None:
        """Write what was learnt last, and the audit row, together; calls that nobody waited for are recorded too."""
        for question in self._under_way:
            if question.sent_at is not None:
                self._findings.record(question.attempt())
        with self._connection.transaction():
            self._findings.flush()
            write_audit(
                self._connection,
                action="reconcile",
                campaign_id=self._run.campaign_id,
                run=self._run.run_no,
                actor=self._actor,
                detail={"by": "look-up", **asdict(self._findings.figures), "finished": finished},
            )

    def _wait_for_share(self) -> Lease:
        ensure_limit(self._connection, tps=self._settings.tps, shares=self._settings.partitions or 1, actor=self._actor)
        gives_up_at = boot_clock() + SHARE_WAIT_S_MAX
        said = False
        while True:
            lease = take_share(self._connection, self._terms, self._make_gate)
            if lease is not None:
                self._moved_at = boot_clock()
                return lease
            on_hold = get_limit(self._connection).tps == 0
            why = Refusal("LIMIT_ON_HOLD") if on_hold else Refusal("LIMIT_HELD_BY_RUN")
            if boot_clock() > gives_up_at:
                raise RefusedError(
                    "LOOK_UP_WITHOUT_SHARE", "show_limit_then_reconcile", campaign_id=self._run.campaign_id, why=why
                )
            if not said:
                self._say(f"Waiting up to {SHARE_WAIT_S_MAX:.0f} s for a share of the limit: {sentence(why)} ...")
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
        self._findings.flush()

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
            gate.abandon()
        observed = self._adapter.read_look_up(reply, datetime.now(UTC))
        proof_s = question.absence_proven_in_s(self._settings, answered_at)
        asked = Credit(self._run.campaign_id, row.member_id, row.amount)
        verdict = classify_look_up(observed, asked=asked, absence_is_proof=proof_s == 0)
        if question.sent_at is not None:
            timed_out = observed.trouble is CallTrouble.TIMED_OUT
            gate.answered(unknown_for_s=self._settings.money_timeout_s if timed_out else 0.0)
            self._findings.record(question.attempt(observed, verdict, None if reply.trouble else answered_at))
        elif verdict.outcome is Outcome.NOT_SENT:
            self._ready.append(question)
            return
        self._moved_at = answered_at
        if gate.observe(verdict.overload, verdict.retry_after_s):
            self._trouble = UnreachableError(
                "LOOK_UP_WITHOUT_ANSWER",
                "reconcile_when_money_answers",
                campaign_id=self._run.campaign_id,
                seconds=self._settings.breaker_patience_s,
                last=verdict.outcome.value,
            )
        if verdict.outcome is Outcome.UNAUTHORIZED:
            self._trouble = RefusedError("LOOK_UP_UNAUTHORIZED", "check_money_token")
        elif not self._findings.conclude(row, observed, verdict, proof_s):
            self._ask_again(question, verdict, answered_at)

    def _ask_again(self, question: Question, verdict: Verdict, now: float) -> None:
        question.tries += verdict.overload is not Overload.THROTTLED
        if question.tries >= TRIES:
            self._findings.leave_open(question.row, Kind.NO_ANSWER)
            return
        wait_s = max(AGAIN_AFTER_S, verdict.retry_after_s or 0.0)
        heapq.heappush(self._again, (now + wait_s, question.row.seq, question))

    def _look_round(self) -> None:
        """What is due by the clock: writing, a line of progress, giving up."""
        now = boot_clock()
        self._findings.flush_if_due(now)
        if now - self._said_at >= self._settings.progress_seconds:
            self._said_at = now
            self._say(f"looked up {self._findings.figures.looked_up:,} ...")
        if self._ready and now - self._moved_at > STALLED_S_MAX:
            self._moved_at = now
            if get_limit(self._connection).tps == 0:
                self._trouble = RefusedError(
                    "LOOK_UP_ON_HOLD",
                    "show_limit_then_reconcile",
                    campaign_id=self._run.campaign_id,
                    seconds=STALLED_S_MAX,
                )
