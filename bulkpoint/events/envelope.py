"""An event as it travels: JSON with the fields of docs/events.md, read back by those who consume the topic."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, WithJsonSchema

from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.store.outbox import Event
from bulkpoint.store.progress import RunSummary
from bulkpoint.views.format import utc_time

# The type of the event that replaces the figures of a run's end.
CORRECTED = "campaign.corrected"

_Time = Annotated[datetime, PlainSerializer(utc_time)]


class Envelope(BaseModel):
    """The envelope of every event. event_no counts a campaign's events without a gap; campaign 0 is the deployment."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    type: str
    version: Literal[1]
    campaign_id: int = Field(ge=0)
    run: int | None
    event_no: int = Field(ge=1)
    occurred_at: _Time
    actor: str
    data: dict[str, Any]


class Ended(BaseModel):
    """A run ended: completed, failed or stopped. Counts and amounts are those of the whole campaign at that time.

    failed includes unknown: payments that may have been credited. failure_kinds: failed payments by kind. open includes
    processing: payments that were claimed, and perhaps sent, by a worker that is gone. failure_codes: the commonest
    codes of each kind of failure, by the money API's names; empty for very large campaigns.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Annotated[RunKind, WithJsonSchema({"title": "Kind", "type": "string"})]
    reason: str | None
    started_at: _Time
    finished_at: _Time
    success: int
    failed: int
    unknown: int
    refused: int
    open: int
    processing: int
    success_amount: int
    failed_amount: int
    unknown_amount: int
    open_amount: int
    processing_amount: int
    done_before: int | None
    failure_kinds: dict[str, int]
    failure_codes: dict[str, list[str]] = {}


class Corrected(Ended):
    """Results became known after the end of a run: its figures as they are now. state: how it had ended."""

    state: Annotated[RunState, WithJsonSchema({"title": "State", "type": "string"})]


class CreatedCampaign(BaseModel):
    """What is read of `campaign.created` to say that a campaign waits for its approval."""

    model_config = ConfigDict(frozen=True)

    name: str
    expected_count: int
    expected_amount: int


class RejectedCampaign(BaseModel):
    """What is read of `campaign.rejected` to say so."""

    model_config = ConfigDict(frozen=True)

    name: str
    reason: str
    creator: str


def encode(event: Event) -> bytes:
    """The event's JSON, UTF-8."""
    envelope = Envelope(
        event_id=UUID(event.event_id),
        type=event.type,
        version=1,
        campaign_id=event.campaign_id,
        run=event.run_no,
        event_no=event.event_no,
        occurred_at=event.occurred_at,
        actor=event.actor,
        data=event.data,
    )
    return envelope.model_dump_json().encode()


def decode(value: bytes) -> Event | None:
    """The event of a message; None where it is not one of ours, or has a version that we do not know."""
    try:
        envelope = Envelope.model_validate_json(value)
    except ValidationError:
        return None
    fields = envelope.model_dump() | {
        "event_id": str(envelope.event_id),
        "run_no": envelope.run,
        "occurred_at": envelope.occurred_at.astimezone(UTC),
    }
    del fields["run"]
    return Event(**fields)


def summary_of(event: Event) -> RunSummary:
    """How a run ended, from its event. Raises pydantic's ValidationError for data of another shape."""
    assert event.run_no is not None, "a run ended"
    if event.type == CORRECTED:
        figures = dict(Corrected.model_validate(event.data))
    else:
        figures = dict(Ended.model_validate(event.data))
        figures["state"] = RunState(event.type.removeprefix("campaign.").upper())
    return RunSummary(campaign_id=event.campaign_id, run_no=event.run_no, **figures)
