"""The campaigns: what runs, what waits and what stands in its way, and the others, to be filtered and searched."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlencode

from starlette.responses import Response

from bulkpoint.campaigns.queue import CountTargets, Queue, look_at_queue
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.campaign import get_counts_of
from bulkpoint.store.connect import Connection
from bulkpoint.store.target import total_targets
from bulkpoint.store.watched import NEWEST, page_of_campaigns
from bulkpoint.views.campaign import CampaignView
from bulkpoint.views.sentences import sentence
from bulkpoint.web.asked import Asked
from bulkpoint.web.routes import get, render
from bulkpoint.web.stop_bar import what_runs

ROWS_SHOWN = 50
TEXT_CHARACTERS_MAX = 200
# How old an answer may be that is given to everybody. The totals of a list that nobody has judged are a scan of it.
LIST_S_MAX, QUEUE_S_MAX, TOTALS_S_MAX = 3.0, 5.0, 60.0
# What is neither at the top of the page nor in the queue.
ENDED = (CampaignState.COMPLETED, CampaignState.FAILED, CampaignState.STOPPED, CampaignState.WITHDRAWN)
EVERY = "ALL"


@dataclass(frozen=True)
class Choice:
    """What was asked for. state: EVERY, one state, or empty: the page as it is. before: of an older part."""

    state: str
    text: str | None
    before: int

    @classmethod
    def of(cls, asked: Asked) -> "Choice":
        """What is no state or no number counts as not given."""
        state, before = asked.query("state") or "", asked.query("before") or ""
        if state not in (EVERY, *CampaignState):
            state = ""
        text = (asked.query("q") or "").strip()[:TEXT_CHARACTERS_MAX] or None
        is_number = before.isascii() and before.isdecimal() and 0 < int(before) < NEWEST
        return cls(state, text, int(before) if is_number else NEWEST)

    @property
    def is_plain(self) -> bool:
        """Whether nothing was chosen: then the page has the queue, and what ended."""
        return not self.state and self.text is None and self.before == NEWEST

    @property
    def states(self) -> tuple[CampaignState, ...]:
        if self.state == EVERY or (not self.state and self.text is not None):
            return ()
        return (CampaignState(self.state),) if self.state else ENDED

    def address(self, before: int) -> str:
        """Of the part that follows."""
        given = {"state": self.state, "q": self.text, "before": before}
        return "/?" + urlencode({name: value for name, value in given.items() if value})


def show(asked: Asked) -> Response:
    """The page."""
    choice = Choice.of(asked)
    rows = _shared_if(asked, choice.text is None, ("campaigns", choice), lambda: _rows(asked.connection, choice))
    older = choice.address(rows[ROWS_SHOWN - 1].campaign_id) if len(rows) > ROWS_SHOWN else None
    return render(
        asked,
        "campaigns.html.j2",
        choice=choice,
        states=[EVERY, *CampaignState],
        is_first=choice.before == NEWEST,
        campaigns=rows[:ROWS_SHOWN],
        older=older,
        first=choice.address(0),
        obstacle=partial(in_the_way, language=asked.session.language, timezone=asked.settings.timezone),
        running=what_runs(asked) if choice.is_plain else None,
        queue=_queue(asked) if choice.is_plain else None,
    )


def count_targets(asked: Asked) -> CountTargets:
    """How many targets a campaign has and their points, remembered for a minute, for everybody."""

    def count(campaign_id: int) -> tuple[int, int]:
        def ask() -> tuple[int, int]:
            found = total_targets(asked.connection, campaign_id)
            return found[0], found[1]

        return asked.shared.get(("targets", campaign_id), TOTALS_S_MAX, ask)

    return count


def in_the_way(why: Refusal, *, language: str, timezone: str) -> str:
    """What stands in the way of a start, without the commands to type: the page has its own buttons."""
    return sentence(replace(why, remedies=()), language=language, timezone=timezone)


def _queue(asked: Asked) -> Queue:
    return asked.shared.get(
        "queue",
        QUEUE_S_MAX,
        lambda: look_at_queue(asked.connection, asked.settings, count_targets=count_targets(asked)),
    )


def _rows(connection: Connection, choice: Choice) -> list[CampaignView]:
    found = page_of_campaigns(
        connection, rows_max=ROWS_SHOWN + 1, before=choice.before, states=choice.states, text=choice.text
    )
    counts = get_counts_of(connection, found)
    return [CampaignView.of(campaign, of_it) for campaign, of_it in zip(found, counts, strict=True)]


def _shared_if(
    asked: Asked, is_common: bool, key: tuple[object, ...], make: Callable[[], list[CampaignView]]
) -> list[CampaignView]:
    """What one person searches for is of no use to others."""
    return asked.shared.get(key, LIST_S_MAX, make) if is_common else make()


routes = [get("/", show)]
