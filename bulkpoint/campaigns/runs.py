"""Runs: every change of a run's state, each in one transaction with its audit row and its outbox event."""

from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg

from bulkpoint.campaigns.readiness import check_ready, inspect_targets
from bulkpoint.errors import RefusedError
from bulkpoint.rules.invariants import DefectError, invariant
from bulkpoint.rules.lifecycle import CampaignState, Command, FailureKind, refusal
from bulkpoint.rules.readiness import NO_POLICY, Policy
from bulkpoint.rules.rights import Right
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import Campaign, get_campaign, lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.duplicate_list import allow_repetition, remember_list
from bulkpoint.store.outbox import write_event
from bulkpoint.store.progress import RetrySelection, RunSummary, summarize_run
from bulkpoint.store.right import require_right
from bulkpoint.store.run import DRIVER_LEASE_S, Run, driver_parameters, renew_driver
from bulkpoint.store.share import RunToken, allocate_shares, reset_breakers
from bulkpoint.store.sql import sql

# How far a campaign is, in percent of its payments that ended, when it is told.
QUARTERS = (25, 50, 75)

Ending = Literal["COMPLETED", "FAILED", "STOPPED"]

# What money refused would be refused again, and two truths are for people: these only when they are named.
ALL_BUT_REFUSED = RetrySelection((FailureKind.UNAVAILABLE, FailureKind.UNKNOWN))


@dataclass(frozen=True, slots=True)
class StartTerms:
    """What a first start is bound to, beyond the expected totals.

    digest: of the targets that somebody has looked at. policy: the deployment's. forced: it jumped the order of the
    queue. same_as: the earlier campaign that it repeats on purpose.
    """

    digest: bytes | None = None
    policy: Policy = NO_POLICY
    forced: bool = False
    same_as: int | None = None


NO_TERMS = StartTerms()


def begin_run(
    connection: Connection,
    campaign_id: int,
    *,
    kind: str,
    actor: str,
    reason: str | None,
    shares: int,
    holder: UUID | None = None,
    chosen: RetrySelection = ALL_BUT_REFUSED,
    terms: StartTerms = NO_TERMS,
) -> Run:
    """Make a campaign's next run RUNNING, in one transaction.

    INITIAL freezes the targets, under its `terms`. RESUME goes on with what an earlier run left open; where that run's
    driver is gone, it ends FAILED here. RETRY opens the FAILED payments that are `chosen`. `holder` is the driver's
    name for itself, random where none is given.

    Raises RefusedError when the login has no right, the campaign is unknown, or its state does not allow it, when its
    targets do not meet what is expected, approved and looked at, nothing is chosen, or another run is RUNNING; nothing
    is changed then.
    """
    holder = holder or uuid4()
    with connection.transaction():
        require_right(connection, Right.START)
        lock_campaign(connection, campaign_id)
        campaign = check_startable(connection, campaign_id, kind=kind)
        if campaign.state == "RUNNING":
            _end_without_driver(connection, campaign, actor=actor)
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
            _freeze(connection, campaign, terms, reason=reason)
        allocate_shares(connection, shares)
        reset_breakers(connection)
        frozen_campaign = connection.execute(sql("frozen_campaign"), {"campaign_id": campaign_id}).fetchone()
        assert frozen_campaign is not None
        key_namespace, target_count, target_amount = frozen_campaign
        figures: dict[str, Any] = {"kind": kind, "target_count": target_count, "target_amount": target_amount}
        if kind == "RESUME":
            connection.execute(sql("reset_tries"), {"campaign_id": campaign_id})
        if kind == "RETRY":
            figures |= _reopen(connection, campaign_id, chosen)
        if reason is not None:
            figures["reason"] = reason
        if terms.same_as is not None:
            figures["same_as"] = terms.same_as
        if terms.forced:
            _publish_force(connection, campaign, run, actor=actor, reason=reason)
        event, action = _PUBLISHED_AS[kind]
        write_event(connection, campaign_id=campaign_id, run=run, type=event, actor=actor, data=figures)
        write_audit(connection, action=action, campaign_id=campaign_id, run=run, actor=actor, detail=figures)
        # The freeze may have taken longer than a driver's lease: it begins now.
        token = RunToken(campaign_id, run_id, driver_epoch)
        begun = Run(token, run, kind, holder, actor, key_namespace, target_count)
        connection.execute(sql("begin_driver_lease"), driver_parameters(begun))
    return begun


