"""Runs that are asked for, as rows: written, taken by a job, ended by the run's transaction or called back."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from bulkpoint.rules.findings import refusal_without_members
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal, from_json, to_json
from bulkpoint.rules.rights import Right
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

# How long a request counts as alive without a sign of life. Enough for spark-submit to start a job, which then renews
# it; it decides only what people see: a request that is called back is refused whether it looks alive or not. One that
# was left for whoever runs jobs may be taken again after it.
ALIVE_S = 60.0
# How long a request that was left waits to be taken: over a night, not into the day after.
VALID_S = 43_200.0


class RequestState(StrEnum):
    """Where a request stands."""

    WAITING = "WAITING"
    TAKEN = "TAKEN"  # by a job that has not made its run yet
    DONE = "DONE"
    REFUSED = "REFUSED"


class WantedRun(NamedTuple):
    """What a request asks for. options: what else than digest and reason, as a JSON object."""

    campaign_id: int
    kind: RunKind
    options: dict[str, Any]
    digest: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A request that is open. requested_by: the database login; actor: the name that was claimed."""

    request_id: UUID
    campaign_id: int
    kind: RunKind
    actor: str
    requested_by: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class LeftRequest(AskedRun):
    """One that was left for whoever runs jobs, with everything that was asked for."""

    options: dict[str, Any]
    digest: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class LatestRequest(LeftRequest):
    """The latest one of a campaign, and what it waits for.

    own: of this connection's login. expired: nobody took it in time. agents: how many are alive. running_id: another
    campaign that runs. after_id: the campaign of an older request that goes first.
    """

    valid_until: datetime
    state: RequestState
    taken_by: str | None
    ended_at: datetime | None
    refusal: str | None
    own: bool
    expired: bool
    agents: int
    running_id: int | None
    after_id: int | None


class Asker(NamedTuple):
    """Who asked for a run that another login makes; taken_by: the host and process that made it."""

    actor: str
    login: str
    taken_by: str | None


class Holding(NamedTuple):
    """Whether the login that asked for a run has a right."""

    login: str
    has_it: bool


_LEAVE = Query("leave_run_request", UUID)
_TAKE = Query("take_run_request", UUID)
_TAKE_NEXT = Query("take_next_run_request", LeftRequest)
_NEXT = Query("next_left_request", LeftRequest)
_GIVE_BACK = Query("give_back_run_request", UUID)
_KEEP = Query("keep_run_request", UUID)
_FINISH = Query("finish_run_request", UUID)
_REFUSE = Query("refuse_run_requests", AskedRun)
_OVERTAKE = Query("overtake_run_requests", AskedRun)
_EXPIRE = Query("expire_run_requests", AskedRun)
_REFUSAL = Query[str]("refusal_of_run_request", str)
_LIVE = Query("live_run_requests", AskedRun)
_LATEST = Query("latest_left_request", LatestRequest)
_ASKER = Query("asker_of_run", Asker)
_HAS_RIGHT = Query("asker_has_right", Holding)


def insert_run_request(
    connection: Connection,
    request_id: UUID,
    wanted: WantedRun,
    *,
    actor: str,
    holder: UUID,
    taken_by: str | None,
    follows: UUID | None,
) -> None:
    """Write a request whose program starts the job itself; the database refuses a login without the right."""
    asked = _row(wanted) | {"actor": actor, "holder": holder, "taken_by": taken_by, "follows": follows}
    connection.execute(sql("insert_run_request"), {"request_id": request_id, **asked, "alive_s": ALIVE_S})


def leave_run_request(connection: Connection, request_id: UUID, wanted: WantedRun, *, actor: str) -> bool:
    """Write a request for whoever runs jobs; false where one waits for this campaign already. The database refuses a
    login without the right."""
    return _LEAVE.first(connection, request_id=request_id, **_row(wanted), actor=actor, valid_s=VALID_S) is not None


def take_run_request(connection: Connection, request_id: UUID, *, holder: UUID, taken_by: str) -> bool:
    """Take a request that waits, or that an agent took for this driver; false where it is another's or over, and
    where it was left and another one is on its way."""
    try:
        taken = _TAKE.first(connection, request_id=request_id, holder=holder, taken_by=taken_by, alive_s=ALIVE_S)
    except psycopg.errors.UniqueViolation:
        return False
    return taken is not None


