"""The closing message: what it says, in both languages, and how it gets to Slack."""

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.errors import RUN_EXIT_CODES
from bulkpoint.events import slack
from bulkpoint.events.message import build_message, message_of, message_of_alerts, notified_types
from bulkpoint.events.slack import send
from bulkpoint.rules.endings import Ending, what_happened
from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.settings import load_settings
from bulkpoint.store.outbox import Event
from bulkpoint.store.progress import RunSummary
from bulkpoint.text import escaped_for_slack
from bulkpoint.views.changes import RunEnded
from bulkpoint.views.format import state_words
from bulkpoint.views.languages import words
from tests.world.slack import OK, slack_that_answers

STARTED = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
COMPLETED = RunSummary(
    campaign_id=12,
    name="설 이벤트",
    run_no=1,
    kind=RunKind.INITIAL,
    state=RunState.COMPLETED,
    reason=None,
    started_at=STARTED,
    finished_at=STARTED + timedelta(seconds=1_002),
    open=0,
    success=970_000,
    failed=30_000,
    unknown=0,
    open_amount=0,
    success_amount=970_000_000,
    failed_amount=30_000_000,
    done_before=0,
    failure_kinds={"REJECTED": 0, "MISMATCH": 0, "UNAVAILABLE": 30_000, "UNKNOWN": 0},
)
STOPPED = replace(
    COMPLETED,
    state=RunState.STOPPED,
    reason="명단이 <잘못> & 다름",
    open=400_000,
    open_amount=400_000_000,
    success=580_000,
    failed=20_000,
)


def test_the_korean_message_of_a_completed_campaign() -> None:
    assert build_message(COMPLETED, language="ko").text == (
        "📢 지급 완료\n"
        "설 이벤트 (캠페인 12 · 실행 1)\n"
        "성공: 970,000건 / 실패: 30,000건\n"
        "지급 970,000,000P / 미지급 30,000,000P\n"
        "소요 시간 16분 42초 · 평균 998 TPS\n"
        "처리 불가 30,000건 재처리: `bulkpoint campaign retry 12`"
    )


