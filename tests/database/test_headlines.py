"""What happened is said wherever a run's end is shown, not only that it ended."""

import re

import pytest

from bulkpoint.events.message import message_of
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_campaign, get_counts, list_campaign_runs
from bulkpoint.store.notification import unsent_notifications
from bulkpoint.store.progress import sample_progress, summarize_run
from bulkpoint.views.audit import HistoryView
from bulkpoint.views.campaign import campaign_detail
from bulkpoint.views.changes import RunEnded
from bulkpoint.views.page import page_of, read_figures
from bulkpoint.views.progress import Progress, progress_line
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World

ENDS = ["campaign.completed", "campaign.failed", "campaign.stopped"]


def told(campaign: Campaign) -> dict[str, str]:
    """Slack's first line, and what show, history, report and the line of `start` say, each as one text."""
    connection = campaign.world.connection
    found, history = get_campaign(connection, campaign.id), list_history(connection, campaign.id)
    [event] = unsent_notifications(connection, ENDS, "slack")
    page = page_of(read_figures(connection, campaign.id, timezone="UTC"), language="ko", timezone="UTC")
    detail = campaign_detail(found, get_counts(connection, found), list_campaign_runs(connection, campaign.id))
    return {
        "slack": message_of(event, language="ko").text.splitlines()[0],
        "show": "\n".join(detail.as_text(Screen())),
        "history": list(HistoryView.of(found, history, "UTC").as_text(Screen()))[-1],
        "page": re.sub("<[^>]*>", " ", page[page.index("<header") : page.index("</header")]),
        "watch": progress_line(Progress(sample_progress(connection, campaign.id), None, None), "UTC"),
        "start": RunEnded.of(summarize_run(connection, campaign.run.token.run_id)).as_line(),
    }


def test_a_completed_campaign_that_paid_nobody_says_so_everywhere(world: World) -> None:
    said = told(world.campaign(targets=3).begun().failed(3).ended("COMPLETED"))
    assert said["slack"] == "🚨 한 건도 지급되지 않음: 실패 100.0 %"
    assert "한 건도 지급되지 않음: 실패 100.0 %" in said["page"]
    for place in ("show", "history", "watch", "start"):
        assert "Nothing was paid: failed 100.0 %" in said[place], place


@pytest.mark.parametrize("end", ["FAILED", "STOPPED"])
def test_a_run_that_ended_early_says_what_had_happened_by_then(end: str, world: World) -> None:
    campaign = world.campaign(targets=20).begun().paid(4).failed(1, kind="UNKNOWN")
    campaign.stopped() if end == "STOPPED" else campaign.ended("FAILED", "money is away")
    said = told(campaign)
    assert said["slack"].endswith(", 지금까지 확인 필요 20.0 %")
    for place in ("show", "history", "watch", "start"):
        assert f"Payment {end.lower()}, so far unknown 20.0 %" in said[place], place


def test_a_campaign_that_went_well_says_nothing_more(world: World) -> None:
    said = told(world.campaign(targets=3).begun().ended("COMPLETED"))
    assert said["slack"] == "📢 지급 완료"
    assert "ayment" not in said["show"].splitlines()[2] + said["history"] + said["watch"]
    assert said["start"].startswith("campaign 1 COMPLETED 완료: ")
    assert "지급 완료" not in said["page"]
