"""Questions before something that cannot be taken back."""

import sys
from collections.abc import Sequence

import click

from bulkpoint.errors import RefusedError, UsageError

# So many campaigns are named in a question.
NAMED_MAX = 20


def need_terminal() -> None:
    """Raises UsageError where nobody can be asked: without a terminal."""
    if not sys.stdin.isatty():
        raise UsageError("NO_TERMINAL", "add_yes")


def go_on(question: str, *, refused: str = "NOT_CONFIRMED") -> None:
    """Ask, and return after a yes. Raises RefusedError with the code `refused` after a no."""
    if not click.confirm(question, err=True):
        raise RefusedError(refused)


def which_campaigns(campaign_ids: Sequence[int]) -> str:
    """The first of them, for a question."""
    return ", ".join(map(str, campaign_ids[:NAMED_MAX])) + (" ..." if len(campaign_ids) > NAMED_MAX else "")
