"""What `campaign archive` prints: which campaigns are in which folders, and which must stay."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from bulkpoint.errors import BulkpointError
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View


class ArchivedView(View):
    """A campaign whose payments and calls are in files. place: its folder; already: it was archived before."""

    campaign_id: int
    archived_at: Moment
    place: str
    payments: int
    attempts: int
    already: bool


class CampaignLeft(View):
    """A campaign that was not archived; code and message: why, as docs/errors.md has them."""

    campaign_id: int
    code: str
    message: str

    @classmethod
    def of(cls, campaign_id: int, error: BulkpointError, *, timezone: str) -> Self:
        """With its refusal; times of `timezone`."""
        return cls(campaign_id=campaign_id, code=error.refusal.code, message=sentence(error, timezone=timezone))


class ArchiveView(View):
    """Campaigns that are archived, and those that had to stay."""

    printed_by = ("campaign archive",)

    archived: list[ArchivedView]
    left: list[CampaignLeft]
    older_than_days: Annotated[int | None, NOT_IN_JSON] = None

    def as_text(self, screen: Screen) -> Iterator[str]:
        for one in self.archived:
            size = f"{one.payments:,} payments, {one.attempts:,} calls"
            if one.already:
                at = local_time(one.archived_at, screen.timezone)
                yield f"campaign {one.campaign_id} was archived at {at} to {escaped(one.place)}; nothing is changed"
            else:
                yield f"archived campaign {one.campaign_id} to {escaped(one.place)}: {size}"

    def remarks(self) -> Iterable[str]:
        yield from (f"Campaign {one.campaign_id} stays: {one.message}" for one in self.left)
        if not self.archived and not self.left:
            yield f"No campaign that ended more than {self.older_than_days:,} days ago is left to archive."


class AttemptsRemoved(View):
    """A campaign whose calls were removed, and how many."""

    campaign_id: int
    attempts: int


class TrimView(View):
    """The campaigns whose calls were removed, because they were older than they are to be kept."""

    printed_by = ("db trim",)

    removed: list[AttemptsRemoved]

    def as_text(self, screen: Screen) -> Iterator[str]:  # noqa: ARG002
        for one in self.removed:
            yield f"removed the calls of campaign {one.campaign_id}: {one.attempts:,}"
        if not self.removed:
            yield "no calls are older than they are to be kept"
