"""Runs as rows: opened and ended, the driver's lease, the halt, and which payments are open."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.rules.patience import Waiting
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.rows import Query
from bulkpoint.store.share import DRIVER_SHARE, RunToken
from bulkpoint.store.sql import sql

# The driver's lease: a driver that was suspended or cut off for longer has lost its run.
DRIVER_LEASE_S = 15.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its driver has it."""

    token: RunToken
    run_no: int
    kind: RunKind
    holder: UUID
    actor: str
    key_namespace: UUID
    target_count: int
    open_count: int  # when it began


@dataclass(frozen=True, slots=True)
class Frozen:
    """A campaign's key namespace and totals, fixed by the freeze, and what is open of them. Amounts are points."""

    key_namespace: UUID
    target_count: int
    target_amount: int
    open_count: int
    open_amount: int


class RunStanding(NamedTuple):
    """A run's state; halt: the trouble for which its driver must end it; stopping: a person has stopped it."""

    state: RunState
    halt: str | None
    stopping: bool


@dataclass(frozen=True, slots=True)
class RunEnding:
    """What ends a run that is RUNNING. stop_actor: who stopped it, a claimed name; the login is in the audit log.

    settled: no result of it can come in any more. driver_is_gone: nobody but us will end it.
    processing: payments that a worker has, or had when it died.
    """

    run_id: int
    stop_actor: str | None
    stop_reason: str | None
    halt: str | None
    driver_is_gone: bool
    settled: bool
    processing: int


class Reopened(NamedTuple):
    """FAILED payments that are PENDING again, and their points."""

    payments: int
    points: int


class OpenBucket(NamedTuple):
    """A range of payments by its number from 0, and how many of them are open."""

    bucket: int
    open: int


class _NewRun(NamedTuple):
    run_id: int
    run_no: int
    driver_epoch: int


_INSERT = Query("insert_run", _NewRun)
_FROZEN = Query("frozen_campaign", Frozen)
_REOPEN = Query("reopen_failed", Reopened)
_OPEN_TOO_OLD = Query("count_open_too_old", int)
_END = Query("end_run", int)
_END_WITHOUT_DRIVER = Query("end_run_without_driver", int)
_OPEN_ROWS_EXIST = Query("open_rows_exist", bool)
_WAS_HALTED = Query("halt_until_commit", bool)
_RENEW = Query("renew_driver", RunStanding)
_ASK_STOP = Query("ask_stop", int)
_ENDING = Query("how_it_ends", RunEnding)
_ANNOUNCED_OTHERWISE = Query("was_announced_otherwise", bool)
_RUN_OF_HOLDER = Query[int | None]("run_of_holder", int)
_BUCKETS = Query("open_buckets", OpenBucket)


def insert_run(
    connection: Connection, campaign_id: int, *, kind: RunKind, actor: str, reason: str | None, holder: UUID
) -> tuple[RunToken, int] | None:
    """A new run that is RUNNING, and its number; None while another run, of any campaign, is RUNNING."""
    run = {"campaign_id": campaign_id, "kind": kind, "actor": actor, "reason": reason}
    try:
        with connection.transaction():  # so that the caller's transaction still works after a refusal
            new = _INSERT.one(connection, **run, holder=holder, lease_s=DRIVER_LEASE_S)
    except psycopg.errors.UniqueViolation:
        return None
    return RunToken(campaign_id, new.run_id, new.driver_epoch), new.run_no


def freeze_campaign(connection: Connection, campaign_id: int, digest: bytes) -> None:
    """Copy a campaign's targets into payments, numbered by member; `digest` is that of the targets, already checked."""
    connection.execute(sql("freeze_campaign"), {"campaign_id": campaign_id, "digest": digest})


def get_frozen(connection: Connection, campaign_id: int) -> Frozen:
    """What was frozen."""
    return _FROZEN.one(connection, campaign_id=campaign_id)


def reset_tries(connection: Connection, campaign_id: int) -> None:
    """Give open payments all the tries of a new run, due at once."""
    connection.execute(sql("reset_tries"), {"campaign_id": campaign_id})


def reopen_failed(
    connection: Connection, campaign_id: int, chosen: RetrySelection, *, send_again_s_max: float | None
) -> Reopened:
    """Make the selected FAILED payments PENDING; returns how many, and their points.

    send_again_s_max: seconds after their first send until which they may be sent again; None: always.
    """
    return _REOPEN.one(connection, **chosen.parameters(campaign_id, send_again_s_max), share=DRIVER_SHARE)