# Each state of a run's end with what can have become of the payments: (paid, failed, unknown of them, open), headlines.
HEADLINES = {
    RunState.COMPLETED: {
        Ending.ALL_PAID: [((20, 0, 0, 0), "📢 지급 완료", "📢 Payment completed")],
        Ending.PAID: [
            ((96, 4, 0, 0), "📢 지급 완료", "📢 Payment completed"),
            ((950_001, 49_999, 0, 0), "📢 지급 완료", "📢 Payment completed"),
        ],
        Ending.SOME_FAILED: [
            ((2, 1, 0, 0), "⚠️ 지급 완료, 실패 33.3 %", "⚠️ Payment completed, failed 33.3 %"),
            ((18, 2, 0, 0), "⚠️ 지급 완료, 실패 10.0 %", "⚠️ Payment completed, failed 10.0 %"),
            ((950_000, 50_000, 0, 0), "⚠️ 지급 완료, 실패 5.0 %", "⚠️ Payment completed, failed 5.0 %"),
        ],
        Ending.MOSTLY_FAILED: [
            ((1, 2, 0, 0), "🚨 대부분 지급되지 않음: 실패 66.7 %", "🚨 Most were not paid: failed 66.7 %"),
            (
                (200_000, 800_000, 1, 0),
                "🚨 대부분 지급되지 않음: 실패 80.0 %, 확인 필요 < 0.1 %",
                "🚨 Most were not paid: failed 80.0 %, unknown < 0.1 %",
            ),
        ],
        Ending.UNKNOWN_LEFT: [
            ((999_999, 1, 1, 0), "⚠️ 지급 완료, 확인 필요 < 0.1 %", "⚠️ Payment completed, unknown < 0.1 %"),
            (
                (3, 7, 4, 0),
                "⚠️ 지급 완료, 실패 30.0 %, 확인 필요 40.0 %",
                "⚠️ Payment completed, failed 30.0 %, unknown 40.0 %",
            ),
        ],
        Ending.NONE_PAID: [
            ((0, 20, 0, 0), "🚨 한 건도 지급되지 않음: 실패 100.0 %", "🚨 Nothing was paid: failed 100.0 %"),
            ((0, 1, 0, 0), "🚨 한 건도 지급되지 않음: 실패 100.0 %", "🚨 Nothing was paid: failed 100.0 %"),
        ],
        Ending.NONE_PROVEN: [
            (
                (0, 4, 4, 0),
                "🚨 지급이 확인된 건 없음: 확인 필요 100.0 %",
                "🚨 No payment is proven to be paid: unknown 100.0 %",
            ),
            (
                (0, 4, 1, 0),
                "🚨 지급이 확인된 건 없음: 실패 75.0 %, 확인 필요 25.0 %",
                "🚨 No payment is proven to be paid: failed 75.0 %, unknown 25.0 %",
            ),
        ],
    },
    RunState.FAILED: {
        Ending.ALL_PAID: [((5, 0, 0, 0), "🚨 지급 실패, 지급은 모두 끝남", "🚨 Payment failed, after all were paid")],
        Ending.PAID: [((5, 0, 0, 1), "🚨 지급 실패", "🚨 Payment failed")],
        Ending.SOME_FAILED: [
            ((5, 5, 0, 9), "🚨 지급 실패, 지금까지 실패 50.0 %", "🚨 Payment failed, so far failed 50.0 %")
        ],
        Ending.MOSTLY_FAILED: [
            (
                (4, 6, 0, 9),
                "🚨 지급 실패, 대부분 지급되지 않음: 실패 60.0 %",
                "🚨 Payment failed, most were not paid: failed 60.0 %",
            )
        ],
        Ending.UNKNOWN_LEFT: [
            ((9, 1, 1, 9), "🚨 지급 실패, 지금까지 확인 필요 10.0 %", "🚨 Payment failed, so far unknown 10.0 %"),
        ],
        Ending.NONE_PAID: [
            (
                (0, 20, 0, 0),
                "🚨 지급 실패, 한 건도 지급되지 않음: 실패 100.0 %",
                "🚨 Payment failed, nothing was paid: failed 100.0 %",
            )
        ],
        Ending.NONE_PROVEN: [
            (
                (0, 2, 2, 74),
                "🚨 지급 실패, 지급이 확인된 건 없음: 확인 필요 100.0 %",
                "🚨 Payment failed, no payment is proven to be paid: unknown 100.0 %",
            )
        ],
        Ending.NO_RESULT: [
            ((0, 0, 0, 74), "🚨 지급 실패, 결과가 나온 건 없음", "🚨 Payment failed, no payment has a result")
        ],
    },
    RunState.STOPPED: {
        Ending.ALL_PAID: [((5, 0, 0, 0), "⏸️ 지급 중단, 지급은 모두 끝남", "⏸️ Payment stopped, after all were paid")],
        Ending.PAID: [((99, 1, 0, 400), "⏸️ 지급 중단", "⏸️ Payment stopped")],
        Ending.SOME_FAILED: [
            ((19, 1, 0, 400), "⚠️ 지급 중단, 지금까지 실패 5.0 %", "⚠️ Payment stopped, so far failed 5.0 %")
        ],
        Ending.MOSTLY_FAILED: [
            (
                (1, 3, 0, 400),
                "🚨 지급 중단, 대부분 지급되지 않음: 실패 75.0 %",
                "🚨 Payment stopped, most were not paid: failed 75.0 %",
            )
        ],
        Ending.UNKNOWN_LEFT: [
            ((98, 2, 1, 400), "⚠️ 지급 중단, 지금까지 확인 필요 1.0 %", "⚠️ Payment stopped, so far unknown 1.0 %"),
        ],
        Ending.NONE_PAID: [
            (
                (0, 7, 0, 400),
                "🚨 지급 중단, 한 건도 지급되지 않음: 실패 100.0 %",
                "🚨 Payment stopped, nothing was paid: failed 100.0 %",
            )
        ],
        Ending.NONE_PROVEN: [
            (
                (0, 7, 7, 400),
                "🚨 지급 중단, 지급이 확인된 건 없음: 확인 필요 100.0 %",
                "🚨 Payment stopped, no payment is proven to be paid: unknown 100.0 %",
            )
        ],
        Ending.NO_RESULT: [
            ((0, 0, 0, 400), "⏸️ 지급 중단, 결과가 나온 건 없음", "⏸️ Payment stopped, no payment has a result")
        ],
    },
}
ROWS = [
    (state, ending, *case) for state, table in HEADLINES.items() for ending, cases in table.items() for case in cases
]


