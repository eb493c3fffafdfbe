"""One campaign, live: how far it is and what is in its way, and everything that may be done with it now."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.responses import Response

from bulkpoint.campaigns.check import acknowledge_end
from bulkpoint.campaigns.left_request import leave_request
from bulkpoint.campaigns.live import HISTORY_SHOWN, SHARES_SHOWN, Live, Story, read_live, read_story
from bulkpoint.campaigns.queue import look_at_start
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.stop import ask_to_stop, call_back_starts
from bulkpoint.campaigns.tps import change_limit
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.errors import BulkpointError, UsageError
from bulkpoint.rules.acts import Act, Situation, acts_for
from bulkpoint.rules.findings import FindingName, refusing
from bulkpoint.rules.lifecycle import RETRIED_KINDS, CampaignState, FailureKind, RunKind
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.rights import Right
from bulkpoint.rules.troubles import TroubleKind
from bulkpoint.store.progress import RetrySelection
from bulkpoint.views.campaign import CampaignView
from bulkpoint.views.live import LiveView, live_view
from bulkpoint.views.times import parse_time
from bulkpoint.views.troubles import Told
from bulkpoint.web.asked import Asked
from bulkpoint.web.confirm import REASON_CHARACTERS_MAX, confirmed
from bulkpoint.web.pages.campaigns import count_targets, in_the_way
from bulkpoint.web.pages.trouble import told
from bulkpoint.web.report import download_report
from bulkpoint.web.routes import get, post, render, see_other, status_of
from bulkpoint.web.stop_bar import may_stop

# How old what everybody is shown may be; what rarely changes is asked for less often.
LIVE_S_MAX, STORY_S_MAX = 2.0, 5.0
ENDED_LEFT = {TroubleKind.RUN_FAILED, TroubleKind.RUN_STOPPED, TroubleKind.UNKNOWN_LEFT}
FORMATS = ("html", "xlsx", "csv")


def show(asked: Asked) -> Response:
    """The page."""
    return _page(asked, asked.path_number("campaign_id"))


def _page(asked: Asked, campaign_id: int, **more: Any) -> Response:
    live = asked.shared.get(("live", campaign_id), LIVE_S_MAX, lambda: read_live(asked.connection, campaign_id))
    story = asked.shared.get(("story", campaign_id), STORY_S_MAX, lambda: read_story(asked.connection, campaign_id))
    troubles = [each for each in told(asked, since=live.campaign.run_finished_at) if each.campaign_id == campaign_id]
    language, timezone = asked.session.language, asked.settings.timezone
    acts = _acts(asked, live, troubles)
    deadline, deadline_refused = _deadline(asked)
    if deadline_refused is not None:
        more = {"refusal": deadline_refused.refusal, "status": 422} | more
    return render(
        asked,
        "campaign.html.j2",
        live=live,
        story=story,
        view=_view(live, story, language=language, timezone=timezone, deadline=deadline),
        acts=acts,
        check=troubles,
        deadline=asked.query("deadline") or "",
        start=_start(asked, live) if Act.START in acts else None,
        retried=RETRIED_KINDS,
        formats=FORMATS,
        shares_shown=SHARES_SHOWN,
        history_shown=HISTORY_SHOWN,
        reason_most=REASON_CHARACTERS_MAX,
        said_of=partial(in_the_way, language=language, timezone=timezone),
        **more,
    )


def _view(live: Live, story: Story, *, language: str, timezone: str, deadline: datetime | None) -> LiveView:
    return live_view(
        CampaignView.of(live.campaign, live.counts),
        live.campaign,
        live.sample,
        rate=live.rate,
        left_s=live.left_s,
        calls=live.calls,
        tally=live.tally,
        runs=story.runs,
        samples=story.samples,
        history=story.history,
        deadline=deadline,
        language=language,
        timezone=timezone,
    )


def _acts(asked: Asked, live: Live, troubles: list[Told]) -> list[Act]:
    campaign = live.campaign
    situation = Situation(
        campaign.state,
        stopping=campaign.stopping,
        driver_is_gone=campaign.driver_is_gone,
        archived=campaign.archived_at is not None,
        frozen=campaign.frozen_at is not None,
        failed=live.counts.failed,
        on_hold=live.sample.tps == 0,
        asked=bool(live.on_its_way),
        left=any(each.kind in ENDED_LEFT for each in troubles),
    )
    return acts_for(situation, asked.rights, may_write=may_stop(asked))


def _start(asked: Asked, live: Live) -> dict[str, Any]:
    """What a start needs to know: what stands in its way, and which list was seen."""
    why, found = look_at_start(asked.connection, asked.settings, live.campaign, count_targets=count_targets(asked))
    return {
        "why": why,
        "accept": [] if found is None else refusing(found.findings),
        "digest": None if found is None or found.digest is None else found.digest.hex(),
        "is_repetition": why is not None and why.code == "LIST_PAID_BEFORE",
        "may_force": asked.may(Right.FORCE),
    }


def _deadline(asked: Asked) -> tuple[datetime | None, BulkpointError | None]:
    """The moment that the address names; where it names none, why."""
    text = asked.query("deadline")
    if text is None:
        return None, None
    try:
        zone, now = asked.settings.timezone, datetime.now(UTC)
        return parse_time(text, option="deadline", timezone=zone, now=now), None
    except UsageError as error:
        return None, error


def _act(do: Callable[[Asked, int], str]) -> Callable[[Asked], Response]:
    """An act of a form on the page: then the page again, which says that it is done, or why it is not.

    `do` returns the line to be said.
    """

    def handler(asked: Asked) -> Response:
        campaign_id = asked.path_number("campaign_id")
        try:
            said = do(asked, campaign_id)
        except BulkpointError as error:
            status = status_of(error)
            if status in (404, 503):
                raise
            asked.shared.forget()
            return _page(asked, campaign_id, refusal=error.refusal, typed=asked.form, status=status)
        return see_other(asked, f"/campaigns/{campaign_id}", said, campaign_id=campaign_id)

    return handler


def _reason(asked: Asked) -> str | None:
    return asked.form.optional_text("reason", most=REASON_CHARACTERS_MAX)


def _stop(asked: Asked, campaign_id: int) -> str:
    """At once: a start on its way is called back, a run's gates are closed. Its end comes with its last answers."""
    reason = _reason(asked)
    state, called_back = call_back_starts(asked.connection, campaign_id, actor=asked.actor, reason=reason)
    if called_back and state != CampaignState.RUNNING:
        return "request_called_back"
    ask_to_stop(asked.connection, campaign_id, actor=asked.actor, reason=reason)
    return "stopped"


