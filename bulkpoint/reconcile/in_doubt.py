"""The payments in doubt that one command looks up at the money API: the source of its calls, all look-ups."""

import heapq
import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from bulkpoint.pay.call_loop import Call
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.task import Payment
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.store.reconcile import InDoubtPayment


@dataclass(slots=True)
class PaymentInDoubt(Payment):
    """A payment that is only looked up. `row`: as it was read; tries: look-ups without a usable answer.

    is_witness: nothing is to be learnt about it, only whether the money API lets our calls in.
    """

    row: InDoubtPayment
    is_witness: bool = field(default=False, kw_only=True)

    @classmethod
    def of(cls, row: InDoubtPayment, key_namespace: UUID, *, read_from: float, read_until: float) -> "PaymentInDoubt":
        """From a row whose durations were true at some moment between the two instants of boot_clock."""
        since_first_s = row.since_first_sent_s
        return cls(
            row.seq,
            row.member_id,
            row.amount,
            reason="",  # look-ups do not need it
            key=idempotency_key(key_namespace, row.member_id),
            tries=0,
            maybe_credited=True,
            failure_code=row.failure_code,
            first_sent_at=-math.inf if since_first_s is None else read_from - since_first_s,
            last_sent_at=read_until - row.since_last_sent_s,
            row=row,
        )


class PaymentsInDoubt:
    """Those to look up now (`ready`), and those to look up again when they are due."""

    def __init__(self) -> None:
        self.ready: deque[PaymentInDoubt] = deque()
        self._waiting: list[tuple[float, int, PaymentInDoubt]] = []  # heap: due at, seq

    def __bool__(self) -> bool:
        return bool(self.ready or self._waiting)

    @property
    def has_witness(self) -> bool:
        """Whether the next to be looked up is a witness."""
        return bool(self.ready) and self.ready[0].is_witness

    def add(self, payments: Iterable[PaymentInDoubt]) -> None:
        """Add payments that were just read."""
        self.ready.extend(payments)

    def ask_first(self, payment: PaymentInDoubt) -> None:
        """Look it up before all others."""
        self.ready.appendleft(payment)

    def take_ready(self) -> list[PaymentInDoubt]:
        """Those to look up now, for the caller; none is ready then."""
        ready = list(self.ready)
        self.ready.clear()
        return ready

    def ask_again(self, payment: PaymentInDoubt, *, due_at: float) -> None:
        """Look it up again at this instant of boot_clock, or soon after."""
        heapq.heappush(self._waiting, (due_at, payment.seq, payment))

    def bring_back_due(self) -> None:
        """Move payments that are due to `ready`."""
        now, waiting = boot_clock(), self._waiting
        while waiting and waiting[0][0] <= now:
            self.ready.append(heapq.heappop(waiting)[2])

    def next_call(self, gate: LeasedGate) -> Call[PaymentInDoubt]:
        """The next look-up; a probe is about any of them, since the next in order may be one that has no answer."""
        if gate.breaker_open and not self.has_witness:
            self.ready.rotate(-random.randrange(len(self.ready)))  # noqa: S311 (no secret)
        return Call(self.ready.popleft(), gate, look_up=True)
