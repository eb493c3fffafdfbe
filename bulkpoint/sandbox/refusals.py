"""What the sandbox will not do, in its own words: it judges the payer, so it shares no error with it.

cli/sandbox.py gives each of these its code and its exit code.
"""


class SandboxError(Exception):
    """Why the sandbox does not do something: one sentence in English."""


class WrongValueError(SandboxError):
    """A fault, a setting or an address that cannot be."""


class LedgerError(SandboxError):
    """The ledger's file cannot be opened, is in use, or holds something that is no credit."""


class NotServingError(SandboxError):
    """The port cannot be had, or the disk no longer takes what is written."""
