"""What must be true whatever comes in: checked also under `python -O`, which removes every assert.

The rule: assert narrows types; what guards money or data is an invariant. Bad input is neither: it is refused.
"""


class DefectError(AssertionError):
    """The impossible was seen: a defect of bulkpoint itself. Whoever meets it writes and sends nothing more."""


def invariant(condition: bool, what: str) -> None:
    """Raise DefectError, which says `what` is wrong, unless the condition holds."""
    if not condition:
        raise DefectError(what)
