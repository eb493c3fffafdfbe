"""How long a run still takes: by what it paid in the last minute."""

from collections.abc import Callable

import pytest

from bulkpoint.rules.time_left import LEAST_S, Figure, rate_of, seconds_left


def seen(
    seconds: int, done_at: Callable[[int], float], *, tps: Callable[[int], int | None] = lambda _: 20, every: int = 1
) -> list[Figure]:
    """The figures of a run so many seconds after its begin."""
    return [Figure(1_000.0 + at, int(done_at(at)), tps(at)) for at in range(0, seconds + 1, every)]


def test_a_long_campaign_is_right_from_its_first_seconds_on() -> None:
    for begins_after in (0, 3, 25, 45):
        for seconds in (begins_after + 8, begins_after + 30, begins_after + 300):
            for every in (1, 5):
                figures = seen(seconds, lambda at, begins=begins_after: 20 * max(0, at - begins), every=every)  # type: ignore[misc]
                left_s = seconds_left(figures, 1_200_000 - figures[-1].done)
                if left_s is not None:
                    assert left_s == pytest.approx(60_000, rel=0.02), "16 h 40 min, not 28 or 92 h"
                else:
                    assert seconds - begins_after < 2 * every + LEAST_S


def test_nothing_is_said_before_there_are_figures() -> None:
    assert seconds_left([], 100) is None
    assert seconds_left(seen(0, lambda _: 0), 100) is None
    assert seconds_left(seen(60, lambda _: 0), 100) is None, "nothing was paid yet"
    assert seconds_left(seen(60, lambda _: 500), 100) is None, "nothing is paid now"
    assert seconds_left(seen(4, lambda at: at), 100) is None, "too short to be a pace"
    assert seconds_left(seen(60, lambda at: at), 0) == 0


def test_the_pace_is_that_of_the_last_minute_and_not_of_the_whole_run() -> None:
    figures = seen(600, lambda at: at if at < 300 else 300 + 10 * (at - 300))
    assert seconds_left(figures, 1_000) == pytest.approx(100)


def test_a_pace_that_ebbs_is_seen_and_one_that_ended_too() -> None:
    figures = seen(100, lambda at: 10 * min(at, 70))
    left_s = seconds_left(figures, 1_000)
    assert left_s is not None
    assert left_s > 110
    assert seconds_left(seen(200, lambda at: 10 * min(at, 70)), 1_000) is None


def test_what_an_earlier_run_paid_is_no_result_of_this_one() -> None:
    figures = seen(70, lambda at: 365 + 10 * max(0, at - 50))
    assert seconds_left(figures, 1_000, done_before=365) == pytest.approx(100)
    assert seconds_left(figures[:50], 1_000, done_before=365) is None


def test_an_outage_within_the_minute_counts() -> None:
    figures = seen(100, lambda at: 5 + 10 * max(0, at - 70))
    assert seconds_left(figures, 1_000) == pytest.approx(200)


def test_only_what_was_paid_under_the_present_limit_counts() -> None:
    limit: Callable[[int], int] = lambda at: 100 if at < 50 else 10  # noqa: E731
    figures = seen(60, lambda at: 100 * min(at, 50) + 10 * max(0, at - 50), tps=limit)
    assert seconds_left(figures, 1_000) == pytest.approx(100)
    assert seconds_left(figures[:-7], 1_000) is None, "a change just now"
    on_hold = seen(60, lambda at: 100 * min(at, 50), tps=lambda at: 100 if at < 50 else 0)
    assert seconds_left(on_hold, 1_000) is None


def test_a_burst_of_answers_promises_no_more_than_the_limit() -> None:
    figures = seen(10, lambda at: 50 * at)
    assert seconds_left(figures, 1_000) == 1_000 / 20
    assert seconds_left(seen(10, lambda at: 50 * at, tps=lambda _: None), 1_000) == 1_000 / 50


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    assert rate_of(seen(60, lambda at: 5 * min(at, 40) + 20 * max(0, at - 40))) == 20
    assert rate_of(seen(60, lambda at: 100 - at)) == 0, "a retry took payments back"
    assert rate_of(seen(2, lambda at: at)) is None
    assert rate_of([]) is None