def test_every_end_of_a_run_has_a_headline_for_whatever_became_of_the_payments() -> None:
    for language in ("ko", "en"):
        told = words(language)["headline"]
        for state, table in HEADLINES.items():
            assert told[state].keys() == set(table), "a COMPLETED run has a result for every payment"
    assert set(HEADLINES[RunState.STOPPED]) == set(Ending)


@pytest.mark.parametrize(("state", "ending", "counts", "korean", "english"), ROWS)
def test_the_headline_says_what_happened(
    state: RunState, ending: Ending, counts: tuple[int, int, int, int], korean: str, english: str
) -> None:
    names = ("success", "failed", "unknown", "open")
    figures = dict(zip(names, counts, strict=True))
    assert what_happened(**figures) is ending
    ended = replace(COMPLETED, state=state, **figures)  # type: ignore[arg-type]
    for language, title in (("ko", korean), ("en", english)):
        message = build_message(ended, language=language)
        assert message.text.splitlines()[0] == title
        assert message.notice.startswith(f"{escaped_for_slack(title)}: ")
    line = RunEnded.of(ended).as_line()
    assert line.startswith(f"campaign 12 {state_words(state)}")
    plain = english in ("📢 Payment completed", "🚨 Payment failed", "⏸️ Payment stopped") or ending is Ending.NO_RESULT
    assert (english.partition(" ")[2] in line) != plain


def test_a_corrected_end_says_what_happened_as_it_is_known_now() -> None:
    corrected = build_message(replace(COMPLETED, success=10, failed=10), language="ko", corrected=True)
    assert corrected.text.splitlines()[:3] == [
        "✏️ 지급 결과 정정(종료 뒤 확인된 결과 반영)",
        "설 이벤트 (캠페인 12 · 실행 1)",
        "⚠️ 지급 완료, 실패 50.0 %",
    ]
    assert "⚠️ 지급 완료, 실패 50.0 %\n성공: 10건" in corrected.blocks[1]["text"]["text"]


def test_a_run_ends_with_the_exit_code_of_its_state_whatever_became_of_the_payments() -> None:
    assert {state: int(RUN_EXIT_CODES[state]) for state in HEADLINES} == {
        RunState.COMPLETED: 0,
        RunState.STOPPED: 4,
        RunState.FAILED: 5,
    }


def test_a_run_that_the_guard_ended_with_nothing_open_says_how_to_go_on() -> None:
    ended = replace(COMPLETED, state=RunState.FAILED, success=0, failed=20, reason="TOO_MANY_FAILURES: 20 of 20")
    text = build_message(ended, language="en").text
    assert text.startswith("🚨 Payment failed")
    assert "`bulkpoint campaign resume 12` ends it, then `bulkpoint campaign retry 12`" in text


def test_the_english_message_of_a_completed_campaign() -> None:
    assert build_message(COMPLETED, language="en").text == (
        "📢 Payment completed\n"
        "설 이벤트 (campaign 12 · run 1)\n"
        "Succeeded: 970,000 / Failed: 30,000\n"
        "Paid 970,000,000 P / not paid 30,000,000 P\n"
        "Duration 16 min 42 s · mean 998 TPS\n"
        "Pay the 30,000 unavailable ones again: `bulkpoint campaign retry 12`"
    )


def test_a_stopped_campaign_says_why_and_how_to_go_on() -> None:
    text = build_message(STOPPED, language="ko").text
    assert text.splitlines()[0] == "⏸️ 지급 중단"
    assert "미처리: 400,000건" in text
    assert "사유: 명단이 <잘못> & 다름" in text
    assert "이어서 지급: `bulkpoint campaign resume 12`" in text
    assert "retry" not in text


