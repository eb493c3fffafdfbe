"""One payment that money is asked about: what was known when it was read, and the call that is under way."""

import math

from bulkpoint.ids import new_id
from bulkpoint.pay.lease import Lease
from bulkpoint.rules.answers import CallResult, Outcome, Verdict
from bulkpoint.rules.retry import absence_proven_in_s
from bulkpoint.settings import Settings
from bulkpoint.store.payment import Attempt
from bulkpoint.store.reconcile import InDoubtPayment


class Question:
    """Goes from call to call until it is answered. Instants by boot_clock; `tries` ended without a usable answer.

    read_from, read_until: the row's durations were true at some moment between the two.
    """

    __slots__ = ("attempt_id", "inside", "lease", "read_from", "read_until", "row", "sent_at", "tries")

    lease: Lease
    attempt_id: str

    def __init__(self, row: InDoubtPayment, *, read_from: float, read_until: float) -> None:
        self.row = row
        self.read_from = read_from
        self.read_until = read_until
        self.tries = 0
        self.inside = False
        self.sent_at: float | None = None

    def enter(self, lease: Lease) -> None:
        """Begin a call that the lease's gate let in."""
        self.lease = lease
        self.attempt_id = new_id()
        self.inside = True
        self.sent_at = None

    def on_wire(self) -> bool:
        """Called by the client for the wire send: may it leave now?"""
        self.sent_at = self.lease.gate.pass_out()
        self.inside = self.sent_at is None
        return not self.inside

    def absence_proven_in_s(self, settings: Settings, answered_at: float) -> float | None:
        """Seconds until "not found" would have been proof when this call left; 0: it is, none: it never will be."""
        if self.sent_at is None:
            return None
        since_first_s = self.row.since_first_sent_s
        return absence_proven_in_s(
            since_last_sent_s=self.row.since_last_sent_s + self.sent_at - self.read_until,
            since_first_sent_s=math.inf if since_first_s is None else since_first_s + answered_at - self.read_from,
            retention_s=settings.money_key_retention_h * 3600,
            after_s=settings.money_settle_s,
            failure_code=self.row.failure_code,
        )

    def attempt(
        self, observed: CallResult | None = None, verdict: Verdict | None = None, answered_at: float | None = None
    ) -> Attempt:
        """The call that left, for the history; without an answer where nobody waited for it."""
        assert self.sent_at is not None, "it never left"
        return Attempt(
            attempt_id=self.attempt_id,
            method="GET",
            seq=self.row.seq,
            sent_at=self.lease.stamp(self.sent_at),
            answered_at=None if answered_at is None else self.lease.stamp(answered_at),
            http_status=observed and observed.status,
            outcome=(verdict.outcome if verdict else Outcome.NO_ANSWER).value,
            code=verdict and verdict.code,
            transaction_id=verdict and verdict.transaction_id,
        )
