"""The first words about a run that ended: what happened to the payments, next to what became of the run."""

from bulkpoint.rules.endings import WARNED_SHARE, Ending, what_happened
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.views.format import share
from bulkpoint.views.languages import phrase

# What a state of a run's end lets people expect: next to the figures, no line needs to say more.
_AS_EXPECTED: dict[str, tuple[Ending, ...]] = {
    RunState.COMPLETED: (Ending.ALL_PAID, Ending.PAID),
    RunState.FAILED: (Ending.PAID, Ending.NO_RESULT),
    RunState.STOPPED: (Ending.PAID, Ending.NO_RESULT),
}


def headline(state: str, *, success: int, failed: int, unknown: int, open: int, language: str) -> str:
    """The headline of a run's end; failed includes unknown, as counted; open: payments that have not ended."""
    ending = what_happened(success=success, failed=failed, unknown=unknown, open=open)
    return phrase(language, f"headline.{state}.{ending}", shares=_shares(ending, success, failed, unknown, language))


def warning(state: str, *, success: int, failed: int, unknown: int, open: int, language: str) -> str | None:
    """The headline without its sign where it says more than the state does; None where it does not, or none ended."""
    expected = _AS_EXPECTED.get(state)
    ending = what_happened(success=success, failed=failed, unknown=unknown, open=open)
    if expected is None or ending in expected:
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