def count_open_too_old(connection: Connection, campaign_id: int, *, send_again_s_max: float) -> int:
    """Open payments that are only looked up, because their first send is longer ago than this. One scan."""
    return _OPEN_TOO_OLD.one(connection, campaign_id=campaign_id, send_again_s_max=send_again_s_max)


def begin_driver_lease(connection: Connection, run: Run) -> None:
    """Start the run and its driver's lease now, however long the freeze took."""
    connection.execute(sql("begin_driver_lease"), driver_parameters(run))


def close_run(
    connection: Connection, run_id: int, state: RunState, *, reason: str | None, holder: UUID | None = None
) -> bool:
    """End a run that is RUNNING; false when it is not, or belongs to another holder. Without a holder: by a person."""
    return _END.first(connection, run_id=run_id, state=state, reason=reason, holder=holder) is not None


def close_run_without_driver(connection: Connection, run_id: int, reason: str) -> bool:
    """End a run FAILED whose driver's lease has expired, and fence that driver off; false where it has not."""
    return _END_WITHOUT_DRIVER.first(connection, run_id=run_id, reason=reason) is not None


def open_rows_exist(connection: Connection, campaign_id: int) -> bool:
    """Whether any payment is not final; reads the payments, not the counters."""
    return _OPEN_ROWS_EXIST.one(connection, campaign_id=campaign_id)


def renew_driver(connection: Connection, run: Run, *, after_absence: bool = False) -> RunStanding | None:
    """Renew the driver's lease; the run's state and halt, or None when the run is no longer this driver's.

    after_absence: the database was away, and the lease ran out meanwhile. It is still this driver's as long as no other
    one took the run over, which ends it in one statement and fences this driver off.
    """
    return _RENEW.first(connection, **driver_parameters(run), after_absence=after_absence)


def halt_run(connection: Connection, token: RunToken, halt: str, reason: str) -> None:
    """Close every gate of the run; its driver ends it FAILED, for `halt: reason`. The first reason stays."""
    connection.execute(sql("halt_run"), {"run_id": token.run_id, "halt": halt, "reason": reason})


def note_waiting(connection: Connection, run: Run, waiting: Waiting | None) -> None:
    """Keep what the run waits for on its row; None while payments are paid."""
    stored = None if waiting is None else Jsonb(waiting._asdict())
    connection.execute(sql("note_waiting"), {"run_id": run.token.run_id, "holder": run.holder, "waiting": stored})


def ask_stop(connection: Connection, run_id: int, *, actor: str, reason: str | None) -> int | None:
    """Close every gate of a run for a person's stop; its number, or None where it is ending already."""
    return _ASK_STOP.first(connection, run_id=run_id, actor=actor, reason=reason)


def how_it_ends(connection: Connection, campaign_id: int) -> RunEnding | None:
    """What ends the campaign's run that is RUNNING; None where none is."""
    return _ENDING.first(connection, campaign_id=campaign_id)


def was_announced_otherwise(connection: Connection, run_id: int) -> bool:
    """Whether results came in after the end of a run was announced; false while it, or a later one, is RUNNING."""
    return _ANNOUNCED_OTHERWISE.first(connection, run_id=run_id) or False


def close_gates(connection: Connection, token: RunToken, reason: str) -> None:
    """Nothing more is sent by the run: its driver gives it up, and will end it FAILED. A halt that came first stays."""
    connection.execute(sql("close_gates"), {"run_id": token.run_id, "reason": reason})


def keep_done_before(connection: Connection, run_id: int, *, reopened: int) -> None:
    """Keep how many payments had ended when the run began; `reopened` FAILED ones were opened again for it."""
    connection.execute(sql("keep_done_before"), {"run_id": run_id, "reopened": reopened})


def was_halted(connection: Connection, run_id: int) -> bool:
    """Whether the run was halted for a reason of its payments; no halt is written until the transaction has ended."""
    return _WAS_HALTED.one(connection, run_id=run_id)


def run_of_holder(connection: Connection, holder: UUID) -> int | None:
    """The number of the latest run that this driver made; None while it has made none."""
    return _RUN_OF_HOLDER.one(connection, holder=holder)


def open_buckets(connection: Connection, campaign_id: int, bucket_rows: int) -> list[OpenBucket]:
    """The ranges of `bucket_rows` payments in which some are open, in order. One scan of the campaign."""
    return _BUCKETS.all(connection, campaign_id=campaign_id, bucket_rows=bucket_rows)


def driver_parameters(run: Run) -> dict[str, Any]:
    """Parameters of the statements on the driver's lease."""
    return {
        "run_id": run.token.run_id,
        "driver_epoch": run.token.driver_epoch,
        "holder": run.holder,
        "lease_s": DRIVER_LEASE_S,
    }
