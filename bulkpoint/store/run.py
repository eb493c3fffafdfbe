"""Runs: every change of a run's state, each in one transaction with its audit row and its outbox event."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg

from bulkpoint.errors import RefusedError
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import write_event
from bulkpoint.store.share import RunToken, lay_out_shares
from bulkpoint.store.sql import sql

# The driver's lease: a driver that was frozen or cut off for longer has lost its run.
DRIVER_LEASE_S = 15.0

Ending = Literal["COMPLETED", "FAILED", "STOPPED"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its driver holds it."""

    token: RunToken
    run: int
    holder: UUID
    actor: str
    campaign_name: str
    key_namespace: UUID
    target_count: int
    target_amount: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How a campaign's payments stand; amounts in points."""

    pending: int
    processing: int
    success: int
    failed: int
    pending_amount: int
    processing_amount: int
    success_amount: int
    failed_amount: int
    rejected: int
    mismatch: int
    unavailable: int
    unknown: int

    @property
    def total(self) -> int:
        return self.pending + self.processing + self.success + self.failed

    @property
    def open(self) -> int:
        """Not final: to be paid yet."""
        return self.pending + self.processing


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    run: int
    state: str
    reason: str | None
    started_at: datetime
    finished_at: datetime
    counts: Counts


def begin_run(connection: Connection, campaign_id: int, *, kind: str, actor: str, reason: str | None, shares: int) -> Run:
    """Freeze the campaign at its first start and make its run RUNNING, in one transaction.

    Raises RefusedError when the campaign is unknown, withdrawn, already run, does not match its totals, or when
    another run is RUNNING; nothing is changed then.
    """
    holder = uuid4()
    with connection.transaction():
        campaign = connection.execute(sql("lock_campaign"), {"campaign_id": campaign_id}).fetchone()
        if campaign is None:
            raise RefusedError(f"There is no campaign {campaign_id}. `bulkpoint campaign list` shows those there are.")
        _, name, frozen, expected_count, expected_amount, withdrawn_at, _, _ = campaign
        _refuse_a_wrong_state(connection, campaign_id, kind=kind, withdrawn=withdrawn_at is not None)
        try:
            inserted = connection.execute(
                sql("insert_run"),
                {
                    "campaign_id": campaign_id,
                    "kind": kind,
                    "reason": reason,
                    "actor": actor,
                    "holder": holder,
                    "lease_s": DRIVER_LEASE_S,
                },
            ).fetchone()
        except psycopg.errors.UniqueViolation as error:
            raise RefusedError(
                f"Campaign {campaign_id} cannot start: another run is RUNNING, and one campaign runs at a time."
                " `bulkpoint campaign list` shows it; start again when it has ended."
            ) from error
        assert inserted is not None
        run_id, run, driver_epoch = inserted
        if not frozen:
            _freeze(connection, campaign_id, expected_count, expected_amount)
        lay_out_shares(connection, shares)
        frozen_campaign = connection.execute(sql("frozen_campaign"), {"campaign_id": campaign_id}).fetchone()
        assert frozen_campaign is not None
        _, key_namespace, target_count, target_amount = frozen_campaign
        figures = {"kind": kind, "target_count": target_count, "target_amount": target_amount}
        write_event(connection, campaign_id=campaign_id, run=run, type="campaign.started", actor=actor, data=figures)
        write_audit(connection, action="start", campaign_id=campaign_id, run=run, actor=actor, detail=figures)
        # The freeze may have taken longer than a driver's lease: it begins now.
        token = RunToken(campaign_id, run_id, driver_epoch)
        begun = Run(token, run, holder, actor, name, key_namespace, target_count, target_amount)
        connection.execute(sql("begin_driver_lease"), _driver(begun))
    return begun


def _refuse_a_wrong_state(connection: Connection, campaign_id: int, *, kind: str, withdrawn: bool) -> None:
    if withdrawn:
        raise RefusedError(f"Campaign {campaign_id} was withdrawn and is never paid. Create a new one instead.")
    latest = connection.execute(sql("latest_run"), {"campaign_id": campaign_id}).fetchone()
    if latest is not None and kind == "INITIAL":
        state = latest[3]
        next_step = {
            "RUNNING": f"`bulkpoint campaign watch {campaign_id}` follows it",
            "COMPLETED": f"`bulkpoint campaign show {campaign_id}` tells how it ended",
        }.get(state, f"its unpaid rows are kept; `bulkpoint campaign show {campaign_id}` tells how it stands")
        raise RefusedError(f"Campaign {campaign_id} has been started already and is {state}: {next_step}.")


