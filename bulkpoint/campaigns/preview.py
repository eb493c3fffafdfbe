"""Look at a list of targets, in a file or a campaign, before points are paid, and list the reasons not to pay it."""

import heapq
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bulkpoint.campaigns.copies import compare_file, judge_copies, with_copies
from bulkpoint.campaigns.create import excess
from bulkpoint.campaigns.findings import judge
from bulkpoint.intake.form import PLAIN_FORM, ListForm
from bulkpoint.intake.list_sketch import ListSketch, SketchMaker
from bulkpoint.intake.problems import Problems
from bulkpoint.intake.target_digest import TargetDigest
from bulkpoint.intake.target_file import TargetFile, check_rows, report_duplicates
from bulkpoint.rules.copies import confirm
from bulkpoint.rules.findings import FileFindings
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.preview import (
    LARGEST_SHOWN,
    REASONS_SHOWN,
    Bucket,
    Figures,
    LargeRow,
    Listed,
    Pace,
    Preview,
    ReasonSum,
    bucket_edges,
    buckets_of,
    find_difference,
)
from bulkpoint.rules.readiness import PaymentLimits, facts_of_same
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import AMOUNT_MAX, check_row
from bulkpoint.settings import Settings
from bulkpoint.store import preview as store
from bulkpoint.store.campaign import Campaign, get_campaign, get_counts, refuse_archived
from bulkpoint.store.connect import Connection
from bulkpoint.store.duplicate_list import find_same_list
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.store.target import digest_targets
from bulkpoint.views.sentences import sentence

# A list with more reasons than this has nearly one for each member; all of them would fill the memory.
REASONS_COUNTED_MAX = 100_000
# Amounts compared with the histogram's edges at a time: the result takes as much memory as the amounts.
BLOCK_ROWS = 1_000_000


def preview_file(
    path: Path,
    limits: PaymentLimits,
    errors_file: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    form: ListForm = PLAIN_FORM,
    *,
    maker: SketchMaker | None = None,
    inform: Callable[[Refusal], None] = lambda _: None,
) -> Preview:
    """Figures of a file's good rows, what is wrong with the others, its digest; touches no database.

    `say` gets a line before long work, `inform` what is unusual in the file, `maker` every row. Memory: 16 bytes a row,
    and as many for `maker`. Raises RefusedError for a file that is no list.
    """
    say(f"Reading {path.name} ...")
    file = TargetFile(path, form, inform)
    tally = _Tally()
    hashes = array("q")
    noticed = FileFindings()
    above = 0
    with Problems(errors_file) as problems, TargetDigest() as digest:
        for row, member_id, points, reason in check_rows(file, problems, noticed, hashes, amount_max=AMOUNT_MAX):
            tally.add(points, reason)
            if points > tally.small:
                tally.keep_large(LargeRow(row, member_id, points, reason))
            digest.add(member_id, points, reason)
            if maker is not None:
                maker.add(member_id, points)
            if limits.per_row is not None and points > limits.per_row:
                above += 1
                [violation] = check_row(member_id, points, reason, amount_max=limits.per_row)
                problems.add(row, "amount", violation.sentence, points)
        invalid = problems.rows - above
        duplicates = report_duplicates(file, hashes, problems)
        figures = tally.figures()
        loadable = not invalid and not duplicates
        return Preview(
            file=file.name,
            campaign=None,
            figures=figures,
            invalid_rows=invalid,
            duplicate_rows=duplicates,
            problems=tuple(map(str, problems.summed_up())),
            problem_count=problems.count,
            problems_unsaid=problems.unsaid(),
            problems_masked=tuple(each.without_member() for each in problems.summed_up()),
            limits=limits,
            rows_above_max=above,
            digest=digest.digest() if loadable else None,
            digest_trouble=digest.trouble if loadable else Refusal("LIST_NOT_LOADABLE"),
            open_count=figures.count,
            findings=(*_row_findings(invalid, duplicates), *_limit_findings(figures, above, limits)),
            noticed=noticed.found(),
            largest=tally.largest(),
        )


