"""Previews: figures that people can read, what speaks against a list, and when its payment would end."""

import json
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bulkpoint.campaigns import preview as control
from bulkpoint.campaigns.preview import preview_file
from bulkpoint.cli.preview import preview
from bulkpoint.errors import UsageError
from bulkpoint.intake.target_digest import TargetDigest
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.preview import (
    BARS_MAX,
    Bucket,
    Figures,
    Listed,
    Outlook,
    Pace,
    Preview,
    ReasonSum,
    bucket_edges,
    buckets_of,
    find_difference,
    look_ahead,
)
from bulkpoint.rules.readiness import NO_LIMITS, PaymentLimits
from bulkpoint.views.preview import PreviewView, draw
from bulkpoint.views.sentences import sentence
from tests.world.refusals import refused

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
HEADER = "member_id,amount,reason\n"
Write = Callable[[str], Path]


@pytest.fixture
def csv_file(tmp_path: Path) -> Write:
    def write(rows: str) -> Path:
        path = tmp_path / "targets.csv"
        path.write_text(HEADER + rows, newline="")
        return path

    return write


def drawn(seen: Preview, *, pace: Pace = Pace(1000), deadline: datetime | None = None, width: int = 80) -> list[str]:  # noqa: B008 (frozen)
    outlook = look_ahead(seen.open_count, pace, now=NOW, deadline=deadline)
    return draw(seen, outlook, timezone="Asia/Seoul", width=width)


def line_of(lines: list[str], label: str) -> str:
    [line] = [line for line in lines if line.startswith(label + " ")]
    return line.removeprefix(label).strip()


@given(st.tuples(st.integers(1, 10**12), st.integers(1, 10**12)).map(sorted))
def test_amounts_are_divided_at_figures_that_people_like(amounts: list[int]) -> None:
    smallest, largest = amounts
    edges = bucket_edges(smallest, largest)
    assert edges[0] <= smallest < edges[1]
    assert edges[-2] <= largest < edges[-1]
    liked = edges if largest > smallest * 25 else [edges[-1] - edges[-2]]
    assert all(re.fullmatch("[125]0*", str(number)) for number in liked)
    assert largest > smallest * 25 or len(edges) <= BARS_MAX + 1


@pytest.mark.parametrize(
    ("smallest", "largest", "edges"),
    [
        (500, 500, [500, 501]),
        (3, 8, [3, 4, 5, 6, 7, 8, 9]),
        (1_000, 1_999, [1_000, 1_100, 1_200, 1_300, 1_400, 1_500, 1_600, 1_700, 1_800, 1_900, 2_000]),
        (3, 60, [1, 10, 20, 30, 40, 50, 60, 70]),
        (100, 5_000, [100, 200, 500, 1_000, 2_000, 5_000, 10_000]),
    ],
)
def test_close_amounts_are_divided_evenly_and_wide_ones_by_1_2_5(smallest: int, largest: int, edges: list[int]) -> None:
    assert bucket_edges(smallest, largest) == edges


@given(st.lists(st.integers(0, 9), min_size=1, max_size=37))
def test_bars_are_few_and_lose_no_target(counts: list[int]) -> None:
    edges = list(range(1, len(counts) + 2))
    buckets = buckets_of(edges, counts)
    assert len(buckets) == min(len(counts), BARS_MAX)
    assert sum(one.count for one in buckets) == sum(counts)
    assert [buckets[0].first, *(one.last + 1 for one in buckets)] == sorted(
        {buckets[0].first, *(one.first for one in buckets), edges[-1]}
    ), "each begins where the one before ends"


def test_bars_are_joined_where_the_fewest_targets_are() -> None:
    counts = [1, 2, 30, 40, 50, 60, 70, 80, 90, 80, 70, 60, 50, 3]
    buckets = buckets_of(list(range(1, 16)), counts)
    assert buckets[0] == Bucket(1, 3, 33)
    assert buckets[-1] == Bucket(14, 14, 3)


def test_a_payment_ends_as_the_limit_allows() -> None:
    assert look_ahead(1_000_000, Pace(1000), now=NOW).ends_at == NOW + timedelta(seconds=1000)
    assert look_ahead(5, Pace(0), now=NOW).ends_at is None
    assert look_ahead(0, Pace(1000), now=NOW).ends_at is None, "nothing is open"


@pytest.mark.parametrize(
    ("tps", "afterwards", "seconds"),
    [(100, 1000, 60 + 4), (0, 1000, 60 + 10), (1000, 0, 10), (100, 0, None), (200, 1, 50)],
)
def test_a_temporary_limit_counts_until_it_is_over(tps: int, afterwards: int, seconds: int | None) -> None:
    pace = Pace(tps, NOW + timedelta(seconds=60), afterwards)
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert look_ahead(10_000, pace, now=NOW).ends_at == expected


