"""The end of a program that met a defect of bulkpoint itself: the traceback for the log, and a sentence after it."""

import traceback

from bulkpoint.errors import FailedError
from bulkpoint.rules.invariants import DefectError


def report_defect(error: Exception) -> FailedError:
    """Print the traceback to stderr; returns the error whose sentence and exit code (5) end the command."""
    traceback.print_exception(error)
    lines = str(error).splitlines() or [""]
    what = lines[0] if isinstance(error, DefectError) else f"{type(error).__name__}: {lines[0]}"
    return FailedError("DEFECT", "keep_log", what=what.rstrip(".: "))
