"""A report as a file to be downloaded: written whole before its first byte leaves, so that an error is a page."""

import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from bulkpoint.views.report_file import ReportAsked, check_reportable, write_page, write_rows
from bulkpoint.web.asked import Asked

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}
_PIECE_BYTES = 256 * 1024


def download_report(asked: Asked, campaign_id: int, kind: str, *, failed_only: bool, reason: str | None) -> Response:
    """The file. kind: html, or rows as xlsx or csv, whose reading leaves its audit row.

    It has no name on the disk, so that nothing stays of it, however the download ends. Raises RefusedError for a
    campaign that is unknown, archived, or has no payments yet.
    """
    connection, settings = asked.connection, asked.settings
    check_reportable(connection, campaign_id)
    name = f"campaign-{campaign_id}.{kind}"
    question = ReportAsked(
        campaign_id=campaign_id,
        kind=kind,
        actor=asked.actor,
        language=asked.session.language,
        timezone=settings.timezone,
        failed_only=failed_only and kind != "html",
        reason=reason,
        file=name,
    )
    stream: BinaryIO = tempfile.TemporaryFile(dir=asked.site.host.uploads)  # noqa: SIM115 (closed by who sends it)
    try:
        if kind == "html":
            write_page(connection, question, stream)
        else:
            write_rows(connection, question, stream)
    except BaseException:
        stream.close()
        raise
    size = stream.seek(0, os.SEEK_END)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return StreamingResponse(_pieces(stream), headers=headers, media_type=MEDIA_TYPES[kind])


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        stream.seek(0)
        while piece := stream.read(_PIECE_BYTES):
            yield piece
