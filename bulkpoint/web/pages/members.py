"""One member over all campaigns, for whoever answers members: what was paid, what is on its way, and what to say.

The id comes by a form and goes into the page, into no address, log or title. Who looks is in the audit log first.
"""

import shlex
from typing import NamedTuple

from starlette.responses import Response

from bulkpoint.campaigns.reading import FoundMember, find_member, writes_on
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.rules.targets import MEMBER_ID_CHARACTERS_MAX
from bulkpoint.store.payment_history import FoundPayment, FoundTarget
from bulkpoint.text import one_line
from bulkpoint.views.languages import LANGUAGES, phrase
from bulkpoint.views.member_answer import answer, answer_key
from bulkpoint.views.payment import PaymentView, explain
from bulkpoint.web.asked import Asked
from bulkpoint.web.routes import get, post, render, status_of

REASON_MAX = 400
# Why members are looked up, mostly; `other` is said in the person's own words.
PURPOSES = ("inquiry", "complaint", "check", "correction", "other")


class Card(NamedTuple):
    """One payment: as it is, the sentence to say in each language, and what may be done.

    answers: (language, sentence). look_up, settle: the commands for a payment that may have been credited, None
    where they are of no use.
    """

    payment: PaymentView
    explained: str
    tone: str
    answers: list[tuple[str, str]]
    look_up: str | None
    settle: str | None


def show(asked: Asked) -> Response:
    """The form."""
    return _page(asked, None)


def find(asked: Asked) -> Response:
    """Look the member up, and show what was found below the form."""
    form = asked.form
    try:
        member_id = form.text("member", most=MEMBER_ID_CHARACTERS_MAX, least=1)
        campaign_id = form.optional_number("campaign", least=1, most=BIGINT_MAX)
        note = writes_on(asked.connection, actor=asked.actor)
        found = find_member(asked.connection, member_id, note=note, campaign_id=campaign_id, reason=_reason(asked))
    except (RefusedError, UsageError) as error:
        return _page(asked, None, refusal=error.refusal, status=status_of(error))
    return _page(asked, found)


def _reason(asked: Asked) -> str:
    """What it is for: one of the usual reasons, and more in the person's own words; one of both at least."""
    purpose = asked.form.choice("purpose", PURPOSES)
    more = one_line(asked.form.text("reason", most=REASON_MAX, least=purpose == "other"), REASON_MAX)
    if purpose == "other":
        return more
    said: str = asked.words["members"]["purposes"][purpose]
    return f"{said}: {more}" if more else said


def _page(asked: Asked, found: FoundMember | None, *, refusal: Refusal | None = None, status: int = 200) -> Response:
    return render(
        asked,
        "members.html.j2",
        refusal=refusal,
        typed=asked.form,
        status=status,
        purposes=PURPOSES,
        found=found is not None,
        archived=0 if found is None else found.archived,
        cards=[] if found is None else [_card(asked, one) for one in found.payments],
        nothing=[(language, phrase(language, "to_member.nothing")) for language in LANGUAGES],
        sees=asked.may(Right.MEMBERS),
        may_settle=asked.may(Right.RECONCILE),
        member_max=MEMBER_ID_CHARACTERS_MAX,
        reason_max=REASON_MAX,
    )


def _card(asked: Asked, one: FoundPayment | FoundTarget) -> Card:
    timezone = asked.settings.timezone
    in_doubt = isinstance(one, FoundPayment) and (
        one.failure_kind == FailureKind.UNKNOWN or (one.maybe_credited and one.state != PaymentState.SUCCESS)
    )
    look_up = settle = None
    if in_doubt:
        look_up = f"bulkpoint reconcile {one.campaign_id}"
        member = shlex.quote(asked.form.text("member", most=MEMBER_ID_CHARACTERS_MAX))
        settle = f"bulkpoint payment settle --campaign {one.campaign_id} --member {member} --transaction T --reason R"
    return Card(
        PaymentView.of(one),
        explain(one, asked.session.language),
        _TONES.get(answer_key(one), "open"),
        [(language, answer(one, language, timezone)) for language in LANGUAGES],
        look_up,
        settle,
    )


_TONES = {
    "paid": "success",
    "checking": "unknown",
    "REJECTED": "failed",
    "UNAVAILABLE": "failed",
    "MISMATCH": "failed",
}

routes = [get("/members", show), post("/members", find)]
