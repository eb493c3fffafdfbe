"""Calls to the money API by outcome, and how long they took: sums that the statements keep that write the attempts."""

from dataclasses import dataclass

from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class CallTally:
    """Wire sends with one outcome. method: POST, or GET of a look-up. outcome: a word of rules.answers.Outcome, perhaps
    of another version. seconds_sum: how long the answered ones took.

    buckets: answered calls by duration, each bucket alone; the bounds are rules.durations.DURATION_BOUNDS_S, and the
    last bucket has all that took longer.
    """

    method: str
    outcome: str
    calls: int
    seconds_sum: float
    buckets: list[int]

    @property
    def answered(self) -> int:
        """Calls that got an answer; the others timed out, or the connection was lost."""
        return sum(self.buckets)


_OF_RUN = Query("calls_of_run", CallTally)
_OF_CAMPAIGN = Query("calls_of_campaign", CallTally)
_OF_ALL = Query("calls_of_all", CallTally)


def calls_of_run(connection: Connection, run_id: int) -> list[CallTally]:
    """Of one run, with the look-ups that were recorded under it; one row for each method and outcome that occurred."""
    return _OF_RUN.all(connection, run_id=run_id)


def calls_of_campaign(connection: Connection, campaign_id: int) -> list[CallTally]:
    """Of all runs of a campaign, also where its attempts were removed or it is archived."""
    return _OF_CAMPAIGN.all(connection, campaign_id=campaign_id)


def calls_of_all(connection: Connection) -> list[CallTally]:
    """Of all campaigns, ever: no figure becomes less, whatever is archived or removed."""
    return _OF_ALL.all(connection)


def fold_ended_calls(connection: Connection) -> None:
    """Make the rows of runs that ended one for each outcome, and add them to the total; no sum changes.

    For whoever begins a run: so there are few rows that are not in the total, those of the latest run.
    """
    connection.execute(sql("fold_ended_calls"))


def add_up(tallies: list[CallTally]) -> list[int]:
    """The histogram of all of them together; empty where there is none."""
    return [sum(places) for places in zip(*(tally.buckets for tally in tallies), strict=True)]
