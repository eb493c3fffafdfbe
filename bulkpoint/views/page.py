"""A campaign's page for finance: one HTML file with its counts, runs and drawings, to be read, mailed and printed.

Counts and sums only, no member id. Whatever people or money wrote is escaped, and the page forbids itself any script.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise, zip_longest

from bulkpoint.store.campaign import Campaign, Counts, get_campaign, get_counts
from bulkpoint.store.connect import Connection
from bulkpoint.store.export import (
    AmountCount,
    Failures,
    ReportedRun,
    ReportedSample,
    amount_range,
    count_amounts,
    list_failures,
    list_reported_runs,
    list_samples,
    one_snapshot,
)
from bulkpoint.views.drawing import Bar, Point, Stretch, amount_edges, draw_bars, draw_rates, share
from bulkpoint.views.export import refuse_unstarted
from bulkpoint.views.format import local_time
from bulkpoint.views.page_style import CSS
from bulkpoint.views.page_words import WORDS

STATES = ("SUCCESS", "FAILED", "PROCESSING", "PENDING")
FAILURES_SHOWN = 20
SAMPLES_SHOWN = 600
# A run whose driver died is closed by whoever resumes it, hours later perhaps: those hours are not of the drawing.
END_AFTER_SAMPLE_MAX = timedelta(minutes=2)

Words = dict[str, str]


@dataclass(frozen=True)
class Figures:
    """What the page shows, all of one moment. amounts: payments between the points in `edges`."""

    at: datetime
    campaign: Campaign
    counts: Counts
    failures: list[Failures]
    runs: list[ReportedRun]
    samples: list[ReportedSample]
    edges: list[int]
    amounts: list[AmountCount]


def read_figures(connection: Connection, campaign_id: int) -> Figures:
    """Three scans of the campaign's payments. Raises RefusedError for a campaign that is unknown or has none yet."""
    with one_snapshot(connection):
        campaign = get_campaign(connection, campaign_id)
        refuse_unstarted(campaign)
        edges = amount_edges(*amount_range(connection, campaign_id))
        return Figures(
            at=datetime.now(UTC),
            campaign=campaign,
            counts=get_counts(connection, campaign),
            failures=list_failures(connection, campaign_id, rows_max=FAILURES_SHOWN),
            runs=list_reported_runs(connection, campaign_id),
            samples=list_samples(connection, campaign_id, samples_max=SAMPLES_SHOWN),
            edges=edges,
            amounts=count_amounts(connection, campaign_id, edges),
        )


def page_of(figures: Figures, *, language: str, timezone: str) -> str:
    """The whole page; `language` is ko or en, times are of `timezone`."""
    words = WORDS[language]
    name = html.escape(figures.campaign.name)
    sections = [
        _head(figures, words, timezone),
        _payments(figures, words),
        _chart(figures, words, timezone),
        _runs(figures, words, timezone),
        _failures(figures, words),
        _amounts(figures, words),
        _details(figures.campaign, words, timezone),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name} · {words['title']}</title>\n<style>{CSS}</style></head>\n<body>\n"
        + "\n".join(sections)
        + f"\n<footer>{words['footer'].format(campaign_id=figures.campaign.campaign_id)}</footer>\n</body></html>\n"
    )


def _head(figures: Figures, words: Words, timezone: str) -> str:
    campaign, counts = figures.campaign, figures.counts
    where = words["campaign"].format(campaign_id=campaign.campaign_id)
    at = words["made at"].format(at=local_time(figures.at, timezone), timezone=html.escape(timezone))
    open_count, open_amount = counts.pending + counts.processing, counts.pending_amount + counts.processing_amount
    total = counts.success + counts.failed + open_count
    tiles = (
        ("targets", words["targets"], campaign.target_count or 0, campaign.target_amount or 0),
        ("success", words["SUCCESS"], counts.success, counts.success_amount),
        ("failed", words["FAILED"], counts.failed, counts.failed_amount),
        ("open", words["open"], open_count, open_amount),
    )
    bar = "".join(
        f'<i class="{kind}" style="width:{100 * count / (total or 1):.3f}%"></i>' for kind, _, count, _ in tiles[1:]
    )
    return (
        f"<header><p>{words['title']} · {where}</p><h1>{html.escape(campaign.name)}</h1>"
        f'<p><b class="state {campaign.state}">{words[f"campaign {campaign.state}"]}</b> {at}</p></header>\n'
        + '<div class="tiles">'
        + "".join(
            f'<div class="{kind}"><span>{word}</span><strong>{words["count"].format(count)}</strong>'
            f"<span>{words['points'].format(amount)}</span></div>"
            for kind, word, count, amount in tiles
        )
        + f'</div>\n<div class="share">{bar}</div>'
    )