def check_startable(connection: Connection, campaign_id: int, *, kind: str) -> Campaign:
    """The campaign, if its state lets a run of this kind begin; RefusedError with what to do instead."""
    campaign = get_campaign(connection, campaign_id)
    refused = refusal(_OPENED_BY[kind], CampaignState(campaign.state), campaign_id)
    if refused is not None:
        raise RefusedError(refused)
    if campaign.state == "RUNNING" and not campaign.driver_is_gone:
        raise RefusedError(
            f"Campaign {campaign_id} is RUNNING, and its driver is alive: there is nothing to resume."
            f" Follow it with `bulkpoint campaign watch {campaign_id}`."
        )
    return campaign


_OPENED_BY = {"INITIAL": Command.START, "RESUME": Command.RESUME, "RETRY": Command.RETRY}
_PUBLISHED_AS = {
    "INITIAL": ("campaign.started", "start"),
    "RESUME": ("campaign.resumed", "resume"),
    "RETRY": ("campaign.retried", "retry"),
}


def _end_without_driver(connection: Connection, campaign: Campaign, *, actor: str) -> None:
    """The run that nobody drives any more ends FAILED; its driver, should it wake, finds its lease gone."""
    latest = connection.execute(sql("latest_run"), {"campaign_id": campaign.campaign_id}).fetchone()
    assert latest is not None, "a RUNNING campaign has a run"
    reason = "its driver was gone"
    ended = connection.execute(sql("end_run_without_driver"), {"run_id": latest[0], "reason": reason}).fetchone()
    # The campaign's row is locked, and the lease of the run's driver has passed.
    invariant(ended is not None, "a run whose driver is gone did not end")
    summary = summarize_run(connection, latest[0])
    _publish_end(connection, summary, actor=actor)


def _reopen(connection: Connection, campaign_id: int, chosen: RetrySelection) -> dict[str, Any]:
    row = connection.execute(sql("reopen_failed"), chosen.parameters(campaign_id)).fetchone()
    assert row is not None
    payments, points = row
    if payments == 0:
        raise RefusedError(
            f"Campaign {campaign_id} has no FAILED payment of this choice that may be retried: {chosen}. Nothing was"
            f" changed. `bulkpoint campaign show {campaign_id}` counts them by kind."
        )
    choice = {"kinds": list(chosen.kinds), "code": chosen.code, "beyond_limit": chosen.beyond_limit}
    return {"retried": payments, "retried_amount": points} | choice


def _freeze(connection: Connection, campaign: Campaign, terms: StartTerms, *, reason: str | None) -> None:
    """Targets become payments, if they are what was expected, approved, looked at, and not paid before."""
    campaign_id = campaign.campaign_id
    intake = inspect_targets(connection, campaign, terms.policy, same_as=terms.same_as)
    digest = check_ready(campaign_id, intake, same_as=terms.same_as)
    if terms.digest is not None and terms.digest != digest:
        raise RefusedError(
            f"Campaign {campaign_id} cannot start: its targets changed since they were looked at."
            f" Look again: `bulkpoint campaign preview {campaign_id}`."
        )
    connection.execute(sql("freeze_campaign"), {"campaign_id": campaign_id, "digest": digest})
    remember_list(connection, campaign_id, digest)
    if terms.same_as is not None:
        if not reason:
            raise DefectError("a list may repeat another one's, and nothing says why")
        allow_repetition(connection, campaign_id, same_as=terms.same_as, reason=reason)


