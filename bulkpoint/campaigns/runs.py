"""Runs: begun in three ways, and ended in three; every change of a run's state is a transition of its campaign."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from bulkpoint.campaigns.asked_run import finish_request, refuse_if_called_back
from bulkpoint.campaigns.digest import refuse_another_digest
from bulkpoint.campaigns.end_figures import AUDITED_OF_AN_END, figures_of_end, with_codes
from bulkpoint.campaigns.findings import names_of_accepted
from bulkpoint.campaigns.readiness import check_ready, inspect_targets
from bulkpoint.campaigns.retry import describe_choice
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.transition import Change, WrongStateError, check_state, recorded, transition
from bulkpoint.errors import RefusedError
from bulkpoint.rules.invariants import DefectError, invariant
from bulkpoint.rules.lifecycle import TRANSITIONS, CampaignState, Command, RunKind, RunState
from bulkpoint.rules.promises import MoneyPromises
from bulkpoint.rules.readiness import NO_POLICY, Policy
from bulkpoint.store.call_tally import fold_ended_calls
from bulkpoint.store.campaign import Campaign, get_campaign, lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.duplicate_list import allow_repetition, remember_list
from bulkpoint.store.finding import keep_judgement
from bulkpoint.store.near_copy import keep_list_sample
from bulkpoint.store.outbox import write_event
from bulkpoint.store.progress import RunSummary, get_quarter_published, summarize_run
from bulkpoint.store.run import (
    Run,
    RunEnding,
    begin_driver_lease,
    close_run,
    close_run_without_driver,
    freeze_campaign,
    get_frozen,
    how_it_ends,
    insert_run,
    keep_done_before,
    open_rows_exist,
    renew_driver,
    reopen_failed,
    reset_tries,
    was_halted,
)
from bulkpoint.store.run_request import asker_of_run
from bulkpoint.store.share import RunToken, allocate_shares, reset_breakers
from bulkpoint.views.end_reasons import end_reason

# Progress is published when this percentage of a campaign's payments has ended.
QUARTERS = (25, 50, 75)

OPENED_BY = {row.opens: command for command, row in TRANSITIONS.items() if row.opens is not None}


def begin_run(
    connection: Connection,
    request: RunRequest,
    *,
    shares: int | Callable[[], int],
    policy: Policy = NO_POLICY,
    promises: MoneyPromises | None = None,
) -> Run:
    """Make the run that is asked for RUNNING, in one transaction; `shares` is N, the parts of the limit, or
    says it when the payments are ready: what it waits for, Spark's start, goes on while the targets are frozen. What it
    raises is raised here, and nothing is changed.

    promises: of the money API; a RETRY leaves payments alone whose keys it may have forgotten. None: it never forgets.

    INITIAL freezes the targets, if `policy` allows them. RESUME goes on with what an earlier run left
    open; where that run's driver is gone, it ends FAILED here. RETRY opens the FAILED payments that are selected.

    Raises RefusedError when the login that asked has no right, the campaign is unknown, or its state does not allow it,
    when its targets do not meet what is expected, approved and looked at, nothing is selected, or another run is
    RUNNING; nothing is changed then. Raises StoppedError when the request was called back.
    """
    refuse_if_called_back(connection, request)
    match request.kind:
        case RunKind.INITIAL:
            return _start(connection, request, shares, policy)
        case RunKind.RESUME:
            return _resume(connection, request, shares)
        case RunKind.RETRY:
            return _retry(connection, request, shares, promises)
        case _:
            raise DefectError(f"no run of kind {request.kind} can begin")


def check_startable(connection: Connection, request: RunRequest) -> Campaign:
    """The campaign, if its state lets a run of this kind begin; RefusedError with what to do instead."""
    campaign = get_campaign(connection, request.campaign_id)
    check_state(OPENED_BY[request.kind], campaign)
    _refuse_living_driver(campaign)
    return campaign


def _start(connection: Connection, request: RunRequest, shares: int | Callable[[], int], policy: Policy) -> Run:
    """The first run: the targets become payments."""
    with _transition(connection, request, Command.START) as (campaign, change):
        token = _open_run(connection, change, request)
        accepted = _freeze(connection, campaign, request, policy)
        if accepted:
            change.audit_only["accepted"] = accepted
        if request.same_as is not None:
            change.detail["same_as"] = request.same_as
        number = _count(shares)
        if request.force:
            _force(connection, campaign, change, request)
        return _hand_over(connection, change, token, request, number)


def _resume(connection: Connection, request: RunRequest, shares: int | Callable[[], int]) -> Run:
    """Goes on with what an earlier run left open."""
    with _transition(connection, request, Command.RESUME) as (campaign, change):
        _refuse_living_driver(campaign)
        number = _count(shares)
        if campaign.state == CampaignState.RUNNING:
            _end_without_driver(connection, campaign, actor=request.actor)
        token = _open_run(connection, change, request)
        reset_tries(connection, campaign.campaign_id)
        return _hand_over(connection, change, token, request, number)


def _retry(
    connection: Connection, request: RunRequest, shares: int | Callable[[], int], promises: MoneyPromises | None
) -> Run:
    """Pays the FAILED payments of a selection again."""
    with _transition(connection, request, Command.RETRY) as (campaign, change):
        token = _open_run(connection, change, request)
        selection = request.selection
        send_again_s_max = None if promises is None else promises.send_again_s_max
        payments, points = reopen_failed(connection, campaign.campaign_id, selection, send_again_s_max=send_again_s_max)
        if payments == 0:
            facts = {"campaign_id": campaign.campaign_id, "choice": describe_choice(selection)}
            raise RefusedError("NOTHING_REOPENED", "show_kinds", **facts)
        change.detail |= {"retried": payments, "retried_amount": points}
        change.detail |= {
            "kinds": list(selection.kinds), "code": selection.code, "beyond_limit": selection.beyond_limit
        }  # fmt: skip
        return _hand_over(connection, change, token, request, _count(shares), reopened=payments)


@contextmanager
def _transition(connection: Connection, request: RunRequest, command: Command) -> Iterator[tuple[Campaign, Change]]:
    """The transition that makes the run: whoever asked for it needs the right, and the audit row says who that was."""
    with transition(connection, request.campaign_id, command, actor=request.actor, asked=request.request_id) as (
        campaign,
        change,
    ):
        change.audit_only |= _who_asked(connection, request)
        yield campaign, change


def _who_asked(connection: Connection, request: RunRequest) -> dict[str, str]:
    """Of a run that another program asked for, what its audit row says besides the login that makes it."""
    asker = asker_of_run(connection, request.request_id)
    return {} if asker is None else {"asked_by": asker.actor, "asked_login": asker.login}


def _open_run(connection: Connection, change: Change, request: RunRequest) -> RunToken:
    """Insert the run's row, the only RUNNING one, before the long work on payments: a refusal then costs no work."""
    opened = insert_run(
        connection,
        request.campaign_id,
        kind=request.kind,
        actor=request.actor,
        reason=request.reason,
        holder=request.holder,
    )
    if opened is None:
        raise RefusedError("ANOTHER_RUN_IS_RUNNING", "list_and_start_again", campaign_id=request.campaign_id)
    token, change.run_no = opened
    change.detail["kind"] = request.kind
    if request.reason is not None:
        change.detail["reason"] = request.reason
    return token


