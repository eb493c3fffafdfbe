"""The page of bench.growth: a row for each step and question, sizes side by side, and a plot."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.page import table

if TYPE_CHECKING:
    from bench.growth_steps import Measured
    from bench.many_campaigns import ManyCampaigns

WIDTH, HEIGHT, LEFT, TOP, LEGEND = 860, 460, 70, 40, 250
COLOURS = ("#2563eb", "#dc2626", "#16a34a", "#9333ea", "#ea580c", "#0891b2", "#be185d", "#4d7c0f", "#475569", "#a16207")
# What goes through every row; the plot has these.
OF_EVERY_ROW = ("create", "preview", "freeze", "pay", "report", "campaign archive")


def write_growth_page(
    folder: Path,
    machine: Mapping[str, Any],
    measured: Sequence["Measured"],
    campaigns: Sequence["ManyCampaigns"],
    left_out: Sequence[str],
) -> Path:
    """Write growth.md and growth.svg; returns the page's path."""
    loop = machine["loop_s"]
    lines = [
        "# Growth",
        "",
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; a fixed loop took"
        f" {loop['smallest']} to {loop['largest']} s in between.",
        "",
    ]
    if measured:
        lines += [_steps(measured), "", _bytes(measured), "", _memory(measured), ""]
        (folder / "growth.svg").write_text(_plot(measured), encoding="utf-8")
        lines += ["![microseconds a row](growth.svg)", ""]
    if campaigns:
        lines += [_campaigns(campaigns), ""]
    lines += [f"Left out: {each}\n" for each in left_out]
    path = folder / "growth.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _sizes(measured: Sequence["Measured"]) -> list[int]:
    return sorted({each.targets for each in measured})


def _table(head: str, sizes: Sequence[int], rows: Mapping[str, Mapping[int, str]]) -> str:
    of_sizes = [[name, *(cells.get(size, "") for size in sizes)] for name, cells in rows.items()]
    return table([head, *(f"{size:,}" for size in sizes)], of_sizes)


def _steps(measured: Sequence["Measured"]) -> str:
    rows: dict[str, dict[int, str]] = {}
    for each in measured:
        rows.setdefault(each.step, {})[each.targets] = f"{each.seconds / each.looks:,.3g} s, {each.us_a_row:,.3g} us"
    return _table("seconds, and microseconds a row", _sizes(measured), rows)


def _bytes(measured: Sequence["Measured"]) -> str:
    rows: dict[str, dict[int, str]] = {}
    for each in measured:
        if each.database_bytes or each.file_bytes:
            cell = ", ".join(
                f"{size / each.targets:,.0f}" for size in (each.database_bytes, each.log_bytes, each.file_bytes)
            )
            rows.setdefault(each.step, {})[each.targets] = cell
    return _table("bytes a row: database, write-ahead log, file", _sizes(measured), rows)


def _memory(measured: Sequence["Measured"]) -> str:
    """The most that each part had, in which step."""
    most: dict[str, dict[int, tuple[int, str]]] = {}
    for each in measured:
        for part, size in each.memory.items():
            of_part = most.setdefault(part, {})
            of_part[each.targets] = max(of_part.get(each.targets, (0, "")), (size, each.step))
    rows = {
        part: {targets: f"{size / 1e6:,.0f}: {step}" for targets, (size, step) in of_part.items()}
        for part, of_part in most.items()
    }
    return _table("peak memory in MB (PSS), in which step", _sizes(measured), rows)


def _campaigns(campaigns: Sequence["ManyCampaigns"]) -> str:
    ordered = sorted(campaigns, key=lambda each: each.campaigns)
    sizes = [each.campaigns for each in ordered]
    rows: dict[str, dict[int, str]] = {}
    for many in ordered:
        for each in many.asked:
            locks = "" if each.locks is None else f"; {each.locks}"
            cell = f"{each.again_ms:,.1f}, {each.first_ms:,.1f}{locks}"
            rows.setdefault(each.name, {})[many.campaigns] = cell
        for name, unit, value in many.figures:
            rows.setdefault(f"{name} ({unit})" if unit else name, {})[many.campaigns] = f"{value:,.1f}"
    return _table("campaigns in one database: ms again, ms as a session's first; relations locked", sizes, rows)


def _plot(measured: Sequence["Measured"]) -> str:
    """Microseconds a row over targets, both on a logarithmic scale: what is flat per row is a level line."""
    shown = [each for each in measured if each.step.startswith(OF_EVERY_ROW)]
    steps = list(dict.fromkeys(each.step for each in shown))
    x_of = _scale([each.targets for each in shown], LEFT, WIDTH - LEGEND)
    y_of = _scale([each.us_a_row for each in shown], HEIGHT - 40, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        '<text x="12" y="22" font-size="15" fill="#222">microseconds a row, by number of targets</text>',
    ]
    for size in _sizes(shown):
        parts.append(f'<text x="{x_of(size):.0f}" y="{HEIGHT - 14}" text-anchor="middle">{size:,}</text>')
    for power in range(-1, 4):
        y = y_of(10.0**power)
        if TOP <= y <= HEIGHT - 40:
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - LEGEND}" y1="{y:.0f}" y2="{y:.0f}" stroke="#e5e7eb"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{10.0**power:g}</text>')
    for number, step in enumerate(steps):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted((each.targets, each.us_a_row) for each in shown if each.step == step)
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]
        y_text = TOP + 18 * number
        parts.append(f'<text x="{WIDTH - LEGEND + 20}" y="{y_text}" fill="{colour}">{escape(step)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _scale(values: Sequence[float], low_px: float, high_px: float) -> Any:
    low, high = math.log10(min(values, default=1)), math.log10(max(values, default=10))
    width = max(high - low, 1e-9)
    return lambda value: low_px + (high_px - low_px) * (math.log10(value) - low) / width