def _freeze(connection: Connection, campaign_id: int, expected_count: int, expected_amount: int) -> None:
    row = connection.execute(sql("target_totals"), {"campaign_id": campaign_id}).fetchone()
    assert row is not None
    if tuple(row) != (expected_count, expected_amount):
        raise RefusedError(
            f"Campaign {campaign_id} expects {expected_count:,} targets and {expected_amount:,} points,"
            f" but campaign_target holds {row[0]:,} and {row[1]:,}. Load the rest, or create it anew with the right totals."
        )
    connection.execute(sql("freeze_campaign"), {"campaign_id": campaign_id})


def renew_driver(connection: Connection, run: Run) -> tuple[str, str | None] | None:
    """Prolong the driver's lease; the run's state and its halt, or None when the run is no longer this driver's."""
    row = connection.execute(sql("renew_driver"), _driver(run)).fetchone()
    return None if row is None else (row[0], row[1])


def halt_run(connection: Connection, token: RunToken, halt: str, reason: str) -> None:
    """Close every gate of the run; its driver ends it FAILED. The first trouble's word stays."""
    connection.execute(sql("halt_run"), {"run_id": token.run_id, "halt": halt, "reason": reason})


def end_run(connection: Connection, run: Run, state: Literal["COMPLETED", "FAILED"], reason: str | None = None) -> Ended | None:
    """End a run by its own driver; None when it had been stopped, or is another driver's by now.

    COMPLETED is refused by an assertion while a row is open, counted in this transaction.
    """
    return _end(connection, run.token, state=state, reason=reason, actor=run.actor, holder=run.holder)


def stop_run(connection: Connection, campaign_id: int, *, actor: str, reason: str | None = None) -> Ended:
    """RUNNING -> STOPPED, by hand, from anywhere. Calls already past the gate are still recorded afterwards.

    Raises RefusedError when the campaign is unknown or not RUNNING.
    """
    latest = connection.execute(sql("latest_run"), {"campaign_id": campaign_id}).fetchone()
    if latest is None or latest[3] != "RUNNING":
        state = "not known" if latest is None else latest[3]
        raise RefusedError(
            f"Campaign {campaign_id} is {state}: only a RUNNING campaign can be stopped."
            f" `bulkpoint campaign list` shows what runs."
        )
    token = RunToken(campaign_id, latest[0], 0)
    ended = _end(connection, token, state="STOPPED", reason=reason, actor=actor, holder=None)
    if ended is None:
        raise RefusedError(f"Campaign {campaign_id} ended by itself just now; `bulkpoint campaign show {campaign_id}`.")
    return ended


def _end(
    connection: Connection, token: RunToken, *, state: Ending, reason: str | None, actor: str, holder: UUID | None
) -> Ended | None:
    with connection.transaction():
        connection.execute(sql("lock_campaign"), {"campaign_id": token.campaign_id})
        row = connection.execute(
            sql("end_run"), {"run_id": token.run_id, "state": state, "reason": reason, "holder": holder}
        ).fetchone()
        if row is None:
            return None
        run, final_reason, started_at, finished_at = row
        counts = campaign_counts(connection, token.campaign_id)
        if state == "COMPLETED":
            still_open = connection.execute(sql("open_rows_exist"), {"campaign_id": token.campaign_id}).fetchone()
            assert still_open == (False,), "COMPLETED while rows are open"
        figures: dict[str, Any] = {
            "success": counts.success,
            "failed": counts.failed,
            "unknown": counts.unknown,
            "open": counts.open,
            "success_amount": counts.success_amount,
            "failed_amount": counts.failed_amount,
            "reason": final_reason,
        }
        kind = f"campaign.{state.lower()}"
        write_event(connection, campaign_id=token.campaign_id, run=run, type=kind, actor=actor, data=figures)
        action = {"COMPLETED": "complete", "FAILED": "fail", "STOPPED": "stop"}[state]
        write_audit(connection, action=action, campaign_id=token.campaign_id, run=run, actor=actor, detail=figures)
    return Ended(run, state, final_reason, started_at, finished_at, counts)


def campaign_counts(connection: Connection, campaign_id: int) -> Counts:
    """The sum over the shares' counters: the same cost at any size of campaign."""
    row = connection.execute(sql("campaign_counts"), {"campaign_id": campaign_id}).fetchone()
    assert row is not None, f"campaign {campaign_id} is not frozen"
    return Counts(*row)


def sample_progress(connection: Connection, run: Run) -> None:
    """Keep one sample of the run's progress."""
    connection.execute(sql("sample_progress"), {"run_id": run.token.run_id, "campaign_id": run.token.campaign_id})


def _driver(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.token.run_id,
        "driver_epoch": run.token.driver_epoch,
        "holder": run.holder,
        "lease_s": DRIVER_LEASE_S,
    }