def _hand_over(
    connection: Connection,
    change: Change,
    token: RunToken,
    request: RunRequest,
    shares: int,
    *,
    reopened: int = 0,
) -> Run:
    """Divide the limit and begin the driver's lease: the payments are ready."""
    keep_done_before(connection, token.run_id, reopened=reopened)
    allocate_shares(connection, shares)
    reset_breakers(connection)
    frozen = get_frozen(connection, token.campaign_id)
    change.detail |= {"target_count": frozen.target_count, "target_amount": frozen.target_amount}
    if request.kind == RunKind.RESUME:
        change.detail |= {"open": frozen.open_count, "open_amount": frozen.open_amount}
    assert change.run_no is not None
    run = Run(
        token,
        change.run_no,
        request.kind,
        request.holder,
        request.actor,
        frozen.key_namespace,
        frozen.target_count,
        frozen.open_count,
    )
    fold_ended_calls(connection)
    finish_request(connection, request)  # last: the freeze may take minutes, and can be called back meanwhile
    begin_driver_lease(connection, run)
    return run


def _count(shares: int | Callable[[], int]) -> int:
    """Wait for their number. Before an audit row is written: everyone else's, as that of a stop, waits for ours."""
    return shares() if callable(shares) else shares


def _refuse_living_driver(campaign: Campaign) -> None:
    if campaign.state == CampaignState.RUNNING and not campaign.driver_is_gone:
        raise RefusedError("DRIVER_IS_ALIVE", "watch", campaign_id=campaign.campaign_id)


