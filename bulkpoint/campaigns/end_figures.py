"""What an event and an audit row say of how a run ended."""

from dataclasses import asdict
from typing import Any

from bulkpoint.rules.member_names import without_members
from bulkpoint.store.progress import RunSummary

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