def _payments(figures: Figures, words: Words) -> str:
    counts = figures.counts
    rows = [
        (state, int(getattr(counts, state.lower())), int(getattr(counts, f"{state.lower()}_amount")))
        for state in STATES
    ]
    count, amount = sum(row[1] for row in rows), sum(row[2] for row in rows)
    body = [
        (f"{words[state]} <small>{state}</small>", f"{number:,}", share(number, count), f"{points:,}")
        for state, number, points in rows
    ]
    heads = (words["state"], words["counts"], words["share"], words["amounts"])
    foot = (words["total"], f"{count:,}", "", f"{amount:,}")
    return _section(words["payments"], _table(heads, body, foot=foot, left=1))


def _failures(figures: Figures, words: Words) -> str:
    counts = figures.counts
    if not counts.failed:
        return _section(words["failures"], f"<p>{words['no failures']}</p>")
    body = [
        (
            f"{words[one.kind]} <small>{one.kind}</small>",
            html.escape(one.code or "-"),
            f"{one.count:,}",
            share(one.count, counts.failed),
            f"{one.amount:,}",
        )
        for one in figures.failures
    ]
    others = counts.failed - sum(one.count for one in figures.failures)
    if others > 0:
        points = counts.failed_amount - sum(one.amount for one in figures.failures)
        body.append((words["others"], "", f"{others:,}", share(others, counts.failed), f"{points:,}"))
    heads = (words["kind"], words["code"], words["counts"], words["share"], words["amounts"])
    foot = (words["total"], "", f"{counts.failed:,}", "", f"{counts.failed_amount:,}")
    meanings = "".join(
        f"<dt>{words[kind]} {words['count'].format(number)}</dt>"
        f"<dd>{words[f'means {kind}'].format(campaign_id=figures.campaign.campaign_id)}</dd>"
        for kind, number in counts.failure_kinds.items()
        if number
    )
    return _section(words["failures"], f'{_table(heads, body, foot=foot, left=2)}<dl class="meanings">{meanings}</dl>')


def _runs(figures: Figures, words: Words, timezone: str) -> str:
    body = []
    for run in figures.runs:
        lasted_s = None if run.finished_at is None else (run.finished_at - run.started_at).total_seconds()
        done = _done_in(run, figures.samples)
        body.append(
            (
                str(run.run),
                words[run.kind],
                f'<b class="state {run.state}">{words[f"campaign {run.state}"]}</b>',
                local_time(run.started_at, timezone),
                words["going on"] if lasted_s is None else _duration(lasted_s, words),
                "-" if done is None else f"{done:,}",
                f"{done / lasted_s:,.0f}" if done is not None and lasted_s else "-",
                html.escape(run.actor),
            )
        )
    names = ("run", "run kind", "state", "started", "duration", "done", "mean", "by")
    reasons = [f"{words['reason']}: {html.escape(run.reason)}" if run.reason else "" for run in figures.runs]
    return _section(words["runs"], _table([words[name] for name in names], body, left=0, kind="runs", notes=reasons))


def _done_in(run: ReportedRun, samples: Sequence[ReportedSample]) -> int | None:
    last = max((one.done for one in samples if one.run == run.run), default=None)
    after = run.done_after if run.done_after is not None else last
    return None if after is None or run.done_before is None else max(0, after - run.done_before)


