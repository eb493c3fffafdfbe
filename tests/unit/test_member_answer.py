"""What is said to a member: for every way in which a payment can stand, in both languages, nothing of our inside."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from bulkpoint.rules.lifecycle import CampaignState, FailureKind, PaymentState
from bulkpoint.store.payment_history import FoundPayment, FoundTarget
from bulkpoint.views.member_answer import answer, answer_key

AT = datetime(2026, 1, 31, 16, tzinfo=UTC)  # in Seoul, February has begun


def payment(state: PaymentState, campaign: CampaignState = CampaignState.COMPLETED, **changes: Any) -> FoundPayment:
    values: dict[str, Any] = {
        "campaign_id": 3, "campaign_name": "봄", "campaign_state": campaign, "seq": 1, "member_id": "m-1",
        "amount": 1500, "reason": "봄맞이 감사 적립", "state": state, "transaction_id": None, "failure_kind": None,
        "failure_code": None, "failure_message": None, "maybe_credited": False, "next_try_at": None,
        "first_sent_at": None, "finished_at": None, "settled_by": None, "settled_at": None, "money_said": None,
        "settled_reason": None, "calls_removed_at": None,
    }  # fmt: skip
    return FoundPayment(**(values | changes))


def failed(kind: FailureKind) -> FoundPayment:
    return payment(PaymentState.FAILED, failure_kind=kind, finished_at=AT, failure_message="inner words", seq=7)


def target(state: CampaignState) -> FoundTarget:
    return FoundTarget(3, "봄", state, "m-1", 1500, "봄맞이 감사 적립")


PAID = payment(PaymentState.SUCCESS, finished_at=AT, transaction_id="tx-1")
EVERY = [
    (PAID, "paid"),
    *((failed(kind), "checking" if kind == FailureKind.UNKNOWN else kind.value) for kind in FailureKind),
    (payment(PaymentState.PENDING, CampaignState.RUNNING), "coming"),
    (payment(PaymentState.PENDING, CampaignState.STOPPED), "delayed"),
    (payment(PaymentState.PENDING, CampaignState.RUNNING, maybe_credited=True), "checking"),
    (payment(PaymentState.PROCESSING, CampaignState.RUNNING), "under_way"),
    (payment(PaymentState.PROCESSING, CampaignState.FAILED), "checking"),
    (target(CampaignState.WAITING), "coming"),
    (target(CampaignState.WITHDRAWN), "withdrawn"),
]


@pytest.mark.parametrize(("one", "key"), EVERY, ids=lambda value: value if isinstance(value, str) else "")
def test_each_way_a_payment_can_stand_has_its_answer(one: FoundPayment | FoundTarget, key: str) -> None:
    assert answer_key(one) == key
    for language in ("ko", "en"):
        said = answer(one, language, "Asia/Seoul")
        assert "1,500" in said
        assert "봄맞이 감사 적립" in said
        inner = r"m-1|tx-1|inner|UNKNOWN|REJECTED|UNAVAILABLE|MISMATCH|money|campaign|캠페인|bulkpoint|API"
        assert re.search(inner, said) is None


def test_what_may_have_been_credited_is_said_to_be_neither_paid_nor_not_paid() -> None:
    said = answer(failed(FailureKind.UNKNOWN), "ko", "Asia/Seoul")
    assert "확인 중" in said
    assert re.search("지급해 드렸|지급되지 않", said) is None


def test_the_day_is_the_members_in_words_of_the_language() -> None:
    assert answer(PAID, "ko", "Asia/Seoul").startswith("2026년 2월 1일에 ")
    assert "on 1 February 2026 " in answer(PAID, "en", "Asia/Seoul")
    assert answer(PAID, "ko", "UTC").startswith("2026년 1월 31일에 ")
