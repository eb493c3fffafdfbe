"""A check of this installation: a name, a verdict, and what was found as a value; its sentence is made at the edge."""

from dataclasses import dataclass
from enum import StrEnum

from bulkpoint.rules.refusals import Refusal


class Verdict(StrEnum):
    """What a check says about paying: it can be done; it can, but a person should know this; it cannot."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `bulkpoint doctor`.

    name: stable, docs/doctor.md explains it. found: what was found, and what to do. may_pass: of a problem that trying
    later may find gone.
    """

    name: str
    verdict: Verdict
    found: Refusal
    may_pass: bool = False


def ok(name: str, found: Refusal) -> Check:
    """Nothing to do."""
    return Check(name, Verdict.OK, found)


def warning(name: str, found: Refusal) -> Check:
    """Paying is possible, but a person should know this."""
    return Check(name, Verdict.WARNING, found)
