"""The one way to change a campaign or the limit: right, lock, table of changes, event, audit row; one transaction.

A block that ends normally has its outbox event and its audit row; one that ends by an exception changed nothing.
So there is no change without its row, and no row without its change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from bulkpoint.errors import RefusedError
from bulkpoint.rules.invariants import invariant
from bulkpoint.rules.lifecycle import TRANSITIONS, Command, refusal
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import Campaign, get_campaign, lock_campaign, refuse_archived
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import DEPLOYMENT, write_event
from bulkpoint.store.right import require_right
from bulkpoint.store.session import settle_transaction


class WrongStateError(RefusedError):
    """The campaign's state does not allow the command."""


@dataclass
class Change:
    """What is to be written of a change; the block that makes it fills this in.

    campaign_id: None for a change of the deployment. run_no: of the run that it opens or ends. detail: what both the
    event and the audit row say; event_only and audit_only: what only one of them says.
    """

    actor: str
    campaign_id: int | None = None
    run_no: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    event_only: dict[str, Any] = field(default_factory=dict)
    audit_only: dict[str, Any] = field(default_factory=dict)


@contextmanager
def transition(
    connection: Connection, campaign_id: int, command: Command, *, actor: str, asked: UUID | None = None
) -> Iterator[tuple[Campaign, Change]]:
    """Lock a campaign that allows `command`, yield it as it was before, and write the change when the block ends.

    Raises RefusedError where the login has no right, the campaign is unknown, or its state does not allow the command.
    Waits for a loader of targets that is still at work, and for any other change of this campaign. asked: the request
    of a run, whose asker needs the right instead of this connection's login.
    """
    with recorded(connection, command, actor=actor, campaign_id=campaign_id, asked=asked) as change:
        lock_campaign(connection, campaign_id)
        campaign = get_campaign(connection, campaign_id)
        check_state(command, campaign)
        yield campaign, change


@contextmanager
def recorded(
    connection: Connection,
    command: Command,
    *,
    actor: str,
    campaign_id: int | None = None,
    run_no: int | None = None,
    asked: UUID | None = None,
) -> Iterator[Change]:
    """The same without an existing campaign: for a new one, for the limit, and for a part of a transition.

    Raises RefusedError where the login has no right.
    """
    row = TRANSITIONS[command]
    with connection.transaction():
        settle_transaction(connection)
        if row.right is not None:
            require_right(connection, row.right, asked=asked)
        change = Change(actor, campaign_id, run_no)
        yield change
        invariant((change.campaign_id is None) == (row.to is None), "an event without its campaign")
        write_event(
            connection,
            campaign_id=DEPLOYMENT if change.campaign_id is None else change.campaign_id,
            run_no=change.run_no,
            type=row.event,
            actor=actor,
            data=change.detail | change.event_only,
        )
        write_audit(
            connection,
            action=row.action,
            campaign_id=change.campaign_id,
            run_no=change.run_no,
            actor=actor,
            detail=change.detail | change.audit_only,
        )


def check_state(command: Command, campaign: Campaign) -> None:
    """Raises WrongStateError, with what to do instead, where the campaign's state does not allow the command, and
    RefusedError where it is archived."""
    refuse_archived(campaign)
    refused = refusal(command, campaign.state, campaign.campaign_id)
    if refused is not None:
        raise WrongStateError(refused)
