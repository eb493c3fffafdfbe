"""Runs: every change of a run's state, each in one transaction with its audit row and its outbox event."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, Command, refusal
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import write_event
from bulkpoint.store.progress import RunSummary, summarize_run
from bulkpoint.store.share import RunToken, lay_out_shares
from bulkpoint.store.sql import sql
from bulkpoint.store.target import total_targets

# The driver's lease: a driver that was frozen or cut off for longer has lost its run.
DRIVER_LEASE_S = 15.0

Ending = Literal["COMPLETED", "FAILED", "STOPPED"]


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


def begin_run(
    connection: Connection,
    campaign_id: int,
    *,
    kind: str,
    actor: str,
    reason: str | None,
    shares: int,
    holder: UUID | None = None,
) -> Run:
    """Freeze the campaign at its first start and make its run RUNNING, in one transaction.

    `holder` is the driver's name for itself, random where none is given.

    Raises RefusedError when the campaign is unknown, withdrawn, already run, does not match its totals, or when
    another run is RUNNING; nothing is changed then.
    """
    holder = holder or uuid4()
    with connection.transaction():
        connection.execute(sql("lock_campaign"), {"campaign_id": campaign_id})
        campaign = check_startable(connection, campaign_id, kind=kind)
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
        if campaign.frozen_at is None:
            _freeze(connection, campaign)
        lay_out_shares(connection, shares)
        frozen_campaign = connection.execute(sql("frozen_campaign"), {"campaign_id": campaign_id}).fetchone()
        assert frozen_campaign is not None
        key_namespace, target_count, target_amount = frozen_campaign
        figures = {"kind": kind, "target_count": target_count, "target_amount": target_amount}
        write_event(connection, campaign_id=campaign_id, run=run, type="campaign.started", actor=actor, data=figures)
        write_audit(connection, action="start", campaign_id=campaign_id, run=run, actor=actor, detail=figures)
        # The freeze may have taken longer than a driver's lease: it begins now.
        token = RunToken(campaign_id, run_id, driver_epoch)
        begun = Run(token, run, kind, holder, actor, key_namespace, target_count)
        connection.execute(sql("begin_driver_lease"), _driver(begun))
    return begun


def check_startable(connection: Connection, campaign_id: int, *, kind: str) -> Campaign:
    """The campaign, if its state lets a run of this kind begin; RefusedError with what to do instead."""
    campaign = get_campaign(connection, campaign_id)
    refused = refusal(_OPENED_BY[kind], CampaignState(campaign.state), campaign_id)
    if refused is not None:
        raise RefusedError(refused)
    return campaign


_OPENED_BY = {"INITIAL": Command.START, "RESUME": Command.RESUME, "RETRY": Command.RETRY}


def _freeze(connection: Connection, campaign: Campaign) -> None:
    campaign_id = campaign.campaign_id
    count, amount = total_targets(connection, campaign_id)
    if (count, amount) != (campaign.expected_count, campaign.expected_amount):
        raise RefusedError(
            f"Campaign {campaign_id} expects {campaign.expected_count:,} targets and"
            f" {campaign.expected_amount:,} points,"
            f" but campaign_target holds {count:,} and {amount:,}."
            " Load the rest, or create it anew with the right totals."
        )
    connection.execute(sql("freeze_campaign"), {"campaign_id": campaign_id})


def run_of_holder(connection: Connection, holder: UUID) -> int | None:
    """The number of the run that this driver made; none while it has made none."""
    row = connection.execute(sql("run_of_holder"), {"holder": holder}).fetchone()
    return None if row is None else int(row[0])


def renew_driver(connection: Connection, run: Run) -> tuple[str, str | None] | None:
    """Prolong the driver's lease; the run's state and its halt, or None when the run is no longer this driver's."""
    row = connection.execute(sql("renew_driver"), _driver(run)).fetchone()
    return None if row is None else (row[0], row[1])


def halt_run(connection: Connection, token: RunToken, halt: str, reason: str) -> None:
    """Close every gate of the run; its driver ends it FAILED. The first trouble's word stays."""
    connection.execute(sql("halt_run"), {"run_id": token.run_id, "halt": halt, "reason": reason})


def end_run(
    connection: Connection, run: Run, state: Literal["COMPLETED", "FAILED"], reason: str | None = None
) -> RunSummary | None:
    """End a run by its own driver; None when it had been stopped, or is another driver's by now.

    COMPLETED asserts that no row is open, counted in this transaction.
    """
    return _end(connection, run.token, state=state, reason=reason, actor=run.actor, holder=run.holder)


def stop_run(connection: Connection, campaign_id: int, *, actor: str, reason: str | None = None) -> RunSummary:
    """RUNNING -> STOPPED, by hand, from anywhere. Calls already past the gate are still recorded afterwards.

    Raises RefusedError when the campaign is unknown or not RUNNING.
    """
    campaign = get_campaign(connection, campaign_id)
    refused = refusal(Command.STOP, CampaignState(campaign.state), campaign_id)
    if refused is not None:
        raise RefusedError(refused)
    latest = connection.execute(sql("latest_run"), {"campaign_id": campaign_id}).fetchone()
    assert latest is not None, "a RUNNING campaign has a run"
    token = RunToken(campaign_id, latest[0], 0)
    ended = _end(connection, token, state="STOPPED", reason=reason, actor=actor, holder=None)
    if ended is None:
        raise RefusedError(f"Campaign {campaign_id} ended by itself just now; `bulkpoint campaign show {campaign_id}`.")
    return ended


def _end(
    connection: Connection, token: RunToken, *, state: Ending, reason: str | None, actor: str, holder: UUID | None
) -> RunSummary | None:
    with connection.transaction():
        connection.execute(sql("lock_campaign"), {"campaign_id": token.campaign_id})
        row = connection.execute(
            sql("end_run"), {"run_id": token.run_id, "state": state, "reason": reason, "holder": holder}
        ).fetchone()
        if row is None:
            return None
        summary = summarize_run(connection, token.run_id)
        if state == "COMPLETED":
            still_open = connection.execute(sql("open_rows_exist"), {"campaign_id": token.campaign_id}).fetchone()
            assert still_open == (False,), "COMPLETED while rows are open"
        figures: dict[str, Any] = {
            "success": summary.success,
            "failed": summary.failed,
            "unknown": summary.unknown,
            "open": summary.open,
            "success_amount": summary.success_amount,
            "failed_amount": summary.failed_amount,
            "reason": summary.reason,
        }
        kind = f"campaign.{state.lower()}"
        write_event(connection, campaign_id=token.campaign_id, run=summary.run, type=kind, actor=actor, data=figures)
        action = {"COMPLETED": "complete", "FAILED": "fail", "STOPPED": "stop"}[state]
        write_audit(
            connection, action=action, campaign_id=token.campaign_id, run=summary.run, actor=actor, detail=figures
        )
    return summary


def _driver(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.token.run_id,
        "driver_epoch": run.token.driver_epoch,
        "holder": run.holder,
        "lease_s": DRIVER_LEASE_S,
    }
