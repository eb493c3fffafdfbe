"""A preview as a terminal shows it, and as one JSON object."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import InstanceOf

from bulkpoint.rules.findings import Finding
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.preview import Bucket, Figures, Outlook, Preview, find_difference
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, cut, duration, local_time, state_words
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View

BAR_CELLS_MAX = 40
BAR_CELLS_MIN = 10
_EIGHTHS = " ▏▎▍▌▋▊▉"


class ExampleView(View):
    """One place of a finding. row: of the file, null for targets in the database. value: as it is shown."""

    row: int | None
    value: str
    reason: str


class FindingView(View):
    """What speaks against a list: a word for programs, a sentence for people, how often, and the first places.

    at_stake: the list is refused until the finding is accepted by its kind (`--accept KIND`), or, where nobody can
    accept it, is gone. accepted_by: who accepted it for this list; null if nobody did.
    """

    kind: str
    sentence: str
    at_stake: bool
    accepted: bool
    accepted_by: str | None
    count: int
    examples: list[ExampleView]

    @classmethod
    def of(cls, finding: Finding, command: str | None = None, *, language: str = "en") -> Self:
        """Of a finding that a person decides about. command: the one that takes --accept, where it is another one."""
        return cls(
            kind=finding.name,
            sentence=sentence(finding.as_refusal(command), language=language),
            at_stake=finding.at_stake,
            accepted=finding.accepted_by is not None,
            accepted_by=finding.accepted_by,
            count=finding.count,
            examples=[
                ExampleView(row=each.row, value=each.value, reason=sentence(each.why, language=language))
                for each in finding.shown_examples
            ],
        )

    @classmethod
    def of_obstacle(cls, obstacle: Refusal) -> Self:
        """Of what nobody can accept: rows that break a rule, a maximum, totals, a list that was paid before."""
        return cls(
            kind=obstacle.code,
            sentence=sentence(obstacle),
            at_stake=True,
            accepted=False,
            accepted_by=None,
            count=obstacle.facts.get("rows", 1),
            examples=[],
        )


class BucketView(View):
    """How many targets get `first` to `last` points, both included."""

    first: int
    last: int
    count: int


class ReasonView(View):
    """Targets with one reason, and their points."""

    reason: str
    count: int
    amount: int


class OtherReasons(View):
    """Reasons that are not listed one by one: how many they are, their targets and points."""

    reasons: int
    count: int
    amount: int


class PreviewView(View):
    """A list of targets before money moves; amounts in points.

    ok: nothing refuses it; findings that are only shown, or accepted, do not. count, amount, histogram, reasons: of its
    good rows; the reasons with the most points first. problems: at most 20 lines about problem_count errors.
    digest: SHA-256, hexadecimal; null where the list cannot be loaded. tps, tps_until, tps_afterwards: the limit.
    seconds, ends_at: of its payment, started now. tps_needed, in_time: for the deadline. Null where there is nothing
    to say.
    """

    printed_by = ("campaign preview",)

    ok: bool
    findings: list[FindingView]
    file: str | None
    campaign_id: int | None
    name: str | None
    state: CampaignState | None
    frozen_at: Moment | None
    expected_count: int | None
    expected_amount: int | None
    count: int
    amount: int
    smallest: int | None
    largest: int | None
    mean: float | None
    histogram: list[BucketView]
    reasons: list[ReasonView]
    other_reasons: OtherReasons
    all_reasons_counted: bool
    invalid_rows: int
    duplicate_rows: int
    problem_count: int
    problems: list[str]
    max_amount_per_row: int | None
    rows_above_max: int
    max_amount_per_campaign: int | None
    digest: str | None
    open_count: int
    tps: int
    tps_until: Moment | None
    tps_afterwards: int | None
    seconds: float | None
    ends_at: Moment | None
    deadline: Moment | None
    tps_needed: int | None
    in_time: bool | None
    source: Annotated[InstanceOf[Preview], NOT_IN_JSON]
    outlook: Annotated[InstanceOf[Outlook], NOT_IN_JSON]

    @classmethod
    def of(cls, preview: Preview, outlook: Outlook) -> Self:
        """The view of `campaign preview`."""
        figures, listed, pace = preview.figures, preview.campaign, outlook.pace
        of_campaign = ("campaign_id", "name", "state", "frozen_at", "expected_count", "expected_amount")
        return cls.model_validate(
            {
                **{name: getattr(listed, name, None) for name in of_campaign},
                **{name: getattr(preview, name) for name in cls.model_fields if hasattr(preview, name)},
                **{name: getattr(figures, name) for name in cls.model_fields if hasattr(figures, name)},
                "ok": not preview.refused_by,
                "findings": [
                    *map(FindingView.of_obstacle, preview.findings),
                    *(FindingView.of(finding, preview.command) for finding in preview.noticed),
                ],
                "file": preview.file and preview.file.encode("utf-8", "backslashreplace").decode(),
                "mean": None if figures.mean is None else round(figures.mean, 2),
                "histogram": figures.buckets,
                "other_reasons": dict(zip(OtherReasons.model_fields, figures.other_reasons, strict=True)),
                "max_amount_per_row": preview.limits.per_row,
                "max_amount_per_campaign": preview.limits.per_campaign,
                "digest": preview.digest and preview.digest.hex(),
                "tps": pace.tps,
                "tps_until": pace.until,
                "tps_afterwards": pace.tps_afterwards,
                "seconds": None
                if outlook.ends_at is None
                else round((outlook.ends_at - outlook.now).total_seconds(), 1),
                "ends_at": outlook.ends_at,
                "deadline": outlook.deadline,
                "tps_needed": outlook.tps_needed,
                "in_time": None if outlook.deadline is None else outlook.in_time,
                "source": preview,
                "outlook": outlook,
            }
        )

    def as_text(self, screen: Screen) -> list[str]:
        return draw(self.source, self.outlook, timezone=screen.timezone, width=screen.width)


def draw(preview: Preview, outlook: Outlook, *, timezone: str, width: int) -> list[str]:
    """Lines of at most `width` cells where that is possible: who, how much, how long; amounts; reasons; problems."""
    figures = preview.figures
    lines = [*_head_lines(preview), *_digest_lines(preview), *_time_lines(preview, outlook, timezone)]
    if figures.count:
        lines += ["", *_histogram(figures, width), "", *_reason_table(figures, width)]
    if preview.problems:
        lines += ["", *_problem_lines(preview)]
    if preview.findings or preview.noticed:
        lines += ["", *(f"! {sentence(finding)}" for finding in preview.findings)]
        lines += (finding_line(finding, preview.command) for finding in preview.noticed)
    return lines


def finding_line(finding: Finding, command: str | None = None) -> str:
    """A finding, usually on one line: `!` where it refuses the list. command: as FindingView.of takes it."""
    said = sentence(finding.as_refusal(command)).replace("\n", "\n  ")
    if finding.accepted_by is not None:
        return f"- {said} Accepted by {escaped(finding.accepted_by)}."
    return f"{'!' if finding.refuses else '-'} {said}"


def _head_lines(preview: Preview) -> list[str]:
    figures, listed = preview.figures, preview.campaign
    targets = f"targets     {figures.count:,} with {figures.amount:,} points"
    if listed is None:
        lines = [f"file        {escaped(str(preview.file))}", targets]
    else:
        who = f"{listed.campaign_id}  {escaped(listed.name)}"
        lines = [f"campaign    {who}", f"state       {state_words(listed.state)}"]
        if find_difference(listed, figures) is None:
            lines.append(f"{targets}: matches what is expected")
        else:
            lines += [targets, f"expected    {listed.expected_count:,} with {listed.expected_amount:,} points"]
    if figures.count:
        lines.append(f"amounts     {figures.smallest:,} to {figures.largest:,} points, mean {figures.mean:,.1f}")
    caps = []
    if preview.limits.per_row is not None:
        caps.append(f"{preview.limits.per_row:,} points a target")
    if preview.limits.per_campaign is not None:
        caps.append(f"{preview.limits.per_campaign:,} points in all")
    if caps:
        lines.append(f"at most     {', '.join(caps)}")
    return lines


def _digest_lines(preview: Preview) -> list[str]:
    """Which list it is; facts about this list belong here."""
    if preview.digest is None:
        assert preview.digest_trouble is not None, "no digest is for a reason"
        return [f"digest      none: {sentence(preview.digest_trouble)}"]
    return [f"digest      {preview.digest.hex()}"]


def _time_lines(preview: Preview, outlook: Outlook, timezone: str) -> list[str]:
    listed = preview.campaign
    lines = []
    if listed is not None and listed.frozen_at is not None:
        lines.append(f"frozen      {local_time(listed.frozen_at, timezone)}: its targets can no longer change")
        lines.append(f"payments    {preview.open_count:,} of {preview.figures.count:,} not processed")
    if not preview.open_count:
        return lines
    lines.append(f"limit       {_limit_words(outlook, timezone)}")
    if outlook.ends_at is None:
        lines.append("time        never ends as things are: bulkpoint tps set N")
    else:
        took = duration(max(1.0, (outlook.ends_at - outlook.now).total_seconds()))
        lines.append(f"time        {took}: started now, it would end {local_time(outlook.ends_at, timezone)}")
    if outlook.deadline is not None:
        lines.append(f"deadline    {_deadline_words(outlook, timezone)}")
    return lines


def _limit_words(outlook: Outlook, timezone: str) -> str:
    pace = outlook.pace
    rate = f"{pace.tps:,} TPS" if pace.tps else "0 TPS (on hold)"
    if pace.until is None:
        return rate
    return f"{rate} until {local_time(pace.until, timezone)}, then {pace.tps_afterwards:,}"


def _deadline_words(outlook: Outlook, timezone: str) -> str:
    assert outlook.deadline is not None
    moment = local_time(outlook.deadline, timezone)
    if outlook.tps_needed is None:
        return f"{moment} has passed: TOO LATE"
    needs = f"{moment} needs {outlook.tps_needed:,} TPS"
    if outlook.in_time:
        return f"{needs}: in time"
    if outlook.ends_at is None:
        return f"{needs}: TOO LATE, the limit is not enough"
    late = duration(max(1.0, (outlook.ends_at - outlook.deadline).total_seconds()))
    return f"{needs}: TOO LATE by {late}, the limit is not enough"


def _histogram(figures: Figures, width: int) -> list[str]:
    rows = [("POINTS", "TARGETS", "SHARE")]
    firsts, lasts = (max(len(f"{edge:,}") for edge in edges) for edges in zip(*_spans(figures.buckets), strict=True))
    for bucket in figures.buckets:
        span = f"{bucket.first:>{firsts},}" + ("" if bucket.first == bucket.last else f" - {bucket.last:>{lasts},}")
        rows.append((span, f"{bucket.count:,}", _percent(bucket.count, figures.count)))
    table = aligned(rows, left=("POINTS",))
    room = max(BAR_CELLS_MIN, min(BAR_CELLS_MAX, width - max(map(len, table)) - 2))
    most = max(bucket.count for bucket in figures.buckets)
    bars = ["", *(_bar(bucket.count / most, room) for bucket in figures.buckets)]
    return [f"{line}  {bar}".rstrip() for line, bar in zip(table, bars, strict=True)]


def _spans(buckets: Sequence[Bucket]) -> list[tuple[int, int]]:
    return [(bucket.first, bucket.last) for bucket in buckets]


def _bar(part: float, room: int) -> str:
    """A part of `room` cells, to an eighth; whatever is above 0 can be seen."""
    eighths = round(part * room * 8) or (1 if part else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _reason_table(figures: Figures, width: int) -> list[str]:
    rows = [(total.reason, total.count, total.amount) for total in figures.reasons]
    more, count, amount = figures.other_reasons
    if count:
        at_least = "" if figures.all_reasons_counted else "at least "
        rows.append((f"... and {at_least}{more:,} more", count, amount))
    figured = [(f"{n:,}", f"{points:,}", _percent(points, figures.amount)) for _, n, points in rows]
    heads = ("TARGETS", "POINTS", "SHARE")
    taken = sum(2 + max(map(len, column)) for column in zip(heads, *figured, strict=True))
    reasons = [cut(escaped(reason), max(16, width - taken)) for reason, _, _ in rows]
    table = [("REASON", *heads), *((reason, *rest) for reason, rest in zip(reasons, figured, strict=True))]
    return aligned(table, left=("REASON",))


def _problem_lines(preview: Preview) -> list[str]:
    lines = list(preview.problems)
    more = preview.problems_unsaid
    return [*lines, f"... and {more:,} more"] if more else lines


def _percent(part: int, whole: int) -> str:
    """One decimal place; a small part is not shown as 0."""
    return "<0.1 %" if 0 < part < whole / 2_000 else f"{100 * part / whole:.1f} %"
