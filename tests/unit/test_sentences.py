"""A refusal becomes a sentence in each language: its facts, what is said in words, its parts, and what helps."""

import itertools
from datetime import UTC, datetime

import pytest

from bulkpoint.rules.lifecycle import TRANSITIONS, CampaignState, Command, refusal
from bulkpoint.rules.readiness import NO_POLICY, PaymentLimits, Policy, SameList, TargetsState, find_obstacle
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.views.languages import LANGUAGES, words
from bulkpoint.views.sentences import sentence

CAMPAIGN_COMMANDS = [command for command, row in TRANSITIONS.items() if row.to is not None]


def targets(**known: object) -> TargetsState:
    good = {
        "expected_count": 1_000,
        "expected_amount": 5_000,
        "count": 1_000,
        "amount": 5_000,
        "largest": 9,
        "digest": b"d",
        "creator_login": "kim",
        "approved_digest": None,
        "policy": NO_POLICY,
        "same_list": None,
        "same_as": None,
    }
    return TargetsState(**{**good, **known})  # type: ignore[arg-type]


def said(refused: Refusal | None, language: str = "en") -> str:
    assert refused is not None
    return sentence(refused, language=language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_is_said_in_every_state_that_does_not_allow_it(language: str) -> None:
    for command, state in itertools.product(CAMPAIGN_COMMANDS, CampaignState):
        refused = refusal(command, state, 7)
        if refused is not None:
            assert words(language)["commands"][command] in sentence(refused, language=language)


def test_a_command_is_refused_with_its_state_and_what_to_do_instead() -> None:
    assert said(refusal(Command.WITHDRAW, CampaignState.RUNNING, 3)) == (
        "Campaign 3 is RUNNING and cannot be withdrawn. Follow it with `bulkpoint campaign watch 3`."
        " End it with `bulkpoint campaign stop 3`."
    )
    assert said(refusal(Command.RETRY, CampaignState.STOPPED, 3), "ko") == (
        "캠페인 3은(는) STOPPED 상태라 재처리할 수 없습니다. 중단되어 미처리 건이 남아 있습니다."
        " `bulkpoint campaign resume 3`로 이어서 지급하세요."
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_right_says_what_it_lets_a_login_do(language: str) -> None:
    assert words(language)["rights"].keys() == set(Right)
    for right in Right:
        text = sentence(Refusal("RIGHT_MISSING", {"login": "lee", "right": right}, ("grant_right",)), language=language)
        assert words(language)["rights"][right] in text
        assert f"`bulkpoint right grant lee {right}`" in text


@pytest.mark.parametrize(
    ("state", "code", "text"),
    [
        (targets(count=2, amount=3), "TARGETS_NOT_AS_EXPECTED", "it expects 1,000 targets and 5,000 points, but 2 and"),
        (targets(policy=Policy(limits=PaymentLimits(8))), "ROW_LIMIT_EXCEEDED", "its largest target is 9 points, more"),
        (targets(policy=Policy(limits=PaymentLimits(9, 4_999))), "CAMPAIGN_LIMIT_EXCEEDED", "it would pay 5,000 "),
        (targets(policy=Policy(True)), "NOT_APPROVED", "no one has approved it. Have it approved: `bulkpoint campaign"),
        (targets(approved_digest=b"x"), "APPROVED_TARGETS_CHANGED", "its targets changed after they were approved."),
        (targets(same_list=SameList(2, "봄", 90_000.0)), "LIST_PAID_BEFORE", "campaign 2 (봄), seen a day ago: every"),
    ],
)  # fmt: skip
def test_what_keeps_a_campaign_from_starting_has_a_code_and_a_sentence(
    state: TargetsState, code: str, text: str
) -> None:
    obstacle = find_obstacle(7, state)
    assert obstacle is not None
    assert obstacle.code == code
    whole = said(Refusal("CAMPAIGN_NOT_READY", {"campaign_id": 7, "why": obstacle}))
    assert whole.startswith("Campaign 7 cannot start: ")
    assert text in whole
    assert whole.count("bulkpoint campaign") == 1, "what helps is said once"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("count", "amount", "remedy"),
    [
        (999, 5_000, "load_or_withdraw"),
        (1_000, 4_999, "load_or_withdraw"),
        (1_000, 5_001, "find_change_or_withdraw"),
        (999, 5_001, "find_change_or_withdraw"),
        (1_001, 4_999, "find_change_or_withdraw"),
    ],
)
def test_what_to_do_about_other_totals_follows_from_their_direction(
    count: int, amount: int, remedy: str, language: str
) -> None:
    obstacle = find_obstacle(7, targets(count=count, amount=amount))
    assert obstacle is not None
    assert obstacle.remedies == (remedy,)
    assert ("campaign preview 7" in sentence(obstacle, language=language)) == (remedy != "load_or_withdraw")


def test_a_campaign_that_is_ready_has_no_obstacle() -> None:
    assert find_obstacle(7, targets(approved_digest=b"d", policy=Policy(True, PaymentLimits(9, 5_000)))) is None
    assert find_obstacle(7, targets(same_list=SameList(2, "봄", 0.0), same_as=2)) is None


@pytest.mark.parametrize(
    ("days", "english", "korean"),
    [
        (0, "seen in the last 24 hours", "최근 24시간 안에"),
        (1, "seen a day ago", "하루 전에"),
        (89, "seen 89 days ago", "89일 전에"),
    ],
)
def test_days_ago_are_said_in_words(days: int, english: str, korean: str) -> None:
    seen = Refusal("SAME_LIST", {"seen_in": 2, "seen_in_name": "봄", "days_ago": days})
    assert english in said(seen)
    assert korean in said(seen, "ko")


@pytest.mark.parametrize(("count", "words_of"), [(1, "has 1 error."), (2_000, "has 2,000 errors.")])
def test_one_error_is_not_errors(count: int, words_of: str) -> None:
    rows = tuple(Refusal("ROW_WRONG", {"row": row, "rule": "amount is 0."}) for row in (1_002, 1_003))
    text = said(Refusal("TARGETS_FILE_WRONG", {"file": "a.csv", "error_count": count, "lines": rows}))
    assert text.splitlines() == [
        f"a.csv {words_of} Nothing was loaded.",
        "  row 1,002: amount is 0.",
        "  row 1,003: amount is 0.",
    ]


def test_times_are_shown_in_the_time_zone_of_who_reads() -> None:
    at = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
    text = sentence(Refusal("NOT_DUE", {"campaign_id": 7, "not_before": at}), timezone="Asia/Seoul")
    assert text == "it is not to start before 2026-01-31 18:00:00."
