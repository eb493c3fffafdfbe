"""The first words about a run that ended: what happened to the payments, next to what became of the run."""

from bulkpoint.rules.endings import WARNED_SHARE, Ending, what_happened
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.views.format import share
from bulkpoint.views.languages import phrase

# What a COMPLETED run is expected to come to: no line needs to say more than its state and figures.
_AS_EXPECTED = (Ending.ALL_PAID, Ending.PAID)


def headline(state: str, *, success: int, failed: int, unknown: int, open: int, language: str) -> str:
    """The headline of a run's end; failed includes unknown, as counted; open: payments that have not ended."""
    ending = what_happened(success=success, failed=failed, unknown=unknown, open=open)
    return phrase(language, f"headline.{state}.{ending}", shares=_shares(ending, success, failed, unknown, language))


def warning(state: str, *, success: int, failed: int, unknown: int, open: int, language: str) -> str | None:
    """The headline without its sign where it says more than the state does; None where it does not, or none ended."""
    if state not in (RunState.COMPLETED, RunState.FAILED, RunState.STOPPED):
        return None
    ending = what_happened(success=success, failed=failed, unknown=unknown, open=open)
    if ending in _AS_EXPECTED and (state == RunState.COMPLETED or ending is Ending.PAID):
        return None
    counts = {"success": success, "failed": failed, "unknown": unknown, "open": open}
    return headline(state, **counts, language=language).partition(" ")[2]


def _shares(ending: Ending, success: int, failed: int, unknown: int, language: str) -> str:
    """The shares of the failed and the unknown payments among those that have a result; a small one is not named."""
    ended, parts = success + failed, []
    if failed > unknown and (ending is not Ending.UNKNOWN_LEFT or failed - unknown >= WARNED_SHARE * ended):
        parts.append(phrase(language, "headline.failed", share=share(failed - unknown, ended)))
    if unknown:
        parts.append(phrase(language, "headline.unknown", share=share(unknown, ended)))
    return ", ".join(parts)
