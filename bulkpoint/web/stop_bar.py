"""What every page shows at its top while a campaign runs, or is about to: how far it is, and the way to stop it."""

from dataclasses import dataclass

from bulkpoint.campaigns.watch import time_left
from bulkpoint.store.campaign import get_running_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import Sample, sample_progress
from bulkpoint.store.watched import OpenRequest, may_write, open_run_requests
from bulkpoint.views.progress import Progress, notes
from bulkpoint.web.asked import Asked

# How old what is shown may be; what a group role lets a login do changes rarely, and the database decides anyway.
NOW_S_MAX, MAY_S_MAX = 2.0, 30.0


@dataclass(frozen=True)
class Running:
    """The campaign that runs. sample: its figures; left_s: seconds until it ends, None where nothing says it."""

    campaign_id: int
    name: str
    sample: Sample
    left_s: float | None


@dataclass(frozen=True)
class StopBar:
    """running: None where nothing runs. asked: runs that were asked for, and are not made yet.

    may_stop: whether this login may. note: what pauses or slows the run, None for nothing.
    """

    running: Running | None
    asked: tuple[OpenRequest, ...]
    may_stop: bool
    note: str | None

    def __bool__(self) -> bool:
        return self.running is not None or bool(self.asked)


def running(asked: Asked) -> StopBar:
    """What templates/_stop_bar.html.j2 shows; false where there is nothing to stop."""
    now = what_runs(asked)
    waiting = asked.shared.get("asked for", NOW_S_MAX, lambda: tuple(open_run_requests(asked.connection)))
    if now is None and not waiting:
        return StopBar(None, (), may_stop=False, note=None)
    return StopBar(now, waiting, may_stop=may_stop(asked), note=None if now is None else note_of(asked, now.sample))


def what_runs(asked: Asked) -> Running | None:
    """The campaign that runs and its figures, one question for everybody."""
    return asked.shared.get("running", NOW_S_MAX, lambda: _running(asked.connection))


def may_stop(asked: Asked) -> bool:
    """Whether the login may change campaigns at all: a stop needs no more."""
    return asked.shared.get(("may write", asked.session.login), MAY_S_MAX, lambda: may_write(asked.connection))


def note_of(asked: Asked, sample: Sample) -> str | None:
    """What pauses or slows a run, in one line."""
    said = notes(Progress(sample, None, None), asked.settings.timezone, language=asked.session.language)
    return " · ".join(said) or None


def _running(connection: Connection) -> Running | None:
    campaign = get_running_campaign(connection)
    if campaign is None:
        return None
    sample = sample_progress(connection, campaign.campaign_id)
    left_s = time_left(connection, campaign, still_open=sample.total - sample.done)
    return Running(campaign.campaign_id, campaign.name, sample, left_s)
