"""Near copies as findings: judged once a list, and once more at the start where other lists have come about since."""

from dataclasses import dataclass

from bulkpoint.campaigns.near_copies import compare_list, sample_of, sketch_of_campaign
from bulkpoint.intake.list_sketch import ListSketch
from bulkpoint.rules.copies import Comparison, ListSample, find_copies
from bulkpoint.rules.findings import Finding, FindingName
from bulkpoint.store.connect import Connection
from bulkpoint.store.near_copy import earlier_lists, get_compared_in, present_snapshot


@dataclass(frozen=True, slots=True)
class FileCompared:
    """A list that is not in the database yet, compared with the lists that are, and which transactions that saw."""

    sketch: ListSketch
    comparison: Comparison
    compared_in: str

    def findings(self, share: float | None) -> tuple[Finding, ...]:
        """What is found by the comparison; share: from which it is refused, None where nobody wants to know."""
        return () if share is None else tuple(find_copies(self.comparison, share))

    def sample(self, digest: bytes) -> ListSample:
        """What is to be kept of the list, whose digest is known once it is loaded."""
        return sample_of(self.sketch, digest, self.compared_in)


def compare_file(connection: Connection, sketch: ListSketch) -> FileCompared:
    """Compare the list of a file, whose campaign would be the youngest."""
    compared_in = present_snapshot(connection)  # before the lists are read, so that none is missed between the two
    return FileCompared(sketch, compare_list(connection, sketch, campaign_id=None), compared_in)


def judge_copies(
    connection: Connection, campaign_id: int, digest: bytes, *, count: int, share: float
) -> tuple[tuple[Finding, ...], ListSample | None]:
    """What a campaign's list of `count` targets has in common with others, and what is to be kept of it.

    A list that was compared before, when it was created from a file or started, costs one look-up here: a list that is
    created later was compared with this one then, and needed a person's word. Only two kinds of lists were not: those
    whose transaction was under way when this one was compared (two people create at the same moment), and younger ones
    that were started first. Where there are such lists, this one is compared with them; nothing more is to be kept.
    """
    before = get_compared_in(connection, campaign_id, digest)
    if before is not None and not earlier_lists(connection, campaign_id, compared_in=before):
        return (), None
    compared_in = present_snapshot(connection)
    sketch = sketch_of_campaign(connection, campaign_id, count)
    comparison = compare_list(connection, sketch, campaign_id=campaign_id, compared_in=before)
    findings = tuple(find_copies(comparison, share))
    if before is not None:
        return tuple(each for each in findings if each.name is FindingName.NEAR_COPY), None
    return findings, sample_of(sketch, digest, compared_in)


def with_copies(kept: tuple[Finding, ...], found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings that were kept for a list, with those of a later comparison, which count more where they refuse."""
    of_name = {finding.name: finding for finding in kept}
    for finding in found:
        if finding.refuses or finding.name not in of_name:
            of_name[finding.name] = finding
    return tuple(of_name[name] for name in FindingName if name in of_name)
