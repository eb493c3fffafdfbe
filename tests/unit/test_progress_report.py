"""Progress: the figures that follow from samples, and how they are shown."""

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.patience import Waiting, WaitsFor
from bulkpoint.store.progress import Sample
from bulkpoint.views.changes import CampaignStopped
from bulkpoint.views.format import duration
from bulkpoint.views.progress import ProgressView, Ticker, live_display, progress_line, show_progress
from bulkpoint.views.question import before_paying
from bulkpoint.views.waiting import waiting_words

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


def sample(second: float, success: int = 0, **changes: Any) -> Sample:
    at_start = Sample(
        at=START + timedelta(seconds=second),
        state=CampaignState.RUNNING,
        run_no=1,
        run_reason=None,
        total=100_000,
        processing=0,
        success=success,
        failed=0,
        unknown=0,
        success_amount=0,
        failed_amount=0,
        tps=1_000,
        tps_reason=None,
        tps_until=None,
    )
    return replace(at_start, **changes)


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    ticker = Ticker()
    for second in range(31):
        progress = ticker.tick(sample(second, success=100 * second))
    for second in range(31, 42):
        progress = ticker.tick(sample(second, success=3_000 + 1_000 * (second - 30)))
    assert progress.rate == 1_000
    assert progress.left_s == (100_000 - 14_000) / ((14_000 - 100) / 40), "by the last minute, so that it does not jump"


def test_one_sample_gives_no_rate() -> None:
    progress = Ticker().tick(sample(0, success=500))
    assert (progress.rate, progress.left_s) == (None, None)


def test_a_standstill_has_a_rate_of_nothing_and_no_end() -> None:
    ticker = Ticker()
    ticker.tick(sample(0, success=500))
    progress = ticker.tick(sample(12, success=500))
    assert (progress.rate, progress.left_s) == (0, None)


def test_while_it_is_stopping_no_time_is_left() -> None:
    ticker = Ticker()
    ticker.tick(sample(0, success=500))
    progress = ticker.tick(sample(12, success=5_000, stopping=True))
    assert (progress.rate, progress.left_s) == (375, None)
    assert " left" not in progress_line(progress, "UTC")


def test_before_paying_a_person_reads_where_and_for_how_long() -> None:
    def lines(count: int, tps: int) -> list[str]:
        url = "https://money.example.com:8443/v1"
        return before_paying(count, tps=tps, money_url=url, now=START, timezone="UTC")

    assert lines(20, 1_000) == [
        "money API: https://money.example.com:8443/v1",
        "about 1 s at 1,000 TPS, after Spark's start of 10 to 30 s: until about 2026-01-31 09:00:31, if it starts now",
    ]
    assert lines(1_000_000, 1_000)[1].startswith("about 16 min 40 s at 1,000 TPS, after Spark's start")
    assert lines(20, 0)[1].startswith("on hold: the limit is 0 TPS")


def test_a_stop_names_what_may_have_been_sent_and_the_command_that_takes_it_up() -> None:
    (said,) = CampaignStopped.of(11, sample(0, processing=90, state=CampaignState.STOPPED), None).remarks()
    assert said.startswith("90 payments may have been sent, and have no answer: `bulkpoint campaign resume 11` ")
    assert list(CampaignStopped.of(11, sample(0, state=CampaignState.STOPPED), None).remarks()) == []


def test_a_new_run_begins_its_own_rate() -> None:
    ticker = Ticker()
    ticker.tick(sample(0, success=0))
    ticker.tick(sample(1, success=5_000))
    assert ticker.tick(sample(2, success=5_000, run_no=2)).rate is None


def test_the_line_has_counts_rate_and_time_left() -> None:
    ticker = Ticker()
    ticker.tick(sample(0, success=10_000))
    progress = ticker.tick(sample(5, success=14_000, failed=990, unknown=2))
    assert progress_line(progress, "Asia/Seoul") == (
        "2026-01-31 18:00:05  RUNNING 진행  14,990/100,000 (14.9 %)  success 14,000  failed 988  unknown 2"
        "  998 of 1,000 TPS  1 min 25 s left"
    )


def test_a_hold_and_a_throttle_say_who_wanted_it_and_until_when() -> None:
    held = Ticker().tick(sample(0, tps=0, tps_reason="money asked"))
    assert progress_line(held, "Asia/Seoul").endswith("0 of 0 TPS  on hold, the limit is 0 TPS: money asked")
    throttled = Ticker().tick(sample(0, tps=50, tps_until=START + timedelta(hours=1)))
    assert progress_line(throttled, "UTC").endswith("limit 50 TPS until 2026-01-31 10:00:00")


def test_a_deadline_that_will_be_missed_is_said() -> None:
    ticker = Ticker()
    ticker.tick(sample(0))
    progress = ticker.tick(sample(10, success=10_000))
    assert "ends 30 s after 2026-01-31 09:01:10" in progress_line(progress, "UTC", START + timedelta(seconds=70))
    assert "after" not in progress_line(progress, "UTC", START + timedelta(seconds=101))


def test_the_object_has_times_in_utc() -> None:
    assert ProgressView.of(Ticker().tick(sample(0.25, success=7)), 3).as_object() == {
        "campaign_id": 3,
        "run": 1,
        "state": "RUNNING",
        "at": "2026-01-31T09:00:00.250Z",
        "total": 100_000,
        "done": 7,
        "success": 7,
        "failed": 0,
        "unknown": 0,
        "processing": 0,
        "rate": None,
        "tps": 1_000,
        "slowed_to": None,
        "money_out_since": None,
        "left_s": None,
        "waiting": None,
    }


