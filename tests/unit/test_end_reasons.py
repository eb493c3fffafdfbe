"""Why a run ended is stored in English, and said in the reader's language with all its facts."""

import re
from dataclasses import replace
from string import Formatter

import pytest

from bulkpoint.events.message import build_message
from bulkpoint.rules.answers import Halt
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.rules.patience import Waiting, WaitsFor
from bulkpoint.rules.refusals import Refusal
from bulkpoint.views.end_reasons import end_reason, reason_in
from bulkpoint.views.languages import phrase, words
from bulkpoint.views.sentences import sentence
from bulkpoint.views.waiting import waiting_words
from tests.unit.test_slack_message import COMPLETED

KEYS = list(words("en")["end_reasons"])


def fields(key: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(words("en")["end_reasons"][key]) if name is not None]


@pytest.mark.parametrize("key", KEYS)
def test_every_reason_keeps_its_facts_in_korean(key: str) -> None:
    facts = {name: f"<{name}>" for name in fields(key)}
    assert reason_in("ko", end_reason(key, **facts)) == phrase("ko", f"end_reasons.{key}", **facts)
    assert reason_in("en", end_reason(key, **facts)) == end_reason(key, **facts)


def test_every_halt_has_a_text_that_begins_with_its_code_in_english_and_names_it_in_korean() -> None:
    for halt in Halt:
        assert end_reason(halt, why="x") == f"{halt}: x", "the database writes it so"
        assert f"({halt}): x" in reason_in("ko", f"{halt}: x")


def test_what_is_inside_a_reason_is_said_in_korean_too() -> None:
    waiting = Waiting(WaitsFor.MONEY_REACHED, 0.0, None, "https://m", "NOT_CONNECTED", "CONNECTION_REFUSED")
    in_english = waiting_words(waiting, language="en", timezone="UTC")
    reason = f"MONEY_UNAVAILABLE: {end_reason('NOTHING_USABLE', patience_s='120', waiting=in_english)}"
    assert reason_in("ko", reason) == (
        "money API에 연결되지 않거나 쓸 수 있는 응답이 없음(MONEY_UNAVAILABLE):"
        " BULKPOINT_BREAKER_PATIENCE_S(120초)가 넘도록 쓸 수 있는 응답이 없음:"
        " money API(https://m)에 연결할 수 없습니다 (연결이 거부됨)"
    )
    two = f"{end_reason('WAVES_FAILED', number=3, why=end_reason('SEE_JOBS_LOG'))}; STALLED: x"
    assert reason_in("ko", two) == (
        "Spark에서 웨이브가 3번 연속 실패함, 원인은 작업 로그에 있음; 지급이 진행되지 않음(STALLED): x"
    )


@pytest.mark.parametrize(
    ("code", "remedy", "begins"),
    [
        (
            "DATABASE_CONNECTIONS_SPENT",
            "more_connections",
            "데이터베이스 db에 이 로그인이 쓸 연결이 남아 있지 않습니다: x.",
        ),
        ("DATABASE_LOCKS_SPENT", "more_locks", "데이터베이스 db의 잠금 테이블이 가득 차서"),
        ("DATABASE_MEMORY_SPENT", "more_memory", "데이터베이스 db 서버의 메모리가 부족합니다: x."),
    ],
)
def test_what_the_database_has_none_left_of_is_said_in_korean_with_its_remedy(
    code: str, remedy: str, begins: str
) -> None:
    refused = Refusal(code, {"database": "db", "why": "x", "cause": "x"}, (remedy,))
    said = reason_in("ko", f"DATABASE_REFUSED: {sentence(refused)}")
    assert begins in said
    assert said.endswith(words("ko")["remedies"][remedy])


def test_what_a_person_or_the_money_api_said_stays_as_it_is() -> None:
    for text in ("wrong list", "잘못된 명단", "a: b (c)", "X {0} %s", "", "line\nline"):
        assert reason_in("ko", text) == text
    assert reason_in("ko", "UNAUTHORIZED: token {x}") == "money API가 인증을 거절함(UNAUTHORIZED): token {x}"


def test_a_long_text_is_read_in_no_time() -> None:
    reason_in("ko", "MISMATCH: " + "a: (b, c) ; " * 400)


def test_the_korean_message_of_a_failed_run_has_no_english_sentence() -> None:
    found = end_reason("MOST_FAILED_OF_KIND", failed="20", results="20", ratio="0.5", kind="REJECTED", code="NO_MEMBER")
    ended = replace(COMPLETED, state=RunState.FAILED, open=1, reason=f"TOO_MANY_FAILURES: {found}")
    text = build_message(ended, language="ko").text
    assert "사유: 실패한 건이 너무 많음(TOO_MANY_FAILURES): 이번 실행의 최근 결과 20건 중 20건 실패" in text
    without_names = re.sub(r"`[^`]*`|[A-Z_]{3,}|\bcampaign\b", "", text)
    assert not re.search("[a-z]{4}", without_names.replace("money", "")), text


def test_the_member_that_a_halt_names_is_not_in_a_message_in_any_language() -> None:
    why = end_reason("OF_PAYMENT", said="no", seq=3, campaign_id=1, member="«m-3»")
    ended = replace(COMPLETED, state=RunState.FAILED, reason=f"MISMATCH: {why}")
    for language in ("ko", "en"):
        assert "m-3" not in build_message(ended, language=language).text
    assert "회원 ***" in build_message(ended, language="ko").text