def test_unknown_payments_are_shown_apart_and_are_looked_up_not_retried() -> None:
    text = build_message(
        replace(COMPLETED, failed=3, unknown=3, failed_amount=9, unknown_amount=9, failure_kinds={"UNKNOWN": 3}),
        language="ko",
    ).text
    assert "실패: 0건\n확인 필요(UNKNOWN): 3건\n" in text
    assert "/ 미지급 0P / 확인 필요 9P\n" in text
    assert "`bulkpoint reconcile 12`" in text
    assert "retry" not in text


def test_what_failed_is_told_by_kind_with_its_commonest_codes() -> None:
    kinds = {"REJECTED": 120, "MISMATCH": 0, "UNAVAILABLE": 7, "UNKNOWN": 3}
    codes = {"REJECTED": ["MEMBER_NOT_FOUND", "LIMIT_EXCEEDED"], "UNKNOWN": ["TIMEOUT"]}
    ended = replace(COMPLETED, failed=130, unknown=3, failure_kinds=kinds, failure_codes=codes)
    english = "By kind: Rejected 120 (MEMBER_NOT_FOUND, LIMIT_EXCEEDED) / Unavailable 7 / Unknown 3 (TIMEOUT)"
    assert english in build_message(ended, language="en").text.splitlines()
    assert english in build_message(ended, language="en").blocks[1]["text"]["text"]
    assert "실패 내역: 거절 120 (MEMBER_NOT_FOUND" in build_message(ended, language="ko").text


def test_a_message_links_to_the_page_where_there_is_one() -> None:
    message = build_message(COMPLETED, language="ko", web_url="https://points.example/pay")
    assert message.text.splitlines()[-1] == "https://points.example/pay/campaigns/12"
    assert message.blocks[-1]["elements"][0]["text"].endswith("\n<https://points.example/pay/campaigns/12>")
    assert "http" not in build_message(COMPLETED, language="ko").text


def event(kind: str, data: dict[str, Any], *, event_no: int, actor: str, run_no: int | None = None) -> Event:
    """One of campaign 5."""
    return Event(
        campaign_id=5,
        event_no=event_no,
        event_id="019a0000-0000-7000-8000-000000000000",
        type=kind,
        version=1,
        run_no=run_no,
        occurred_at=STARTED,
        actor=actor,
        data=data,
    )


def test_a_campaign_that_waits_for_approval_says_who_made_it_how_much_it_is_and_where_to_look() -> None:
    data = {"name": "사과 & 쿠폰", "expected_count": 1_000, "expected_amount": 250_000, "not_before": None}
    created = event("campaign.created", data, event_no=1, actor="kim <@U1>")
    told = message_of(created, language="en", web_url="http://127.0.0.1:8484")
    assert told.text == (
        "🖊️ Waits for approval\n사과 & 쿠폰\n1,000 payments, 250,000 P\ncampaign 5\n"
        "Created by kim <@U1>, who cannot approve it\nhttp://127.0.0.1:8484/campaigns/5"
    )
    body = json.dumps(told.blocks, ensure_ascii=False)
    assert "<http://127.0.0.1:8484/campaigns/5>" in body
    assert "kim &lt;@U1&gt;" in body
    assert "`bulkpoint campaign approve 5`" in message_of(created, language="ko").text
    assert "campaign.created" in notified_types(require_approval=True)
    assert "campaign.created" not in notified_types(require_approval=False)


def test_a_no_of_the_second_person_says_why_to_whoever_made_it() -> None:
    data = {"name": "사과 & 쿠폰", "reason": "wrong\nlist <x>", "creator": "kim"}
    rejected = event("campaign.rejected", data, event_no=2, actor="lee")
    told = message_of(rejected, language="en", web_url="https://p.example")
    assert told.text == (
        "↩️ Not approved\n사과 & 쿠폰\nReason: wrong list <x>\ncampaign 5\n"
        "Rejected by lee, created by kim\nhttps://p.example/campaigns/5"
    )
    assert "&lt;x&gt;" in json.dumps(told.blocks)
    assert "반려한 사람: lee" in message_of(rejected, language="ko").text
    assert "campaign.rejected" in notified_types(require_approval=False)


