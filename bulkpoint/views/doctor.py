"""What `bulkpoint doctor` shows: a line for each check, with what to do where there is something to do."""

from collections.abc import Iterable
from typing import Self

from bulkpoint.rules.checks import Check, Verdict
from bulkpoint.text import escaped
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import Screen, View


class CheckedView(View):
    """One check: what was found (code: of docs/errors.md), and what to do in its last sentence."""

    name: str
    verdict: Verdict
    code: str
    sentence: str


class DoctorView(View):
    """Whether this installation is able to pay, and every check. ok: there is no problem; warnings may be there."""

    printed_by = ("doctor",)

    ok: bool
    checks: list[CheckedView]

    @classmethod
    def of(cls, checks: Iterable[Check]) -> Self:
        """The view of `doctor`."""
        shown = [
            CheckedView(name=check.name, verdict=check.verdict, code=check.found.code, sentence=sentence(check.found))
            for check in checks
        ]
        return cls(ok=all(check.verdict is not Verdict.PROBLEM for check in shown), checks=shown)

    def as_text(self, screen: Screen) -> list[str]:  # noqa: ARG002 (has no times)
        width = max(len(check.name) for check in self.checks)
        return [f"{check.verdict:<7}  {check.name:<{width}}  {escaped(check.sentence)}" for check in self.checks]
