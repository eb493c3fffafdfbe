"""Ten payments of 100 points, 3 paid, 3 refused, 4 that may have been credited: what every output says of them."""

import io
import re
from collections.abc import Callable

import pytest

from bulkpoint.campaigns.runs import end_run
from bulkpoint.events.message import build_message, message_of
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_campaign, get_counts, list_campaign_runs
from bulkpoint.store.export import stream_payments
from bulkpoint.store.notification import unsent_notifications
from bulkpoint.store.progress import sample_progress, summarize_run
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.views.audit import HistoryView
from bulkpoint.views.campaign import campaign_detail, campaign_list
from bulkpoint.views.changes import CampaignStopped, RunEnded
from bulkpoint.views.export import write_csv
from bulkpoint.views.page import page_of, read_figures
from bulkpoint.views.progress import Progress, progress_line
from bulkpoint.views.view import Screen, View
from tests.world.campaigns import Campaign, World


@pytest.fixture
def campaign(world: World) -> Campaign:
    paid = world.campaign(targets=10, amount=100).begun().paid(3).failed(3)
    return paid.failed(4, kind="UNKNOWN").ended("COMPLETED")


def _text(view: View) -> str:
    return "\n".join(view.as_text(Screen()))


def _slack(campaign: Campaign, language: str) -> str:
    return build_message(summarize_run(campaign.world.connection, campaign.run.token.run_id), language=language).text


def _show(campaign: Campaign) -> str:
    connection, found = campaign.world.connection, get_campaign(campaign.world.connection, campaign.id)
    return _text(campaign_detail(found, get_counts(connection, found), list_campaign_runs(connection, campaign.id)))


def _list(campaign: Campaign) -> str:
    found = get_campaign(campaign.world.connection, campaign.id)
    return _text(campaign_list([(found, campaign.counts())]))


def _end_line(campaign: Campaign) -> str:
    return RunEnded.of(summarize_run(campaign.world.connection, campaign.run.token.run_id)).as_line()


def _stop_line(campaign: Campaign) -> str:
    return _text(CampaignStopped.of(campaign.id, sample_progress(campaign.world.connection, campaign.id), None))


def _progress(campaign: Campaign) -> str:
    return progress_line(Progress(sample_progress(campaign.world.connection, campaign.id), None, None), "UTC")


def _history(campaign: Campaign) -> str:
    connection = campaign.world.connection
    events = list_history(connection, campaign.id)
    return _text(HistoryView.of(get_campaign(connection, campaign.id), events, "UTC"))


def _sums_of_csv(campaign: Campaign) -> str:
    with one_snapshot(campaign.world.connection):
        batches = stream_payments(campaign.world.connection, campaign.id, failed_only=False)
        return str(write_csv(batches, io.BytesIO(), timezone="UTC"))


def _page(campaign: Campaign) -> str:
    page = page_of(read_figures(campaign.world.connection, campaign.id, timezone="UTC"), language="ko", timezone="UTC")
    return " ".join(re.sub("<[^>]*>", " ", page[page.index("<header") : page.index("<footer")]).split())


# What an output says of the ten. None of them may count a payment that may have been credited as failed or not paid.
SAYS: dict[str, tuple[Callable[[Campaign], str], list[str]]] = {
    "Slack, ko": (
        lambda campaign: _slack(campaign, "ko"),
        ["성공: 3건 / 실패: 3건\n확인 필요(UNKNOWN): 4건\n", "지급 300P / 미지급 300P / 확인 필요 400P\n"],
    ),
    "Slack, en": (
        lambda campaign: _slack(campaign, "en"),
        ["Succeeded: 3 / Failed: 3\nUnknown, to be looked up: 4\n", "Paid 300 P / not paid 300 P / unknown 400 P\n"],
    ),
    "show": (_show, [r"FAILED +3 +300\n", r"UNKNOWN +4 +400\n", r"failed by kind: REJECTED 3\n"]),
    "list": (_list, [r"SUCCESS +FAILED +UNKNOWN", r" 10 +1,000 +3 +3 +4 "]),
    "the end of start": (_end_line, ["success 3, failed 3, unknown 4, not processed 0"]),
    "stop": (_stop_line, ["paid 3, failed 3, unknown 4, not processed 0"]),
    "progress": (_progress, ["success 3  failed 3  unknown 4 "]),
    "history": (_history, [r"success 3 \(300 points\), failed 3 \(300 points\), unknown 4 \(400 points\)"]),
    "sums of the CSV": (
        _sums_of_csv,
        [r"success 3 \(300 points\), failed 3 \(300 points\), unknown 4 \(400 points\)"],
    ),
    "page": (
        _page,
        ["실패 3건 300P 확인 필요 4건 400P 미처리 0건", "실패 FAILED 3 30.0 % 300", "필요 UNKNOWN 4 40.0 % 400"],
    ),
}


@pytest.mark.parametrize("output", SAYS)
def test_what_may_have_been_credited_is_apart_from_what_was_not_paid(output: str, campaign: Campaign) -> None:
    make, expected = SAYS[output]
    said = make(campaign)
    for words in expected:
        assert words in said or re.search(words, said), said
    assert not re.search(r"(?<![\d,.])7(00)?(?![\d,.])", re.sub(r"\d+[:-]\d+\S*", "", said)), (
        "3 and 4 are never one sum"
    )


def test_the_json_of_show_keeps_unknown_in_failed_and_the_kinds_show_it(campaign: Campaign) -> None:
    found = get_campaign(campaign.world.connection, campaign.id)
    shown = campaign_detail(found, campaign.counts(), []).as_object()
    assert shown["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 3, "FAILED": 7}
    assert shown["amounts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 300, "FAILED": 700}
    assert shown["failure_kinds"] == {"REJECTED": 3, "MISMATCH": 0, "UNAVAILABLE": 0, "UNKNOWN": 4}
    assert not {"unknown", "not_paid", "unknown_amount"} & set(shown)


def test_the_event_has_the_points_of_the_unknown_ones_and_its_message_the_same_figures(campaign: Campaign) -> None:
    [event] = unsent_notifications(campaign.world.connection, ["campaign.completed"], "slack")
    assert (event.data["failed_amount"], event.data["unknown_amount"]) == (700, 400)
    assert "지급 300P / 미지급 300P / 확인 필요 400P" in message_of(event, language="ko").text


def test_the_points_of_a_run_that_ended_early_add_up_to_the_total_in_one_line(world: World) -> None:
    campaign = world.campaign(targets=10, amount=100).begun().paid(3).failed(2).failed(4, kind="UNKNOWN")
    assert end_run(world.connection, campaign.run, RunState.FAILED, "r") is not None
    assert "지급 300P / 미지급 200P / 확인 필요 400P / 미처리 100P" in _slack(campaign, "ko")