def test_slack_gets_its_three_characters_escaped_and_the_console_does_not() -> None:
    message = build_message(replace(STOPPED, name="A&B <!channel>"), language="ko")
    body = json.dumps(message.blocks, ensure_ascii=False)
    assert "A&amp;B &lt;!channel&gt;" in body
    assert "&lt;잘못&gt; &amp; 다름" in body
    assert "<!channel>" not in body + message.notice
    assert "A&B <!channel>" in message.text


def test_the_blocks_are_a_header_a_body_and_the_small_print() -> None:
    message = build_message(COMPLETED, language="ko")
    assert message.notice == "📢 지급 완료: 설 이벤트, 성공: 970,000건 / 실패: 30,000건"
    assert message.blocks == [
        {"type": "header", "text": {"type": "plain_text", "text": "📢 지급 완료", "emoji": True}},
        {
            "type": "section",
            "text": {
                "type": "mrkdwn",
                "text": "*설 이벤트*\n성공: 970,000건 / 실패: 30,000건\n지급 970,000,000P / 미지급 30,000,000P",
            },
        },
        {
            "type": "context",
            "elements": [
                {
                    "type": "mrkdwn",
                    "text": "캠페인 12 · 실행 1\n소요 시간 16분 42초 · 평균 998 TPS\n"
                    "처리 불가 30,000건 재처리: `bulkpoint campaign retry 12`",
                }
            ],
        },
    ]


def test_a_long_reason_and_a_name_of_several_lines_stay_within_bounds() -> None:
    message = build_message(replace(STOPPED, name="a\nb", reason="x" * 5_000), language="ko")
    assert message.text.splitlines()[1].startswith("a b (")
    assert len(message.blocks[1]["text"]["text"]) < 1_000


def test_the_next_step_names_each_kind_that_is_there_with_what_a_retry_of_it_does() -> None:
    def steps(state: RunState = RunState.COMPLETED, open: int = 0, **kinds: int) -> list[str]:
        failed, unknown = sum(kinds.values()), kinds.get("UNKNOWN", 0)
        ended = replace(COMPLETED, state=state, open=open, failed=failed, unknown=unknown, failure_kinds=kinds)
        lines = build_message(ended, language="en").text.splitlines()
        return [re.findall("`(.*)`", line)[-1].removeprefix("bulkpoint ") for line in lines if "`" in line]

    assert steps(UNAVAILABLE=10) == ["campaign retry 12"]
    assert steps(REJECTED=10) == ["campaign retry 12 --kind REJECTED"]
    assert steps(MISMATCH=1) == ["report 12 --format csv --failed-only --out FILE"], "a retry would halt again"
    assert steps(UNKNOWN=10) == ["reconcile 12"]
    assert steps(REJECTED=3, MISMATCH=1, UNAVAILABLE=5, UNKNOWN=2) == [
        "campaign retry 12 --kind REJECTED",
        "report 12 --format csv --failed-only --out FILE",
        "campaign retry 12",
        "reconcile 12",
    ]
    assert steps() == []
    assert steps(RunState.FAILED, 5, REJECTED=3, UNKNOWN=1) == ["campaign resume 12", "reconcile 12"]
    for state in (RunState.FAILED, RunState.STOPPED):
        assert steps(state, REJECTED=3) == ["campaign resume 12` ends it, then `bulkpoint campaign retry 12"]
        assert steps(state, UNKNOWN=3) == ["campaign resume 12", "reconcile 12"], "only a completed campaign is retried"


def test_a_retry_does_not_claim_the_first_runs_payments_in_its_rate() -> None:
    retry = replace(COMPLETED, kind=RunKind.RETRY, done_before=970_000)
    assert "이번 실행 30,000건 · 평균 30 TPS" in build_message(retry, language="ko").text
    assert "TPS" not in build_message(replace(retry, done_before=None), language="ko").text


