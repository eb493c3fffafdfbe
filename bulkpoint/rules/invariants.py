"""What must be true whatever comes in: checked also under `python -O`, which removes every assert.

The rule: assert narrows types; a check that protects points or data is an invariant. Bad input is refused instead.
"""


class DefectError(AssertionError):
    """Something impossible happened: a defect of bulkpoint itself. Code that meets it writes and sends nothing more."""


def invariant(condition: bool, what: str) -> None:
    """Raise DefectError, which says `what` is wrong, unless the condition is true."""
    if not condition:
        raise DefectError(what)
