"""The transactional outbox: an event is a row, written in the transaction that made the change."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from bulkpoint.ids import new_id
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# The deployment itself: events that belong to no campaign.
DEPLOYMENT = 0


@dataclass(frozen=True)
class Event:
    """One published event: what happened to which campaign (0: the deployment), numbered in each without gaps."""

    campaign_id: int
    event_no: int
    event_id: str
    type: str
    version: int
    run_no: int | None
    occurred_at: datetime
    actor: str
    data: dict[str, Any]


_WRITE_OF_CAMPAIGN = Query("write_campaign_event", int)
_WRITE_OF_DEPLOYMENT = Query("write_deployment_event", int)


def write_event(
    connection: Connection,
    *,
    campaign_id: int,
    run_no: int | None,
    type: str,
    actor: str,
    data: dict[str, Any],
) -> int:
    """Store one event and return its number, which counts a campaign's events without a gap.

    Call it inside the transaction that makes the change. `campaign_id` 0 is the deployment (`tps.changed`),
    `run_no` the run's number within its campaign. `data` has counts and texts, never a member id.
    """
    write = _WRITE_OF_DEPLOYMENT if campaign_id == DEPLOYMENT else _WRITE_OF_CAMPAIGN
    return write.one(
        connection,
        campaign_id=campaign_id,
        event_id=new_id(),
        type=type,
        run_no=run_no,
        actor=actor,
        data=Jsonb(data),
    )