def take_next_run_request(connection: Connection, *, holder: UUID, taken_by: str) -> LeftRequest | None:
    """Take the oldest request that may run now; None where there is none, or another is on its way.

    One that was taken is taken again where its taker has given no sign of life: under a new holder, so that the old
    one makes no run.
    """
    connection.execute(sql("release_dead_run_requests"))
    try:
        return _TAKE_NEXT.first(connection, holder=holder, taken_by=taken_by, alive_s=ALIVE_S)
    except psycopg.errors.UniqueViolation:
        return None


def next_left_request(connection: Connection) -> LeftRequest | None:
    """The oldest request that waits for whoever runs jobs; nothing is changed."""
    return _NEXT.first(connection)


def give_back_run_request(connection: Connection, request_id: UUID, *, holder: UUID) -> bool:
    """Let a request wait again that this driver has taken; false where it is another's, over, or not for others."""
    return _GIVE_BACK.first(connection, request_id=request_id, holder=holder) is not None


def keep_run_request(connection: Connection, request_id: UUID, *, holder: UUID) -> bool:
    """A sign of life; false once the request is over, or another's."""
    return _KEEP.first(connection, request_id=request_id, holder=holder, alive_s=ALIVE_S) is not None


def finish_run_request(connection: Connection, request_id: UUID, made: WantedRun, *, holder: UUID) -> bool:
    """End a request as DONE, in the transaction that makes its run; false where it is over, another's, or never was,
    and where it was left for others and asks for another run than this."""
    return _FINISH.first(connection, request_id=request_id, **_row(made), holder=holder) is not None


def refuse_run_request(
    connection: Connection, request_id: UUID, refusal: Refusal, *, holder: UUID | None = None
) -> AskedRun | None:
    """End one request as REFUSED; None where it is over already, or another holder's where one is named."""
    ended = _refuse(connection, refusal, request_id=request_id, holder=holder)
    return ended[0] if ended else None


def refuse_run_requests(
    connection: Connection, campaign_id: int, refusal: Refusal, *, only_dead: bool = False
) -> list[AskedRun]:
    """End every open request of a campaign as REFUSED, and return them. only_dead: those whose program is gone."""
    return _refuse(connection, refusal, campaign_id=campaign_id, only_dead=only_dead)


def overtake_run_requests(connection: Connection, campaign_id: int, refusal: Refusal, *, by: UUID) -> list[AskedRun]:
    """End what was left for a campaign as REFUSED, because request `by` makes its run."""
    return _OVERTAKE.all(connection, campaign_id=campaign_id, request_id=by, refusal=_packed(refusal))


def expire_run_requests(connection: Connection, refusal: Refusal) -> list[AskedRun]:
    """End as REFUSED what nobody took in time."""
    return _EXPIRE.all(connection, refusal=_packed(refusal))


def refusal_of(connection: Connection, request_id: UUID) -> Refusal | None:
    """Why a request was refused; None where it was not."""
    text = _REFUSAL.first(connection, request_id=request_id)
    return None if text is None else from_json(text)


def live_run_requests(connection: Connection, campaign_id: int) -> list[AskedRun]:
    """What is on its way for a campaign, the first one first."""
    return _LIVE.all(connection, campaign_id=campaign_id)


def latest_left_request(connection: Connection, campaign_id: int) -> LatestRequest | None:
    """The latest request that was left for a campaign; None once its run has begun, or where there was none."""
    return _LATEST.first(connection, campaign_id=campaign_id)


def asker_of_run(connection: Connection, request_id: UUID) -> Asker | None:
    """Who asked for a run that was left for others to make; None where the program that asked makes it."""
    return _ASKER.first(connection, request_id=request_id)


def asker_has_right(connection: Connection, request_id: UUID, right: Right) -> Holding:
    """Whether the login that asked has the right; where no request was written, the login of this connection."""
    return _HAS_RIGHT.one(connection, request_id=request_id, permission=right)


def _row(wanted: WantedRun) -> dict[str, Any]:
    return wanted._asdict() | {"options": Jsonb(wanted.options)}


def _refuse(
    connection: Connection,
    refusal: Refusal,
    *,
    request_id: UUID | None = None,
    campaign_id: int | None = None,
    only_dead: bool = False,
    holder: UUID | None = None,
) -> list[AskedRun]:
    packed = _packed(refusal)
    which = {"request_id": request_id, "campaign_id": campaign_id, "only_dead": only_dead, "holder": holder}
    return _REFUSE.all(connection, **which, refusal=packed)


def _packed(refusal: Refusal) -> str:
    """As it is kept, for everyone who sees the campaign: it names no member."""
    return to_json(refusal_without_members(refusal))
