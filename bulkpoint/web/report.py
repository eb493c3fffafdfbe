"""A report as a file to be downloaded: written whole before its first byte leaves, so that an error is a page."""

import tempfile
from pathlib import Path

from bulkpoint.views.report_file import ReportAsked, check_reportable, write_page, write_rows
from bulkpoint.web.asked import Asked


def report_file(asked: Asked, campaign_id: int, kind: str, *, failed_only: bool, reason: str | None) -> Path:
    """The file, which the caller removes. kind: html, or rows as xlsx or csv, whose reading leaves its audit row.

    Raises RefusedError for a campaign that is unknown, archived, or has no payments yet.
    """
    connection, settings = asked.connection, asked.settings
    check_reportable(connection, campaign_id)
    question = ReportAsked(
        campaign_id=campaign_id,
        kind=kind,
        actor=asked.actor,
        language=asked.session.language,
        timezone=settings.timezone,
        failed_only=failed_only and kind != "html",
        reason=reason,
        file=f"campaign-{campaign_id}.{kind}",
    )
    with tempfile.NamedTemporaryFile(
        dir=asked.site.host.uploads, prefix="report-", suffix=f".{kind}", delete=False
    ) as stream:
        path = Path(stream.name)
        try:
            if kind == "html":
                write_page(connection, question, stream)  # type: ignore[arg-type]
            else:
                write_rows(connection, question, stream)  # type: ignore[arg-type]
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path
