"""Calls to the money API outside of any run, one at a time, through the same call loop and gate as all others."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from bulkpoint.errors import RefusedError
from bulkpoint.money.adapter import Adapter
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.transport import Calls, HttpRequest, Reply
from bulkpoint.pay.access import Access
from bulkpoint.pay.call_loop import Call, CallLoop, CallTerms
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease, LeaseTerms, take_share
from bulkpoint.pay.task import Payment
from bulkpoint.rules.answers import Answer, Verdict
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import get_limit
from bulkpoint.store.payment import Attempt

# A running campaign leases every share: then this is not the time to try a contract.
SHARE_WAIT_S_MAX = 10.0
SHARE_POLL_S = 0.3
# For the gate to let one call out, on top of the call's own time.
LEAVES_S_MAX = 10.0


class Answered(NamedTuple):
    """One call that has ended. answer: as the adapter read it; verdict: what a run would make of it.

    content_type: of a complete reply, lower case; empty where it named none, None where none came. attempt: its row,
    None where it never left. absence_proven_in_s: as of a Call; of a payment (POST), None.
    """

    answer: Answer
    verdict: Verdict
    status: int | None
    content_type: str | None
    left_at: float | None
    answered_at: float
    attempt: Attempt | None
    absence_proven_in_s: float | None


@dataclass
class WatchedAdapter:
    """An adapter, and the last reply that it was asked to read."""

    adapter: Adapter
    reply: Reply | None = None

    def pay(self, call: PointsCall) -> HttpRequest:
        return self.adapter.pay(call)

    def look_up(self, call: PointsCall) -> HttpRequest:
        return self.adapter.look_up(call)

    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        self.reply = reply
        return self.adapter.read_pay(call, reply)

    def read_look_up(self, call: PointsCall, reply: Reply) -> Answer | None:
        self.reply = reply
        return self.adapter.read_look_up(call, reply)


class _One:
    """Source and sink of the loop: one call, asked again for its permit until it has left."""

    def __init__(self, payment: Payment, *, look_up: bool) -> None:
        self.ready = [payment]
        self.ended: tuple[Call[Payment], Verdict] | None = None
        self._look_up = look_up

    def next_call(self, gate: LeasedGate) -> Call[Payment]:
        return Call(self.ready.pop(), gate, look_up=self._look_up)

    def not_sent(self, call: Call[Payment]) -> None:
        self.ready.append(call.payment)

    def answered(self, call: Call[Payment], verdict: Verdict) -> None:
        self.ended = call, verdict


class OneByOne:
    """A share of the limit, and the calls that are made under it."""

    def __init__(self, terms: CallTerms, lease: Lease, calls: Calls) -> None:
        self._terms = terms
        self._lease = lease
        self._calls = calls

    def ask(self, payment: Payment, *, look_up: bool, adapter: Adapter | None = None) -> Answered:
        """Make one call and wait for its end. adapter: another one than that of the settings.

        Raises RefusedError where the gate lets nothing out: the limit is paused, or the share was lost.
        """
        watched = WatchedAdapter(adapter or self._terms.access.adapter)
        one = _One(payment, look_up=look_up)
        loop = CallLoop(
            replace(self._terms, access=Access(dict, lambda _: watched)), self._lease, one, one, in_flight_max=1
        )
        gives_up_at = boot_clock() + self._terms.http_timeout_s + LEAVES_S_MAX
        while one.ended is None:
            if one.ready and (self._lease.over or boot_clock() > gives_up_at):
                raise RefusedError("NO_CALL_LEFT", "show_limit")
            loop.turn(self._calls)
        call, verdict = one.ended
        reply = watched.reply
        content_type = None if reply is None else reply.headers.get("content-type", "").lower()
        status = None if call.attempt is None else call.attempt.http_status
        proven_in_s = call.absence_proven_in_s if look_up else None
        left_at, answered_at = call.sent_at, call.answered_at
        return Answered(call.answer, verdict, status, content_type, left_at, answered_at, call.attempt, proven_in_s)


@contextmanager
def under_a_share(connection: Connection, terms: CallTerms, lease_terms: LeaseTerms) -> Iterator[OneByOne]:
    """Calls for the block, under a share of the limit as any other call.

    Raises RefusedError where no share is free.
    """
    lease = _take_share(connection, terms, lease_terms)
    with closing(terms.open_calls()) as calls:
        try:
            yield OneByOne(terms, lease, calls)
        finally:
            lease.stop()
            if not calls.under_way:  # else it expires after they have surely arrived
                lease.release(connection)


def _take_share(connection: Connection, terms: CallTerms, lease_terms: LeaseTerms) -> Lease:
    gives_up_at = boot_clock() + SHARE_WAIT_S_MAX
    while (lease := take_share(connection, lease_terms, terms.make_gate)) is None:
        if boot_clock() > gives_up_at:
            paused = get_limit(connection).tps == 0
            raise RefusedError(
                "NO_SHARE_FREE", "show_limit", why=Refusal("LIMIT_ON_HOLD") if paused else Refusal("LIMIT_HELD_BY_RUN")
            )
        time.sleep(SHARE_POLL_S)
    return lease
