"""A campaign's report as a file, with the audit row of whoever takes members out: for the command line and the page."""

from dataclasses import dataclass
from typing import BinaryIO

from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.store.audit import Reader, Reading, note_reading
from bulkpoint.store.campaign import get_campaign, get_counts, refuse_archived
from bulkpoint.store.connect import Connection
from bulkpoint.store.export import stream_payments
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.views.export import Totals, masked_batches, refuse_unstarted, write_csv, write_parquet

# Rows with members in them; html has counts and sums only.
ROW_FORMATS = ("xlsx", "csv", "parquet")


@dataclass(frozen=True)
class ReportAsked:
    """A report as it was asked for. kind: one of ROW_FORMATS, or html. file: its name, for the audit row, where known.

    actor: a claimed name. language: of labels, ko or en; timezone: of local times.
    """

    campaign_id: int
    kind: str
    actor: str
    language: str
    timezone: str
    failed_only: bool = False
    reason: str | None = None
    file: str | None = None


def check_reportable(connection: Connection, campaign_id: int) -> None:
    """Raises RefusedError for a campaign that is unknown, archived, or has no payments yet."""
    campaign = get_campaign(connection, campaign_id)
    refuse_archived(campaign)
    refuse_unstarted(campaign)


def write_rows(connection: Connection, asked: ReportAsked, stream: BinaryIO) -> tuple[CampaignState, Totals]:
    """Write every payment, or the FAILED ones, from one snapshot; returns the campaign's state in it, and the sums.

    The audit row comes first, in a transaction of its own: whoever reads only half of the file has read members too.
    Call check_reportable before.
    """
    counts = get_counts(connection, get_campaign(connection, asked.campaign_id))
    detail = {
        "format": asked.kind,
        "failed_only": asked.failed_only or None,
        "file": asked.file,
        "rows": counts.failed + (0 if asked.failed_only else counts.pending + counts.processing + counts.success),
        "reason": asked.reason,
    }
    reader = note_reading(
        connection, action=Reading.EXPORT, campaign_id=asked.campaign_id, actor=asked.actor, detail=detail
    )
    with one_snapshot(connection):
        state = get_campaign(connection, asked.campaign_id).state
        totals = _write_kind(connection, asked, stream, reader)
    totals.masked_ids = not reader.sees
    return state, totals


def _write_kind(connection: Connection, asked: ReportAsked, stream: BinaryIO, reader: Reader) -> Totals:
    """With masked ids for a login that has not the right `members`."""
    payments, masked_ids = stream_payments(connection, asked.campaign_id, failed_only=asked.failed_only), False
    if not reader.sees:
        payments, masked_ids = masked_batches(payments), True
    if asked.kind == "csv":
        return write_csv(payments, stream, timezone=asked.timezone, masked_ids=masked_ids)
    if asked.kind == "parquet":
        return write_parquet(payments, stream, masked_ids=masked_ids)
    from bulkpoint.views.sums import REASONS_IN_A_WORKBOOK, read_sums
    from bulkpoint.views.workbook import Exported, write_xlsx

    sums = read_sums(connection, asked.campaign_id, timezone=asked.timezone, reasons_max=REASONS_IN_A_WORKBOOK)
    exported = Exported(asked.actor, reader.login, asked.reason, asked.failed_only, masked_ids)
    return write_xlsx(payments, stream, sums, exported, language=asked.language)


def write_page(connection: Connection, asked: ReportAsked, stream: BinaryIO) -> None:
    """Write the page for people: no member, so no audit row. Raises RefusedError as check_reportable does."""
    from bulkpoint.views.page import page_of, read_figures

    figures = read_figures(connection, asked.campaign_id, timezone=asked.timezone)
    stream.write(page_of(figures, language=asked.language, timezone=asked.timezone).encode())
