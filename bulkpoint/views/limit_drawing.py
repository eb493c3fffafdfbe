"""A drawing of the limit over the last days: a step for each change, and the figure that comes back, dashed.

Geometry as in views/drawing.py; templates make SVG of it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bulkpoint.store.limit import Limit, LimitChange
from bulkpoint.views.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Label, Mark, grid_up_to, round_above

DAYS_DRAWN = 7
# Changes that are drawn; of more, the latest ones, and the drawing begins with the first of them.
CHANGES_DRAWN = 500
# A figure that comes back later than this is said, not drawn.
AHEAD_MAX = timedelta(days=2)
# A hold of a minute in a week is still seen.
HOLD_WIDTH_MIN = 2.0
_LABEL_WIDTH = 60.0


class Band(NamedTuple):
    """A time on hold: a limit of 0."""

    x: float
    width: float


class LimitDrawing(NamedTuple):
    """The limit's curve; plan: the figure that comes back, empty where none does; now: the present moment."""

    width: int
    height: int
    top: int
    floor: int
    grid: list[Mark]
    ticks: list[Mark]
    curve: str
    plan: str
    now: float
    holds: list[Band]


class _Step(NamedTuple):
    at: datetime
    tps: int


def draw_limit(limit: Limit, changes: Sequence[LimitChange], *, now: datetime, timezone: str) -> LimitDrawing:
    """The last days up to `now`. changes: at most CHANGES_DRAWN of DAYS_DRAWN, latest first."""
    steps = _steps(limit, changes, now)
    begin, end = steps[0].at, now
    plan = limit.until if limit.until is not None and now < limit.until <= now + AHEAD_MAX else None
    if plan is not None:
        end = plan + (plan - begin) / 12  # so that the figure afterwards has a line too
    highest = max([*(step.tps for step in steps), limit.tps_afterwards or 0, 1])
    top, floor = round_above(highest * 1.05), HEIGHT - BOTTOM
    room = WIDTH - LEFT - RIGHT

    def across(moment: datetime) -> float:
        return round(LEFT + room * ((moment - begin) / (end - begin)), 1)

    def up(tps: int) -> float:
        return round(floor - (floor - TOP) * tps / top, 1)

    curve = f"M{across(begin)} {up(steps[0].tps)}"
    holds = []
    for number, step in enumerate(steps):
        until = steps[number + 1].at if number + 1 < len(steps) else now
        curve += f"V{up(step.tps)}H{across(until)}"
        if step.tps == 0:
            x = across(step.at)
            holds.append(Band(x, max(HOLD_WIDTH_MIN, round(across(until) - x, 1))))
    dashed = ""
    if plan is not None and limit.tps_afterwards is not None:
        dashed = f"M{across(now)} {up(steps[-1].tps)}H{across(plan)}V{up(limit.tps_afterwards)}H{across(end)}"
    ticks = [
        Mark(f"M{across(midnight)} {floor}v4", Label(across(midnight), floor + 18, f"{midnight:%m-%d}"))
        for midnight in _midnights(begin, end, timezone)
        if LEFT + _LABEL_WIDTH / 4 <= across(midnight) <= WIDTH - _LABEL_WIDTH / 3
    ]
    return LimitDrawing(WIDTH, HEIGHT, TOP, floor, grid_up_to(top), ticks, curve, dashed, across(now), holds)


def _steps(limit: Limit, changes: Sequence[LimitChange], now: datetime) -> list[_Step]:
    """Each figure with the moment from which on it was in force, in order of time; the first at the drawing's begin."""
    known = [change for change in reversed(changes) if change.tps is not None and change.at < now]
    begin = now - timedelta(days=DAYS_DRAWN)
    if len(changes) == CHANGES_DRAWN:
        begin = max(begin, known[0].at) if known else begin
    before = known[0].tps_before if known else None
    steps = [_Step(begin, limit.tps if before is None and not known else before or 0)]
    steps += [_Step(max(begin, change.at), change.tps or 0) for change in known]
    # A temporary figure whose time is over counts no more, also where nobody has written that yet.
    if steps[-1].tps != limit.tps:
        steps.append(_Step(min(now, max(limit.set_at, steps[-1].at)), limit.tps))
    return steps


def _midnights(begin: datetime, end: datetime, timezone: str) -> list[datetime]:
    zone = ZoneInfo(timezone)
    day = begin.astimezone(zone).date() + timedelta(days=1)
    found = []
    while (midnight := datetime(day.year, day.month, day.day, tzinfo=zone)) < end.astimezone(UTC):
        found.append(midnight)
        day += timedelta(days=1)
    return found
