"""Findings of a campaign's list: judged once a list, shown, and accepted by a person when it is created or started."""

from array import array
from collections.abc import Collection, Iterable, Iterator

from bulkpoint.errors import UsageError
from bulkpoint.intake.list_looks import BLOCK_ROWS, ListLooks
from bulkpoint.rules.findings import FileFindings, Finding, FindingName
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.finding import get_judgement, read_targets, shown_to_login


def check_names(names: Iterable[str]) -> tuple[FindingName, ...]:
    """Raises UsageError with the names that there are, where one is none of them; capital letters may be left out.

    NEAR_COPY is confirmed by naming a campaign that the list repeats.
    """
    found = []
    for name in names:
        known = name.upper().replace("-", "_")
        if known not in FindingName.__members__:
            raise UsageError("FINDING_UNKNOWN", given=name, names=tuple(map(str, FindingName)))
        if known == FindingName.NEAR_COPY:
            raise UsageError("NEAR_COPY_NOT_ACCEPTED", "name_repeated_campaign")
        found.append(FindingName[known])
    return tuple(dict.fromkeys(found))


def judge(connection: Connection, campaign: Campaign, digest: bytes) -> tuple[Finding, ...]:
    """What is found in a campaign's targets, whose digest this is: as it was kept, else by a scan of them.

    A list that is not the one that the campaign was created with was changed in the database: that is found too.
    """
    kept = get_judgement(connection, campaign.campaign_id, digest)
    found = _judge_targets(connection, campaign.campaign_id) if kept is None else kept
    created = campaign.created_digest
    if created is None or created == digest or FindingName.LIST_CHANGED in {finding.name for finding in found}:
        return found
    changed = Finding.of(
        FindingName.LIST_CHANGED, campaign.expected_count, created_digest=created.hex(), digest=digest.hex()
    )
    return (*found, changed)


def not_found(findings: Iterable[Finding], names: Collection[FindingName]) -> tuple[FindingName, ...]:
    """The names that were accepted although the list has no such finding."""
    found = {finding.name for finding in findings}
    return tuple(name for name in names if name not in found)


def names_of_accepted(findings: Iterable[Finding], names: Collection[FindingName]) -> list[str]:
    """The findings that are there and that a command accepts by these names, for its audit row."""
    return [str(finding.name) for finding in findings if finding.name in names]


def _judge_targets(connection: Connection, campaign_id: int) -> tuple[Finding, ...]:
    """One pass over the targets, and a second one where ids may look alike."""
    findings = FileFindings()
    looks = ListLooks(findings, in_order=False)
    hashes = array("q")
    with connection.transaction():
        for member_ids, amounts in read_targets(connection, campaign_id, BLOCK_ROWS):
            hashes.extend(map(hash, member_ids))
            looks.look_at((None,) * len(member_ids), member_ids, amounts)

        def read_again() -> Iterator[tuple[int | None, str]]:
            for again, _ in read_targets(connection, campaign_id, BLOCK_ROWS):
                yield from ((None, member_id) for member_id in again)

        looks.finish(hashes, read_again)
    return shown_to_login(connection, findings.found())