def shown(samples: Iterable[Sample], **options: Any) -> list[str]:
    stream = io.StringIO()
    show_progress(samples, campaign_id=3, name="T", timezone="UTC", stream=stream, every_s=5, **options)
    return stream.getvalue().splitlines()


def test_without_a_terminal_a_line_every_few_seconds_and_one_for_the_end() -> None:
    lines = shown([*(sample(second, success=second) for second in range(12)), sample(11.5, 11, state="COMPLETED")])
    assert [line.split()[1] for line in lines] == ["09:00:00", "09:00:05", "09:00:10", "09:00:11"]
    assert "COMPLETED 완료" in lines[-1]


def test_the_last_sample_is_shown_even_if_it_comes_early() -> None:
    assert len(shown([sample(0), sample(1)])) == 2


def test_as_json_it_is_one_object_a_line() -> None:
    lines = shown([sample(0), sample(6, success=60)], as_json=True)
    assert [json.loads(line)["done"] for line in lines] == [0, 60]


def test_a_terminal_gets_a_display_with_the_name_and_a_bar() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=100, force_terminal=True, record=True)
    console.print(live_display(Ticker().tick(sample(0, success=50_000)), "Campaign 3  설 이벤트", "UTC"))
    text = console.export_text()
    assert "Campaign 3  설 이벤트   RUNNING 진행" in text
    assert "50.0 %" in text
    assert "50,000 of 100,000" in text


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.6, 1_002, 7_500)] == [
        "0 s",
        "1 min 0 s",
        "16 min 42 s",
        "2 h 5 min",
    ]


def test_what_money_does_to_the_rate_is_said() -> None:
    def said(**changes: Any) -> str:
        return progress_line(Ticker().tick(sample(60, **changes)), "UTC")

    assert "slowed down to 480 TPS by money's answers" in said(slowed_to=480)
    assert "slowed" not in said(slowed_to=1_000)
    assert "slowed" not in said(slowed_to=0, tps=0), "a hold is the limit's own"
    assert "money gives only errors for 45 s" in said(slowed_to=4, out_since=START + timedelta(seconds=15))
    assert "its job is gone" in said(driver_is_gone=True)


def test_what_the_run_waits_for_is_said_with_its_cause_in_both_languages() -> None:
    since, until = START.timestamp(), (START + timedelta(seconds=200)).timestamp()
    url = "http://127.0.0.1:9"
    refused = Waiting(WaitsFor.MONEY_REACHED, since, None, url, "NOT_CONNECTED", "CONNECTION_REFUSED", None)
    asked = Waiting(WaitsFor.MONEY_ASKED, since, until, url, "THROTTLED", None, 429, 30.0)
    failing = Waiting(WaitsFor.MONEY_ANSWER, since, None, url, "SERVER_ERROR", "SOMETHING", 503)
    cases = [
        (refused, "money cannot be reached at http://127.0.0.1:9 (connection refused)", "연결할 수 없습니다 ("),
        (asked, "money asks to wait until 18:03:20 (Retry-After 30 s, HTTP 429, too many calls)", "18:03:20까지"),
        (failing, "money gives only errors at http://127.0.0.1:9 (HTTP 503, SOMETHING)", "오류만"),
        (Waiting(WaitsFor.SHARE, since), "every share of the limit is leased", "한도의 모든 몫"),
    ]
    for waiting, english, korean in cases:
        ticker = Ticker()
        ticker.tick(sample(0, run_waiting=waiting._asdict()))
        progress = ticker.tick(sample(9, run_waiting=waiting._asdict()))
        assert english in progress_line(progress, "Asia/Seoul")
        assert korean in waiting_words(waiting, language="ko", timezone="Asia/Seoul")
        assert english in ProgressView.of(progress, 3, timezone="Asia/Seoul").as_object()["waiting"]["sentence"]
    gone = sample(9, run_waiting=refused._asdict(), driver_is_gone=True)
    assert "its job is gone" in progress_line(Ticker().tick(gone), "UTC"), "what a dead driver waited for is old news"


def test_what_a_run_before_left_is_not_said_of_a_new_one_before_its_own_answers() -> None:
    def said(**changes: Any) -> str:
        ticker = Ticker()
        ticker.tick(sample(0, **changes))
        return progress_line(ticker.tick(sample(12, **changes)), "UTC")

    resumed = {"run_no": 2, "success": 365, "done_before": 365, "total": 3_000}
    assert "the first calls are being made" in said(**resumed)
    assert "next try" not in said(**resumed)
    assert "2,634 wait for their next try" in said(**resumed | {"success": 366})


def test_a_standstill_says_what_it_waits_for() -> None:
    def said(success: int, **changes: Any) -> str:
        ticker = Ticker()
        ticker.tick(sample(0, success=success, **changes))
        return progress_line(ticker.tick(sample(12, success=success, **changes)), "UTC")

    assert "the first calls are being made" in said(0), "Spark runs once there is a run"
    assert "5 wait for their next try or look-up" in said(99_995)
    assert "wait" not in said(99_995, tps=0), "the limit holds"
    assert "wait" not in said(100_000, state="COMPLETED")
    ticker = Ticker()
    ticker.tick(sample(0, success=0))
    assert "left" not in progress_line(ticker.tick(sample(9, success=90, out_since=START)), "UTC")