def _hold(asked: Asked, campaign_id: int) -> str:  # noqa: ARG001 (the limit is everybody's)
    change_limit(asked.connection, asked.settings, tps=0, actor=asked.actor, reason=_reason(asked))
    return "on_hold"


def _ask_start(asked: Asked, campaign_id: int) -> str:
    form, reason = asked.form, confirmed(asked.form, campaign_id)
    request = RunRequest(
        campaign=campaign_id,
        actor=asked.actor,
        reason=reason,
        digest=form.optional_text("digest", most=64),
        force=form.checked("force"),
        accept=tuple(name for name in form.all("accept") if name in set(FindingName)),
        same_as=form.optional_number("same_as", least=1, most=BIGINT_MAX),
    )
    leave_request(asked.connection, asked.settings, request)
    return "start_asked"


def _ask_resume(asked: Asked, campaign_id: int) -> str:
    reason = confirmed(asked.form, campaign_id)
    request = RunRequest(campaign=campaign_id, kind=RunKind.RESUME, actor=asked.actor, reason=reason)
    leave_request(asked.connection, asked.settings, request)
    return "resume_asked"


def _ask_retry(asked: Asked, campaign_id: int) -> str:
    form, reason = asked.form, confirmed(asked.form, campaign_id)
    kinds = tuple(kind for kind in FailureKind if kind in form.all("kind"))
    if not kinds:
        raise UsageError("RETRY_OF_NO_KIND")
    code = form.optional_text("code", most=100)
    selection = RetrySelection(kinds, code, form.checked("beyond_limit"))
    request = RunRequest(
        campaign=campaign_id, kind=RunKind.RETRY, actor=asked.actor, reason=reason, selection=selection
    )
    leave_request(asked.connection, asked.settings, request)
    return "retry_asked"


def _withdraw(asked: Asked, campaign_id: int) -> str:
    reason = confirmed(asked.form, campaign_id)
    withdraw_campaign(asked.connection, campaign_id, actor=asked.actor, reason=reason)
    return "withdrawn"


def _acknowledge(asked: Asked, campaign_id: int) -> str:
    reason = asked.form.text("reason", least=1, most=REASON_CHARACTERS_MAX)
    acknowledge_end(asked.connection, campaign_id, actor=asked.actor, reason=reason)
    return "left_as_it_is"


def report(asked: Asked) -> Response:
    """The report as a file, with the audit row of whoever takes members out."""
    campaign_id = asked.path_number("campaign_id")
    try:
        kind, is_failed_only = asked.form.choice("format", FORMATS), asked.form.checked("failed_only")
        return download_report(asked, campaign_id, kind, failed_only=is_failed_only, reason=_reason(asked))
    except UsageError as error:
        return _page(asked, campaign_id, refusal=error.refusal, typed=asked.form, status=422)


def back(asked: Asked) -> Response:
    """Whoever reloads the answer to a form that was refused, or changes the language there, is back on the page."""
    return see_other(asked, f"/campaigns/{asked.path_number('campaign_id')}")


PATH = "/campaigns/{campaign_id:int}"
_ACTS = {
    "stop": _stop,
    "hold": _hold,
    "start": _ask_start,
    "resume": _ask_resume,
    "retry": _ask_retry,
    "withdraw": _withdraw,
    "acknowledge": _acknowledge,
}
routes = [
    get(PATH, show),
    *(post(f"{PATH}/{name}", _act(do)) for name, do in _ACTS.items()),
    post(f"{PATH}/report", report, is_long=True),
    *(get(f"{PATH}/{name}", back) for name in (*_ACTS, "report")),
]
