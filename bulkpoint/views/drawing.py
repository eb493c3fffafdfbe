"""Two drawings for a campaign's page: payments ended over time under the limit, and payments by amount.

Plain figures in, geometry out: templates/drawings.html.j2 makes SVG of it. Coordinates are pixels of a drawing that is
WIDTH wide, from its upper left corner; paths are as SVG has them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bulkpoint.rules.preview import Bucket
from bulkpoint.views.format import share

WIDTH, LEFT, RIGHT = 760, 52, 8
HEIGHT, TOP, BOTTOM = 250, 26, 28
RUN_GAP = 16
RUN_WIDTH_MIN = 30
TICK_WIDTH_MIN, LABEL_WIDTH_MIN = 58, 74
TICKS_MAX = 14
INTERVALS_MAX = 600
BAR_HEIGHT, BAR_RIGHT = 21, 112
CHARACTER_WIDTH = 6.4
BARS_MAX = 16
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
# Above this multiple of the highest rate, the limit would make the curve flat.
LIMIT_SHOWN_MAX = 4


class Point(NamedTuple):
    """Payments that had ended, and the limit in calls a second, at a moment."""

    at: datetime
    done: int
    tps: int


class Interval(NamedTuple):
    """Between two points, in seconds since its run began: payments that ended a second, and the limit."""

    begin_s: float
    end_s: float
    rate: float
    tps: int


@dataclass(frozen=True)
class Stretch:
    """One run of the drawing: its number, its kind, and its points in order of time from its beginning."""

    run: int
    kind: str
    points: Sequence[Point]

    @property
    def length_s(self) -> float:
        return (self.points[-1].at - self.points[0].at).total_seconds()


class Bar(NamedTuple):
    """Payments of one range of amounts, by how they ended."""

    label: str
    success: int
    failed: int
    unknown: int
    open: int
    processing: int = 0

    @property
    def total(self) -> int:
        return self.success + self.failed + self.unknown + self.open + self.processing


class Label(NamedTuple):
    """A text and the place of its anchor."""

    x: float
    y: float
    text: str


class Mark(NamedTuple):
    """A line of the grid or a tick of the clock, with its text."""

    path: str
    label: Label


class RunDrawing(NamedTuple):
    """One run: its curve and the limit above it (empty where that is too high), its left edge, its clock.

    is_wide: whether there is room for its kind behind its number.
    """

    kind: str
    label: Label
    is_wide: bool
    edge: str
    curve: str
    limit: str
    ticks: list[Mark]


class RatesDrawing(NamedTuple):
    """Payments that ended a second, run by run. limit_beyond: the limit, where it is too high to be drawn."""

    width: int
    height: int
    grid: list[Mark]
    runs: list[RunDrawing]
    limit_beyond: int | None


class BarPart(NamedTuple):
    """Payments of one state: a part of a bar."""

    state: str
    x: float
    y: float
    width: float
    height: float


class BarDrawing(NamedTuple):
    """A range of amounts, its bar, and how many payments have such amounts."""

    label: Label
    parts: list[BarPart]
    total: Label


class BarsDrawing(NamedTuple):
    """Payments by amount, a line for each range."""

    width: int
    height: int
    bars: list[BarDrawing]


def intervals(stretch: Stretch, *, at_least_s: float) -> list[Interval]:
    """Mean rates between points that are far enough apart: two samples a moment apart would make a spike."""
    began = stretch.points[0].at
    kept = [stretch.points[0]]
    for point in stretch.points[1:]:
        if (point.at - kept[-1].at).total_seconds() >= at_least_s:
            kept.append(point)
    if kept[-1] is not stretch.points[-1]:  # the end stays where it is, and takes the place of what is too close to it
        kept[max(1, len(kept) - 1) :] = [stretch.points[-1]]
    found = []
    for before, after in pairwise(kept):
        begin_s, end_s = (before.at - began).total_seconds(), (after.at - began).total_seconds()
        if end_s > begin_s:
            found.append(Interval(begin_s, end_s, max(0.0, (after.done - before.done) / (end_s - begin_s)), after.tps))
    return found


def draw_rates(stretches: Sequence[Stretch], *, timezone: str) -> RatesDrawing:
    """The drawing of runs of which at least one took time; its clock is of `timezone`."""
    stretches = [stretch for stretch in stretches if stretch.length_s > 0]
    total_s = sum(stretch.length_s for stretch in stretches)
    drawn = [intervals(stretch, at_least_s=max(1.0, total_s / INTERVALS_MAX)) for stretch in stretches]
    reached = max(part.rate for run in drawn for part in run)
    limit = max(part.tps for run in drawn for part in run)
    beyond = reached > 0 and limit > LIMIT_SHOWN_MAX * reached
    top = round_above(max(reached * 1.05, 1.0) if beyond else max(reached, limit * 1.05, 1.0))

    runs = []
    x = float(LEFT)
    for stretch, run, width in zip(stretches, drawn, _widths(stretches), strict=True):
        runs.append(_draw_run(stretch, run, x=x, width=width, top=top, timezone=timezone))
        x += width + RUN_GAP
    return RatesDrawing(WIDTH, HEIGHT, grid_up_to(top), runs, limit if beyond else None)


def _widths(stretches: Sequence[Stretch]) -> list[float]:
    """In proportion to time, but none too small to be seen."""
    room = WIDTH - LEFT - RIGHT - RUN_GAP * (len(stretches) - 1)
    least = min(RUN_WIDTH_MIN, room / len(stretches))
    rest, total_s = room - least * len(stretches), sum(stretch.length_s for stretch in stretches)
    return [least + rest * stretch.length_s / total_s for stretch in stretches]


def _draw_run(
    stretch: Stretch, run: list[Interval], *, x: float, width: float, top: float, timezone: str
) -> RunDrawing:
    floor = HEIGHT - BOTTOM

    def across(seconds: float) -> float:
        return x + width * seconds / stretch.length_s

    def up(value: float) -> float:
        return floor - (floor - TOP) * min(value, top) / top

    curve = f"M{x:.1f} {floor}" + "".join(f"V{up(part.rate):.1f}H{across(part.end_s):.1f}" for part in run)
    limit, pen = "", False
    for part in run:
        if part.tps > top:
            pen = False
            continue
        limit += f"{'V' if pen else f'M{across(part.begin_s):.1f} '}{up(part.tps):.1f}H{across(part.end_s):.1f}"
        pen = True
    ticks = [
        Mark(f"M{across(seconds):.1f} {floor}v4", Label(round(across(seconds), 1), floor + 18, text))
        for seconds, text in _ticks(stretch, width, timezone)
    ]
    return RunDrawing(
        kind=stretch.kind,
        label=Label(round(x + 4, 1), TOP - 12, str(stretch.run)),
        is_wide=width >= LABEL_WIDTH_MIN,
        edge=f"M{x:.1f} {TOP - 8}V{floor}",
        curve=f"{curve}V{floor}Z",
        limit=limit,
        ticks=ticks,
    )


def _ticks(stretch: Stretch, width: float, timezone: str) -> list[tuple[float, str]]:
    """Round times of the clock inside the run, far enough apart to be read."""
    began, length_s = stretch.points[0].at.astimezone(ZoneInfo(timezone)), stretch.length_s
    step_s = next((step for step in TICK_STEPS_S if width * step / length_s >= TICK_WIDTH_MIN), TICK_STEPS_S[-1])
    midnight = began.replace(hour=0, minute=0, second=0, microsecond=0)
    since_midnight_s = (began - midnight).total_seconds()
    first_s = math.ceil(since_midnight_s / step_s) * step_s - since_midnight_s
    margin_s = length_s * 16 / width  # half a label's width, so that none hangs over its run's end
    count = math.floor(max(0.0, length_s - margin_s - first_s) / step_s) + 1
    every = math.ceil(count / TICKS_MAX)  # a run of weeks: not every day has its own
    moments = [first_s + step_s * number for number in range(0, count, every)]
    return [
        (seconds, _clock(began + timedelta(seconds=seconds), step_s))
        for seconds in moments
        if margin_s <= seconds <= length_s - margin_s
    ]


def _clock(moment: datetime, step_s: int) -> str:
    if step_s < 60:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%H:%M}" if moment.hour or moment.minute else f"{moment:%m-%d}"  # a midnight names its day


def grid_up_to(top: float) -> list[Mark]:
    floor, marks = HEIGHT - BOTTOM, []
    step = _nice(top / 4)
    for number in range(math.floor(top / step + 1e-9) + 1):
        y = floor - (floor - TOP) * number * step / top
        label = Label(LEFT - 6, round(y + 4, 1), _figure(number * step))
        marks.append(Mark(f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}", label))
    return marks


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _nice(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and so on that is not smaller."""
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= value * (1 - 1e-9))


