"""What an event and an audit row say of how a run ended."""

import re
from dataclasses import asdict, replace
from typing import Any

from bulkpoint.rules.member_names import without_members
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import RunSummary, commonest_codes

# What both say; the event has the whole summary.
AUDITED_OF_AN_END = (
    "success",
    "failed",
    "unknown",
    "open",
    "processing",
    "success_amount",
    "failed_amount",
    "unknown_amount",
    "reason",
)
# Of each kind of failure so many codes are told, and for campaigns up to this size: one scan, of a second there.
CODES_MAX = 3
CODES_ROWS_MAX = 5_000_000
# A code that others have made up may be a sentence, with a member in it.
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,39}")


def with_codes(connection: Connection, summary: RunSummary) -> RunSummary:
    """The summary with the commonest codes of its failures; without them where it has none, or very many payments."""
    if not summary.failed or summary.success + summary.failed + summary.open > CODES_ROWS_MAX:
        return summary
    found = commonest_codes(connection, summary.campaign_id, most=CODES_MAX)
    codes = {each.kind: [code for code in each.codes if _CODE.fullmatch(code)] for each in found}
    return replace(summary, failure_codes=codes)


def figures_of_end(summary: RunSummary) -> dict[str, Any]:
    """The summary without what the event's envelope has: campaign, number and state. Times in ISO format.

    The reason names no member: events go to others, and an audit row is for ever.
    """
    figures = asdict(summary)
    figures["reason"] = None if summary.reason is None else without_members(summary.reason)
    for name in ("campaign_id", "run_no", "state"):
        del figures[name]
    for name in ("started_at", "finished_at"):
        figures[name] = figures[name].isoformat()
    return figures
