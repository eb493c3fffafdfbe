"""`bulkpoint report`: what a campaign or a month paid, as sums, as a file of rows, or as a page to read and print."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from bulkpoint.cli.output import emit, json_option, wants_json
from bulkpoint.cli.session import Session, open_session, say
from bulkpoint.errors import UsageError
from bulkpoint.files import name_of
from bulkpoint.rules.lifecycle import CampaignState

if TYPE_CHECKING:
    from bulkpoint.views.report_file import ReportAsked

FORMATS = ["text", "xlsx", "csv", "parquet", "html"]


@click.command(short_help="What a campaign or a month paid: sums, or a row for each payment.")
@click.argument("campaign_id", type=int, metavar="[ID]", required=False)
@click.option("--month", metavar="YYYY-MM", help="Instead of ID: what all campaigns paid in a month.")
@click.option(
    "--format", "kind", default="text", type=click.Choice(FORMATS), help="Default: text, the sums. For Excel: xlsx."
)
@click.option("--failed-only", is_flag=True, help="Only FAILED payments; for xlsx, csv and parquet.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file, written completely or not at all; an existing file is replaced. Default: stdout.",
)
@click.option("--reason", metavar="T", help="What it is for; kept in the audit log.")
@json_option("The sums as one JSON object; with --format text.")
def report(
    *, campaign_id: int | None, month: str | None, kind: str, failed_only: bool, out: Path | None, reason: str | None
) -> None:
    """Report a campaign's payments from one snapshot, in the order of its list; or a month over all campaigns.

    text shows what they add up to: by how they ended, by reason, by the day on which they ended. html is the same as a
    page for people, with runs and charts. Neither has member ids.

    xlsx, csv and parquet have a row for each payment: campaign_id, member_id, amount, reason, state, transaction_id,
    failure_kind, failure_code, failure_message, attempts (of its latest run), first_sent_at (the first call that left),
    finished_at, both in UTC, and settled_by_hand: by whose word it is SUCCESS.

    xlsx is the one for people: ids stay as they are in Excel (00123, 18 digits, =x). The sums are on its first sheet;
    more than 1,048,574 rows are on several sheets. Its labels, and those of html, are in BULKPOINT_LANGUAGE; the names
    of the columns are in the second row.

    csv (UTF-8 with a BOM, RFC 4180) is for programs: Excel changes ids in it. A text that a spreadsheet would take for
    a formula gets a leading apostrophe, and where that is the member id, member_id_raw has it as a JSON string. csv and
    xlsx have the times also in BULKPOINT_TIMEZONE: first_sent_at_local, finished_at_local. parquet keeps values as they
    are.

    Who takes members out is in the audit log, with --reason. Without the right `members`, member ids are masked, and
    the column is member_id_masked.

    --month has no member in it. A payment belongs to the month in which it became SUCCESS, in BULKPOINT_TIMEZONE: that
    is what finance compares with the money API's month. csv and parquet have a row for each campaign; text, xlsx, html
    and --json also have the sums by day and by reason. FAILED and UNKNOWN ones are those that ended so in the month.

    \b
    Examples:
      bulkpoint report 3
      bulkpoint report 3 --format xlsx --out campaign-3.xlsx --reason "closing of November"
      bulkpoint report 3 --format csv --failed-only > failed.csv
      bulkpoint report 3 --format html --out campaign-3.html
      bulkpoint report --month 2026-11
      bulkpoint report --month 2026-11 --format xlsx --out november.xlsx
    """
    if (campaign_id is None) == (month is None):
        raise UsageError("REPORT_OF_WHAT")
    _check_options(kind, failed_only=failed_only, out=out)
    if month is not None and failed_only:
        raise UsageError("FAILED_ONLY_OF_A_PAGE")
    with open_session() as session:
        if month is not None or campaign_id is None:
            _report_month(session, month or "", kind, out)
        elif kind == "text":
            _print_sums(session, campaign_id)
        else:
            asked = _asked(session, campaign_id, kind, failed_only=failed_only, out=out, reason=reason)
            (_write_page if kind == "html" else _write_rows)(session, asked, out)


def _check_options(kind: str, *, failed_only: bool, out: Path | None) -> None:
    if kind in ("text", "html") and failed_only:
        raise UsageError("FAILED_ONLY_OF_A_PAGE")
    if kind == "text" and out is not None:
        raise UsageError("OUT_NEEDS_FORMAT")
    if kind != "text" and wants_json():
        raise UsageError("JSON_OF_A_FILE", format=kind)
    if kind not in ("text", "csv") and out is None and sys.stdout.isatty():
        raise UsageError("FORMAT_NOT_FOR_A_TERMINAL", "name_file_or_redirect", format=kind)


def _report_month(session: Session, month: str, kind: str, out: Path | None) -> None:
    from bulkpoint.views.month import MonthView, read_month
    from bulkpoint.views.sums import REASONS_IN_A_WORKBOOK, REASONS_SHOWN

    settings = session.settings
    reasons_max = REASONS_SHOWN if kind == "text" and not wants_json() else REASONS_IN_A_WORKBOOK
    found = read_month(session.connection, month, timezone=settings.timezone, reasons_max=reasons_max)
    view = MonthView.of(found)
    if kind == "text":
        emit(view, timezone=settings.timezone)
        return
    from bulkpoint.views.month_files import write_month

    with _opened(out) as stream:
        write_month(found, stream, kind, language=settings.language, actor=session.actor)
    for line in view.remarks():
        say(line)


def _print_sums(session: Session, campaign_id: int) -> None:
    from bulkpoint.store.snapshot import one_snapshot
    from bulkpoint.views.sums import REASONS_IN_A_WORKBOOK, REASONS_SHOWN, ReportView, read_sums

    timezone = session.settings.timezone
    with one_snapshot(session.connection):
        reasons_max = REASONS_IN_A_WORKBOOK if wants_json() else REASONS_SHOWN
        sums = read_sums(session.connection, campaign_id, timezone=timezone, reasons_max=reasons_max)
    emit(ReportView.of(sums), timezone=timezone)


def _write_rows(session: Session, asked: "ReportAsked", out: Path | None) -> None:
    from bulkpoint.views.report_file import check_reportable, write_rows

    campaign_id = asked.campaign_id
    check_reportable(session.connection, campaign_id)
    with _opened(out) as stream:
        state, totals = write_rows(session.connection, asked, stream)
    if state == CampaignState.RUNNING:
        say(f"Campaign {campaign_id} is RUNNING: this is how it was when the report began.")
    say(f"campaign {campaign_id}: {totals}")
    if totals.masked_ids:
        say("Member ids are masked (member_id_masked): this login has not the right `members`.")
    if totals.sheets > 1:
        say(f"The sums are on the first sheet, the rows on the {totals.sheets} sheets after it.")
    if totals.defused_ids:
        say(
            f"{totals.defused_ids:,} member ids that begin like a formula have an apostrophe in front;"
            " column member_id_raw has the ids themselves."
        )
    if asked.kind == "csv":
        say("For Excel use --format xlsx: Excel changes ids in a CSV, 00123 becomes 123.")


def _write_page(session: Session, asked: "ReportAsked", out: Path | None) -> None:
    from io import BytesIO

    from bulkpoint.views.report_file import write_page

    page = BytesIO()  # small; made before the file is opened
    write_page(session.connection, asked, page)
    with _opened(out) as stream:
        stream.write(page.getvalue())


def _asked(
    session: Session, campaign_id: int, kind: str, *, failed_only: bool, out: Path | None, reason: str | None
) -> "ReportAsked":
    from bulkpoint.views.report_file import ReportAsked

    settings = session.settings
    return ReportAsked(
        campaign_id=campaign_id,
        kind=kind,
        actor=session.actor,
        language=settings.language,
        timezone=settings.timezone,
        failed_only=failed_only,
        reason=reason,
        file=None if out is None else str(name_of(out)),
    )


@contextmanager
def _opened(out: Path | None) -> Iterator[BinaryIO]:
    from bulkpoint.views.export import replacing

    if out is not None:
        with replacing(out) as stream:
            yield stream
        say(f"wrote {out}")
    else:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
