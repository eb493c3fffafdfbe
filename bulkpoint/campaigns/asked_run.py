"""A run that is asked for, from the question to the run: written, taken by a job, called back by anyone meanwhile.

Spark needs seconds to start. A stop in that time finds the request here and refuses it; begin_run ends it as DONE in
the transaction that makes the run, so exactly one of the two happens. A request may also have been left for others to
take (campaigns/left_request.py): then only the driver that has it makes its run.
"""

import os
import socket
from contextlib import AbstractContextManager, suppress
from typing import Any, Self

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.errors import BulkpointError, StoppedError, UnreachableError
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection, Link, PeriodicLink, connect, reachable
from bulkpoint.store.run_request import (
    AskedRun,
    WantedRun,
    finish_run_request,
    give_back_run_request,
    insert_run_request,
    keep_run_request,
    overtake_run_requests,
    refusal_of,
    refuse_run_request,
    refuse_run_requests,
    take_run_request,
)

KEEP_EVERY_S = 10.0
ANSWER_S_MAX = 5.0
_ABANDONED = Refusal("REQUEST_ABANDONED")
_OVERTAKEN = Refusal("REQUEST_OVERTAKEN")
_TAKEN_BY_ANOTHER = Refusal("REQUEST_OF_ANOTHER_JOB")
# What passes by itself: a request that others may take waits for it, one whose program follows it is refused.
_PASSES = frozenset(
    ("ANOTHER_RUN_IS_RUNNING", "ANOTHER_ONE_IS_RUNNING", "ANOTHER_ONE_LOST_ITS_JOB", "DRIVER_IS_ALIVE", "BY_SIGNAL")
)


def ask_for_run(connection: Connection, request: RunRequest, *, taken: bool = False) -> None:
    """Write the request. taken: by this process, which is the job.

    Requests of the same campaign whose program is gone are ended, so that the table says what is on its way.
    """
    with connection.transaction():
        refuse_run_requests(connection, request.campaign_id, _ABANDONED, only_dead=True)
        insert_run_request(
            connection,
            request.request_id,
            wanted_run(request),
            actor=request.actor,
            holder=request.holder,
            taken_by=this_process() if taken else None,
            follows=request.follows,
        )


def wanted_run(request: RunRequest) -> WantedRun:
    """The run that is asked for, as its request is written."""
    options = request.model_dump(mode="json", include={"force", "same_as", "accept"}, exclude_defaults=True)
    if request.kind == RunKind.RETRY:
        options |= request.model_dump(mode="json", include={"selection"})
    return WantedRun(request.campaign_id, request.kind, options, request.digest, request.reason)


def refuse_if_called_back(connection: Connection, request: RunRequest) -> None:
    """Raises StoppedError where the request was called back. One that was never written is not refused."""
    refusal = refusal_of(connection, request.request_id)
    if refusal is not None:
        raise StoppedError("STOPPED_BEFORE_RUN", why=refusal)


def finish_request(connection: Connection, request: RunRequest) -> None:
    """End the request as DONE, as the last step of the transaction that makes its run.

    Others that wait for this campaign are refused: their run is made. Raises StoppedError where it was called back
    meanwhile, where it was taken from this driver, or where it asks for another run; the run is then not made.
    """
    if not finish_run_request(connection, request.request_id, wanted_run(request), holder=request.holder):
        _refuse_if_not_ours(connection, request)
    overtaken = overtake_run_requests(connection, request.campaign_id, _OVERTAKEN, by=request.request_id)
    audit_refused(connection, overtaken, _OVERTAKEN, actor=request.actor)


def call_back(connection: Connection, campaign_id: int, *, actor: str, reason: str | None) -> list[AskedRun]:
    """Refuse every request that is open for a campaign, in the caller's transaction; each with its audit row."""
    refusal = Refusal("CALLED_BACK", {"by": actor, "why": reason or Refusal("NO_REASON")})
    asked = refuse_run_requests(connection, campaign_id, refusal)
    for each in asked:
        detail = _asked(each) | {"reason": reason}
        write_audit(connection, action="call_back", campaign_id=campaign_id, run_no=None, actor=actor, detail=detail)
    return asked


def end_request(connection: Connection, request: RunRequest, why: Refusal) -> None:
    """End the request as REFUSED where it is still open: its run will not be made.

    One that others may take waits again instead where `why` is something that passes; else its refusal is audited.
    """
    if request.asked is None:
        refuse_run_request(connection, request.request_id, why)
        return
    with connection.transaction():
        if why.code in _PASSES:
            give_back_run_request(connection, request.asked, holder=request.holder)
            return
        refused = refuse_run_request(connection, request.asked, why, holder=request.holder)
        if refused is not None:
            audit_refused(connection, [refused], why, actor=request.actor)


def audit_refused(connection: Connection, asked: list[AskedRun], why: Refusal, *, actor: str) -> None:
    """The audit row of each request that was left and whose run is not made."""
    for each in asked:
        write_audit(
            connection,
            action="run.refuse",
            campaign_id=each.campaign_id,
            run_no=None,
            actor=actor,
            detail=_asked(each) | {"code": why.code},
        )


class RequestInHand(AbstractContextManager["RequestInHand"]):
    """A job's hold on its request, until the run is made: renewed by a thread, refused where the block fails before.

    Raises StoppedError where the request was called back before the job took it, or is another job's.
    """

    def __init__(self, conninfo: str, request: RunRequest) -> None:
        self._conninfo = conninfo
        self._request = request
        self._beats: PeriodicLink | None = None

    def __enter__(self) -> Self:
        request = self._request
        with connect(self._conninfo) as connection, reachable(self._conninfo):
            if request.asked is None and not request.followed:
                ask_for_run(connection, request, taken=True)
            elif not take_run_request(connection, request.request_id, holder=request.holder, taken_by=this_process()):
                _refuse_if_not_ours(connection, request)
        self._beats = PeriodicLink(
            self._conninfo,
            self._turn,
            name="bulkpoint request",
            thread_name="request",
            every_s=KEEP_EVERY_S,
            answer_s_max=ANSWER_S_MAX,
            on_trouble=lambda _: None,  # a sign of life only decides what people see; the run's transaction decides
        )
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        assert self._beats is not None
        self._beats.stop()
        if error is None:
            return
        why = Refusal("JOB_BROKE" if isinstance(error, Exception) else "BY_SIGNAL")
        if isinstance(error, BulkpointError):
            why = error.refusal
        with suppress(BulkpointError), connect(self._conninfo) as connection, reachable(self._conninfo):
            end_request(connection, self._request, why)

    def _turn(self, link: Link) -> bool:
        request = self._request
        with suppress(UnreachableError):
            return link.ask(lambda connection: keep_run_request(connection, request.request_id, holder=request.holder))
        return True


def _refuse_if_not_ours(connection: Connection, request: RunRequest) -> None:
    """Raises StoppedError where the request was called back, or may be another job's."""
    refuse_if_called_back(connection, request)
    if request.asked is not None:
        raise StoppedError("STOPPED_BEFORE_RUN", why=_TAKEN_BY_ANOTHER)


def _asked(one: AskedRun) -> dict[str, Any]:
    return {"kind": one.kind, "asked_by": one.actor, "asked_login": one.requested_by}


def this_process() -> str:
    """How a taker names itself to people."""
    return f"{socket.gethostname()}, process {os.getpid()}"
