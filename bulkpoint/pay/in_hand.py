"""The payments that a partition has in hand: claimed, and neither recorded as final nor given back.

    claimed -> ready -> sender: its call -> final
                 ^                       -> again -> waiting, until it is due -+-> given back, for a sweep
                 |                       -> unsent ---------------------------'
                 '---------------- due <- waiting

The main thread puts payments in, brings back what is due, and gives back. The sender's thread takes them from `ready`,
and either ends them or returns them by `again` and `unsent`; one thread writes a queue, and the other reads it.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable

from bulkpoint.pay.call_loop import Call
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.task import Payment
from bulkpoint.rules.invariants import invariant
from bulkpoint.rules.promises import MoneyPromises
from bulkpoint.rules.retry import may_send


class PaymentsInHand:
    """The payments of one partition under one lease, and the source of its calls.

    seqs: of all of them, in whichever queue. ready: to be sent now. again: (due at, payment), to be sent or looked up
    again. unsent: the gate closed before they left. promises: what may be relied on now. Instants by boot_clock.
    """

    def __init__(self, *, promises: Callable[[], MoneyPromises]) -> None:
        self.seqs: set[int] = set()
        self.ready: deque[Payment] = deque()
        self.again: deque[tuple[float, Payment]] = deque()
        self.unsent: deque[Payment] = deque()
        self._waiting: list[tuple[float, int, Payment]] = []  # heap: due at, seq
        self._promises = promises

    # The main thread's

    def add(self, payments: list[Payment]) -> None:
        """Add payments that were just claimed."""
        seqs = {payment.seq for payment in payments}
        invariant(len(seqs) == len(payments) and seqs.isdisjoint(self.seqs), "a payment is in hand twice")
        self.seqs |= seqs
        self.ready.extend(payments)

    @property
    def with_sender(self) -> int:
        """How many are ready or under way, without those that wait until they are due."""
        return len(self.seqs) - len(self._waiting) - len(self.again)

    @property
    def only_waiting(self) -> bool:
        """Whether there is nothing to do until a payment is due."""
        return not self.again and len(self.seqs) == len(self._waiting)

    def bring_back_due(self) -> None:
        """Move payments that are due to `ready`."""
        self._collect()
        now, waiting = boot_clock(), self._waiting
        while waiting and waiting[0][0] <= now:
            self.ready.append(heapq.heappop(waiting)[2])

    def take_waiting(self, *, beyond: int = 0) -> list[tuple[float, Payment]]:
        """Take out all that wait until they are due but `beyond` of them, with the earliest: (due at, payment)."""
        self._collect()
        taken = [self._waiting.pop() for _ in range(len(self._waiting) - beyond)]
        self.give_up(payment for _, _, payment in taken)
        return [(due_at, payment) for due_at, _, payment in taken]

    def take_ready(self, *, beyond: int = 0) -> list[Payment]:
        """Take back payments that the sender has not begun, so that about `beyond` are left."""
        taken = []
        while len(self.ready) > beyond:
            try:
                taken.append(self.ready.pop())
            except IndexError:  # the sender was faster
                break
        self.give_up(taken)
        return taken

    def take_unsent(self) -> list[Payment]:
        """Take out payments that the gate did not let out; call it after the sender has ended."""
        taken = list(self.unsent)
        self.unsent.clear()
        self.give_up(taken)
        return taken

    def give_up(self, payments: Iterable[Payment]) -> None:
        """These payments are no longer in hand."""
        self.seqs.difference_update(payment.seq for payment in payments)

    def _collect(self) -> None:
        while self.again:
            due_at, payment = self.again.popleft()
            heapq.heappush(self._waiting, (due_at, payment.seq, payment))

    # The sender's thread's

    def next_call(self, gate: LeasedGate) -> Call[Payment] | None:
        """The next payment's call: a look-up where its tries are used up, or the API may have forgotten its key."""
        try:
            payment = self.ready.popleft()
        except IndexError:  # the main thread has just taken it back
            return None
        look_up, first = payment.failure_code is not None, payment.first_sent_at
        if first is not None and not look_up:
            look_up = not may_send(since_first_sent_s=boot_clock() - first, promises=self._promises())
        return Call(payment, gate, look_up=look_up)
