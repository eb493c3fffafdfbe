"""A member's payments as the help desk reads them: what happened, what it means, what comes next."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Annotated, Self

from bulkpoint.rules.by_hand import MoneySays
from bulkpoint.rules.lifecycle import CampaignState, FailureKind, PaymentState
from bulkpoint.store.payment_history import FoundAttempt, FoundPayment, FoundTarget
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, local_time, state_words
from bulkpoint.views.languages import phrase
from bulkpoint.views.view import LEFT_OUT_IF_NONE, NOT_IN_JSON, Moment, Screen, View

HEADS = ("TIME", "RUN", "CALL", "HTTP", "OUTCOME", "CODE", "TOOK MS")


def explain(one: FoundPayment | FoundTarget, language: str = "en") -> str:
    """One sentence or two: whether the member has the points, and what can be done."""
    values = {"campaign_id": one.campaign_id, "state": one.campaign_state}
    if isinstance(one, FoundTarget):
        key = "withdrawn" if one.campaign_state == CampaignState.WITHDRAWN else "waiting"
        return phrase(language, f"explanations.{key}", points=_points(one.amount, language), **values)
    if one.failure_kind is not None:
        return phrase(language, f"failure_kinds.{one.failure_kind}.explained", **values)
    if one.settled_by is not None:
        return phrase(language, "explanations.by_hand", who=escaped(one.settled_by))
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


def _points(amount: int, language: str = "en") -> str:
    return phrase(language, "explanations.point" if amount == 1 else "explanations.points", amount=amount)


class AttemptView(View):
    """One call for a payment. method: POST, or GET of a look-up; outcome: what the answer meant.

    took_ms: milliseconds until the answer, null where none came.
    """

    run: int
    sent_at: Moment
    method: str
    http_status: int | None
    outcome: str
    code: str | None
    transaction_id: str | None
    took_ms: int | None

    @classmethod
    def of(cls, attempt: FoundAttempt) -> Self:
        """The call, with the time it took."""
        took_ms = None
        if attempt.answered_at is not None:
            took_ms = round((attempt.answered_at - attempt.sent_at) / timedelta(milliseconds=1))
        return cls.model_validate(attempt._asdict() | {"run": attempt.run_no, "took_ms": took_ms})

    def as_row(self, timezone: str) -> tuple[str, ...]:
        """Its line of the table under HEADS."""
        return (
            f"{local_time(self.sent_at, timezone)}.{self.sent_at.microsecond // 1000:03}",
            str(self.run),
            self.method,
            "-" if self.http_status is None else str(self.http_status),
            self.outcome,
            escaped(self.code or "-"),
            "-" if self.took_ms is None else f"{self.took_ms:,}",
        )


class SettledByHandView(View):
    """Whose word made a payment SUCCESS, when and why; money_said: what the money API said about our key then."""

    settled_by: str
    settled_at: Moment
    money_said: MoneySays
    reason: str

    @classmethod
    def of(cls, payment: FoundPayment) -> Self | None:
        """None for a payment that the money API itself says is credited, or that is not SUCCESS."""
        if payment.settled_by is None:
            return None
        return cls.model_validate(
            {
                "settled_by": payment.settled_by,
                "settled_at": payment.settled_at,
                "money_said": payment.money_said,
                "reason": payment.settled_reason,
            }
        )


class PaymentView(View):
    """What one campaign pays a member; amount in points, attempts in order of time.

    A target of a campaign that has not started is a payment that is PENDING and was never sent. calls_removed_at: where
    old calls of the campaign were removed (`db trim`), when.
    """

    campaign_id: int
    campaign_name: str
    campaign_state: CampaignState
    member_id: str
    amount: int
    reason: str
    state: PaymentState
    explanation: str
    transaction_id: str | None = None
    failure_kind: FailureKind | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    first_sent_at: Moment | None = None
    next_attempt_at: Moment | None = None
    finished_at: Moment | None = None
    settled_by_hand: SettledByHandView | None = None
    attempts: tuple[AttemptView, ...] = ()
    calls_removed_at: Annotated[Moment | None, LEFT_OUT_IF_NONE] = None
    is_target: Annotated[bool, NOT_IN_JSON]

    @classmethod
    def of(cls, one: FoundPayment | FoundTarget) -> Self:
        """The payment, or the target that will be one."""
        fields = {name: getattr(one, name) for name in cls.model_fields if hasattr(one, name)}
        fields |= {"explanation": explain(one), "is_target": isinstance(one, FoundTarget)}
        if isinstance(one, FoundPayment):
            fields["next_attempt_at"] = one.next_try_at
            fields["settled_by_hand"] = SettledByHandView.of(one)
            fields["attempts"] = [AttemptView.of(attempt) for attempt in one.attempts]
            sent = [attempt.sent_at for attempt in one.attempts if attempt.method == "POST"]
            fields["first_sent_at"] = min(sent, default=one.first_sent_at)  # the payment's own is that of its claim
        return cls.model_validate({"state": PaymentState.PENDING} | fields)

    def as_text(self, screen: Screen) -> Iterator[str]:
        yield f"campaign {self.campaign_id}  {escaped(self.campaign_name)}  {state_words(self.campaign_state)}"
        yield f"  member      {escaped(self.member_id)}"
        yield f"  amount      {_points(self.amount)}"
        yield f"  reason      {escaped(self.reason)}"
        yield f"  payment     {'' if self.is_target else f'{self.state}: '}{self.explanation}"
        if self.transaction_id is not None:
            yield f"  transaction {escaped(self.transaction_id)}"
        if (by_hand := self.settled_by_hand) is not None:
            at = local_time(by_hand.settled_at, screen.timezone)
            said = phrase("en", f"money_says.{by_hand.money_said}")
            yield f"  by hand     {escaped(by_hand.settled_by)}, {at}: {escaped(by_hand.reason)} ({said})"
        if self.failure_kind is not None:
            words = [self.failure_kind, self.failure_code, self.failure_message]
            yield f"  failure     {'  '.join(escaped(word) for word in words if word)}"
        times = {"first sent": self.first_sent_at, "next try": self.next_attempt_at, "finished": self.finished_at}
        for label, moment in times.items():
            if moment is not None:
                yield f"  {label:<11} {local_time(moment, screen.timezone)}"
        if self.calls_removed_at is not None:
            yield f"  calls       removed on {local_time(self.calls_removed_at, screen.timezone)[:10]} (db trim)"
        if self.attempts:
            rows = [HEADS, *(attempt.as_row(screen.timezone) for attempt in self.attempts)]
            yield ""
            yield from (f"  {line}" for line in aligned(rows, left=("TIME", "CALL", "OUTCOME", "CODE")))


class PaymentsView(View):
    """Every payment of a member, the newest campaign first. archived_campaigns: where there are any,
    how many were not searched, because their members are in files only.
    """

    printed_by = ("payment find",)

    payments: list[PaymentView]
    archived_campaigns: Annotated[int | None, LEFT_OUT_IF_NONE] = None

    @classmethod
    def of(cls, found: Iterable[FoundPayment | FoundTarget], *, archived: int = 0) -> Self:
        """The view of `payment find`; archived: campaigns that could not be searched."""
        return cls(payments=[PaymentView.of(payment) for payment in found], archived_campaigns=archived or None)

    def remarks(self) -> Iterable[str]:
        if self.archived_campaigns:
            yield (
                f"Not searched, because they are archived: {self.archived_campaigns:,}"
                f" campaign{'' if self.archived_campaigns == 1 else 's'}. `bulkpoint campaign list` names them,"
                " `bulkpoint campaign show ID` says where their files are (docs/database.md)."
            )

    def as_text(self, screen: Screen) -> Iterator[str]:
        for number, payment in enumerate(self.payments):
            if number:
                yield ""
            yield from payment.as_text(screen)
