"""Runs that are asked for and left for others to make: by a page, for `bulkpoint agent` and the schedulers' jobs.

Who asks needs the right, at once and again in the transaction that makes the run; who makes it needs none of its own.
A campaign has one open request. It waits while something runs, and is refused when nobody took it in time.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from bulkpoint.campaigns.asked_run import audit_refused, this_process, wanted_run
from bulkpoint.campaigns.resume import check_resumable
from bulkpoint.campaigns.retry import plan_retry
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import OPENED_BY
from bulkpoint.campaigns.start import plan_unasked
from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal, from_json
from bulkpoint.settings import Settings
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.run_request import (
    VALID_S,
    LatestRequest,
    LeftRequest,
    RequestState,
    WantedRun,
    expire_run_requests,
    latest_left_request,
    leave_run_request,
    take_next_run_request,
)

_EXPIRED = Refusal("REQUEST_EXPIRED", {"hours": round(VALID_S / 3_600)})


@dataclass(frozen=True)
class Standing:
    """How a request stands: waiting, taken or refused. said: who asked, and what it waits for or why it was refused.

    agent_missing: it waits, and no agent is alive that would take it.
    """

    request: LatestRequest
    state: RequestState
    said: Refusal
    agent_missing: bool = False


def leave_request(connection: Connection, settings: Settings, request: RunRequest) -> LatestRequest:
    """Ask for a start, resume or retry that others make, and return the request as it waits.

    What can be checked is checked now, as `campaign start --yes` does it: a long list is left to the job. What runs is
    no obstacle, nor is an older campaign whose start was asked for before. The same question by the same login again
    changes nothing. Raises RefusedError with the obstacle, also where another request is open for this campaign.
    """
    match request.kind:
        case RunKind.INITIAL:
            request = plan_unasked(connection, settings, request, may_wait=True).request
        case RunKind.RESUME:
            check_resumable(connection, request)
        case RunKind.RETRY:
            plan_retry(connection, request, settings)
    campaign_id, wanted = request.campaign_id, wanted_run(request)
    with connection.transaction():
        expire_requests(connection, actor=request.actor)
        written = leave_run_request(connection, request.request_id, wanted, actor=request.actor)
        latest = latest_left_request(connection, campaign_id)
        if written:
            detail = _detail_of(wanted)
            write_audit(
                connection, action="run.ask", campaign_id=campaign_id, run_no=None, actor=request.actor, detail=detail
            )
    if latest is None or latest.state not in (RequestState.WAITING, RequestState.TAKEN):
        raise RefusedError("REQUEST_JUST_ENDED", "show", campaign_id=campaign_id)
    if not written and not _asks_the_same(latest, wanted):
        facts = {"asked": OPENED_BY[latest.kind], "by": latest.actor, "since": latest.requested_at}
        raise RefusedError("REQUEST_WAITS_ALREADY", "call_back_first", campaign_id=campaign_id, **facts)
    return latest


def _detail_of(wanted: WantedRun) -> dict[str, Any]:
    """What its audit row says: everything that was asked for, a retry's selection in the words of its run's row."""
    options = dict(wanted.options)
    selection = options.pop("selection", {})
    asked = {"kind": wanted.kind, "digest": wanted.digest, "reason": wanted.reason}
    return {name: value for name, value in (options | selection | asked).items() if value not in (None, False)}


def standing_of(connection: Connection, campaign_id: int) -> Standing | None:
    """The campaign's latest request that was left for others; None once its run began, or where there was none."""
    latest = latest_left_request(connection, campaign_id)
    if latest is None:
        return None
    asked = {
        "by": latest.actor,
        "since": latest.requested_at,
        "campaign_id": campaign_id,
        "asked": OPENED_BY[latest.kind],
    }
    if latest.refusal is not None or latest.expired:
        why = _EXPIRED if latest.refusal is None else from_json(latest.refusal)
        refused = Refusal("REQUEST_REFUSED", asked | {"at": latest.ended_at or latest.valid_until, "why": why})
        return Standing(latest, RequestState.REFUSED, refused)
    if latest.state == RequestState.TAKEN:
        return Standing(latest, latest.state, Refusal("REQUEST_TAKEN", asked | {"taken_by": latest.taken_by}))
    waits = Refusal("REQUEST_WAITS", asked | {"why": _what_for(latest)})
    return Standing(latest, latest.state, waits, agent_missing=latest.agents == 0)


def expire_requests(connection: Connection, *, actor: str) -> None:
    """Refuse what nobody took in time, each with its audit row."""
    with connection.transaction():
        audit_refused(connection, expire_run_requests(connection, _EXPIRED), _EXPIRED, actor=actor)


def take_next(connection: Connection, *, holder: UUID | None = None) -> RunRequest | None:
    """Take the oldest request that may run now, for a driver of this name; None where there is none."""
    holder = holder or uuid4()
    left = take_next_run_request(connection, holder=holder, taken_by=this_process())
    return None if left is None else request_of(left, holder=holder)


def request_of(left: LeftRequest, *, holder: UUID) -> RunRequest:
    """The run that was asked for, for the driver that takes it."""
    return RunRequest.model_validate(
        left.options
        | {
            "campaign": left.campaign_id,
            "kind": left.kind,
            "actor": left.actor,
            "holder": holder,
            "asked": left.request_id,
            "digest": left.digest,
            "reason": left.reason,
        }
    )


def _what_for(latest: LatestRequest) -> Refusal:
    if latest.agents == 0:
        return Refusal("WAITS_FOR_AN_AGENT")
    if latest.running_id is not None:
        return Refusal("WAITS_FOR_A_RUN", {"running_id": latest.running_id})
    if latest.after_id is not None:
        return Refusal("WAITS_FOR_A_REQUEST", {"after_id": latest.after_id})
    return Refusal("WAITS_FOR_ITS_TURN")


def _asks_the_same(latest: LatestRequest, wanted: WantedRun) -> bool:
    asked = WantedRun(latest.campaign_id, latest.kind, latest.options, latest.digest, latest.reason)
    return latest.own and asked == wanted
