"""The one error people see: a sentence that says what to do, and the exit code that goes with it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The documented ends of every command (README, "Exit codes")."""

    DONE = 0
    USAGE = 2
    REFUSED = 3
    STOPPED = 4
    RUN_FAILED = 5
    UNREACHABLE = 6


class BulkpointError(Exception):
    """Something a person can act on: what, where, which rule, what to do next."""

    exit_code = ExitCode.REFUSED


class UsageError(BulkpointError):
    """An option or a setting has a value it cannot have."""

    exit_code = ExitCode.USAGE


class RefusedError(BulkpointError):
    """Understood, and not done: contents, totals, order, state, rights, unknown id."""

    exit_code = ExitCode.REFUSED


class UnreachableError(BulkpointError):
    """Database, money or Spark cannot be reached."""

    exit_code = ExitCode.UNREACHABLE
