"""What the money API's answer to a look-up means for a person's word that a payment was paid by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bulkpoint.rules.answers import Answer, Credited, Halt, Outcome, Verdict
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import clean

# Of a member id that the money API has under our key, and that is not ours.
MEMBER_CHARACTERS_SHOWN_MAX = 200
_LATER, _LOOK = ("settle_later",), ("look_before_settling",)
_AT_WORK = (Outcome.IN_PROGRESS, Outcome.ACCEPTED)


class MoneySays(StrEnum):
    """What the money API says about our key, where that allows a payment to be settled."""

    CREDITED = "CREDITED"  # under our key, with the transaction id that the person names: no word of theirs is needed
    NOT_CREDITED = "NOT_CREDITED"  # under our key, never
    FORGOTTEN = "FORGOTTEN"  # nothing, and our key is older than the money API remembers keys: it proves nothing


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The answer decides nothing yet. in_s: seconds until it may; found_nothing: it was a "not found" that came early.

    last: the answer, by the name of its code or outcome.
    """

    in_s: float
    found_nothing: bool
    last: str


def judge_word(
    answer: Answer,
    verdict: Verdict,
    *,
    transaction_id: str,
    failure_code: str | None,
    absence_proven_in_s: float | None,
    facts: Mapping[str, object],
) -> MoneySays | Refusal | AskAgain:
    """Whether the word may be recorded, why not, or that the money API must be asked once more.

    transaction_id: what the person names. failure_code: the result of the payment's last call. absence_proven_in_s: as
    rules.retry says. facts: which payment it is about, for a refusal's sentence.
    """
    match verdict.credited:
        case Credited.YES if verdict.transaction_id == transaction_id:
            return MoneySays.CREDITED
        case Credited.YES:
            ids = {"at_money": verdict.transaction_id, "named": transaction_id}
            return Refusal("SETTLE_OTHER_TRANSACTION", {**facts, **ids}, _LOOK)
        case Credited.NO:
            return MoneySays.NOT_CREDITED
    if verdict.outcome is Outcome.NOT_FOUND_YET:
        if absence_proven_in_s is not None:
            return AskAgain(absence_proven_in_s, True, verdict.outcome)
        return Refusal("SETTLE_IN_PROGRESS", {**facts}, _LATER) if failure_code in _AT_WORK else MoneySays.FORGOTTEN
    return _contradiction(answer, verdict, facts) or AskAgain(
        verdict.retry_after_s or 0.0, False, verdict.code or verdict.outcome
    )


def _contradiction(answer: Answer, verdict: Verdict, facts: Mapping[str, object]) -> Refusal | None:
    """Why no word can be taken now, whatever it is; None where the answer says nothing about the payment."""
    if verdict.outcome is Outcome.FOUND_OTHER and answer.credit is not None:
        campaign_id, member_id, amount = answer.credit
        shown = clean(member_id, MEMBER_CHARACTERS_SHOWN_MAX)
        credit = {"at_campaign": campaign_id, "at_member": shown, "at_amount": amount}
        return Refusal("SETTLE_OTHER_CREDIT", {**facts, **credit, "at_money": answer.transaction_id}, _LOOK)
    if verdict.halt is Halt.UNAUTHORIZED:
        return Refusal("LOOK_UP_UNAUTHORIZED", {}, ("check_money_token",))
    return Refusal("SETTLE_IN_PROGRESS", {**facts}, _LATER) if verdict.outcome is Outcome.ACCEPTED else None
