"""Shares of the limit: taken by lease, fenced by epoch, released with what the next holder must know."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from bulkpoint.errors import RefusedError
from bulkpoint.store.connect import Connection
from bulkpoint.store.sql import sql


@dataclass(frozen=True, slots=True)
class RunToken:
    """Which run a worker pays for, and under which driver: the fence of everything that claims, renews or halts."""

    campaign_id: int
    run_id: int
    driver_epoch: int


@dataclass(frozen=True, slots=True)
class ShareToken:
    """A share as one holder has it; worth nothing once the epoch has moved on."""

    share: int
    epoch: int
    holder: UUID


@dataclass(frozen=True, slots=True)
class Acquired:
    """A fresh hold: `handover` is what the last holder left, `database_now` seconds since 1970 by the database."""

    token: ShareToken
    handover: dict[str, Any] | None
    database_now: float


@dataclass(frozen=True, slots=True)
class Renewal:
    """What one renewal brings back."""

    held: bool
    run_live: bool
    tps: int
    shares: int
    database_now: float


def acquire_share(connection: Connection, run: RunToken, holder: UUID, *, lease_s: float) -> Acquired | None:
    """Take a free share that has permits; None while there is none, or when the run is not running."""
    row = connection.execute(
        sql("acquire_share"),
        {"run_id": run.run_id, "driver_epoch": run.driver_epoch, "holder": holder, "lease_s": lease_s},
    ).fetchone()
    if row is None:
        return None
    share, epoch, handover, database_now = row
    return Acquired(ShareToken(share, epoch, holder), handover, database_now)


def renew_share(connection: Connection, run: RunToken, token: ShareToken, *, lease_s: float) -> Renewal:
    """Prolong the lease by `lease_s` of database time and learn how the run and the limit stand."""
    row = connection.execute(
        sql("renew_share"),
        {
            "run_id": run.run_id,
            "driver_epoch": run.driver_epoch,
            "share": token.share,
            "epoch": token.epoch,
            "holder": token.holder,
            "lease_s": lease_s,
        },
    ).fetchone()
    assert row is not None, "the limit has no row"
    return Renewal(*row)


def release_share(connection: Connection, token: ShareToken, handover: dict[str, Any]) -> None:
    """Give a share back at once; changes nothing when it is no longer this holder's."""
    connection.execute(
        sql("release_share"),
        {"share": token.share, "epoch": token.epoch, "holder": token.holder, "handover": Jsonb(handover)},
    )


def run_is_live(connection: Connection, run: RunToken) -> bool:
    """Whether this very run, under this driver, is RUNNING and not halted."""
    row = connection.execute(sql("run_is_live"), {"run_id": run.run_id, "driver_epoch": run.driver_epoch}).fetchone()
    assert row is not None
    return bool(row[0])


def lay_out_shares(connection: Connection, shares: int) -> None:
    """Divide the limit into `shares` parts, inside the caller's transaction.

    Raises RefusedError while a share is leased, or was until less than 2 s ago: its sends still count.
    """
    row = connection.execute(sql("shares_in_the_way")).fetchone()
    assert row is not None
    connection.execute(sql("set_share_count"), {"shares": shares})
    if row[0]:
        raise RefusedError(
            f"{row[0]} shares of the limit are still leased by workers of an earlier run;"
            " they free themselves within 10 seconds. Start again then."
        )
    connection.execute(sql("lay_out_shares"), {"shares": shares})
