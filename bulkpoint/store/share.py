"""Shares of the limit: taken by lease, fenced by epoch (a fencing token), released with what the next one must know."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from bulkpoint.errors import RefusedError
from bulkpoint.rules.turns import SILENT_S
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

# A share that a worker of a run gave back, and that no other has taken for so long, is idle: a worker that waits for
# one asks each 0.3 s, and Spark starts the next task within that.
IDLE_S = 0.5
# Changes that are not made under a leased share are counted here: a freeze, a retry, a reconciliation.
DRIVER_SHARE = -1


@dataclass(frozen=True, slots=True)
class RunToken:
    """Which run a worker pays for, and under which driver.

    driver_epoch: the fencing token of the run's driver. A claim, renewal or halt under an older one is refused.
    """

    campaign_id: int
    run_id: int
    driver_epoch: int


@dataclass(frozen=True, slots=True)
class ShareToken:
    """A share as one holder has it. epoch: the fencing token; an older one is refused."""

    share: int
    epoch: int
    holder: UUID


@dataclass(frozen=True, slots=True)
class Acquired:
    """A new lease: `sent_at` are the last holder's sends that may still count, `pressure` how the money API slowed it.

    Instants are seconds since 1970 by the database's clock.
    """

    token: ShareToken
    sent_at: list[float]
    pressure: dict[str, Any] | None
    database_now: float


@dataclass(frozen=True, slots=True)
class Renewal:
    """What one renewal brings back. key_retention_h, settle_s: what the money API promises, where that is stored.

    idle_share: whether the limit is not used, because a share of the run is idle.
    others: what the other shares at work wrote for each other (rules/turns.py); None while none is slowed down.
    """

    held: bool
    run_live: bool
    tps: int
    shares: int
    database_now: float
    key_retention_h: float | None
    settle_s: float | None
    idle_share: bool
    others: list[dict[str, Any]] | None


class SharesOfRun(NamedTuple):
    """A look at the shares. now: seconds since 1970 by the database's clock. leased: shares leased for this run;
    free: those with permits that nobody leases. heard: a list of rules.patience.Heard as dicts.
    """

    now: float
    tps: int
    leased: int
    free: int
    heard: Any


class _AcquiredRow(NamedTuple):
    share: int
    epoch: int
    handover: dict[str, Any] | None
    pressure: dict[str, Any] | None
    database_now: float


class _SharesInTheWay(NamedTuple):
    shares: int
    in_the_way: int


_ACQUIRE = Query("acquire_share", _AcquiredRow)
_RENEW = Query("renew_share", Renewal)
_SHARES_OF_RUN = Query("shares_of_run", SharesOfRun)
_RUN_IS_LIVE = Query("run_is_live", bool)
_LOCK_SHARES = Query("lock_share_count", int)
_IN_THE_WAY = Query("shares_in_the_way", _SharesInTheWay)


def acquire_share(
    connection: Connection, run: RunToken | None, holder: UUID, *, lease_s: float, idle: bool = False
) -> Acquired | None:
    """Take a free share that has permits; None while there is none, or when the run is not running.

    Without a run the share is leased for look-ups only. idle: only a share of the run that is idle.
    """
    idle_s = IDLE_S if idle else None
    row = _ACQUIRE.first(connection, **_run(run), holder=holder, lease_s=lease_s, idle_s=idle_s)
    if row is None:
        return None
    sent_at = row.handover["sent_at"] if row.handover else []
    return Acquired(ShareToken(row.share, row.epoch, holder), sent_at, row.pressure, row.database_now)


def renew_share(
    connection: Connection,
    run: RunToken | None,
    token: ShareToken,
    *,
    lease_s: float,
    pressure: dict[str, Any] | None = None,
    heard: dict[str, Any] | None = None,
    turns: dict[str, Any] | None = None,
) -> Renewal:
    """Renew the lease for `lease_s` of database time, and read the state of the run and the limit.

    heard: what was heard of the money API under this lease, None for nothing yet. turns: what the other shares must
    know to take turns with this one.
    """
    told = {
        "pressure": _json(pressure),
        "heard": _json(heard),
        "turns": _json(turns),
        "silent_s": SILENT_S,
        "idle_s": IDLE_S,
    }
    return _RENEW.one(connection, **_run(run), **_holder(token), lease_s=lease_s, **told)


def release_share(
    connection: Connection,
    token: ShareToken,
    sent_at: list[float],
    pressure: dict[str, Any] | None = None,
    heard: dict[str, Any] | None = None,
) -> None:
    """Give a share back at once; changes nothing when it is no longer this holder's."""
    handover = {"sent_at": sent_at}
    told = {"handover": _json(handover), "pressure": _json(pressure), "heard": _json(heard)}
    connection.execute(sql("release_share"), {**_holder(token), **told})


def shares_of_run(connection: Connection, run: RunToken) -> SharesOfRun:
    """What a run's shares have heard of the money API, who has shares now, and the limit."""
    return _SHARES_OF_RUN.one(connection, run_id=run.run_id)


def _run(run: RunToken | None) -> dict[str, int | None]:
    if run is None:
        return {"run_id": None, "driver_epoch": None}
    return {"run_id": run.run_id, "driver_epoch": run.driver_epoch}


def _holder(token: ShareToken) -> dict[str, Any]:
    return {"share": token.share, "epoch": token.epoch, "holder": token.holder}


def _json(value: dict[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)


def reset_breakers(connection: Connection) -> None:
    """Give a new run its full patience; a rate that the money API lowered recently stays lowered."""
    connection.execute(sql("reset_breakers"))


def run_is_live(connection: Connection, run: RunToken) -> bool:
    """Whether this very run, under this driver, is RUNNING and not halted."""
    return _RUN_IS_LIVE.one(connection, **_run(run))


def allocate_first_shares(connection: Connection) -> None:
    """Divide the limit as its row says, where no run has done it yet; for calls before the first run."""
    with connection.transaction():
        shares = _LOCK_SHARES.one(connection)
        if _IN_THE_WAY.one(connection).shares == 0:
            connection.execute(sql("allocate_shares"), {"shares": shares})


def allocate_shares(connection: Connection, shares: int) -> None:
    """Divide the limit into `shares` parts, inside the caller's transaction.

    Raises RefusedError where that changes their number while one is leased, or was until less than 2 s ago: its sends
    still count. With the same number, workers of an earlier run may still lease theirs; new workers wait.
    """
    shares_before, in_the_way = _IN_THE_WAY.one(connection)
    if shares_before == shares:
        return
    if in_the_way:
        facts = {"leased": in_the_way, "shares_before": shares_before, "shares": shares}
        raise RefusedError("SHARES_STILL_LEASED", "start_again_in_20_s", **facts)
    connection.execute(sql("set_share_count"), {"shares": shares})
    connection.execute(sql("allocate_shares"), {"shares": shares})
