"""Waves: every payment in exactly one, whatever the sizes."""

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.rules.waves import WAVE_ROWS_MAX, FailedInARow, Wave, cut, shares_of_sweep, wave_rows, waves


@pytest.mark.parametrize(
    ("tps", "shares", "wave_seconds", "rows"),
    [(1000, 8, 300, 300_000), (10_000, 8, 300, WAVE_ROWS_MAX), (1, 8, 5, 8), (0, 8, 300, 8), (3, 1, 0.5, 1)],
)
def test_a_wave_holds_its_seconds_of_work_and_a_row_for_each_share(
    tps: int, shares: int, wave_seconds: float, rows: int
) -> None:
    assert wave_rows(tps, shares, wave_seconds) == rows


@given(st.integers(1, 50), st.integers(0, 300), st.integers(1, 40))
def test_every_seq_is_in_exactly_one_wave(first_seq: int, count: int, rows: int) -> None:
    made = list(waves(first_seq, first_seq + count - 1, rows))
    seqs = [seq for wave in made for seq in range(wave.first_seq, wave.last_seq + 1)]
    assert seqs == list(range(first_seq, first_seq + count))
    assert [wave.number for wave in made] == list(range(1, len(made) + 1))
    assert all(wave.last_seq - wave.first_seq + 1 == rows for wave in made[:-1])


def test_the_first_waves_of_a_large_campaign_are_small_so_that_they_are_read_in_a_moment() -> None:
    made = list(waves(1, 1_000_000, 300_000))
    assert [wave.last_seq for wave in made] == [10_000, 70_000, 370_000, 670_000, 970_000, 1_000_000]
    resumed = list(cut([(bucket, 10_000) for bucket in range(100)], bucket_rows=10_000, rows=300_000))
    assert [wave.last_seq for wave in resumed] == [10_000, 70_000, 370_000, 670_000, 970_000, 1_000_000]


def test_a_small_campaign_is_one_wave() -> None:
    assert list(waves(1, 10_000, 300_000)) == [Wave(1, 1, 10_000)]
    assert list(waves(1, 3_000, 3_000)) == [Wave(1, 1, 3_000)]


@given(st.sets(st.integers(1, 400)), st.integers(1, 30), st.integers(1, 60))
def test_every_open_seq_is_in_exactly_one_cut_wave(open_seqs: set[int], bucket_rows: int, rows: int) -> None:
    histogram: dict[int, int] = {}
    for seq in sorted(open_seqs):
        bucket = (seq - 1) // bucket_rows
        histogram[bucket] = histogram.get(bucket, 0) + 1
    made = list(cut(histogram.items(), bucket_rows=bucket_rows, rows=rows))
    ordered = sorted(open_seqs)
    held = [ordered[bisect_left(ordered, wave.first_seq) : bisect_left(ordered, wave.last_seq + 1)] for wave in made]
    assert [seq for seqs in held for seq in seqs] == ordered
    assert all(earlier.last_seq < later.first_seq for earlier, later in pairwise(made))
    assert all(1 <= len(seqs) <= max(rows, bucket_rows) for seqs in held)
    # No two neighbours would fit into one wave with a bucket to spare.
    assert all(len(one) + len(two) + bucket_rows > rows for one, two in pairwise(held))
    assert [wave.number for wave in made] == list(range(1, len(made) + 1))


def test_a_hundred_failed_rows_in_a_hundred_million_are_one_wave() -> None:
    histogram = [(bucket, 1) for bucket in range(0, 10_000, 100)]
    assert list(cut(histogram, bucket_rows=10_000, rows=300_000)) == [Wave(1, 1, 99_010_000)]


@pytest.mark.parametrize(
    ("count", "tps", "shares", "dealt_to"),
    [(1, 1_000, 8, 1), (125, 1_000, 8, 1), (126, 1_000, 8, 2), (20_000, 1_000, 8, 8), (3, 1, 8, 8), (3, 0, 8, 8)],
)
def test_a_sweep_is_dealt_to_as_few_shares_as_send_it_in_a_second(
    count: int, tps: int, shares: int, dealt_to: int
) -> None:
    assert shares_of_sweep(count, tps, shares) == dealt_to


def test_nothing_open_is_no_wave() -> None:
    assert list(cut([], bucket_rows=100, rows=10)) == list(cut([(3, 0)], bucket_rows=100, rows=10)) == []


def test_a_run_is_given_up_after_three_failed_waves_in_which_nothing_was_paid() -> None:
    ended = 0
    failed = FailedInARow(lambda: ended)
    assert [failed.too_many(paid=paid) for paid in (False, False, True, False, False)] == [False] * 5
    ended = 7
    assert [failed.too_many(paid=False) for _ in range(3)] == [False, False, True], "the first of them paid something"