@dataclass(frozen=True)
class ReadFile:
    """A file that was read once, without a database. sketch: to compare it; None where it cannot be loaded.

    remarks: what the file is read as, a sentence each, as parts of the language files.
    """

    seen: Preview
    sketch: ListSketch | None
    remarks: tuple[Refusal, ...] = ()


def read_file(
    path: Path,
    limits: PaymentLimits,
    form: ListForm = PLAIN_FORM,
    *,
    errors_file: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    maker: SketchMaker | None = None,
) -> ReadFile:
    """All that a person is shown of a file before it is loaded, but for what a database knows: compare_read.

    maker: a new one, which gets every row. Raises RefusedError for a file that is no list.
    """
    maker = SketchMaker() if maker is None else maker
    remarks: list[Refusal] = []

    def inform(remark: Refusal) -> None:
        remarks.append(remark)
        say(sentence(remark))

    seen = preview_file(path, limits, errors_file, say, form, maker=maker, inform=inform)
    return ReadFile(seen, None if seen.digest is None else maker.sketch(), tuple(remarks))


def compare_read(connection: Connection, read: ReadFile, limits: PaymentLimits) -> Preview:
    """The preview of a file that was read, with the same list and near copies of it in the database."""
    seen = note_same_list(connection, read.seen)
    return seen if read.sketch is None else note_copies(connection, seen, read.sketch, limits)


def preview_campaign(connection: Connection, campaign_id: int, limits: PaymentLimits) -> Preview:
    """The same for the targets that a campaign has now, or had when it was frozen.

    Raises RefusedError where there is no such campaign.
    """
    with one_snapshot(connection):
        campaign = get_campaign(connection, campaign_id)
        refuse_archived(campaign)
        figures, above = store.measure_targets(connection, campaign_id, row_max=limits.per_row)
        digest = campaign.digest or (digest_targets(connection, campaign_id) if figures.count else None)
        open_count = _open_count(connection, campaign, figures)
        noticed = () if digest is None else judge(connection, campaign, digest)
        if digest is not None and campaign.state == CampaignState.WAITING and limits.copy_share is not None:
            found, _ = judge_copies(connection, campaign_id, digest, count=figures.count, share=limits.copy_share)
            noticed = confirm(with_copies(noticed, found), campaign.same_as, campaign.creator)
    listed = Listed(
        campaign_id,
        campaign.name,
        campaign.state,
        campaign.expected_count,
        campaign.expected_amount,
        campaign.frozen_at,
    )
    return Preview(
        file=None,
        campaign=listed,
        figures=figures,
        invalid_rows=0,
        duplicate_rows=0,
        problems=(),
        problem_count=0,
        limits=limits,
        rows_above_max=above,
        digest=digest,
        digest_trouble=None if figures.count else Refusal("NO_TARGET_LOADED"),
        open_count=open_count,
        findings=(*_differences(listed, figures), *_limit_findings(figures, above, limits)),
        noticed=noticed,
    )


def note_same_list(connection: Connection, seen: Preview) -> Preview:
    """The same preview, with a finding where another campaign had this very list in the last 90 days."""
    listed = seen.campaign
    if seen.digest is None or (listed is not None and listed.frozen_at is not None):
        return seen
    # A file's campaign would be the youngest.
    same = find_same_list(connection, BIGINT_MAX if listed is None else listed.campaign_id, seen.digest)
    if same is None or (
        listed is not None and get_campaign(connection, listed.campaign_id).same_as == same.campaign_id
    ):
        return seen
    finding = Refusal("SAME_LIST", {"command": seen.command, **facts_of_same(same)}, ("same_as",))
    return replace(seen, findings=(*seen.findings, finding))


