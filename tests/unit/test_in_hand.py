"""The payments in hand: each is somewhere between its claim and its end, and nowhere twice."""

import math
import uuid

import pytest

from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.in_hand import PaymentsInHand
from bulkpoint.pay.task import Payment
from bulkpoint.rules.invariants import DefectError
from bulkpoint.rules.promises import MoneyPromises

RETENTION_S = 3_600.0
PROMISES = MoneyPromises(RETENTION_S / 3600, settle_s=60.0, connect_timeout_s=1.0, timeout_s=5.0)
GATE = LeasedGate(guard_s=0.0, counts_from="send")


def payment(seq: int, *, first_sent_at: float | None = None, failure_code: str | None = None) -> Payment:
    return Payment(seq, f"m-{seq}", 100, "why", uuid.uuid4(), 0, False, failure_code, first_sent_at, first_sent_at)


def holding(*payments: Payment) -> PaymentsInHand:
    in_hand = PaymentsInHand(promises=lambda: PROMISES)
    in_hand.add(list(payments))
    return in_hand


def begin(in_hand: PaymentsInHand) -> Payment:
    """As the sender takes one."""
    call = in_hand.next_call(GATE)
    assert call is not None
    return call.payment


def test_a_payment_is_with_the_sender_until_it_ends_or_waits() -> None:
    in_hand = holding(payment(1), payment(2))
    first, second = begin(in_hand), begin(in_hand)
    assert (in_hand.with_sender, len(in_hand.ready)) == (2, 0), "under way is in hand"
    in_hand.seqs.discard(first.seq)
    assert in_hand.with_sender == 1
    in_hand.again.append((math.inf, second))
    assert in_hand.with_sender == 0


def test_there_is_something_to_do_until_all_is_ended_or_waits() -> None:
    in_hand = holding(payment(1), payment(2))
    first, second = begin(in_hand), begin(in_hand)
    in_hand.seqs.discard(first.seq)
    assert not in_hand.only_waiting
    in_hand.again.append((math.inf, second))
    assert not in_hand.only_waiting, "it may be due by now"
    in_hand.bring_back_due()
    assert in_hand.only_waiting
    assert holding().only_waiting


def test_what_is_due_comes_back_in_the_order_of_its_time_and_the_rest_waits() -> None:
    in_hand, now = holding(*(payment(seq) for seq in (1, 2, 3))), boot_clock()
    for due_at in (now - 1, now - 2, now + 60):
        in_hand.again.append((due_at, begin(in_hand)))
    in_hand.bring_back_due()
    assert [ready.seq for ready in in_hand.ready] == [2, 1]
    assert [(due_at, waits.seq) for due_at, waits in in_hand.take_waiting()] == [(now + 60, 3)]
    assert in_hand.seqs == {1, 2}


def test_too_many_that_wait_are_taken_out_and_the_earliest_stay() -> None:
    in_hand = holding(*(payment(seq) for seq in range(1, 101)))
    for seq in range(1, 101):
        in_hand.again.append((1e12 + seq, begin(in_hand)))
    taken = in_hand.take_waiting(beyond=60)
    assert len(taken) == 40
    assert in_hand.seqs.isdisjoint(waits.seq for _, waits in taken)
    assert 1 in in_hand.seqs
    assert in_hand.take_waiting(beyond=60) == []


def test_what_is_taken_back_from_the_sender_is_in_hand_no_longer() -> None:
    in_hand = holding(*(payment(seq) for seq in (1, 2, 3)))
    assert [taken.seq for taken in in_hand.take_ready(beyond=1)] == [3, 2], "the next one to be sent stays"
    assert in_hand.seqs == {1}
    in_hand.unsent.append(begin(in_hand))
    assert [taken.seq for taken in in_hand.take_unsent()] == [1]
    assert in_hand.seqs == set()
    assert in_hand.next_call(GATE) is None


def test_no_payment_is_in_hand_twice() -> None:
    in_hand = holding(payment(1))
    begin(in_hand)
    with pytest.raises(DefectError, match="in hand twice"):
        in_hand.add([payment(2), payment(1)])
    with pytest.raises(DefectError, match="in hand twice"):
        in_hand.add([payment(3), payment(3)])
    in_hand.seqs.discard(1)
    in_hand.add([payment(1)])


@pytest.mark.parametrize(
    ("failure_code", "first_sent_ago_s", "look_up"),
    [
        (None, None, False),
        (None, RETENTION_S - 7, False),
        (None, RETENTION_S - 5, True),  # it would arrive after the retention, if it takes the whole timeout
        (None, RETENTION_S, True),
        ("TIMED_OUT", 1.0, True),
    ],
)
def test_a_payment_is_looked_up_when_its_tries_are_spent_or_its_key_is_old(
    failure_code: str | None, first_sent_ago_s: float | None, look_up: bool
) -> None:
    first_sent_at = None if first_sent_ago_s is None else boot_clock() - first_sent_ago_s
    call = holding(payment(1, first_sent_at=first_sent_at, failure_code=failure_code)).next_call(GATE)
    assert call is not None
    assert call.look_up is look_up