def test_a_forced_start_and_a_trouble_are_told_escaped() -> None:
    data = {"name": "사과 & 쿠폰", "reason": "오늘\n안에 <지급>"}
    forced = event("campaign.forced", data, event_no=2, actor="kim <@U1>", run_no=1)
    told = message_of(forced, language="ko")
    assert told.text == (
        "⚡ 순서를 앞당긴 지급 시작\n사과 & 쿠폰\n사유: 오늘 안에 <지급>\n캠페인 5 · 실행 1\n요청: kim <@U1>"
    )
    body = json.dumps(told.blocks, ensure_ascii=False)
    assert "사과 &amp; 쿠폰\\n사유: 오늘 안에 &lt;지급&gt;" in body
    assert "kim &lt;@U1&gt;" in body
    assert told.notice == "⚡ 순서를 앞당긴 지급 시작: 사과 &amp; 쿠폰"
    assert "Asked for by kim" in message_of(forced, language="en").text
    assert message_of_alerts(["a < b"], language="ko").notice == "🚨 확인이 필요합니다: a &lt; b"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("xoxb-canary\n")
    return file


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one a second, for what is not about the pace."""
    monkeypatch.setattr(slack, "_post_once_a_second", lambda: slack._post_now)


def settings_for(url: str, token_file: Path) -> Any:
    return load_settings(
        {
            "BULKPOINT_SLACK_TOKEN_FILE": str(token_file),
            "BULKPOINT_SLACK_CHANNEL": "#points",
            "BULKPOINT_SLACK_BASE_URL": url,
        }
    )


MESSAGE = build_message(COMPLETED, language="ko")


def test_slack_gets_the_message_in_the_channel_with_the_token(token_file: Path) -> None:
    with slack_that_answers(OK) as (url, posts):
        assert send(settings_for(url, token_file), MESSAGE, wait_s_max=10) is None
    assert [(post["path"], post["token"]) for post in posts] == [("/api/chat.postMessage", "Bearer xoxb-canary")]
    assert json.loads(posts[0]["body"])["channel"] == "#points"


def busy(retry_after: str) -> tuple[int, dict[str, str], bytes]:
    return (429, {"Retry-After": retry_after}, b'{"ok": false, "error": "ratelimited"}')


def test_slacks_429_is_waited_out_and_the_message_sent_once_more(token_file: Path) -> None:
    with slack_that_answers(busy("1"), OK) as (url, posts):
        began = time.monotonic()
        assert send(settings_for(url, token_file), MESSAGE, wait_s_max=10) is None
    assert len(posts) == 2
    assert time.monotonic() - began >= 1


def test_a_wait_longer_than_there_is_time_is_honoured_by_not_calling_again(token_file: Path) -> None:
    with slack_that_answers(busy("30")) as (url, posts):
        problem = send(settings_for(url, token_file), MESSAGE, wait_s_max=10)
    assert problem is not None
    assert (problem.wait_s, len(posts)) == (30, 1)
    assert "ratelimited" in problem.sentence


def test_messages_go_out_one_a_second(token_file: Path) -> None:
    with slack_that_answers(OK) as (url, posts):
        began = time.monotonic()
        for _ in range(3):
            send(settings_for(url, token_file), MESSAGE, wait_s_max=10)
    assert len(posts) == 3
    assert time.monotonic() - began >= 1.9


def test_a_refusal_is_a_sentence_and_not_tried_again(token_file: Path) -> None:
    with slack_that_answers((200, {}, b'{"ok": false, "error": "channel_not_found"}')) as (url, posts):
        problem = send(settings_for(url, token_file), MESSAGE, wait_s_max=10)
    assert problem is not None
    assert len(posts) == 1
    assert "channel_not_found. Check BULKPOINT_SLACK_CHANNEL" in problem.sentence
    assert "canary" not in problem.sentence


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("invalid_auth", "SLACK_TOKEN_FILE is not accepted"),
        ("token_revoked", "SLACK_TOKEN_FILE is not accepted"),
        ("token_expired", "SLACK_TOKEN_FILE is not accepted"),
        ("channel_not_found", "there is no such channel"),
        ("is_archived", "it is archived"),
        ("not_in_channel", "/invite in that channel"),
        ("no_permission", "chat:write"),
        ("missing_scope", "chat:write"),
        ("msg_too_long", "The message itself is not accepted"),
        ("invalid_blocks", "The message itself is not accepted"),
        ("a_code_of_next_year", "a_code_of_next_year. Look the code up at https://api.slack.com"),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_each_code_of_slack_has_its_own_advice_also_in_a_200(code: str, advice: str, token_file: Path) -> None:
    for status in (200, 403):
        with slack_that_answers((status, {}, json.dumps({"ok": False, "error": code}).encode())) as (url, posts):
            problem = send(settings_for(url, token_file), MESSAGE, wait_s_max=10)
        assert problem is not None
        assert len(posts) == 1, "it is refused: another try is refused too"
        assert problem.sentence.startswith(f"Slack answered {status} {code}. ")
        assert advice in problem.sentence


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no_service", "answered 404 no_service. That is a webhook's answer"),
        (b"invalid_payload", "answered 404 invalid_payload. The message itself"),
        (b"<html><body>Forbidden by proxy</body></html>", "answered 404 without a code. Look the code up"),
        (b"", "answered 404 without a code."),
        (b"[]", "Slack answered"),
        (b'"no"', "Slack answered"),
        (b"null", "Slack answered"),
        (b'{"ok": false, "error": 7}', "answered 404 7."),
        (b'{"ok": false, "error": {"a": "\xed\x95\x9c"}}', "answered 404 without a code."),
        (b"\xff\xfe", "Slack answered"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("at_once")
def test_what_is_no_answer_of_slacks_api_is_a_sentence_too(body: bytes, words: str, token_file: Path) -> None:
    with slack_that_answers((404, {}, body)) as (url, _):
        problem = send(settings_for(url, token_file), MESSAGE, wait_s_max=10)
    assert problem is not None
    assert words in problem.sentence


def test_a_wait_that_slack_asks_for_is_said_before_it_with_its_end(token_file: Path) -> None:
    said: list[str] = []
    asks = b'{"ok": false, "error": "ratelimited"}'
    wants = ((429, {"Retry-After": "1"}, asks), (200, {"retry-after": "1"}, asks), OK)
    with slack_that_answers(*wants) as (url, posts):
        assert send(settings_for(url, token_file), MESSAGE, wait_s_max=10, say=said.append) is None
    assert len(posts) == 3
    for line, status in zip(said, (429, 200), strict=True):
        assert line.startswith(
            f"Slack answered {status} ratelimited and asks to wait 1 s (Retry-After): nothing is sent"
        )
        assert re.search(r"before 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.$", line)


@pytest.mark.usefixtures("at_once")
def test_a_wait_that_is_left_to_the_next_notifier_says_until_when(token_file: Path) -> None:
    for retry_after, status in (("30", 429), ("86400", 429), ("99999999999999999999", 503), ("45", 503)):
        with slack_that_answers((status, {"Retry-After": retry_after}, b"{}")) as (url, posts):
            problem = send(settings_for(url, token_file), MESSAGE, wait_s_max=10)
        assert problem is not None
        assert len(posts) == 1
        assert problem.wait_s >= 30
        assert re.search(r"asks to wait [\d,]+ s .*before 20\d\d-", problem.sentence)


def test_a_slack_that_fails_for_ever_is_given_up(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack, "_wait_s", lambda _: 0.01)
    monkeypatch.setattr(slack, "_post_once_a_second", lambda: slack._post_now)
    with slack_that_answers((500, {}, b"<html>oops</html>")) as (url, posts):
        assert send(settings_for(url, token_file), MESSAGE, wait_s_max=10) is not None
    assert len(posts) == slack.TRIES


def test_an_unreachable_slack_and_a_missing_token_file_are_sentences(
    tmp_path: Path, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack, "_wait_s", lambda _: 0.01)
    monkeypatch.setattr(slack, "_post_once_a_second", lambda: slack._post_now)
    with slack_that_answers(OK) as (url, _):
        pass
    gone = send(settings_for(url, token_file), MESSAGE, wait_s_max=10)
    assert gone is not None
    assert "cannot be reached" in gone.sentence
    nameless = send(settings_for(url, tmp_path / "none"), MESSAGE, wait_s_max=10)
    assert nameless is not None
    assert "SLACK_TOKEN_FILE" in nameless.sentence
