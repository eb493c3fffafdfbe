"""The sandbox's own errors: it judges the payer, so it shares no error with it.

cli/sandbox.py gives each of these its code and its exit code.
"""


class SandboxError(Exception):
    """Why the sandbox does not do something: one sentence in English."""


class WrongValueError(SandboxError):
    """An impossible fault, setting or address."""


class LedgerError(SandboxError):
    """The ledger's file cannot be opened, is in use, or has a line that is not a credit."""


class NotServingError(SandboxError):
    """The port is not available, or the disk no longer accepts writes."""
