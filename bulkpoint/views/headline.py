"""The first words about a run that ended: "completed" only where what happened deserves it."""

from bulkpoint.rules.lifecycle import RunState
from bulkpoint.views.format import share
from bulkpoint.views.languages import phrase

# From this share of payments without a credit on, the headline says it.
WARNED_SHARE = 0.05


def headline(state: str, *, success: int, failed: int, unknown: int, language: str) -> str:
    """The headline of a run's end; failed includes unknown, as counted. Payments that are open are not in either."""
    ended = success + failed
    plain = phrase(language, f"message.{state}")
    if state != RunState.COMPLETED or failed <= WARNED_SHARE * ended:
        return plain
    parts = []
    if failed > unknown:
        parts.append(phrase(language, "headline.failed", share=share(failed - unknown, ended)))
    if unknown:
        parts.append(phrase(language, "headline.unknown", share=share(unknown, ended)))
    key = "COMPLETED_WITH" if success else "NOTHING_PROVEN" if unknown else "NOTHING_PAID"
    return phrase(language, f"headline.{key}", shares=", ".join(parts))
