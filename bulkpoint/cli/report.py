"""`bulkpoint report`: a campaign's payments for finance, as a file of rows or as a page to read and print."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from bulkpoint.cli.session import Session, open_session, say
from bulkpoint.errors import UsageError
from bulkpoint.files import name_of
from bulkpoint.rules.lifecycle import CampaignState


@click.command(short_help="A campaign's payments as CSV, Parquet or a page.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--format", "kind", required=True, type=click.Choice(["csv", "parquet", "html"]), help="The format.")
@click.option("--failed-only", is_flag=True, help="Only FAILED payments; not for html, which shows counts by kind.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file, written completely or not at all; an existing file is replaced. Default: stdout.",
)
@click.option("--reason", metavar="T", help="What it is for; kept in the audit log.")
def report(*, campaign_id: int, kind: str, failed_only: bool, out: Path | None, reason: str | None) -> None:
    """Report a campaign's payments from one snapshot, in the order of its list.

    csv (UTF-8 with a BOM, RFC 4180) and parquet have a row for each payment: campaign_id, member_id, amount, reason,
    state, transaction_id, failure_kind, failure_code, failure_message, attempts (of its latest run), first_sent_at (the
    first call that left), finished_at, both in UTC, and settled_by_hand: by whose word it is SUCCESS. csv also has
    first_sent_at_local and finished_at_local, in BULKPOINT_TIMEZONE, and member_id_raw: a text that a spreadsheet would
    take for a formula gets a leading apostrophe in csv, and where that is the member id, member_id_raw has it as a JSON
    string. Programs read that column, or parquet, which keeps values as they are.

    Who takes members out is in the audit log, with --reason.

    html is one page for people, in BULKPOINT_LANGUAGE, with counts, runs and charts, without member ids.

    \b
    Examples:
      bulkpoint report 3 --format csv --failed-only > failed.csv
      bulkpoint report 3 --format parquet --out campaign-3.parquet
      bulkpoint report 3 --format html --out campaign-3.html
    """
    if kind == "html" and failed_only:
        raise UsageError("FAILED_ONLY_OF_A_PAGE")
    if kind != "csv" and out is None and sys.stdout.isatty():
        raise UsageError("FORMAT_NOT_FOR_A_TERMINAL", "name_file_or_redirect", format=kind)
    with open_session() as session:
        if kind == "html":
            _write_page(session, campaign_id, out)
        else:
            detail = {
                "format": kind,
                "failed_only": failed_only or None,
                "file": out and name_of(out),
                "reason": reason,
            }
            _write_rows(session, campaign_id, out, detail)


def _write_rows(session: Session, campaign_id: int, out: Path | None, detail: dict[str, Any]) -> None:
    from bulkpoint.store.audit import note_reading
    from bulkpoint.store.campaign import get_campaign
    from bulkpoint.store.export import stream_payments
    from bulkpoint.store.snapshot import one_snapshot
    from bulkpoint.views.export import refuse_unstarted, write_csv, write_parquet

    connection, timezone = session.connection, session.settings.timezone
    refuse_unstarted(get_campaign(connection, campaign_id))
    with _opened(out) as stream:
        note_reading(connection, action="export", campaign_id=campaign_id, actor=session.actor, detail=detail)
        with one_snapshot(connection):
            campaign = get_campaign(connection, campaign_id)
            payments = stream_payments(connection, campaign_id, failed_only=detail["failed_only"] is True)
            if detail["format"] == "csv":
                totals = write_csv(payments, stream, timezone=timezone)
            else:
                totals = write_parquet(payments, stream)
    if campaign.state == CampaignState.RUNNING:
        say(f"Campaign {campaign_id} is RUNNING: this is how it was when the report began.")
    say(f"campaign {campaign_id}: {totals}")
    if totals.defused_ids:
        say(
            f"{totals.defused_ids:,} member ids that begin like a formula have an apostrophe in front;"
            " column member_id_raw has the ids themselves."
        )


def _write_page(session: Session, campaign_id: int, out: Path | None) -> None:
    from bulkpoint.views.page import page_of, read_figures

    settings = session.settings
    figures = read_figures(session.connection, campaign_id)
    page = page_of(figures, language=settings.language, timezone=settings.timezone)
    with _opened(out) as stream:
        stream.write(page.encode())


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