def note_copies(connection: Connection, seen: Preview, sketch: ListSketch, limits: PaymentLimits) -> Preview:
    """The same preview of a file, with what its list, of which this is the sketch, has in common with others."""
    if seen.digest is None or any(finding.code == "SAME_LIST" for finding in seen.findings):
        return seen
    found = compare_file(connection, sketch).findings(limits.copy_share)
    return replace(seen, noticed=(*seen.noticed, *found))


def present_pace(connection: Connection, settings: Settings) -> Pace:
    """The limit that is in force, or the one that the first start would store."""
    return store.get_pace(connection) or Pace(settings.tps)


class _Tally:
    """Counts amounts and reasons, row by row."""

    def __init__(self) -> None:
        self.small = 0  # rows with no more points than that are not among the largest
        self._largest: list[tuple[int, int, LargeRow]] = []
        self._amounts = array("q")
        self._by_reason: dict[str, list[int]] = {}
        self._all_reasons = True

    def add(self, points: int, reason: str) -> None:
        self._amounts.append(points)
        found = self._by_reason.get(reason)
        if found is not None:
            found[0] += 1
            found[1] += points
        elif len(self._by_reason) < REASONS_COUNTED_MAX:
            self._by_reason[reason] = [1, points]
        else:
            self._all_reasons = False

    def keep_large(self, row: LargeRow) -> None:
        """Keep a row that has more points than `small`; of equal ones the first."""
        heapq.heappush(self._largest, (row.amount, -(row.row or 0), row))
        if len(self._largest) > LARGEST_SHOWN:
            heapq.heappop(self._largest)
            self.small = self._largest[0][0]

    def largest(self) -> tuple[LargeRow, ...]:
        return tuple(row for *_, row in sorted(self._largest, key=lambda each: each[:2], reverse=True))

    def figures(self) -> Figures:
        if not self._amounts:
            return Figures(0, 0, None, None, (), (), 0)
        sums = [ReasonSum(reason, count, amount) for reason, (count, amount) in self._by_reason.items()]
        biggest = heapq.nsmallest(REASONS_SHOWN, sums, key=lambda total: (-total.amount, -total.count, total.reason))
        smallest, largest = min(self._amounts), max(self._amounts)
        return Figures(
            count=len(self._amounts),
            amount=sum(self._amounts),
            smallest=smallest,
            largest=largest,
            buckets=self._buckets(bucket_edges(smallest, largest)),
            reasons=tuple(biggest),
            reason_count=len(self._by_reason),
            all_reasons_counted=self._all_reasons,
        )

    def _buckets(self, edges: list[int]) -> tuple[Bucket, ...]:
        import numpy as np

        counts = np.zeros(len(edges), dtype=np.int64)
        amounts = np.frombuffer(self._amounts, dtype=np.int64)
        for block in np.array_split(amounts, len(amounts) // BLOCK_ROWS + 1):
            counts += np.bincount(np.searchsorted(edges, block, side="right"), minlength=len(edges))
        return buckets_of(edges, counts[1:].tolist())


def _open_count(connection: Connection, campaign: Campaign, figures: Figures) -> int:
    if campaign.state == CampaignState.WITHDRAWN:
        return 0
    if campaign.frozen_at is None:
        return figures.count
    counts = get_counts(connection, campaign)
    return counts.pending + counts.processing


def _differences(listed: Listed, figures: Figures) -> list[Refusal]:
    difference = find_difference(listed, figures)
    return [] if difference is None else [difference]


def _row_findings(invalid: int, duplicates: int) -> list[Refusal]:
    rows = [("INVALID_ROWS", invalid), ("DUPLICATE_ROWS", duplicates)]
    return [Refusal(code, {"rows": number}) for code, number in rows if number]


def _limit_findings(figures: Figures, above: int, limits: PaymentLimits) -> list[Refusal]:
    findings = [Refusal("ROW_CAP", {"limit": limits.per_row, "rows": above})] if above else []
    too_much = excess(figures.amount, limits)
    return findings if too_much is None else [*findings, too_much]
