"""A run that is asked for, from the question to the run: written, taken by a job, called back by anyone meanwhile.

Spark needs seconds to start. A stop in that time finds the request here and refuses it; begin_run ends it as DONE in
the transaction that makes the run, so exactly one of the two happens.
"""

import os
import socket
from contextlib import AbstractContextManager, suppress
from typing import Self

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.errors import BulkpointError, StoppedError, UnreachableError
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection, Link, PeriodicLink, connect, reachable
from bulkpoint.store.run_request import (
    AskedRun,
    finish_run_request,
    insert_run_request,
    keep_run_request,
    refusal_of,
    refuse_run_request,
    refuse_run_requests,
    take_run_request,
)

KEEP_EVERY_S = 10.0
ANSWER_S_MAX = 5.0
_ABANDONED = Refusal("REQUEST_ABANDONED")


def ask_for_run(connection: Connection, request: RunRequest, *, taken: bool = False) -> None:
    """Write the request. taken: by this process, which is the job.

    Requests of the same campaign whose program is gone are ended, so that the table says what is on its way.
    """
    with connection.transaction():
        refuse_run_requests(connection, request.campaign_id, _ABANDONED, only_dead=True)
        options = request.model_dump(mode="json", include={"force", "same_as", "accept"}, exclude_defaults=True)
        if request.kind == RunKind.RETRY:
            options |= request.model_dump(mode="json", include={"selection"})
        insert_run_request(
            connection,
            request.request_id,
            request.campaign_id,
            kind=request.kind,
            options=options,
            digest=request.digest,
            reason=request.reason,
            actor=request.actor,
            taken_by=_this_process() if taken else None,
        )


def refuse_if_called_back(connection: Connection, request: RunRequest) -> None:
    """Raises StoppedError where the request was called back. One that was never written is not refused."""
    refusal = refusal_of(connection, request.request_id)
    if refusal is not None:
        raise StoppedError("STOPPED_BEFORE_RUN", why=refusal)


def finish_request(connection: Connection, request: RunRequest) -> None:
    """End the request as DONE, as the last step of the transaction that makes its run.

    Raises StoppedError where it was called back meanwhile; the run is then not made.
    """
    if not finish_run_request(connection, request.request_id):
        refuse_if_called_back(connection, request)


def call_back(connection: Connection, campaign_id: int, *, actor: str, reason: str | None) -> list[AskedRun]:
    """Refuse every request that is open for a campaign, in the caller's transaction; each with its audit row."""
    refusal = Refusal("CALLED_BACK", {"by": actor, "why": reason or Refusal("NO_REASON")})
    asked = refuse_run_requests(connection, campaign_id, refusal)
    for each in asked:
        detail = {"kind": each.kind, "asked_by": each.actor, "asked_login": each.requested_by, "reason": reason}
        write_audit(connection, action="call_back", campaign_id=campaign_id, run_no=None, actor=actor, detail=detail)
    return asked


def end_request(connection: Connection, request: RunRequest, why: Refusal) -> None:
    """End the request as REFUSED where it is still open: its run will not be made."""
    refuse_run_request(connection, request.request_id, why)


class RequestInHand(AbstractContextManager["RequestInHand"]):
    """A job's hold on its request, until the run is made: renewed by a thread, refused where the block fails before.

    Raises StoppedError where the request was called back before the job took it.
    """

    def __init__(self, conninfo: str, request: RunRequest) -> None:
        self._conninfo = conninfo
        self._request = request
        self._beats: PeriodicLink | None = None

    def __enter__(self) -> Self:
        with connect(self._conninfo) as connection, reachable(self._conninfo):
            if not self._request.followed:
                ask_for_run(connection, self._request, taken=True)
            elif not take_run_request(connection, self._request.request_id, taken_by=_this_process()):
                refuse_if_called_back(connection, self._request)
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
        with suppress(UnreachableError):
            return link.ask(lambda connection: keep_run_request(connection, self._request.request_id))
        return True


def _this_process() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"