def test_a_deadline_names_the_tps_it_needs_and_whether_there_is_enough() -> None:
    def outlook(seconds: float, pace: Pace) -> Outlook:
        return look_ahead(10_001, pace, now=NOW, deadline=NOW + timedelta(seconds=seconds))

    assert (outlook(100, Pace(100)).tps_needed, outlook(100, Pace(100)).in_time) == (101, False)
    assert outlook(100, Pace(101)).in_time
    assert not outlook(100, Pace(0)).in_time
    assert (outlook(-1, Pace(100)).tps_needed, outlook(-1, Pace(100)).in_time) == (None, False)
    assert look_ahead(0, Pace(0), now=NOW, deadline=NOW + timedelta(seconds=1)).in_time, "nothing is open"


def test_a_difference_says_what_is_missing_and_what_is_too_much() -> None:
    def difference(count: int, amount: int) -> str | None:
        figures = Figures(count, amount, None, None, (), (), 0)
        found = find_difference(Listed(1, "c", CampaignState.WAITING, 1_000, 5_000, None), figures)
        return None if found is None else sentence(found)

    assert difference(1_000, 5_000) is None
    assert difference(0, 6_000) == "Not what is expected; targets missing: 1,000, points too many: 1,000."


def test_the_figures_of_a_file(csv_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "BLOCK_ROWS", 2)
    seen = preview_file(csv_file("m1,100,gift\nm2,250,thanks\nm3,130,gift\n"), NO_LIMITS)
    assert seen.findings == ()
    assert seen.digest is not None
    assert seen.figures == Figures(
        count=3,
        amount=480,
        smallest=100,
        largest=250,
        buckets=bucket_counts(100, 20, [1, 1, 0, 0, 0, 0, 0, 1]),
        reasons=(ReasonSum("thanks", 1, 250), ReasonSum("gift", 2, 230)),
        reason_count=2,
    )
    assert seen.figures.mean == 160


def bucket_counts(first: int, width: int, counts: list[int]) -> tuple[Bucket, ...]:
    return tuple(
        Bucket(first + number * width, first + (number + 1) * width - 1, count) for number, count in enumerate(counts)
    )


def test_bad_rows_are_in_no_figure_and_the_rest_is_shown_all_the_same(csv_file: Write, tmp_path: Path) -> None:
    rows = "m1,100,gift\nm2,0,\nm2,5,x\nm3,3\nm1,7000,again\nm4,6000,x\nm4,1,x\n"
    seen = preview_file(csv_file(rows), PaymentLimits(5_000, 13_000), tmp_path / "errors.csv")
    assert (seen.invalid_rows, seen.duplicate_rows, seen.rows_above_max) == (2, 3, 2)
    assert [finding.code for finding in seen.findings] == [
        "INVALID_ROWS", "DUPLICATE_ROWS", "ROW_CAP", "CAMPAIGN_CAP",
    ]  # fmt: skip
    assert (seen.figures.count, seen.figures.amount) == (5, 13_106)
    assert seen.digest is None
    assert "row 6: amount is 7,000: it must be 1 to 5,000 points." in seen.problems
    assert "row 6: member_id 'm1' is in row 2 already." in seen.problems
    assert len((tmp_path / "errors.csv").read_text().splitlines()) == 1 + seen.problem_count == 9
    assert {f"! {sentence(finding)}" for finding in seen.findings} <= set(drawn(seen))


def test_a_cap_that_is_reached_is_not_broken(csv_file: Write) -> None:
    seen = preview_file(csv_file("m1,100,x\nm2,50,x\n"), PaymentLimits(100, 150))
    assert seen.findings == ()


def test_twenty_problems_are_shown(csv_file: Write) -> None:
    amounts = 5 * ["=0", "+1", "1.5", "", "0", " 1"]
    seen = preview_file(csv_file("".join(f"m{number},{each},a\n" for number, each in enumerate(amounts))), NO_LIMITS)
    assert (len(seen.problems), seen.problem_count, seen.figures.count) == (20, 30, 0)
    assert "... and 10 more" in drawn(seen)


def test_the_reasons_with_the_most_points_are_shown_and_the_rest_in_one_line(csv_file: Write) -> None:
    rows = "".join(f"m{number},{number},reason {number}\n" for number in range(1, 31))
    seen = preview_file(csv_file(rows), NO_LIMITS)
    assert [one.amount for one in seen.figures.reasons] == list(range(30, 10, -1))
    assert seen.figures.other_reasons == (10, 10, 55)
    [line] = [line for line in drawn(seen) if line.startswith("... and")]
    assert line.split() == ["...", "and", "10", "more", "10", "55", "11.8", "%"]