def _chart(figures: Figures, words: Words, timezone: str) -> str:
    stretches = [one for run in figures.runs if (one := _stretch(run, figures.samples, words)) and one.length_s > 0]
    if not stretches:
        return _section(words["chart"], f"<p>{words['no chart']}</p>")
    drawing, beyond = draw_rates(stretches, timezone=timezone, label=words["chart"])
    legend = f'<i class="rate"></i> {words["rate"]}'
    legend += "" if beyond else f' <i class="limit"></i> {words["limit"]}'
    notes = [] if beyond is None else [words["limit beyond"].format(tps=beyond)]
    notes += [words["chart note"]] if len(stretches) > 1 else []
    return _section(words["chart"], f'<p class="legend">{legend} <span>{" ".join(notes)}</span></p>{drawing}')


def _stretch(run: ReportedRun, samples: Sequence[ReportedSample], words: Words) -> Stretch | None:
    points = [Point(one.at, one.done, one.tps) for one in samples if one.run == run.run and one.at >= run.started_at]
    if not points:
        return None
    first, last = points[0], points[-1]
    if run.done_before is not None:
        points.insert(0, Point(run.started_at, run.done_before, first.tps))
    if run.done_after is not None and run.finished_at and last.at < run.finished_at <= last.at + END_AFTER_SAMPLE_MAX:
        points.append(Point(run.finished_at, run.done_after, last.tps))
    return Stretch(run.run, words[run.kind], points)


def _amounts(figures: Figures, words: Words) -> str:
    of_edge = {one.edge: one for one in figures.amounts}
    bars = []
    for number, (begin, end) in enumerate(pairwise(figures.edges)):
        one = of_edge.get(number, AmountCount(number, 0, 0, 0))
        label = f"{begin:,}" if end - begin == 1 else f"{begin:,} – {end - 1:,}"
        bars.append(Bar(f"{label} P", one.success, one.failed, one.open))
    legend = "".join(
        f'<i class="{kind}"></i> {words[word]} '
        for kind, word in (("success", "SUCCESS"), ("failed", "FAILED"), ("open", "open"))
    )
    drawing = draw_bars(bars, label=words["amounts chart"])
    note = f"<span>{words['amounts note']}</span>"
    return _section(words["amounts chart"], f'<p class="legend">{legend}{note}</p>{drawing}')


def _details(campaign: Campaign, words: Words, timezone: str) -> str:
    def who_at(who: str | None, at: datetime | None) -> str:
        if who is None or at is None:
            return words["nobody"]
        return words["who at"].format(who=html.escape(who), at=local_time(at, timezone))

    lines = [
        ("note", html.escape(campaign.note) or "-"),
        ("created", who_at(campaign.creator, campaign.created_at)),
        ("approved", who_at(campaign.approved_by, campaign.approved_at)),
        ("frozen", "-" if campaign.frozen_at is None else local_time(campaign.frozen_at, timezone)),
        ("digest", f"<code>{campaign.digest.hex() if campaign.digest else '-'}</code>"),
    ]
    inside = "".join(f"<dt>{words[name]}</dt><dd>{value}</dd>" for name, value in lines)
    return _section(words["details"], f"<dl>{inside}</dl>")


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{title}</h2>{inside}</section>"


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int,
    foot: Sequence[str] | None = None,
    kind: str = "figures",
    notes: Sequence[str] = (),
) -> str:
    """Cells are HTML already; the first `left` columns are words, the others figures. notes: lines under rows."""

    def line(cells: Sequence[str], tag: str) -> str:
        inside = "".join(
            f"<{tag}{' class=n' if number >= left > 0 else ''}>{cell}</{tag}>" for number, cell in enumerate(cells)
        )
        return f"<tr>{inside}</tr>"

    body = "".join(
        line(row, "td") + (f'<tr class="note"><td></td><td colspan="{len(heads) - 1}">{note}</td></tr>' if note else "")
        for row, note in zip_longest(rows, notes, fillvalue="")
    )
    tail = "" if foot is None else f"<tfoot>{line(foot, 'td')}</tfoot>"
    return f'<table class="{kind}"><thead>{line(heads, "th")}</thead><tbody>{body}</tbody>{tail}</table>'


def _duration(seconds: float, words: Words) -> str:
    minutes, whole_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = (("hours", hours), ("minutes", minutes), ("seconds", whole_s))
    return " ".join(words[unit].format(number) for unit, number in parts if number) or words["seconds"].format(0)
