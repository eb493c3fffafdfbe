"""The limit as people and programs see it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from bulkpoint.text import escaped
from bulkpoint.views.format import local_time
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View


class LimitView(View):
    """The limit: tps calls a second at most, 0 pauses everything; in_use: what holders of shares may send of it.

    until: when the present figure ends.
    """

    printed_by = ("tps show", "tps set")

    tps: int
    shares: int
    in_use: int
    reason: str | None
    until: Moment | None
    set_by: str
    set_at: Annotated[datetime, NOT_IN_JSON]
    tps_afterwards: Annotated[int | None, NOT_IN_JSON]

    def as_text(self, screen: Screen) -> Iterator[str]:
        hold = "  (on hold)" if self.tps == 0 else ""
        yield f"limit    {self.tps:,} TPS{hold}, in {self.shares} {'share' if self.shares == 1 else 'shares'}"
        yield f"in use   {self.in_use:,} TPS"
        yield f"set by   {escaped(self.set_by)}, {local_time(self.set_at, screen.timezone)}"
        if self.reason:
            yield f"reason   {escaped(self.reason)}"
        if self.until is not None:
            yield f"until    {local_time(self.until, screen.timezone)}, then {self.tps_afterwards:,} TPS"