def test_reasons_beyond_count_are_said_to_be_so(csv_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REASONS_COUNTED_MAX", 22)
    rows = "".join(f"m{number},{100 - number},reason {number}\n" for number in range(30))
    seen = preview_file(csv_file(rows), NO_LIMITS)
    assert seen.figures.other_reasons == (2, 10, sum(100 - number for number in range(20, 30)))
    assert any(line.startswith("... and at least 2 more ") for line in drawn(seen))


def test_lines_fit_the_terminal_and_columns_stand_under_their_heads_in_korean_too(csv_file: Write) -> None:
    long = "회원 등급 상향 축하 포인트 적립, 골드에서 플래티넘으로 승급하신 것을 축하드립니다" * 3
    seen = preview_file(csv_file(f'm1,1,추석 감사 적립\nm2,999999,"{long}"\nm3,70,생일 🎂\n'), NO_LIMITS)
    lines = drawn(seen)
    assert max(map(cell_len, lines)) <= 80
    table = lines[next(number for number, line in enumerate(lines) if line.startswith("REASON")) :]
    assert len({cell_len(line) for line in table}) == 1
    assert table[1].split("...")[0].strip() == long[: len(table[1].split("...")[0].strip())]
    assert len(table[1].split("...")[0]) > 20


def test_what_a_reason_holds_cannot_move_the_cursor(csv_file: Write) -> None:
    seen = preview_file(csv_file('m1,5,"a\tb\nc\x1b[31m\u202e"\n'), NO_LIMITS)
    assert any(line.startswith(r"a\tb\nc\x1b[31m<U+202E> ") for line in drawn(seen))
    assert json.loads(PreviewView.of(seen, look_ahead(1, Pace(1), now=NOW)).as_json())["reasons"][0]["reason"] == (
        "a\tb\nc\x1b[31m\u202e"
    )


def test_every_bar_that_has_a_target_can_be_seen(csv_file: Write) -> None:
    rows = "".join(f"m{number},100,x\n" for number in range(3_000)) + "last,5000,x\n"
    lines = drawn(preview_file(csv_file(rows), NO_LIMITS))
    bars = lines[next(number for number, line in enumerate(lines) if line.startswith("POINTS")) + 1 :][:6]
    assert [bar.split("%")[1].strip() for bar in bars] == ["█" * 40, "", "", "", "", "▏"]
    assert [bar.split()[4] for bar in bars] == ["100.0", "0.0", "0.0", "0.0", "0.0", "<0.1"]


@pytest.mark.parametrize(
    ("pace", "limit", "time", "deadline"),
    [
        (Pace(1), "1 TPS", "2 min 30 s: started now, it would end 2026-01-31 18:02:30", "2 TPS: TOO LATE by 50 s"),
        (Pace(2), "2 TPS", "1 min 15 s: started now, it would end 2026-01-31 18:01:15", "2 TPS: in time"),
        (Pace(0), "0 TPS (on hold)", "never ends as things are", "2 TPS: TOO LATE, the limit is not enough"),
        (
            Pace(0, NOW + timedelta(seconds=60), 3),
            "0 TPS (on hold) until 2026-01-31 18:01:00, then 3",
            "1 min 50 s: started now, it would end 2026-01-31 18:01:50",
            "2 TPS: TOO LATE by 10 s",
        ),
    ],
)
def test_the_time_it_takes_is_said_in_words(csv_file: Write, pace: Pace, limit: str, time: str, deadline: str) -> None:
    seen = preview_file(csv_file("".join(f"m{number},1,x\n" for number in range(150))), NO_LIMITS)
    lines = drawn(seen, pace=pace, deadline=NOW + timedelta(seconds=100))
    assert line_of(lines, "limit") == limit
    assert line_of(lines, "time").startswith(time)
    assert line_of(lines, "deadline").startswith(f"2026-01-31 18:01:40 needs {deadline}")


def test_the_order_of_a_file_and_the_parts_it_is_sorted_in_change_no_digest() -> None:
    rows = [(f"m{number * 7919 % 3_001}", number, f"이유 {number}") for number in range(3_001)]
    digests = set()
    for held_bytes_max, given_rows in ((10**9, rows), (10**9, rows[::-1]), (5_000, rows), (0, rows[:50])):
        with TargetDigest(held_bytes_max) as digest:
            for row in given_rows:
                digest.add(*row)
            digests.add((len(given_rows), digest.digest()))
    assert len(digests) == 2


def test_where_there_is_no_room_to_sort_the_other_figures_are_shown(
    csv_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setattr(TargetDigest.__init__, "__defaults__", (0,))
    seen = preview_file(csv_file("m1,100,gift\nm2,250,thanks\n"), NO_LIMITS)
    assert (seen.digest, seen.figures.count, seen.findings) == (None, 2, ())
    assert line_of(drawn(seen), "digest").startswith(f"none: too many rows to sort in {tmp_path}")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [([], "either the ID"), (["1", "--targets", "."], "either the ID"), (["1", "--errors", "x"], "--errors is for")],
)
def test_a_campaign_or_a_file_is_named_and_not_both(csv_file: Write, options: list[str], sentence: str) -> None:
    path = csv_file("m1,100,gift\n")
    with refused(sentence, UsageError):
        preview.main([str(path) if option == "." else option for option in options], standalone_mode=False)
