"""Findings in a campaign's list, as rows: judged once a list, accepted by a person for that very list."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from bulkpoint.rules.findings import Finding, FindingName, from_facts, hide_members, to_facts
from bulkpoint.store.connect import Connection
from bulkpoint.store.right import sees_members
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True, slots=True)
class _FindingRow:
    finding: FindingName
    facts: dict[str, Any]
    at_stake: bool
    accepted_by: str | None


class _TargetRow(NamedTuple):
    member_id: str
    amount: int


_JUDGED = Query("was_judged", datetime)
_FINDINGS = Query("list_findings", _FindingRow)
_LATEST = Query("list_latest_findings", _FindingRow)
_LATEST_JUDGED = Query("latest_judged", bytes)
_TARGETS = Query("read_targets", _TargetRow)


def get_judgement(connection: Connection, campaign_id: int, digest: bytes) -> tuple[Finding, ...] | None:
    """The findings in a campaign's list of this digest; None where it was not judged yet."""
    if _JUDGED.first(connection, campaign_id=campaign_id, digest=digest) is None:
        return None
    return shown_to_login(connection, _findings(_FINDINGS.all(connection, campaign_id=campaign_id, digest=digest)))


def latest_findings(connection: Connection, campaign_id: int) -> tuple[Finding, ...]:
    """The findings in the list that a campaign pays, or in the one that was judged last."""
    return shown_to_login(connection, _findings(_LATEST.all(connection, campaign_id=campaign_id)))


def shown_to_login(connection: Connection, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings as the login of this connection may see them; what is kept of them stays whole."""
    if not any(finding.examples for finding in findings) or sees_members(connection):
        return findings
    return hide_members(findings)


def latest_judged(connection: Connection, campaign_id: int) -> bytes | None:
    """The digest of a campaign's list as it was judged last, which may have changed since; None if it never was."""
    return _LATEST_JUDGED.first(connection, campaign_id=campaign_id)


def keep_judgement(connection: Connection, campaign_id: int, digest: bytes, findings: Iterable[Finding]) -> None:
    """Keep what was found in a list, and who accepted what (this session's login), in the caller's transaction."""
    connection.execute(sql("remember_judged"), {"campaign_id": campaign_id, "digest": digest})
    for finding in findings:
        connection.execute(
            sql("keep_finding"),
            {
                "campaign_id": campaign_id,
                "digest": digest,
                "finding": finding.name,
                "facts": Jsonb(to_facts(finding)),
                "at_stake": finding.at_stake,
                "accepted_by": finding.accepted_by,
            },
        )


def read_targets(
    connection: Connection, campaign_id: int, rows_max: int
) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Members and points of a campaign's targets, of at most `rows_max` at a time, in no order; in a transaction."""
    yield from _TARGETS.columns(connection, rows_max, campaign_id=campaign_id)  # type: ignore[misc]


def _findings(rows: Iterable[_FindingRow]) -> tuple[Finding, ...]:
    return tuple(from_facts(row.finding, row.facts, at_stake=row.at_stake, accepted_by=row.accepted_by) for row in rows)
