"""Plots as SVG, without a library: bars, and dots on lines. Readable on a light page and on a dark one."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

LABEL_PX = 170
PLOT_PX = 430
VALUE_PX = 190
WIDTH_PX = LABEL_PX + PLOT_PX + VALUE_PX
ROW_PX = 28
BAR_PX = 16
DOTS_ROW_PX = 17
GAP_PX = 12
HEAD_PX = 44
FOOT_PX = 14
DOT_PX = 4.0

STYLE = """<style>
 text { font: 13px system-ui, "Segoe UI", sans-serif; fill: #1f2328 }
 .title { font-size: 15px; font-weight: 600 }
 .small { font-size: 11px; fill: #59636e }
 .page { fill: #ffffff }
 .ours { fill: #0969da; stroke: #0969da }
 .peer { fill: #8c959f; stroke: #8c959f }
 .hollow { fill: #ffffff }
 .range, .axis { stroke: #59636e }
 .limit { stroke: #cf222e; stroke-dasharray: 4 3 }
 .limit-text { fill: #cf222e; font-size: 11px }
 @media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .page, .hollow { fill: #0d1117 }
  .ours { fill: #4493f8; stroke: #4493f8 } .peer { fill: #848d97; stroke: #848d97 } .hollow { fill: #0d1117 }
  .range, .axis { stroke: #b7bdc8 } .limit { stroke: #f85149 } .limit-text { fill: #f85149 }
 }
</style>"""


class Bar(NamedTuple):
    """A value, and the smallest and largest of its rounds."""

    name: str
    value: float
    smallest: float
    largest: float
    is_ours: bool = False


class Move(NamedTuple):
    """From one count to another: sent, and received. note: what is written next to it, as '10 ms'."""

    note: str
    sent: float
    received: float
    remark: str = ""


class Moves(NamedTuple):
    """The moves of one limiter."""

    name: str
    moves: Sequence[Move]
    is_ours: bool = False


def bars(title: str, values: Sequence[Bar]) -> str:
    """A bar for each, longest first, and a thin line from the smallest to the largest of its rounds."""
    top = max((bar.largest for bar in values), default=0.0) or 1.0
    parts = []
    for number, bar in enumerate(sorted(values, key=lambda bar: -bar.value)):
        y = HEAD_PX + number * ROW_PX
        kind = "ours" if bar.is_ours else "peer"
        length = PLOT_PX * bar.value / top
        left, right = (LABEL_PX + PLOT_PX * value / top for value in (bar.smallest, bar.largest))
        parts += [
            _text(LABEL_PX - 8, y + 13, bar.name, anchor="end"),
            f'<rect class="{kind}" x="{LABEL_PX}" y="{y}" width="{max(length, 1):.1f}" height="{BAR_PX}"/>',
            f'<line class="range" x1="{left:.1f}" x2="{right:.1f}" y1="{y + 8}" y2="{y + 8}"/>',
            _text(max(LABEL_PX + length, right) + 8, y + 13, f"{bar.value:,.0f}"),
        ]
    return _page(title, HEAD_PX + len(values) * ROW_PX + FOOT_PX, parts)


def moves(title: str, key: str, limiters: Sequence[Moves], limit: float) -> str:
    """For each limiter a line for each move: a ring where it was sent, a dot where it arrived; the limit upright."""
    top = max([limit, *(max(move.sent, move.received) for one in limiters for move in one.moves)]) * 1.02
    rows = sum(len(one.moves) for one in limiters)
    height = HEAD_PX + 40 + rows * DOTS_ROW_PX + len(limiters) * GAP_PX + FOOT_PX
    axis = height - FOOT_PX - 18
    x = LABEL_PX + PLOT_PX * limit / top
    parts = [
        _text(12, 40, key, kind="small"),
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD_PX + 16}" y2="{axis}"/>',
        _text(x, HEAD_PX + 12, f"the limit, {limit:,.0f}", anchor="middle", kind="limit-text"),
        f'<line class="axis" x1="{LABEL_PX}" x2="{LABEL_PX + PLOT_PX}" y1="{axis}" y2="{axis}"/>',
    ]
    for tick in (value * limit / 2 for value in range(int(top / limit * 2) + 1)):
        parts.append(_text(LABEL_PX + PLOT_PX * tick / top, axis + 15, f"{tick:,.0f}", anchor="middle", kind="small"))
    y = float(HEAD_PX + 28)
    for one in limiters:
        parts.append(_text(LABEL_PX - 8, y + DOTS_ROW_PX * (len(one.moves) - 1) / 2 + 4, one.name, anchor="end"))
        for move in one.moves:
            parts += _move(move, y, PLOT_PX / top, "ours" if one.is_ours else "peer")
            y += DOTS_ROW_PX
        y += GAP_PX
    return _page(title, height, parts)


def _move(move: Move, y: float, px: float, kind: str) -> Iterator[str]:
    sent, received = LABEL_PX + px * move.sent, LABEL_PX + px * move.received
    yield f'<line class="{kind}" x1="{sent:.1f}" x2="{received:.1f}" y1="{y}" y2="{y}"/>'
    yield f'<circle class="{kind} hollow" cx="{sent:.1f}" cy="{y}" r="{DOT_PX + 1}" stroke-width="1.5"/>'
    yield f'<circle class="{kind}" cx="{received:.1f}" cy="{y}" r="{DOT_PX - 1}"/>'
    words = f"{move.note}: {move.sent:,.0f} → {move.received:,.0f}{move.remark}"
    yield _text(LABEL_PX + PLOT_PX + 16, y + 4, words, kind="small")


def _text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{of_kind}>{escape(words)}</text>'


def _page(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height:.0f}" width="{WIDTH_PX}">'
    page = f'<rect class="page" width="{WIDTH_PX}" height="{height:.0f}"/>'
    return "\n".join([head, STYLE, page, _text(12, 24, title, kind="title"), *parts, "</svg>", ""])
