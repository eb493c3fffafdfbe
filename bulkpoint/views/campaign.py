"""A campaign as people and programs see it: its counts, its runs, and its place among the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import InstanceOf, WithJsonSchema

from bulkpoint.rules.findings import Finding
from bulkpoint.rules.lifecycle import CampaignState, FailureKind, PaymentState, RunKind, RunState
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.campaign import Campaign, CampaignRun, Counts
from bulkpoint.store.run_request import AskedRun
from bulkpoint.store.settle import SettledByHand
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, duration, local_time, standing_words, state_words
from bulkpoint.views.headline import warning
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View
from bulkpoint.views.waiting import WaitingView

_NO_WORD = SettledByHand(0, 0)


class RunView(View):
    """One run of a campaign. reason: why it ended as it did, or why it was begun."""

    run: int
    kind: RunKind
    state: RunState
    reason: str | None
    actor: str
    started_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, run: CampaignRun) -> Self:
        """The view of a run."""
        return cls.model_validate(vars(run) | {"run": run.run_no})


# The database may know a kind that this version does not: `db migrate --before` comes before the new code.
_BY_KIND = {
    "type": "object",
    "propertyNames": {"type": "string", "enum": list(FailureKind)},
    "additionalProperties": {"type": "integer"},
}


class CampaignView(View):
    """A campaign. Targets are counted as frozen, before that as expected.

    counts, amounts (points): by state; FAILED includes UNKNOWN, which failure_kinds shows apart.
    """

    campaign_id: int
    name: str
    state: CampaignState
    target_count: int
    target_amount: int
    counts: dict[PaymentState, int]
    amounts: dict[PaymentState, int]
    failure_kinds: Annotated[dict[str, int], WithJsonSchema(_BY_KIND)]
    note: Annotated[str, NOT_IN_JSON]
    run_reason: Annotated[str | None, NOT_IN_JSON]
    creator: Annotated[str, NOT_IN_JSON]
    created_at: Annotated[datetime, NOT_IN_JSON]
    approved_by: Annotated[str | None, NOT_IN_JSON]
    approved_at: Annotated[datetime | None, NOT_IN_JSON]
    rejected_by: Annotated[str | None, NOT_IN_JSON]
    rejected_at: Annotated[datetime | None, NOT_IN_JSON]
    rejected_reason: Annotated[str | None, NOT_IN_JSON]
    not_before: Annotated[datetime | None, NOT_IN_JSON]
    same_as: Annotated[int | None, NOT_IN_JSON]
    frozen_at: Annotated[datetime | None, NOT_IN_JSON]
    digest: Annotated[bytes | None, NOT_IN_JSON]
    driver_is_gone: Annotated[bool, NOT_IN_JSON]
    stopping: Annotated[bool, NOT_IN_JSON]
    not_paid: Annotated[int, NOT_IN_JSON]
    not_paid_amount: Annotated[int, NOT_IN_JSON]
    unknown: Annotated[int, NOT_IN_JSON]
    unknown_amount: Annotated[int, NOT_IN_JSON]
    archived_at: Annotated[datetime | None, NOT_IN_JSON] = None
    archive_place: Annotated[str | None, NOT_IN_JSON] = None

    @classmethod
    def of(cls, campaign: Campaign, counts: Counts, **more: Any) -> Self:
        """The view of a campaign and its counts."""
        fields = {name: getattr(campaign, name) for name in CampaignView.model_fields if hasattr(campaign, name)}
        if campaign.target_count is None:  # not frozen yet
            fields |= {"target_count": campaign.expected_count, "target_amount": campaign.expected_amount}
        fields |= {
            "counts": {state: getattr(counts, state.lower()) for state in PaymentState},
            "amounts": {state: getattr(counts, f"{state.lower()}_amount") for state in PaymentState},
            "failure_kinds": counts.failure_kinds,
            "not_paid": counts.not_paid,
            "not_paid_amount": counts.not_paid_amount,
            "unknown": counts.unknown,
            "unknown_amount": counts.unknown_amount,
        }
        return cls.model_validate(fields | more)

    def happened(self, language: str = "en") -> str | None:
        """What became of its payments, where the state of its last run alone would mislead."""
        success, failed = self.counts[PaymentState.SUCCESS], self.counts[PaymentState.FAILED]
        still_open = self.counts[PaymentState.PENDING] + self.counts[PaymentState.PROCESSING]
        counts = {"success": success, "failed": failed, "unknown": self.unknown, "open": still_open}
        return warning(self.state, **counts, language=language)

    def warning(self) -> str | None:
        """What is wrong with its run, and what to do."""
        if not self.driver_is_gone:
            return None
        return (
            f"Campaign {self.campaign_id} says RUNNING, but its job is gone: nothing is paid."
            f" Take it over with `bulkpoint campaign resume {self.campaign_id}`."
        )


class CampaignList(View):
    """The campaigns, oldest first."""

    printed_by = ("campaign list",)

    campaigns: list[CampaignView]

    def as_text(self, screen: Screen) -> Iterable[str]:
        if not self.campaigns:
            return []
        in_doubt = any(campaign.unknown for campaign in self.campaigns)
        unknown_head = ("UNKNOWN",) if in_doubt else ()
        rows: list[tuple[str, ...]]
        rows = [("ID", "STATE", "TARGETS", "POINTS", "SUCCESS", "FAILED", *unknown_head, "CREATED", "NAME")]
        for campaign in self.campaigns:
            size = (f"{campaign.target_count:,}", f"{campaign.target_amount:,}")
            success = campaign.counts[PaymentState.SUCCESS]
            ended = (f"{success:,}", f"{campaign.not_paid:,}", *([f"{campaign.unknown:,}"] if in_doubt else []))
            created = local_time(campaign.created_at, screen.timezone)
            standing = standing_words(campaign.state, stopping=campaign.stopping)
            if campaign.archived_at is not None:
                standing += " (archived)"
            what = (str(campaign.campaign_id), standing)
            rows.append((*what, *size, *ended, created, escaped(campaign.name)))
        return aligned(rows, left=("STATE", "CREATED", "NAME"))

    def remarks(self) -> Iterable[str]:
        if not self.campaigns:
            return ["There is no campaign yet: bulkpoint campaign create --help"]
        return [warning for campaign in self.campaigns if (warning := campaign.warning())]


class CampaignDetail(CampaignView):
    """A campaign with its runs, the first one first. Targets are counted as frozen, before that as expected.

    counts, amounts (points): by state; FAILED includes UNKNOWN, which failure_kinds shows apart.
    """

    printed_by = ("campaign show",)

    runs: list[RunView]
    on_its_way: Annotated[tuple[AskedRun, ...], NOT_IN_JSON] = ()
    left_request: Annotated[str | None, NOT_IN_JSON] = None
    waiting: Annotated[WaitingView | None, NOT_IN_JSON] = None
    left_s: Annotated[float | None, NOT_IN_JSON] = None
    by_hand: Annotated[InstanceOf[SettledByHand], NOT_IN_JSON] = _NO_WORD
    findings: Annotated[tuple[InstanceOf[Finding], ...], NOT_IN_JSON] = ()

    def as_text(self, screen: Screen) -> Iterator[str]:
        yield f"campaign {self.campaign_id}  {escaped(self.name)}"
        yield from self._about(screen.timezone)
        yield ""
        rows = [("PAYMENTS", "COUNT", "POINTS")]
        for state, count in self.counts.items():
            if state == PaymentState.FAILED:
                rows.append((state, f"{self.not_paid:,}", f"{self.not_paid_amount:,}"))
                if self.unknown:
                    rows.append((FailureKind.UNKNOWN, f"{self.unknown:,}", f"{self.unknown_amount:,}"))
            else:
                rows.append((state, f"{count:,}", f"{self.amounts[state]:,}"))
        yield from aligned(rows, left=("PAYMENTS",))
        if kinds := ", ".join(_kinds(self.failure_kinds)):
            yield f"failed by kind: {kinds}"
        if (by_hand := self.by_hand).count:
            yield f"settled by hand: {by_hand.count:,} of the SUCCESS payments, {by_hand.amount:,} points"
        if self.runs:
            yield ""
            yield from _table_of_runs(self.runs, screen.timezone)

    def _asked_for(self, timezone: str) -> Iterator[str]:
        if self.left_request is not None:
            yield f"            {escaped(self.left_request)}"
        for asked in self.on_its_way:
            since = local_time(asked.requested_at, timezone)
            yield f"            A run ({asked.kind}) is on its way, asked for by {escaped(asked.actor)} at {since}."
            yield f"            `bulkpoint campaign stop {self.campaign_id}` calls it back."

    def _about(self, timezone: str) -> Iterator[str]:
        reason = f": {escaped(self.run_reason)}" if self.run_reason else ""
        yield f"state       {standing_words(self.state, stopping=self.stopping)}{reason}"
        if happened := self.happened():
            yield f"            {happened}"
        if warning := self.warning():
            yield f"            {warning}"
        yield from self._asked_for(timezone)
        if self.waiting is not None:
            yield f"waits for   {self.waiting.sentence}"
        elif self.left_s is not None:
            yield f"time left   {duration(self.left_s)}, at the pace of the last minute"
        yield f"created     {local_time(self.created_at, timezone)} by {escaped(self.creator)}"
        yield from self._decided(timezone)
        if self.same_as is not None:
            yield f"same as     campaign {self.same_as}: this list was paid before, on purpose"
        if self.findings:
            yield f"findings    {', '.join(map(_finding_words, self.findings))}"
        if self.not_before is not None:
            yield f"not before  {local_time(self.not_before, timezone)}"
        if self.note:
            yield f"note        {escaped(self.note)}"
        if self.archived_at is not None:
            yield f"archived    {local_time(self.archived_at, timezone)} to {escaped(self.archive_place or '')}"
        if self.digest is not None:
            yield f"digest      {self.digest.hex()}"
        expected = " expected" if self.frozen_at is None else ""
        yield f"targets     {self.target_count:,} with {self.target_amount:,} points{expected}"

    def _decided(self, timezone: str) -> Iterator[str]:
        """What a second person said."""
        if self.approved_at is not None:
            yield f"approved    {local_time(self.approved_at, timezone)} by {escaped(self.approved_by or '')}"
        if self.rejected_at is not None:
            who, why = escaped(self.rejected_by or ""), escaped(self.rejected_reason or "")
            yield f"rejected    {local_time(self.rejected_at, timezone)} by {who}: {why}"


def _finding_words(finding: Finding) -> str:
    if finding.accepted_by is not None:
        return f"{finding.name} (accepted by {escaped(finding.accepted_by)})"
    return f"{finding.name} (refuses the start)" if finding.refuses else finding.name


def campaign_list(campaigns: Iterable[tuple[Campaign, Counts]]) -> CampaignList:
    """The view of `campaign list`."""
    return CampaignList(campaigns=[CampaignView.of(campaign, counts) for campaign, counts in campaigns])


def campaign_detail(
    campaign: Campaign,
    counts: Counts,
    runs: Sequence[CampaignRun],
    on_its_way: Sequence[AskedRun] = (),
    *,
    by_hand: SettledByHand = _NO_WORD,
    left_s: float | None = None,
    findings: Iterable[Finding] = (),
    left_request: Refusal | None = None,
    timezone: str = "UTC",
) -> CampaignDetail:
    """The view of `campaign show`; `timezone` is of the times in a sentence.

    by_hand: payments that are SUCCESS by a person's word. left_s: seconds until it ends, as far as that is known.
    left_request: how a request stands that was left for others to run.
    """
    waiting = None if campaign.waiting is None else WaitingView.of(campaign.waiting, timezone=timezone)
    return CampaignDetail.of(
        campaign,
        counts,
        runs=[RunView.of(run) for run in runs],
        on_its_way=tuple(on_its_way),
        left_request=None if left_request is None else sentence(left_request, timezone=timezone),
        waiting=waiting,
        left_s=left_s,
        by_hand=by_hand,
        findings=tuple(findings),
    )


def _kinds(failure_kinds: Mapping[str, int]) -> list[str]:
    """The kinds of the FAILED payments that were not paid; UNKNOWN ones have a line of their own."""
    kinds = {kind: count for kind, count in failure_kinds.items() if count and kind != FailureKind.UNKNOWN}
    return [f"{kind} {count:,}" for kind, count in kinds.items()]


def _table_of_runs(runs: Sequence[RunView], timezone: str) -> list[str]:
    rows = [("RUN", "KIND", "STATE", "STARTED", "DURATION", "BY", "REASON")]
    for run in runs:
        lasted = "" if run.finished_at is None else duration((run.finished_at - run.started_at).total_seconds())
        began, why = local_time(run.started_at, timezone), escaped(run.reason or "")
        rows.append((str(run.run), run.kind, state_words(run.state), began, lasted, escaped(run.actor), why))
    return aligned(rows, left=("KIND", "STATE", "STARTED", "BY", "REASON"))
