"""Runs that are asked for, as rows: written, taken by a job, ended by the run's transaction or called back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal, from_json, to_json
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

# How long a request counts as alive without a sign of life. Enough for spark-submit to start a job, which then renews
# it; it decides only what people see: a request that is called back is refused whether it looks alive or not.
ALIVE_S = 60.0


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A request that is open. requested_by: the database login; actor: the name that was claimed."""

    request_id: UUID
    campaign_id: int
    kind: RunKind
    actor: str
    requested_by: str
    requested_at: datetime


_TAKE = Query("take_run_request", UUID)
_KEEP = Query("keep_run_request", UUID)
_FINISH = Query("finish_run_request", UUID)
_REFUSE = Query("refuse_run_requests", AskedRun)
_REFUSAL = Query[str]("refusal_of_run_request", str)
_LIVE = Query("live_run_requests", AskedRun)


def insert_run_request(
    connection: Connection,
    request_id: UUID,
    campaign_id: int,
    *,
    kind: RunKind,
    options: dict[str, Any],
    digest: str | None,
    reason: str | None,
    actor: str,
    taken_by: str | None,
) -> None:
    """Write a request; the database refuses a login without the right."""
    connection.execute(
        sql("insert_run_request"),
        {
            "request_id": request_id,
            "campaign_id": campaign_id,
            "kind": kind,
            "options": Jsonb(options),
            "digest": digest,
            "reason": reason,
            "actor": actor,
            "taken_by": taken_by,
            "alive_s": ALIVE_S,
        },
    )


def take_run_request(connection: Connection, request_id: UUID, *, taken_by: str) -> bool:
    """Take a request that waits; false where it is not there, was taken, or is over."""
    return _TAKE.first(connection, request_id=request_id, taken_by=taken_by, alive_s=ALIVE_S) is not None


def keep_run_request(connection: Connection, request_id: UUID) -> bool:
    """A sign of life; false once the request is over."""
    return _KEEP.first(connection, request_id=request_id, alive_s=ALIVE_S) is not None


def finish_run_request(connection: Connection, request_id: UUID) -> bool:
    """End a request as DONE, in the transaction that makes its run; false where it is over, or never was."""
    return _FINISH.first(connection, request_id=request_id) is not None


def refuse_run_request(connection: Connection, request_id: UUID, refusal: Refusal) -> bool:
    """End one request as REFUSED; false where it is over already."""
    return bool(_refuse(connection, refusal, request_id=request_id))


def refuse_run_requests(
    connection: Connection, campaign_id: int, refusal: Refusal, *, only_dead: bool = False
) -> list[AskedRun]:
    """End every open request of a campaign as REFUSED, and return them. only_dead: those whose program is gone."""
    return _refuse(connection, refusal, campaign_id=campaign_id, only_dead=only_dead)


def refusal_of(connection: Connection, request_id: UUID) -> Refusal | None:
    """Why a request was refused; None where it was not."""
    text = _REFUSAL.first(connection, request_id=request_id)
    return None if text is None else from_json(text)


def live_run_requests(connection: Connection, campaign_id: int) -> list[AskedRun]:
    """What is on its way for a campaign, the first one first."""
    return _LIVE.all(connection, campaign_id=campaign_id)


def _refuse(
    connection: Connection,
    refusal: Refusal,
    *,
    request_id: UUID | None = None,
    campaign_id: int | None = None,
    only_dead: bool = False,
) -> list[AskedRun]:
    packed = to_json(refusal)
    which = {"request_id": request_id, "campaign_id": campaign_id, "only_dead": only_dead}
    return _REFUSE.all(connection, **which, refusal=packed)
