"""The drawing of the limit: steps in order of time, holds as bands, and the figure that comes back."""

import re
from datetime import UTC, datetime, timedelta

from bulkpoint.store.limit import Limit, LimitChange
from bulkpoint.views.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH
from bulkpoint.views.limit_drawing import CHANGES_DRAWN, DAYS_DRAWN, HOLD_WIDTH_MIN, draw_limit

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
FLOOR, END = HEIGHT - BOTTOM, WIDTH - RIGHT


def limit(tps: int, *, set_at: datetime = NOW, until: datetime | None = None, afterwards: int | None = None) -> Limit:
    return Limit(tps, 1, "kim", set_at, None, until, afterwards, [])


def change(hours_ago: float, tps: int, before: int, number: int = 1) -> LimitChange:
    return LimitChange(number, NOW - timedelta(hours=hours_ago), "l", "kim", tps, before, None, None, None)


def draw(present: Limit, *changes: LimitChange):  # type: ignore[no-untyped-def]
    return draw_limit(present, changes, now=NOW, timezone="Asia/Seoul")


def xs(curve: str) -> list[float]:
    return [float(x) for x in re.findall(r"[MH]([\d.]+)", curve)]


def heights(curve: str) -> list[float]:
    return [float(y) for y in re.findall(r"V([\d.]+)", curve)]


def test_a_limit_that_never_changed_is_one_line_from_edge_to_edge() -> None:
    drawing = draw(limit(1000))
    assert xs(drawing.curve) == [LEFT, END]
    assert len(set(heights(drawing.curve))) == 1
    assert (drawing.holds, drawing.plan, drawing.now) == ([], "", END)


def test_each_change_is_a_step_and_a_hold_is_a_band() -> None:
    drawing = draw(limit(500), change(24, 500, 0), change(48, 0, 1000))
    first, held, last = heights(drawing.curve)
    assert first < last < held == FLOOR, "1,000 is above 500, and 0 is at the floor"
    (band,) = drawing.holds
    day = (END - LEFT) / DAYS_DRAWN
    assert abs(band.x - (END - 2 * day)) < 1
    assert abs(band.width - day) < 1


def test_a_hold_of_a_minute_is_still_seen() -> None:
    drawing = draw(limit(1000), change(1, 1000, 0), change(1 + 1 / 60, 0, 1000))
    assert [band.width for band in drawing.holds] == [HOLD_WIDTH_MIN]


def test_a_temporary_limit_is_followed_by_the_one_that_comes_back() -> None:
    present = limit(300, until=NOW + timedelta(hours=12), afterwards=1000)
    drawing = draw(present, change(2, 300, 1000))
    assert drawing.now < END
    assert xs(drawing.plan)[0] == drawing.now
    assert xs(drawing.plan)[-1] == END
    assert heights(drawing.plan)[-1] < heights(drawing.curve)[-1], "1,000 is above 300"
    late = draw(limit(300, until=NOW + timedelta(days=30), afterwards=1000), change(2, 300, 1000))
    assert (late.plan, late.now) == ("", END), "a month ahead would leave no room for the last days"


def test_a_temporary_limit_whose_time_is_over_counts_no_more_though_nobody_wrote_that() -> None:
    present = limit(1000, set_at=NOW - timedelta(hours=1))  # as the database says it: restored at `until`
    drawing = draw(present, change(2, 300, 1000))
    assert len(heights(drawing.curve)) == 3
    assert heights(drawing.curve)[0] == heights(drawing.curve)[-1]


def test_of_more_changes_than_are_drawn_the_latest_ones_fill_the_drawing() -> None:
    changes = [change(1 + number / 60, 1 + number % 5, 9, number) for number in range(CHANGES_DRAWN)]
    drawing = draw(limit(1), *changes)
    assert xs(drawing.curve)[:2] == [LEFT, LEFT], "it begins with the first one that is known"
    assert xs(drawing.curve) == sorted(xs(drawing.curve))


def test_its_days_are_those_of_the_time_zone() -> None:
    drawing = draw(limit(1000))
    assert [tick.label.text for tick in drawing.ticks] == [f"01-{day}" for day in range(25, 32)]
