"""The bench's page: tables and two plots, for people."""

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.contenders import Paid

BAR_PX = 420
ROW_PX = 26
LABEL_PX = 150


def write_page(
    folder: Path,
    machine: Mapping[str, Any],
    fast: Mapping[str, Sequence["Paid"]],
    limited: Mapping[str, Sequence["Paid"]],
    exact: Mapping[int, Mapping[str, Sequence["Paid"]]],
    missing: Mapping[str, str],
) -> Path:
    """Write latest.md and its plots; returns its path."""
    rates = {name: statistics.median(one.payments_s for one in paid) for name, paid in fast.items()}
    worst = {name: float(max(one.worst_second for one in paid)) for name, paid in limited.items()}
    (folder / "payments.svg").write_text(bars(rates, "payments a second, no limit"), encoding="utf-8")
    (folder / "worst-second.svg").write_text(bars(worst, "calls in the worst second, limit 1,000", mark=1_000), "utf-8")
    loop = machine["loop_s"]
    lines = [
        "# bulkpoint beside its peers",
        "",
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; a fixed loop took"
        f" {loop['smallest']} to {loop['largest']} s in between. Medians; each round measures everyone in turn.",
        "",
        "| | payments/s, no limit | spread | CPU us a payment | ours / theirs |",
        "|---|---|---|---|---|",
    ]
    ours = fast.get("bulkpoint", ())
    for name, paid in fast.items():
        theirs = [one.payments_s for one in paid]
        ratio = statistics.median(a.payments_s / b for a, b in zip(ours, theirs, strict=False))
        spread = (max(theirs) - min(theirs)) / rates[name]
        cpu = statistics.median(one.cpu_us for one in paid)
        lines.append(f"| {name} | {rates[name]:,.0f} | {spread:.0%} | {cpu:,.0f} | {ratio:.2f} |")
    lines += ["", "| limit 1,000 calls/s, 4 workers, 50 ms | worst second at the receiver | share of the limit used |"]
    lines.append("|---|---|---|")
    for name, paid in limited.items():
        share = statistics.median(one.share_of_limit or 0.0 for one in paid)
        lines.append(f"| {name} | {worst[name]:,.0f} | {share:.1%} |")
    jitters = " | ".join(f"jitter {jitter_ms} ms" for jitter_ms in exact)
    lines += ["", f"| limit 1,000 calls/s: worst second sent, received | {jitters} |", "|---|" + "---|" * len(exact)]
    for name in next(iter(exact.values()), {}):
        cells = [
            f"{paid.worst_second_sent:,}, {paid.worst_second:,}" for paid in (of[name][0] for of in exact.values())
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [f"\n{name} was not measured: {why}" for name, why in missing.items()]
    lines += ["", "![payments a second](payments.svg)", "", "![worst second](worst-second.svg)", ""]
    path = folder / "latest.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def bars(values: Mapping[str, float], title: str, mark: float | None = None) -> str:
    """A bar for each value, longest first; mark: a vertical line at this value."""
    top = max([*values.values(), mark or 0.0]) or 1.0
    rows = sorted(values.items(), key=lambda item: -item[1])
    height = ROW_PX * len(rows) + 50
    width = LABEL_PX + BAR_PX + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15" fill="#222">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(rows):
        y = 36 + number * ROW_PX
        length = BAR_PX * value / top
        colour = "#2563eb" if name == "bulkpoint" else "#94a3b8"
        parts.append(f'<text x="{LABEL_PX - 8}" y="{y + 14}" text-anchor="end" fill="#222">{escape(name)}</text>')
        parts.append(f'<rect x="{LABEL_PX}" y="{y}" width="{length:.1f}" height="18" fill="{colour}"/>')
        parts.append(f'<text x="{LABEL_PX + length + 6:.1f}" y="{y + 14}" fill="#222">{value:,.0f}</text>')
    if mark is not None:
        x = LABEL_PX + BAR_PX * mark / top
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="30" y2="{height - 10}" stroke="#dc2626" stroke-width="1.5"/>'
        )
    return "\n".join([*parts, "</svg>", ""])
