"""A month over all campaigns as a file: a row for each campaign (CSV, Parquet), a workbook, a page. No member."""

import csv
import io
from typing import Any, BinaryIO

from bulkpoint.store.sums import MonthCampaign, Sums
from bulkpoint.text import defused
from bulkpoint.views.format import state_words, utc_time
from bulkpoint.views.languages import phrase, words
from bulkpoint.views.month import Month
from bulkpoint.views.sheets import Cell, NewWorkbook, Sheet, outcomes_of
from bulkpoint.views.templates import render

# Names are never changed, programs rely on them.
_OF_CAMPAIGN = ("campaign_id", "name", "state", "runs", "target_count", "target_amount")
_COUNTED = ("success", "failed", "unknown", "open", "processing")
_OF_SUMS = tuple(name for outcome in _COUNTED for name in (outcome, f"{outcome}_amount"))
COLUMNS = ("month", *_OF_CAMPAIGN, *_OF_SUMS)
_TEXTS = ("month", "name", "state")


def write_month(month: Month, stream: BinaryIO, kind: str, *, language: str, actor: str) -> None:
    """kind: csv, parquet, xlsx or html; the last two are in `language`, ko or en. actor: for whom a workbook is."""
    match kind:
        case "csv":
            _write_csv(month, stream)
        case "parquet":
            _write_parquet(month, stream)
        case "xlsx":
            stream.write(_workbook(month, language, actor))
        case _:
            stream.write(_page(month, language).encode())


def _rows(month: Month) -> list[list[Any]]:
    return [_row(month.month, campaign, sums) for campaign, sums in month.campaigns]


def _row(month: str, campaign: MonthCampaign, sums: Sums) -> list[Any]:
    of_campaign = [getattr(campaign, name) for name in _OF_CAMPAIGN]
    return [month, *of_campaign, *(getattr(sums, name) for name in _OF_SUMS)]


def _write_csv(month: Month, stream: BinaryIO) -> None:
    """As the CSV of a campaign: a BOM for Excel, and no formula."""
    text = io.StringIO(newline="")
    text.write("\N{ZERO WIDTH NO-BREAK SPACE}")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in _rows(month):
        writer.writerow([defused(cell) if isinstance(cell, str) else cell for cell in row])
    stream.write(text.getvalue().encode())


def _write_parquet(month: Month, stream: BinaryIO) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [pa.field(name, pa.string() if name in _TEXTS else pa.int64(), nullable=False) for name in COLUMNS]
    )
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in _rows(month)]
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), stream)


def _workbook(month: Month, language: str, actor: str) -> bytes:
    new = NewWorkbook()
    made = {"language": language, "timezone": month.timezone}
    sheets = [
        Sheet(new.workbook, new.workbook.add_worksheet(phrase(language, f"workbook.{name}")), **made)
        for name in ("totals", "campaigns")
    ]
    _write_totals(sheets[0], month, actor)
    _write_campaigns(sheets[1], month)
    return new.finish()


def _write_totals(sheet: Sheet, month: Month, actor: str) -> None:
    say, total = sheet.say, month.total
    sheet.title(say("month_title", month=month.month))
    sheet.facts(
        [
            (say("made_at", timezone=month.timezone), month.at),
            (say("made_at_utc"), utc_time(month.at)),
            (say("actor"), actor),
            (say("campaigns"), len(month.campaigns)),
        ]
    )
    sheet.note(say("month_note", month=month.month, timezone=month.timezone))
    if not month.is_over:
        sheet.note(say("month_running"))
    heads = (say("count"), say("points"))
    outcomes = [(say(name), getattr(total, name), getattr(total, f"{name}_amount")) for name in outcomes_of(total)]
    sheet.table([say("by_state"), *heads], outcomes)
    sheet.sums_table(say("by_day", timezone=month.timezone), month.days)
    reasons: list[tuple[Cell, ...]] = [(reason, paid.count, paid.amount) for reason, paid in month.reasons]
    if month.other_reasons is not None:
        reasons.append((say("other_reasons"), month.other_reasons.count, month.other_reasons.amount))
    paid = (say("total"), total.success, total.success_amount)
    sheet.table([say("by_reason"), *(f"{say('success')} {head}" for head in heads)], reasons, paid)
    sheet.end()


def _write_campaigns(sheet: Sheet, month: Month) -> None:
    """The labels, the names of the columns, and a row for each campaign, without a total among them."""
    say = sheet.say
    outcomes = [f"{say(name)} {say(of)}" for name in _COUNTED for of in ("count", "points")]
    targets = [f"{say('targets')} {say(of)}" for of in ("count", "points")]
    sheet.head([say("by_month"), say("campaign_id"), say("name"), say("state"), say("runs"), *targets, *outcomes])
    sheet.head(COLUMNS)
    sheet.sheet.freeze_panes(2, 0)
    sheet.sheet.autofilter(1, 0, 1 + max(1, len(month.campaigns)), len(COLUMNS) - 1)
    for row in _rows(month):
        sheet.cells(row)
    sheet.end()


def _page(month: Month, language: str) -> str:
    named = [
        (f"{campaign.campaign_id} {campaign.name} · {state_words(campaign.state)}", sums)
        for campaign, sums in month.campaigns
    ]
    return render(
        "month.html.j2",
        language=language,
        timezone=month.timezone,
        month=month,
        book=words(language)["workbook"],
        named=named,
    )
