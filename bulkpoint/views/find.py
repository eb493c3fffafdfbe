"""A member's payments as the help desk reads them: what happened, what it means, what comes next."""

from typing import Any

from bulkpoint.rules.lifecycle import CampaignState, PaymentState
from bulkpoint.store.payment_history import FoundAttempt, FoundPayment, FoundTarget
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, local_time, state_words, utc_time
from bulkpoint.views.languages import phrase

HEADS = ("TIME", "RUN", "CALL", "HTTP", "OUTCOME", "CODE", "TOOK MS")


def explain(one: FoundPayment | FoundTarget, language: str = "en") -> str:
    """One sentence or two: whether the member has the points, and what can be done."""
    values = {"campaign_id": one.campaign_id, "state": one.campaign_state}
    if isinstance(one, FoundTarget):
        key = "withdrawn" if one.campaign_state == CampaignState.WITHDRAWN else "waiting"
        return phrase(language, f"explanations.{key}", points=_points(one.amount, language), **values)
    if one.failure_kind is not None:
        return phrase(language, f"failure_kinds.{one.failure_kind}.explained", **values)
    said = phrase(language, f"explanations.{one.state}")
    if one.state == PaymentState.SUCCESS:
        return said
    if one.maybe_credited:
        said += ", " + phrase(language, "explanations.maybe_credited")
    elif one.first_sent_at is not None and one.state == PaymentState.PENDING:
        said += "; " + phrase(language, "explanations.called")
    if one.campaign_state in (CampaignState.STOPPED, CampaignState.FAILED):
        said += "; " + phrase(language, "explanations.resume", **values)
    return said


def text_of(found: list[FoundPayment | FoundTarget], timezone: str) -> list[str]:
    """For people: a block of lines a payment, an empty line between two; times of `timezone`."""
    lines: list[str] = []
    for one in found:
        if lines:
            lines.append("")
        lines += [f"campaign {one.campaign_id}  {escaped(one.campaign_name)}  {state_words(one.campaign_state)}"]
        lines += [f"  member      {escaped(one.member_id)}"]
        lines += [f"  amount      {_points(one.amount)}", f"  reason      {escaped(one.reason)}"]
        if isinstance(one, FoundPayment):
            lines += _payment_lines(one, timezone)
        else:
            lines += [f"  payment     {explain(one)}"]
    return lines


def _payment_lines(one: FoundPayment, timezone: str) -> list[str]:
    lines = [f"  payment     {one.state}: {explain(one)}"]
    if one.transaction_id is not None:
        lines.append(f"  transaction {escaped(one.transaction_id)}")
    if one.failure_kind is not None:
        words = [one.failure_kind, one.failure_code, one.failure_message]
        lines.append(f"  failure     {'  '.join(escaped(word) for word in words if word)}")
    times = (("first sent", one.first_sent_at), ("next try", one.next_try_at), ("finished", one.finished_at))
    lines += [f"  {name:<11} {local_time(moment, timezone)}" for name, moment in times if moment is not None]
    if one.attempts:
        rows = [HEADS, *(_row(attempt, timezone) for attempt in one.attempts)]
        lines += ["", *(f"  {line}" for line in aligned(rows, left=("TIME", "CALL", "OUTCOME", "CODE")))]
    return lines


def _row(attempt: FoundAttempt, timezone: str) -> tuple[str, ...]:
    took_ms = _took_ms(attempt)
    return (
        f"{local_time(attempt.sent_at, timezone)}.{attempt.sent_at.microsecond // 1000:03}",
        str(attempt.run),
        attempt.method,
        "-" if attempt.http_status is None else str(attempt.http_status),
        attempt.outcome,
        escaped(attempt.code or "-"),
        "-" if took_ms is None else f"{took_ms:,}",
    )


def object_of(found: list[FoundPayment | FoundTarget]) -> dict[str, Any]:
    """The same as one JSON object; a target is a payment that is PENDING and was never sent."""
    return {"payments": [_fields(one) for one in found]}


def _fields(one: FoundPayment | FoundTarget) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "campaign_id": one.campaign_id,
        "campaign_name": one.campaign_name,
        "campaign_state": one.campaign_state,
        "member_id": one.member_id,
        "amount": one.amount,
        "reason": one.reason,
        "state": one.state if isinstance(one, FoundPayment) else PaymentState.PENDING,
        "explanation": explain(one),
        **dict.fromkeys(("transaction_id", "failure_kind", "failure_code", "failure_message")),
        **dict.fromkeys(("first_sent_at", "next_attempt_at", "finished_at")),
        "attempts": [],
    }
    if isinstance(one, FoundPayment):
        fields |= {
            "transaction_id": one.transaction_id,
            "failure_kind": one.failure_kind,
            "failure_code": one.failure_code,
            "failure_message": one.failure_message,
            "first_sent_at": utc_time(one.first_sent_at),
            "next_attempt_at": utc_time(one.next_try_at),
            "finished_at": utc_time(one.finished_at),
            "attempts": [_attempt_fields(attempt) for attempt in one.attempts],
        }
    return fields


def _attempt_fields(attempt: FoundAttempt) -> dict[str, Any]:
    return {
        "run": attempt.run,
        "sent_at": utc_time(attempt.sent_at),
        "method": attempt.method,
        "http_status": attempt.http_status,
        "outcome": attempt.outcome,
        "code": attempt.code,
        "transaction_id": attempt.transaction_id,
        "took_ms": _took_ms(attempt),
    }


def _points(amount: int, language: str = "en") -> str:
    return phrase(language, "explanations.point" if amount == 1 else "explanations.points", amount=amount)


def _took_ms(attempt: FoundAttempt) -> int | None:
    if attempt.answered_at is None:
        return None
    return round((attempt.answered_at - attempt.sent_at).total_seconds() * 1_000)
