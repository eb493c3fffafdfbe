"""The one error people see: a refusal, and the exit code that goes with it. Its sentence is made at the edge."""

from enum import IntEnum
from typing import Any

from bulkpoint.rules.lifecycle import RunState
from bulkpoint.rules.refusals import Refusal


class ExitCode(IntEnum):
    """The documented ends of every command (README, "Exit codes")."""

    DONE = 0
    USAGE = 2
    REFUSED = 3
    STOPPED = 4
    RUN_FAILED = 5
    UNREACHABLE = 6


# The exit code of a command that followed a run to its end.
RUN_EXIT_CODES = {
    RunState.COMPLETED: ExitCode.DONE,
    RunState.STOPPED: ExitCode.STOPPED,
    RunState.FAILED: ExitCode.RUN_FAILED,
}


class BulkpointError(Exception):
    """Something a person can act on.

    Made from a Refusal, or from the parts of one: `RefusedError("CAMPAIGN_UNKNOWN", "list_campaigns", campaign_id=3)`.
    """

    exit_code = ExitCode.REFUSED

    def __init__(self, refused: Refusal | str, *remedies: str, **facts: Any) -> None:
        self.refusal = refused if isinstance(refused, Refusal) else Refusal(refused, facts, remedies)
        super().__init__(self.refusal.code, dict(self.refusal.facts))


class UsageError(BulkpointError):
    """An option or a setting has a value it cannot have."""

    exit_code = ExitCode.USAGE


class RefusedError(BulkpointError):
    """Understood and not done, because of contents, totals, order, state, rights, unknown id."""

    exit_code = ExitCode.REFUSED


class StoppedError(BulkpointError):
    """A person or a signal stopped what was asked for."""

    exit_code = ExitCode.STOPPED


class FailedError(BulkpointError):
    """A run failed, or bulkpoint itself did: what is not processed is kept, and a person must look."""

    exit_code = ExitCode.RUN_FAILED


class UnreachableError(BulkpointError):
    """The database, the money API or Spark cannot be reached."""

    exit_code = ExitCode.UNREACHABLE
