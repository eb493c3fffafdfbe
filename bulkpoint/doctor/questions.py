"""A question is asked once and gives one or more checks; what it raises is a problem of its own name.

One that needs a setting whose value is wrong is left out, with a warning that says so.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from bulkpoint.errors import BulkpointError, ExitCode, UnreachableError, UsageError
from bulkpoint.rules.checks import Check, Verdict, warning
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import SettingWithheldError


class Question(NamedTuple):
    """What is looked at, and under which name what it raises is shown."""

    name: str
    ask: Callable[[], Iterable[Check]]


def problem(name: str, error: BulkpointError) -> Check:
    """Paying is not possible; what is out of reach now may be back later."""
    return Check(name, Verdict.PROBLEM, error.refusal, may_pass=error.exit_code == ExitCode.UNREACHABLE)


def ask_all(questions: Sequence[Question]) -> list[Check]:
    """Every question at the same time; the checks in the order of the questions."""
    with ThreadPoolExecutor(max_workers=len(questions), thread_name_prefix="check") as threads:
        return [check for checks in threads.map(_answer, questions) for check in checks]


def _answer(question: Question) -> list[Check]:
    checks: list[Check] = []
    try:
        checks.extend(question.ask())  # what it gave before it raised stays
    except BulkpointError as error:
        checks.append(problem(question.name, error))
    except SettingWithheldError as error:
        checks.append(warning(question.name, error.refusal))
    return checks


def error_of_problems(checks: Iterable[Check]) -> BulkpointError | None:
    """One error with all problems; None where there is none.

    Its exit code is UNREACHABLE only where each may pass by itself: a scheduler should come again for those.
    """
    problems = [check for check in checks if check.verdict is Verdict.PROBLEM]
    if not problems:
        return None
    may_pass = all(check.may_pass for check in problems)
    found: list[Refusal] = []
    for check in problems:
        if check.found not in found:  # two checks may meet the same one, as a wrong address
            found.append(check.found)
    if len(found) == 1:
        return UnreachableError(found[0]) if may_pass else UsageError(found[0])
    if may_pass:
        return UnreachableError("NOT_ABLE_TO_PAY", problems=tuple(found))
    return UsageError("NOT_ABLE_TO_PAY", problems=tuple(found))
