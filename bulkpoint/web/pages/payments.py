"""A campaign's payments, by their number: walked a bounded part at a time, because no index knows their states."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from bulkpoint.campaigns.reading import find_member, note_list, writes_apart
from bulkpoint.errors import BulkpointError, RefusedError
from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.rules.member_names import Eyes
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.targets import MEMBER_ID_CHARACTERS_MAX
from bulkpoint.store.audit import Reading, member_hash
from bulkpoint.store.campaign import Campaign, Counts, get_campaign, get_counts, refuse_archived
from bulkpoint.store.payment_history import FoundPayment
from bulkpoint.store.watched import WalkedPayment, member_numbered, number_of_member, walk_payments
from bulkpoint.views.payment import PaymentView, explain
from bulkpoint.web.asked import Asked
from bulkpoint.web.confirm import REASON_CHARACTERS_MAX
from bulkpoint.web.routes import get, post, render, see_other, status_of

ROWS_SHOWN = 50
# Payments that one page looks through at most: with what they are asked for in memory, some 15 ms (docs/page.md).
LOOKED_MAX = 50_000
CODE_CHARACTERS_MAX = 100
NOT_UNKNOWN = tuple(kind for kind in FailureKind if kind is not FailureKind.UNKNOWN)
UNKNOWN = str(FailureKind.UNKNOWN)


@dataclass(frozen=True)
class Choice:
    """Which payments are wanted. what: empty for all, a state (FAILED: without UNKNOWN), or a kind of failure."""

    what: str = ""
    code: str | None = None
    after: int = 0

    @classmethod
    def of(cls, asked: Asked) -> "Choice":
        """What is no state and no kind, or no number, counts as not given."""
        what, after = asked.query("show") or "", asked.query("after") or ""
        if what not in (*PaymentState, *FailureKind):
            what = ""
        code = (asked.query("code") or "").strip()[:CODE_CHARACTERS_MAX] or None
        is_number = after.isascii() and after.isdecimal() and int(after) < BIGINT_MAX
        return cls(what, code, int(after) if is_number else 0)

    @property
    def wanted(self) -> dict[str, Any]:
        """As walk_payments takes it."""
        if self.what == PaymentState.FAILED:
            return {"kinds": NOT_UNKNOWN, "code": self.code}
        if self.what in set(FailureKind):
            return {"kinds": (FailureKind(self.what),), "code": self.code}
        return {"state": PaymentState(self.what) if self.what else None, "code": self.code}

    def known(self, counts: Counts) -> int | None:
        """How many there are by the campaign's counters; None where these do not say it."""
        if self.code is not None:
            return None
        if self.what == PaymentState.FAILED:
            return counts.not_paid
        if self.what in set(FailureKind):
            return counts.failure_kinds.get(self.what, 0)
        return int(getattr(counts, self.what.lower())) if self.what else None

    def address(self, campaign_id: int, after: int = 0) -> str:
        """Of the part that follows."""
        given = {"show": self.what, "code": self.code, "after": after}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"/campaigns/{campaign_id}/payments" + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Walked:
    """A part of the list. from_no, to_no: what was looked through. after: where it goes on, None at its end."""

    payments: list[WalkedPayment]
    from_no: int
    to_no: int
    after: int | None


def show(asked: Asked) -> Response:
    """The page; each look at members leaves an audit row, before anything is shown."""
    campaign = get_campaign(asked.connection, asked.path_number("campaign_id"))
    return _page(asked, campaign)


def _page(asked: Asked, campaign: Campaign, **more: Any) -> Response:
    choice, campaign_id = Choice.of(asked), campaign.campaign_id
    walked, masked, counts = None, False, get_counts(asked.connection, campaign)
    if campaign.frozen_at is not None and campaign.archived_at is None:
        walked = _walk(asked, campaign, choice)
        if walked.payments:
            shown: dict[str, object] = {"show": choice.what or None, "code": choice.code, "after": choice.after}
            note = writes_apart(asked.conninfo, actor=asked.actor)
            eyes = note_list(note, campaign_id, rows=len(walked.payments), shown=shown)
            masked = not eyes.sees
            walked = replace(walked, payments=[_seen(each, eyes) for each in walked.payments])
    return render(
        asked,
        "payments.html.j2",
        campaign=campaign,
        choice=choice,
        walked=walked,
        masked=masked,
        known=choice.known(counts),
        states=list(PaymentState),
        kinds=list(FailureKind),
        onward=None if walked is None or walked.after is None else choice.address(campaign_id, walked.after),
        first=replace(choice, after=0).address(campaign_id) if choice.after else None,
        member_most=MEMBER_ID_CHARACTERS_MAX,
        reason_most=REASON_CHARACTERS_MAX,
        **more,
    )


