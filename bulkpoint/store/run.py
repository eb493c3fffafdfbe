"""Runs as rows: the driver's lease, the halt, what is open."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bulkpoint.store.connect import Connection
from bulkpoint.store.share import RunToken
from bulkpoint.store.sql import sql

# The driver's lease: a driver that was frozen or cut off for longer has lost its run.
DRIVER_LEASE_S = 15.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its driver holds it."""

    token: RunToken
    run: int
    kind: str
    holder: UUID
    actor: str
    key_namespace: UUID
    target_count: int


def renew_driver(connection: Connection, run: Run) -> tuple[str, str | None] | None:
    """Prolong the driver's lease; the run's state and its halt, or None when the run is no longer this driver's."""
    row = connection.execute(sql("renew_driver"), driver_parameters(run)).fetchone()
    return None if row is None else (row[0], row[1])


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