def _end_without_driver(connection: Connection, campaign: Campaign, *, actor: str) -> None:
    """End a run whose driver is gone as FAILED, or STOPPED where a person has stopped it.

    If that driver wakes up, it no longer has the lease.
    """
    assert campaign.run_id is not None, "a RUNNING campaign has a run"
    ending = how_it_ends(connection, campaign.campaign_id)
    if ending is not None and ending.stop_actor is not None:
        end_stopped(connection, campaign.campaign_id, ending)
        return
    with transition(connection, campaign.campaign_id, Command.FAIL, actor=actor) as (_, change):
        ended = close_run_without_driver(connection, campaign.run_id, end_reason("DRIVER_GONE"))
        # The campaign's row is locked, and the lease of the run's driver has passed.
        invariant(ended, "a run whose driver is gone did not end")
        _describe_end(change, with_codes(connection, summarize_run(connection, campaign.run_id)))


def _freeze(connection: Connection, campaign: Campaign, request: RunRequest, policy: Policy) -> list[str]:
    """Targets become payments, if they are what was expected, approved, looked at, and not paid before.

    Returns the findings in them that this request accepts.
    """
    campaign_id = campaign.campaign_id
    found = inspect_targets(
        connection, campaign, policy, same_as=request.same_as, accepted=request.accepted, actor=request.actor
    )
    digest = check_ready(campaign_id, found, same_as=request.same_as)
    refuse_another_digest(campaign_id, digest, request.digest, Command.START)
    accepted = names_of_accepted(found.findings, request.accepted)
    keep_judgement(connection, campaign_id, digest, found.findings)
    if found.sample is not None:
        keep_list_sample(connection, campaign_id, found.sample)
    freeze_campaign(connection, campaign_id, digest)
    remember_list(connection, campaign_id, digest)
    if request.same_as is not None:
        if not request.reason:
            raise DefectError("a list may repeat another one's, and nothing says why")
        allow_repetition(connection, campaign_id, same_as=request.same_as, reason=request.reason)
    return accepted


def _force(connection: Connection, campaign: Campaign, start: Change, request: RunRequest) -> None:
    """The event and the audit row of a forced start, written before those of the start itself."""
    with recorded(
        connection,
        Command.FORCE,
        actor=start.actor,
        campaign_id=campaign.campaign_id,
        run_no=start.run_no,
        asked=request.request_id,
    ) as change:
        change.audit_only |= _who_asked(connection, request)
        change.detail["reason"] = start.detail.get("reason")
        change.event_only["name"] = campaign.name


def publish_progress(connection: Connection, run: Run) -> None:
    """Publish how far a run has brought its campaign, unless the run has ended or another driver has its lease."""
    with connection.transaction():
        lock_campaign(connection, run.token.campaign_id)
        held = renew_driver(connection, run)
        if held is not None and held[0] == RunState.RUNNING:
            _publish_quarters(connection, summarize_run(connection, run.token.run_id), actor=run.actor)


