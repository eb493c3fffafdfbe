"""Looks up every payment in doubt of a campaign at the money API, and settles those that get an answer.

A look-up counts against the limit as any call: it is made under a share, through the gate, and recorded as an attempt.
One thread, many calls under way; findings are written every half second, so an early end loses nothing.
"""

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict

from bulkpoint.campaigns.correction import correct_end
from bulkpoint.campaigns.promises import apply_promises, keep_promises, promises_of
from bulkpoint.errors import RefusedError
from bulkpoint.money.transport import Calls
from bulkpoint.pay.call_loop import CallLoop, CallTerms
from bulkpoint.pay.gate import boot_clock
from bulkpoint.pay.lease import Lease, LeaseTerms, take_share
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.reconcile.findings import AGAIN_AFTER_S, TRIES_MAX, Findings, LookedUp, Report
from bulkpoint.reconcile.in_doubt import PaymentInDoubt, PaymentsInDoubt
from bulkpoint.rules.patience import Patience
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import ensure_limit, get_limit
from bulkpoint.store.reconcile import BATCH_ROWS_MAX, EndedRun, InDoubtPayment, list_in_doubt
from bulkpoint.views.sentences import sentence

# Calls under way: at a share of 250 a second, enough for an API that takes 1/8 s to answer.
IN_FLIGHT_MAX = 32
# A running campaign leases every share; its end, or the end of a wave, frees one.
SHARE_WAIT_S_MAX = 60.0
SHARE_POLL_S = 0.3
# With calls to make under a lease, none has ended for this long: is the limit paused (0 TPS)?
STALLED_S_MAX = 60.0

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
    """Look up every payment in doubt, write what the API says, and report each that stays open or differs.

    Waits once for payments whose last call is too recent for "not found" to be proof. The last findings and the audit
    row commit together; an early end, also by a signal, keeps and audits the findings so far. Raises RefusedError where
    the campaign is RUNNING or was never started, where no share of the limit is free and where the API refuses the
    token; UnreachableError where the API is out of reach.
    """
    run = check_reconcilable(connection, campaign_id)
    in_force = keep_promises(connection, settings, actor=actor)
    settings = apply_promises(in_force, settings)
    for remark in in_force.remarks:
        say(sentence(remark, timezone=settings.timezone))
    terms, payments = CallTerms.of(campaign_id, settings), PaymentsInDoubt()
    findings = Findings(connection, run, payments, report, patience_s=settings.breaker_patience_s)
    with closing(terms.open_calls()) as calls:
        look_ups = LookUpRun(
            connection,
            database_url,
            settings,
            run,
            terms=terms,
            calls=calls,
            payments=payments,
            findings=findings,
            actor=actor,
            say=say,
        )
        try:
            look_ups.ask(_all_pages(connection, run))
            look_ups.ask_unanswered()
            look_ups.ask(_pages_of(connection, run, look_ups.wait_for_proof()))
            look_ups.ask_unanswered()
        except BaseException:
            look_ups.close(finished=False)
            raise
        look_ups.close(finished=True)
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
    """The look-ups of one command: all payments, then those without an answer; the same for those put off."""

    def __init__(
        self,
        connection: Connection,
        database_url: str,
        settings: Settings,
        run: EndedRun,
        *,
        terms: CallTerms,
        calls: Calls,
        payments: PaymentsInDoubt,
        findings: Findings,
        actor: str,
        say: Say,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._run = run
        self._call_terms = terms
        self._calls = calls
        self._payments = payments
        self._findings = findings
        self._actor = actor
        self._say = say
        name = f"bulkpoint reconcile of campaign {run.campaign_id}"
        self._lease_terms = LeaseTerms(database_url, name, None, promises_of(settings), settings.limit_counts_from)
        # Its own, from now on: what an earlier run or command waited for does not count.
        self._patience = Patience(limit_s=settings.breaker_patience_s, backoff_s=AGAIN_AFTER_S)
        self._loop: CallLoop[PaymentInDoubt] | None = None
        self._pages: Iterator[list[InDoubtPayment]] = iter(())
        self._page_since = boot_clock()
        self._left = array("q")  # of pages that were left: eight bytes for each payment
        self._said_at = self._moved_at = boot_clock()

    def ask(self, pages: Iterator[list[InDoubtPayment]]) -> None:
        """Look up every payment of the pages; returns when each has its answer, has got none, or is put off."""
        self._pages = pages
        while self._payments or self._read_page():
            lease = self._wait_for_share()
            try:
                self._ask_under(lease)
            finally:
                lease.stop()
                if not self._calls.under_way:  # else its lease expires after they have surely arrived
                    lease.release(self._connection)
            if (trouble := self._findings.trouble or lease.trouble) is not None:
                raise trouble

    def _read_page(self) -> bool:
        """Make the payments of the next page ready; the pages that were left come last. False without another."""
        while True:
            read_from = boot_clock()
            page = next(self._pages, None)
            read_until = boot_clock()
            if page is None:
                if not self._left:
                    return False
                self._pages, self._left = _pages_of(self._connection, self._run, self._left), array("q")
                continue
            fresh = [
                PaymentInDoubt.of(row, self._run.key_namespace, read_from=read_from, read_until=read_until)
                for row in page
                if not self._findings.is_held(row)
            ]
            if fresh:
                self._payments.add(fresh)
                self._page_since = read_until
                return True

    def _leave_page(self) -> None:
        """Go on with another page, if there is one; what is still ready of this one comes after all others."""
        ready = self._payments.take_ready()
        if self._read_page():
            self._left.extend(payment.seq for payment in ready)
        else:
            self._payments.add(ready)

    def ask_unanswered(self) -> None:
        """Ask again about payments that got no answer, all of them once before any of them twice."""
        for number in range(2, TRIES_MAX + 1):
            self._findings.flush()
            seqs, wait_s = self._findings.take_unanswered(last_try=number == TRIES_MAX)
            if not seqs:
                break
            self._say(f"{len(seqs):,} payments got no answer: asking again ({number} of {TRIES_MAX}) ...")
            time.sleep(wait_s)
            self.ask(_pages_of(self._connection, self._run, seqs))
        self._findings.take_unanswered(last_try=False)

    def wait_for_proof(self) -> "array[int]":
        """Sleep until "not found" is proof for the payments that were put off; returns their numbers."""
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
        """Write the last findings, calls without an answer included, the event of new figures, and the audit row."""
        if self._loop is not None:
            self._findings.record(self._loop.attempts_given_up())
        run = self._run
        with self._connection.transaction():
            lock_campaign(self._connection, run.campaign_id)  # before payments, as every start does
            self._findings.flush()
            if self._findings.figures.credited or self._findings.figures.not_credited:
                correct_end(self._connection, run.campaign_id, run.run_id, actor=self._actor)
            write_audit(
                self._connection,
                action="reconcile",
                campaign_id=run.campaign_id,
                run_no=run.run_no,
                actor=self._actor,
                detail={"by": "look-up", **asdict(self._findings.figures), "finished": finished},
            )

    def _wait_for_share(self) -> Lease:
        ensure_limit(self._connection, tps=self._settings.tps, shares=self._settings.partitions or 1, actor=self._actor)
        gives_up_at = boot_clock() + SHARE_WAIT_S_MAX
        said = False
        while True:
            lease = take_share(self._connection, self._lease_terms, self._call_terms.make_gate)
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

    def _ask_under(self, lease: Lease) -> None:
        """Look up while the share is leased; calls under way are always awaited."""
        findings, payments = self._findings, self._payments
        self._loop = loop = CallLoop(self._call_terms, lease, payments, findings, in_flight_max=IN_FLIGHT_MAX)
        while payments or loop.under_way or self._read_page():
            if lease.over or findings.trouble is not None:
                lease.gate.close()
                if not loop.under_way:
                    break
            payments.bring_back_due()
            if lease.gate.breaker_open and findings.in_vain_at > self._page_since and not payments.has_witness:
                self._leave_page()  # payments that get no answer do not keep others from theirs
            loop.turn(self._calls)
            self._look_round(lease)
        findings.flush()

    def _look_round(self, lease: Lease) -> None:
        """What the clock makes due: writing, a line of progress, giving up."""
        now, findings = boot_clock(), self._findings
        findings.flush_if_due(now)
        if now - self._said_at >= self._settings.progress_seconds:
            self._said_at = now
            self._say(f"looked up {findings.figures.looked_up:,} ...")
        heard = lease.gate.heard
        if self._patience.look(heard, tps=lease.gate.permits, now=now) and findings.trouble is None:
            findings.out_of_patience(heard)
        if not self._payments.ready:
            self._moved_at = now
        if now - max(self._moved_at, findings.answered_at) > STALLED_S_MAX:
            self._moved_at = now
            if get_limit(self._connection).tps == 0:
                findings.trouble = RefusedError(
                    "LOOK_UP_ON_HOLD",
                    "show_limit_then_reconcile",
                    campaign_id=self._run.campaign_id,
                    seconds=STALLED_S_MAX,
                )