def round_above(value: float) -> float:
    """A round number above, so that the grid ends at the top."""
    step = _nice(value / 5)
    return math.ceil(value / step - 1e-9) * step


def amount_edges(lowest: int, highest: int) -> list[int]:
    """Round points between which payments are counted, ascending; the first is at most `lowest`, the last above all.

    Even steps where the amounts are of one size, 1-2-5 steps where they are not, and tenfold ones where those are many.
    """
    if highest < 20 * lowest:
        step = max(1, int(_nice((highest - lowest + 1) / (BARS_MAX - 4))))
        first = lowest // step * step
        return [max(1, first), *range(first + step, highest + step + 1, step)]
    for factors in ((1, 2, 5), (1,)):
        steps = [factor * 10**power for power in range(len(str(highest)) + 1) for factor in factors]
        first = max(index for index, step in enumerate(steps) if step <= lowest)
        last = min(index for index, step in enumerate(steps) if step > highest)
        edges = steps[first : last + 1]
        if len(edges) <= BARS_MAX + 1:
            break
    return edges


def draw_bars(bars: Sequence[Bar]) -> BarsDrawing:
    """One line per range (at least one): its points, a bar by state, payments and their share."""
    total, longest = sum(bar.total for bar in bars), max(bar.total for bar in bars) or 1
    left = round(12 + CHARACTER_WIDTH * max(len(bar.label) for bar in bars), 1)
    room = WIDTH - left - BAR_RIGHT
    drawn = []
    for number, bar in enumerate(bars):
        y, x, parts = number * BAR_HEIGHT + 3, left, []
        for state in ("success", "failed", "unknown", "processing", "open"):
            if count := getattr(bar, state):
                width = max(1.0, room * count / longest)
                parts.append(BarPart(state, round(x, 1), y, round(width, 1), BAR_HEIGHT - 6))
                x += width
        said = f"{bar.total:,} ({share(bar.total, total)})"
        drawn.append(BarDrawing(Label(left - 8, y + 12, bar.label), parts, Label(round(x + 6, 1), y + 12, said)))
    return BarsDrawing(WIDTH, len(bars) * BAR_HEIGHT + 4, drawn)


def draw_buckets(buckets: Sequence[Bucket]) -> BarsDrawing:
    """The targets of a list by amount, before any is paid; of at least one bucket."""

    def label(bucket: Bucket) -> str:
        return f"{bucket.first:,}" if bucket.first == bucket.last else f"{bucket.first:,} – {bucket.last:,}"

    return draw_bars([Bar(f"{label(bucket)} P", 0, 0, 0, bucket.count) for bucket in buckets])
