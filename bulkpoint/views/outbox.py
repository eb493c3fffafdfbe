"""Events on their way to Kafka, as people and programs see them."""

from collections.abc import Iterator
from typing import Annotated

from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, local_time
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View


class WaitingView(View):
    """A campaign whose events are not all published. trouble: what the broker said to the next one."""

    campaign_id: int
    published_no: int
    last_event_no: int
    waits_since: Moment | None
    trouble: str | None
    count: Annotated[int, NOT_IN_JSON]


class ParkedView(View):
    """An event that the broker refuses, set aside; trouble: what it said."""

    campaign_id: int
    event_no: int
    event_id: str
    type: str
    parked_at: Moment
    trouble: str


class OutboxView(View):
    """Events that wait for Kafka, and those that were set aside. Campaign 0 is the deployment."""

    printed_by = ("outbox status",)

    waiting: list[WaitingView]
    parked: list[ParkedView]
    has_kafka: Annotated[bool, NOT_IN_JSON]

    def as_text(self, screen: Screen) -> Iterator[str]:
        yield f"{sum(campaign.count for campaign in self.waiting):,} events wait, {len(self.parked):,} were set aside"
        if self.waiting:
            rows = [("CAMPAIGN", "WAITING", "SINCE", "TROUBLE")]
            for campaign in self.waiting:
                since = "" if campaign.waits_since is None else local_time(campaign.waits_since, screen.timezone)
                trouble = escaped(campaign.trouble or "")
                rows.append((_campaign(campaign.campaign_id), f"{campaign.count:,}", since, trouble))
            yield from ["", *aligned(rows, left=("SINCE", "TROUBLE"))]
        if self.parked:
            table = [("CAMPAIGN", "EVENT", "TYPE", "SET ASIDE", "WHY")]
            for event in self.parked:
                when, why = local_time(event.parked_at, screen.timezone), escaped(event.trouble)
                table.append((_campaign(event.campaign_id), str(event.event_no), event.type, when, why))
            yield from ["", *aligned(table, left=("TYPE", "SET ASIDE", "WHY"))]

    def remarks(self) -> Iterator[str]:
        if self.waiting and not self.has_kafka:
            yield "No Kafka is configured (BULKPOINT_KAFKA_BOOTSTRAP_SERVERS): they wait until one is."
        if self.parked:
            yield "Fix the cause, then publish them with `bulkpoint outbox relay --parked`."


def _campaign(campaign_id: int) -> str:
    return str(campaign_id) if campaign_id else "deployment"