def _publish_force(connection: Connection, campaign: Campaign, run: int, *, actor: str, reason: str | None) -> None:
    """Event and audit row of a start that jumps the order, in the transaction of the start itself."""
    require_right(connection, Right.FORCE)
    campaign_id, detail = campaign.campaign_id, {"reason": reason}
    data = {"name": campaign.name, **detail}
    write_event(connection, campaign_id=campaign_id, run=run, type="campaign.forced", actor=actor, data=data)
    write_audit(connection, action="force", campaign_id=campaign_id, run=run, actor=actor, detail=detail)


def publish_progress(connection: Connection, run: Run) -> None:
    """The events of how far a run has brought its campaign, unless it has ended or is another driver's."""
    with connection.transaction():
        lock_campaign(connection, run.token.campaign_id)
        held = renew_driver(connection, run)
        if held is not None and held[0] == "RUNNING":
            _publish_quarters(connection, summarize_run(connection, run.token.run_id), actor=run.actor)


def _publish_quarters(connection: Connection, summary: RunSummary, *, actor: str) -> None:
    """Each quarter is told once in a campaign's life, also where one look finds several; the caller holds its row."""
    total = summary.success + summary.failed + summary.open
    row = connection.execute(sql("quarter_published"), {"campaign_id": summary.campaign_id}).fetchone()
    assert row is not None
    for percent in QUARTERS:
        if row[0] < percent <= 100 * (summary.success + summary.failed) / total:
            figures = {
                "percent": percent,
                "target_count": total,
                "success": summary.success,
                "failed": summary.failed,
                "unknown": summary.unknown,
                "open": summary.open,
            }
            write_event(
                connection,
                campaign_id=summary.campaign_id,
                run=summary.run,
                type="campaign.progressed",
                actor=actor,
                data=figures,
            )


def end_run(
    connection: Connection, run: Run, state: Literal["COMPLETED", "FAILED"], reason: str | None = None
) -> RunSummary | None:
    """End a run by its own driver; None when it had been stopped, or is another driver's by now.

    Raises DefectError for COMPLETED while a row is open, counted in this transaction; nothing is changed then.
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
        raise RefusedError("ENDED_MEANWHILE", "show", campaign_id=campaign_id)
    return ended


def _end(
    connection: Connection, token: RunToken, *, state: Ending, reason: str | None, actor: str, holder: UUID | None
) -> RunSummary | None:
    with connection.transaction():
        lock_campaign(connection, token.campaign_id)
        row = connection.execute(
            sql("end_run"), {"run_id": token.run_id, "state": state, "reason": reason, "holder": holder}
        ).fetchone()
        if row is None:
            return None
        summary = summarize_run(connection, token.run_id)
        if state == "COMPLETED":
            still_open = connection.execute(sql("open_rows_exist"), {"campaign_id": token.campaign_id}).fetchone()
            invariant(still_open == (False,), "COMPLETED while rows are open")
            _publish_quarters(connection, summary, actor=actor)
        _publish_end(connection, summary, actor=actor)
    return summary


def _publish_end(connection: Connection, summary: RunSummary, *, actor: str) -> None:
    """Event and audit row of a run that has ended."""
    figures = asdict(summary)
    for key in ("campaign_id", "run", "state"):  # the event itself has these
        del figures[key]
    for key in ("started_at", "finished_at"):
        figures[key] = figures[key].isoformat()
    campaign_id, run = summary.campaign_id, summary.run
    kind = f"campaign.{summary.state.lower()}"
    write_event(connection, campaign_id=campaign_id, run=run, type=kind, actor=actor, data=figures)
    action = {"COMPLETED": "complete", "FAILED": "fail", "STOPPED": "stop"}[summary.state]
    detail = {key: figures[key] for key in _AUDITED_OF_AN_END}
    write_audit(connection, action=action, campaign_id=campaign_id, run=run, actor=actor, detail=detail)


_AUDITED_OF_AN_END = ("success", "failed", "unknown", "open", "success_amount", "failed_amount", "reason")
