"""One campaign as it is at this moment: all figures of its page, each from a bounded number of rows."""

from dataclasses import dataclass, replace

from bulkpoint.campaigns.left_request import Standing, standing_of
from bulkpoint.rules.findings import Finding
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.time_left import rate_of, seconds_left
from bulkpoint.store.audit import AuditEvent
from bulkpoint.store.call_tally import CallTally, calls_of_campaign
from bulkpoint.store.campaign import Campaign, Counts, get_campaign, get_counts
from bulkpoint.store.connect import Connection
from bulkpoint.store.export import ReportedRun, ReportedSample, list_reported_runs, list_samples
from bulkpoint.store.finding import latest_findings
from bulkpoint.store.limit import Limit, limit_in_force
from bulkpoint.store.progress import Sample, recent_figures, sample_progress
from bulkpoint.store.run_request import AskedRun, live_run_requests
from bulkpoint.store.settle import SettledByHand, count_settled_by_hand
from bulkpoint.store.watched import CallsOfKind, ShareAtWork, count_latest_calls, recent_history, shares_at_work

SAMPLES_SHOWN = 400
SHARES_SHOWN = 64
HISTORY_SHOWN = 60


@dataclass(frozen=True)
class Live:
    """What changes every second. counts are those of `sample` too; rate: payments that end a second.

    left_s: seconds until it ends at the pace of the last minute. limit: None where none was ever stored. shares: empty
    unless it runs. standing: of a run that was asked for here and that others make; on_its_way: of every one.
    """

    campaign: Campaign
    counts: Counts
    sample: Sample
    rate: float | None
    left_s: float | None
    limit: Limit | None
    shares: tuple[ShareAtWork, ...]
    calls: tuple[CallsOfKind, ...]
    tally: tuple[CallTally, ...]
    on_its_way: tuple[AskedRun, ...]
    standing: Standing | None
    by_hand: SettledByHand

    @property
    def is_running(self) -> bool:
        return self.campaign.state == CampaignState.RUNNING


@dataclass(frozen=True)
class Story:
    """What changes rarely: runs with their samples, what was found in the list, what happened.

    findings: without examples, which are members.
    """

    runs: tuple[ReportedRun, ...]
    samples: tuple[ReportedSample, ...]
    findings: tuple[Finding, ...]
    history: tuple[AuditEvent, ...]


def read_live(connection: Connection, campaign_id: int) -> Live:
    """The present figures; about a dozen small statements. Raises RefusedError where there is no such campaign.

    Without what a run's reason says: it may name a member, and everybody gets these figures.
    """
    campaign = replace(get_campaign(connection, campaign_id), run_reason=None)
    runs = campaign.state == CampaignState.RUNNING
    sample = replace(sample_progress(connection, campaign_id), run_reason=None)
    figures = recent_figures(connection, campaign.run_id) if runs and campaign.run_id is not None else []
    left_s = None
    if not campaign.stopping and not campaign.driver_is_gone:
        left_s = seconds_left(figures, sample.total - sample.done, done_before=sample.done_before)
    return Live(
        campaign=campaign,
        counts=get_counts(connection, campaign),
        sample=sample,
        rate=rate_of(figures),
        left_s=left_s,
        limit=limit_in_force(connection),
        shares=tuple(shares_at_work(connection, campaign.run_id or 0, rows_max=SHARES_SHOWN)) if runs else (),
        calls=tuple(count_latest_calls(connection, campaign_id)),
        tally=tuple(calls_of_campaign(connection, campaign_id)),
        on_its_way=tuple(live_run_requests(connection, campaign_id)),
        standing=standing_of(connection, campaign_id),
        by_hand=count_settled_by_hand(connection, campaign_id),
    )


def read_story(connection: Connection, campaign_id: int) -> Story:
    """Runs, samples, findings and history, the latest of many."""
    return Story(
        runs=tuple(list_reported_runs(connection, campaign_id)),
        samples=tuple(list_samples(connection, campaign_id, samples_max=SAMPLES_SHOWN)),
        findings=tuple(replace(each, examples=(), facts={}) for each in latest_findings(connection, campaign_id)),
        history=tuple(recent_history(connection, campaign_id, rows_max=HISTORY_SHOWN)),
    )
