"""A preview as a terminal shows it, and as one JSON object."""

from collections.abc import Sequence
from typing import Any

from bulkpoint.rules.preview import Bucket, Figures, Outlook, Preview, describe_difference
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, cut, duration, local_time, state_words, utc_time

BAR_CELLS_MAX = 40
BAR_CELLS_MIN = 10
_EIGHTHS = " ▏▎▍▌▋▊▉"


def draw(preview: Preview, outlook: Outlook, *, timezone: str, width: int) -> list[str]:
    """Lines of at most `width` cells where that is possible: who, how much, how long; amounts; reasons; problems."""
    figures = preview.figures
    lines = [*_head_lines(preview), *_digest_lines(preview), *_time_lines(preview, outlook, timezone)]
    if figures.count:
        lines += ["", *_histogram(figures, width), "", *_reason_table(figures, width)]
    if preview.problems:
        lines += ["", *_problem_lines(preview)]
    if preview.findings:
        lines += ["", *(f"! {finding.sentence}" for finding in preview.findings)]
    return lines


def preview_object(preview: Preview, outlook: Outlook) -> dict[str, Any]:
    """All of it for programs: points and targets as numbers, times in UTC; null where there is nothing to say."""
    figures, listed = preview.figures, preview.campaign
    other_reasons, other_count, other_amount = figures.other_reasons
    return {
        "ok": not preview.findings,
        "findings": [{"kind": finding.kind, "sentence": finding.sentence} for finding in preview.findings],
        "file": preview.file,
        "campaign_id": listed and listed.campaign_id,
        "name": listed and listed.name,
        "state": listed and listed.state,
        "frozen_at": listed and utc_time(listed.frozen_at),
        "expected_count": listed and listed.expected_count,
        "expected_amount": listed and listed.expected_amount,
        "count": figures.count,
        "amount": figures.amount,
        "smallest": figures.smallest,
        "largest": figures.largest,
        "mean": None if figures.mean is None else round(figures.mean, 2),
        "histogram": [{"first": one.first, "last": one.last, "count": one.count} for one in figures.buckets],
        "reasons": [{"reason": one.reason, "count": one.count, "amount": one.amount} for one in figures.reasons],
        "other_reasons": {"reasons": other_reasons, "count": other_count, "amount": other_amount},
        "all_reasons_counted": figures.all_reasons_counted,
        "invalid_rows": preview.invalid_rows,
        "duplicate_rows": preview.duplicate_rows,
        "problem_count": preview.problem_count,
        "problems": list(preview.problems),
        "max_amount_per_row": preview.limits.per_row,
        "rows_above_max": preview.rows_above_max,
        "max_amount_per_campaign": preview.limits.per_campaign,
        "digest": preview.digest and preview.digest.hex(),
        "open_count": preview.open_count,
        "tps": outlook.pace.tps,
        "tps_until": utc_time(outlook.pace.until),
        "tps_afterwards": outlook.pace.tps_afterwards,
        "seconds": None if outlook.ends_at is None else round((outlook.ends_at - outlook.now).total_seconds(), 1),
        "ends_at": utc_time(outlook.ends_at),
        "deadline": utc_time(outlook.deadline),
        "tps_needed": outlook.tps_needed,
        "in_time": None if outlook.deadline is None else outlook.in_time,
    }


def _head_lines(preview: Preview) -> list[str]:
    figures, listed = preview.figures, preview.campaign
    targets = f"targets     {figures.count:,} with {figures.amount:,} points"
    if listed is None:
        lines = [f"file        {escaped(str(preview.file))}", targets]
    else:
        who = f"{listed.campaign_id}  {escaped(listed.name)}"
        lines = [f"campaign    {who}", f"state       {state_words(listed.state)}"]
        if describe_difference(listed, figures) is None:
            lines.append(f"{targets}: matches what is expected")
        else:
            lines += [targets, f"expected    {listed.expected_count:,} with {listed.expected_amount:,} points"]
    if figures.count:
        lines.append(f"amounts     {figures.smallest:,} to {figures.largest:,} points, mean {figures.mean:,.1f}")
    caps = []
    if preview.limits.per_row is not None:
        caps.append(f"{preview.limits.per_row:,} points a target")
    if preview.limits.per_campaign is not None:
        caps.append(f"{preview.limits.per_campaign:,} points in all")
    if caps:
        lines.append(f"at most     {', '.join(caps)}")
    return lines


