"""What an event and an audit row say of how a run ended."""

from dataclasses import asdict
from typing import Any

from bulkpoint.store.progress import RunSummary

# What both say; the event has the whole summary.
AUDITED_OF_AN_END = (
    "success",
    "failed",
    "unknown",
    "open",
    "success_amount",
    "failed_amount",
    "unknown_amount",
    "reason",
)


def figures_of_end(summary: RunSummary) -> dict[str, Any]:
    """The summary without what the event's envelope has: campaign, number and state. Times in ISO format."""
    figures = asdict(summary)
    for name in ("campaign_id", "run_no", "state"):
        del figures[name]
    for name in ("started_at", "finished_at"):
        figures[name] = figures[name].isoformat()
    return figures
