"""Runs as rows: opened and ended, the driver's lease, the halt, and what a run finds and leaves open."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.share import DRIVER_SHARE, RunToken
from bulkpoint.store.sql import sql

# The driver's lease: a driver that was frozen or cut off for longer has lost its run.
DRIVER_LEASE_S = 15.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its driver holds it."""

    token: RunToken
    run_no: int
    kind: RunKind
    holder: UUID
    actor: str
    key_namespace: UUID
    target_count: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a campaign's payments are made of, from the freeze on. target_amount: points."""

    key_namespace: UUID
    target_count: int
    target_amount: int


def insert_run(
    connection: Connection, campaign_id: int, *, kind: RunKind, actor: str, reason: str | None, holder: UUID
) -> tuple[RunToken, int] | None:
    """A new run that is RUNNING, and its number; None while another one is, of whichever campaign."""
    run = {"campaign_id": campaign_id, "kind": kind, "actor": actor, "reason": reason}
    try:
        with connection.transaction():  # so that the caller's one is of use after a refusal
            row = connection.execute(sql("insert_run"), run | {"holder": holder, "lease_s": DRIVER_LEASE_S}).fetchone()
    except psycopg.errors.UniqueViolation:
        return None
    assert row is not None
    run_id, run_no, driver_epoch = row
    return RunToken(campaign_id, run_id, driver_epoch), run_no


def freeze_campaign(connection: Connection, campaign_id: int, digest: bytes) -> None:
    """Copy a campaign's targets into payments, numbered by member; `digest` is theirs, and checked."""
    connection.execute(sql("freeze_campaign"), {"campaign_id": campaign_id, "digest": digest})


def get_frozen(connection: Connection, campaign_id: int) -> Frozen:
    """What was frozen."""
    row = connection.execute(sql("frozen_campaign"), {"campaign_id": campaign_id}).fetchone()
    assert row is not None, "the campaign is frozen"
    return Frozen(*row)


def reset_tries(connection: Connection, campaign_id: int) -> None:
    """Give what is open the tries of a run of its own, at once."""
    connection.execute(sql("reset_tries"), {"campaign_id": campaign_id})


def reopen_failed(connection: Connection, campaign_id: int, chosen: RetrySelection) -> tuple[int, int]:
    """Make the FAILED payments of a choice PENDING; how many they were, and their points."""
    wanted = {**chosen.parameters(campaign_id), "share": DRIVER_SHARE}
    row = connection.execute(sql("reopen_failed"), wanted).fetchone()
    assert row is not None
    return row[0], row[1]


def begin_driver_lease(connection: Connection, run: Run) -> None:
    """The run begins now, whatever its freeze took, and its driver's lease with it."""
    connection.execute(sql("begin_driver_lease"), driver_parameters(run))


def close_run(
    connection: Connection, run_id: int, state: RunState, *, reason: str | None, holder: UUID | None = None
) -> bool:
    """End a run that is RUNNING; false when it is not, or no longer that holder's. Without a holder: by hand."""
    ended = {"run_id": run_id, "state": state, "reason": reason, "holder": holder}
    return connection.execute(sql("end_run"), ended).fetchone() is not None


def close_run_without_driver(connection: Connection, run_id: int, reason: str) -> bool:
    """End a run FAILED whose driver's lease has passed, and fence that driver off; false where it has not."""
    ended = {"run_id": run_id, "reason": reason}
    return connection.execute(sql("end_run_without_driver"), ended).fetchone() is not None


def open_rows_exist(connection: Connection, campaign_id: int) -> bool:
    """Whether any payment is not final, by the payments themselves."""
    row = connection.execute(sql("open_rows_exist"), {"campaign_id": campaign_id}).fetchone()
    assert row is not None
    return bool(row[0])


def renew_driver(connection: Connection, run: Run) -> tuple[RunState, str | None] | None:
    """Prolong the driver's lease; the run's state and its halt, or None when the run is no longer this driver's."""
    row = connection.execute(sql("renew_driver"), driver_parameters(run)).fetchone()
    return None if row is None else (RunState(row[0]), row[1])


def halt_run(connection: Connection, token: RunToken, halt: str, reason: str) -> None:
    """Close every gate of the run; its driver ends it FAILED, for `halt: reason`. The first trouble's word stays."""
    connection.execute(sql("halt_run"), {"run_id": token.run_id, "halt": halt, "reason": f"{halt}: {reason}"})


def run_of_holder(connection: Connection, holder: UUID) -> int | None:
    """The number of the latest run that this driver made; none while it has made none."""
    row = connection.execute(sql("run_of_holder"), {"holder": holder}).fetchone()
    assert row is not None
    run: int | None = row[0]
    return run


def open_buckets(connection: Connection, campaign_id: int, bucket_rows: int) -> list[tuple[int, int]]:
    """(bucket, open payments in it), ascending; for rules.waves.cut. One scan of the campaign."""
    return connection.execute(sql("open_buckets"), {"campaign_id": campaign_id, "bucket_rows": bucket_rows}).fetchall()


def driver_parameters(run: Run) -> dict[str, Any]:
    """Of the statements that hold the driver's lease."""
    return {
        "run_id": run.token.run_id,
        "driver_epoch": run.token.driver_epoch,
        "holder": run.holder,
        "lease_s": DRIVER_LEASE_S,
    }