def _publish_quarters(connection: Connection, summary: RunSummary, *, actor: str) -> None:
    """Publish each quarter once in a campaign's life, also if several are new; the campaign's row is locked."""
    total = summary.success + summary.failed + summary.open
    published = get_quarter_published(connection, summary.campaign_id)
    for percent in QUARTERS:
        if published < percent <= 100 * (summary.success + summary.failed) / total:
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
                run_no=summary.run_no,
                type="campaign.progressed",
                actor=actor,
                data=figures,
            )


def end_run(connection: Connection, run: Run, state: RunState, reason: str | None = None) -> RunSummary | None:
    """End a run by its own driver, COMPLETED or FAILED; None if it has ended, or another driver has it by now.

    A run that a person has stopped ends STOPPED instead, and a run that was halted FAILED. Raises DefectError for
    COMPLETED while a row is open, counted in this transaction; nothing is changed then.
    """
    campaign_id = run.token.campaign_id
    try:
        with connection.transaction():
            lock_campaign(connection, campaign_id)  # so that a stop comes before this, or is refused
            ending = how_it_ends(connection, campaign_id)
            if ending is not None and ending.run_id == run.token.run_id and ending.stop_actor is not None:
                return end_stopped(connection, campaign_id, ending, holder=run.holder)
            if was_halted(connection, run.token.run_id):  # also since the driver looked last
                state = RunState.FAILED
            command = Command.COMPLETE if state == RunState.COMPLETED else Command.FAIL
            with transition(connection, campaign_id, command, actor=run.actor) as (_, change):
                summary = _close(connection, campaign_id, run.token.run_id, state, reason, holder=run.holder)
                if command is Command.COMPLETE:
                    invariant(not open_rows_exist(connection, campaign_id), "COMPLETED while rows are open")
                    _publish_quarters(connection, summary, actor=run.actor)
                _describe_end(change, summary)
            return summary
    except WrongStateError:
        return None


def end_stopped(
    connection: Connection, campaign_id: int, ending: RunEnding, *, holder: UUID | None = None
) -> RunSummary:
    """RUNNING -> STOPPED for a run that a person has stopped, in that person's name; the campaign's row is locked."""
    assert ending.stop_actor is not None, "a person has stopped it"
    with transition(connection, campaign_id, Command.STOP, actor=ending.stop_actor) as (_, change):
        summary = _close(connection, campaign_id, ending.run_id, RunState.STOPPED, ending.stop_reason, holder=holder)
        _describe_end(change, summary)
    return summary


def end_halted(connection: Connection, campaign_id: int, run_id: int, *, actor: str) -> RunSummary:
    """RUNNING -> FAILED for a run that was halted and that its driver does not end; the campaign's row is locked."""
    with transition(connection, campaign_id, Command.FAIL, actor=actor) as (_, change):
        summary = _close(connection, campaign_id, run_id, RunState.FAILED, None)
        _describe_end(change, summary)
    return summary


def _close(
    connection: Connection,
    campaign_id: int,
    run_id: int,
    state: RunState,
    reason: str | None,
    *,
    holder: UUID | None = None,
) -> RunSummary:
    if not close_run(connection, run_id, state, reason=reason, holder=holder):
        raise WrongStateError("ENDED_MEANWHILE", "show", campaign_id=campaign_id)
    return with_codes(connection, summarize_run(connection, run_id))


def _describe_end(change: Change, summary: RunSummary) -> None:
    """What the event and the audit row say of a run's end. The event's envelope has the campaign, number and state."""
    figures = figures_of_end(summary)
    change.run_no = summary.run_no
    change.detail = {name: figures.pop(name) for name in AUDITED_OF_AN_END}
    change.event_only = figures