def _walk(asked: Asked, campaign: Campaign, choice: Choice) -> Walked:
    total = campaign.target_count or 0
    up_to = min(choice.after + LOOKED_MAX, total)
    found = walk_payments(
        asked.connection,
        campaign.campaign_id,
        after=choice.after,
        up_to=up_to,
        rows_max=ROWS_SHOWN + 1,
        **choice.wanted,
    )
    if len(found) > ROWS_SHOWN:
        found = found[:ROWS_SHOWN]
        up_to = found[-1].seq
    return Walked(found, choice.after + 1, up_to, up_to if up_to < total else None)


def _seen(one: WalkedPayment, eyes: Eyes) -> WalkedPayment:
    """As the reader may see it."""
    return replace(
        one,
        member_id=eyes.member(one.member_id),
        reason=eyes.text(one.reason, one.member_id),
        failure_code=eyes.optional(one.failure_code, one.member_id),
        failure_message=eyes.optional(one.failure_message, one.member_id),
        transaction_id=eyes.optional(one.transaction_id, one.member_id),
    )


def find(asked: Asked) -> Response:
    """To the payment of one member, whose id is in no address."""
    campaign = get_campaign(asked.connection, asked.path_number("campaign_id"))
    campaign_id = campaign.campaign_id
    try:
        refuse_archived(campaign)
        member = asked.form.text("member", least=1, most=MEMBER_ID_CHARACTERS_MAX)
        reason = asked.form.optional_text("reason", most=REASON_CHARACTERS_MAX)
        seq = number_of_member(asked.connection, campaign_id, member)
        detail: dict[str, object] = {"member_sha256": member_hash(member), "rows": 0 if seq is None else 1}
        note = writes_apart(asked.conninfo, actor=asked.actor)
        note(action=Reading.FIND, campaign_id=campaign_id, detail=detail | {"reason": reason})
        if seq is None:
            raise RefusedError("MEMBER_NOT_IN_CAMPAIGN", campaign_id=campaign_id)
    except BulkpointError as error:
        status = status_of(error)
        if status == 503:
            raise
        return _page(asked, campaign, refusal=error.refusal, typed=asked.form, status=status)
    return see_other(asked, f"/campaigns/{campaign_id}/payments/{seq}")


def back(asked: Asked) -> Response:
    """Whoever reloads the answer to a search that found nothing is back on the page."""
    return see_other(asked, f"/campaigns/{asked.path_number('campaign_id')}/payments")


def show_one(asked: Asked) -> Response:
    """One payment with its calls, as `payment find` shows it; it leaves an audit row."""
    campaign_id, seq = asked.path_number("campaign_id"), asked.path_number("seq")
    campaign = get_campaign(asked.connection, campaign_id)
    refuse_archived(campaign)
    member = member_numbered(asked.connection, campaign_id, seq)
    if member is None:
        raise RefusedError("PAYMENT_NUMBER_UNKNOWN", campaign_id=campaign_id, number=seq)
    note = writes_apart(asked.conninfo, actor=asked.actor)
    found = find_member(asked.connection, member, note=note, campaign_id=campaign_id)
    one = next(each for each in found.payments if isinstance(each, FoundPayment))
    return render(
        asked,
        "payment.html.j2",
        campaign=campaign,
        seq=seq,
        one=PaymentView.of(one),
        explained=explain(one, asked.session.language),
        masked=not found.eyes.sees,
    )


PATH = "/campaigns/{campaign_id:int}/payments"
routes = [
    get(PATH, show),
    post(f"{PATH}/find", find),
    get(f"{PATH}/find", back),
    get(f"{PATH}/{{seq:int}}", show_one),
]