def _digest_lines(preview: Preview) -> list[str]:
    """Which list it is: what is known of this very list goes here."""
    if preview.digest is None:
        return [f"digest      none: {preview.digest_trouble}"]
    return [f"digest      {preview.digest.hex()}"]


def _time_lines(preview: Preview, outlook: Outlook, timezone: str) -> list[str]:
    listed = preview.campaign
    lines = []
    if listed is not None and listed.frozen_at is not None:
        lines.append(f"frozen      {local_time(listed.frozen_at, timezone)}: its targets can no longer change")
        lines.append(f"open        {preview.open_count:,} of {preview.figures.count:,} payments")
    if not preview.open_count:
        return lines
    lines.append(f"limit       {_limit_words(outlook, timezone)}")
    if outlook.ends_at is None:
        lines.append("time        never ends as things are: bulkpoint tps set N")
    else:
        took = duration(max(1.0, (outlook.ends_at - outlook.now).total_seconds()))
        lines.append(f"time        {took}: started now, it would end {local_time(outlook.ends_at, timezone)}")
    if outlook.deadline is not None:
        lines.append(f"deadline    {_deadline_words(outlook, timezone)}")
    return lines


def _limit_words(outlook: Outlook, timezone: str) -> str:
    pace = outlook.pace
    rate = f"{pace.tps:,} TPS" if pace.tps else "0 TPS (on hold)"
    if pace.until is None:
        return rate
    return f"{rate} until {local_time(pace.until, timezone)}, then {pace.tps_afterwards:,}"


def _deadline_words(outlook: Outlook, timezone: str) -> str:
    assert outlook.deadline is not None
    moment = local_time(outlook.deadline, timezone)
    if outlook.tps_needed is None:
        return f"{moment} has passed: TOO LATE"
    needs = f"{moment} needs {outlook.tps_needed:,} TPS"
    if outlook.in_time:
        return f"{needs}: in time"
    if outlook.ends_at is None:
        return f"{needs}: TOO LATE, the limit is not enough"
    late = duration(max(1.0, (outlook.ends_at - outlook.deadline).total_seconds()))
    return f"{needs}: TOO LATE by {late}, the limit is not enough"


def _histogram(figures: Figures, width: int) -> list[str]:
    rows = [("POINTS", "TARGETS", "SHARE")]
    firsts, lasts = (max(len(f"{edge:,}") for edge in edges) for edges in zip(*_spans(figures.buckets), strict=True))
    for one in figures.buckets:
        span = f"{one.first:>{firsts},}" + ("" if one.first == one.last else f" - {one.last:>{lasts},}")
        rows.append((span, f"{one.count:,}", _percent(one.count, figures.count)))
    table = aligned(rows, left=("POINTS",))
    room = max(BAR_CELLS_MIN, min(BAR_CELLS_MAX, width - max(map(len, table)) - 2))
    most = max(one.count for one in figures.buckets)
    bars = ["", *(_bar(one.count / most, room) for one in figures.buckets)]
    return [f"{line}  {bar}".rstrip() for line, bar in zip(table, bars, strict=True)]


def _spans(buckets: Sequence[Bucket]) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in buckets]


def _bar(part: float, room: int) -> str:
    """A part of `room` cells, to an eighth; what is more than nothing can be seen."""
    eighths = round(part * room * 8) or (1 if part else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _reason_table(figures: Figures, width: int) -> list[str]:
    rows = [(one.reason, one.count, one.amount) for one in figures.reasons]
    more, count, amount = figures.other_reasons
    if count:
        at_least = "" if figures.all_reasons_counted else "at least "
        rows.append((f"... and {at_least}{more:,} more", count, amount))
    figured = [(f"{n:,}", f"{points:,}", _percent(points, figures.amount)) for _, n, points in rows]
    heads = ("TARGETS", "POINTS", "SHARE")
    taken = sum(2 + max(map(len, column)) for column in zip(heads, *figured, strict=True))
    reasons = [cut(escaped(reason), max(16, width - taken)) for reason, _, _ in rows]
    table = [("REASON", *heads), *((reason, *rest) for reason, rest in zip(reasons, figured, strict=True))]
    return aligned(table, left=("REASON",))


def _problem_lines(preview: Preview) -> list[str]:
    lines = list(preview.problems)
    more = preview.problem_count - len(lines)
    return [*lines, f"... and {more:,} more"] if more else lines


def _percent(part: int, whole: int) -> str:
    """One place; a little is not nothing."""
    return "<0.1 %" if 0 < part < whole / 2_000 else f"{100 * part / whole:.1f} %"
