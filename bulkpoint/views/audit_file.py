"""Rows of the audit log as CSV, for whoever keeps or examines them elsewhere."""

import csv
import io
import json
from collections.abc import Sequence

from bulkpoint.store.audit import AuditEvent
from bulkpoint.text import defused
from bulkpoint.views.audit_words import what
from bulkpoint.views.format import local_time, utc_time

COLUMNS = (
    "audit_no",
    "occurred_at",
    "occurred_at_local",
    "login",
    "actor",
    "os_user",
    "host",
    "action",
    "campaign_id",
    "run",
    "what",
    "detail",
    "hash",
)


def audit_csv(events: Sequence[AuditEvent], *, timezone: str, language: str) -> bytes:
    """UTF-8 with a BOM, a header, lines of RFC 4180, in the order given; what a spreadsheet takes for a formula is
    defused. detail: as JSON, as it was written; what: the same in words of the language."""
    text = io.StringIO(newline="")
    text.write("\N{ZERO WIDTH NO-BREAK SPACE}")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for event in events:
        cells = (
            event.audit_no,
            utc_time(event.occurred_at),
            local_time(event.occurred_at, timezone),
            event.login,
            event.actor,
            event.os_user,
            event.host,
            event.action,
            event.campaign_id,
            event.run_no,
            what(event, timezone, language),
            json.dumps(event.detail, ensure_ascii=False),
            event.hash.hex(),
        )
        writer.writerow([defused(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue().encode()
