"""The audit log as people and programs see it: its rows, one campaign's history, whether the hash chain is intact."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Self

from pydantic import InstanceOf

from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.audit import AuditEvent, Break, BreakKind, Reading, ReadingSum, Verification
from bulkpoint.store.campaign import Campaign
from bulkpoint.text import escaped
from bulkpoint.views.audit_words import HistoryEntry, story_of, what
from bulkpoint.views.format import aligned, local_time, state_words
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View

BREAKS = {
    BreakKind.ALTERED: "AUDIT_ALTERED",
    BreakKind.MISSING: "AUDIT_MISSING",
    BreakKind.CUT: "AUDIT_CUT",
    BreakKind.UNSEALED: "AUDIT_UNSEALED",
    BreakKind.HEAD_ALTERED: "AUDIT_HEAD_ALTERED",
    BreakKind.HEAD_GONE: "AUDIT_HEAD_GONE",
    BreakKind.REWRITTEN: "AUDIT_REWRITTEN",
}
READING_HEADS = ("LOGIN", "ACTION", "TIMES", "ROWS", "NO REASON", "MASKED", "FIRST", "LAST")
HEADS = ("NO", "TIME", "LOGIN", "ACTOR", "ACTION", "CAMPAIGN", "WHAT")


class AuditEventView(View):
    """A row of the log as it was written. login: the database's own word; actor: who the caller claimed to be.

    run: the run's number within its campaign. hash: hexadecimal.
    """

    audit_no: int
    occurred_at: Moment
    login: str
    os_user: str
    host: str
    actor: str
    action: str
    campaign_id: int | None
    run: int | None
    detail: Any
    hash: str
    source: Annotated[InstanceOf[AuditEvent], NOT_IN_JSON]

    @classmethod
    def of(cls, event: AuditEvent) -> Self:
        """The view of a row."""
        return cls.model_validate(vars(event) | {"run": event.run_no, "hash": event.hash.hex(), "source": event})

    def as_row(self, timezone: str) -> tuple[str, ...]:
        """Its line of the table under HEADS, its detail in words."""
        campaign = "" if self.campaign_id is None else str(self.campaign_id)
        if self.run is not None:
            campaign += f", run {self.run}"
        who = escaped(self.actor)
        if self.actor != self.os_user:
            who += f" ({escaped(self.os_user)}@{escaped(self.host)})"
        at = local_time(self.occurred_at, timezone)
        doing = (escaped(self.action), campaign, what(self.source, timezone))
        return (str(self.audit_no), at, escaped(self.login), who, *doing)


class AuditLogView(View):
    """Rows of the audit log, the latest last."""

    printed_by = ("audit log",)

    events: list[AuditEventView]

    @classmethod
    def of(cls, events: Iterable[AuditEvent]) -> Self:
        """The view of `audit log`."""
        return cls(events=[AuditEventView.of(event) for event in events])

    def as_text(self, screen: Screen) -> list[str]:
        if not self.events:
            return []
        return aligned([HEADS, *(event.as_row(screen.timezone) for event in self.events)], left=HEADS[1:])

    def remarks(self) -> Iterable[str]:
        return [] if self.events else ["No row matches."]


class ReadingSumView(View):
    """One login and one way to look at members. rows: members that it got; masked: how often it saw no id whole.

    without_reason: how often it gave no reason.
    """

    login: str
    action: Reading
    times: int
    rows: int
    without_reason: int
    masked: int
    first_at: Moment
    last_at: Moment

    def as_row(self, timezone: str) -> tuple[str, ...]:
        """Its line of the table under READING_HEADS."""
        numbers = (self.times, self.rows, self.without_reason, self.masked)
        at = (local_time(self.first_at, timezone), local_time(self.last_at, timezone))
        return (escaped(self.login), self.action, *(f"{number:,}" for number in numbers), *at)


class ReadingsView(View):
    """Who looked at members, by login and action, the most rows first."""

    printed_by = ("audit readings",)

    readings: list[ReadingSumView]

    @classmethod
    def of(cls, sums: Iterable[ReadingSum]) -> Self:
        """The view of `audit readings`."""
        return cls(readings=[ReadingSumView.model_validate(vars(each)) for each in sums])

    def as_text(self, screen: Screen) -> list[str]:
        if not self.readings:
            return []
        rows = [READING_HEADS, *(each.as_row(screen.timezone) for each in self.readings)]
        return aligned(rows, left=("LOGIN", "ACTION", "FIRST", "LAST"))

    def remarks(self) -> Iterable[str]:
        return [] if self.readings else ["Nobody looked at members."]


class HistoryEntryView(View):
    """One sentence of a campaign's history, and the row of the audit log behind it; null where there is none."""

    occurred_at: Moment
    sentence: str
    audit_no: int | None = None
    action: str | None = None
    actor: str | None = None
    login: str | None = None
    run: int | None = None
    detail: Any = None

    @classmethod
    def of(cls, entry: HistoryEntry) -> Self:
        """The entry, with what programs want of its row."""
        fields: dict[str, Any] = {"occurred_at": entry.at, "sentence": entry.sentence}
        if entry.event is not None:
            fields = vars(entry.event) | {"run": entry.event.run_no} | fields
        return cls.model_validate(fields)


class HistoryView(View):
    """Everything that happened to one campaign, oldest first."""

    printed_by = ("campaign history",)

    campaign_id: int
    name: str
    state: CampaignState
    history: list[HistoryEntryView]

    @classmethod
    def of(cls, campaign: Campaign, events: list[AuditEvent], timezone: str) -> Self:
        """The view of `campaign history`; times in its sentences are of `timezone`."""
        story = [HistoryEntryView.of(entry) for entry in story_of(campaign, events, timezone)]
        return cls.model_validate(vars(campaign) | {"history": story})

    def as_text(self, screen: Screen) -> Iterator[str]:
        yield f"campaign {self.campaign_id}  {escaped(self.name)}  {state_words(self.state)}"
        for entry in self.history:
            yield f"{local_time(entry.occurred_at, screen.timezone)}  {entry.sentence}"


class BreakView(View):
    """Where the chain of seals is broken first, and what that means."""

    kind: BreakKind
    audit_no: int
    occurred_at: Moment | None
    sentence: str


class VerificationView(View):
    """Whether the audit log is as it was written; hash in hexadecimal. broken: null where the chain holds."""

    printed_by = ("audit verify",)

    ok: bool
    rows: int
    last_no: int
    last_at: Moment | None
    last_hash: str
    broken: BreakView | None

    @classmethod
    def of(cls, found: Verification, timezone: str) -> Self:
        """The view of `audit verify`."""
        broken = None
        if found.broken is not None:
            broken = BreakView(
                kind=found.broken.kind,
                audit_no=found.broken.audit_no,
                occurred_at=found.broken.occurred_at,
                sentence=sentence(break_refusal(found.broken, found), timezone=timezone),
            )
        return cls(
            ok=broken is None,
            rows=found.rows,
            last_no=found.last_no,
            last_at=found.last_at,
            last_hash=found.last_hash.hex(),
            broken=broken,
        )

    def as_text(self, screen: Screen) -> Iterator[str]:
        yield f"unbroken   {self.rows:,} rows"
        if self.last_at is not None:
            yield f"last row   {self.last_no}, {local_time(self.last_at, screen.timezone)}"
        yield f"last hash  {self.last_hash}"


def break_refusal(broken: Break, found: Verification) -> Refusal:
    """Which row, of when, what is wrong with it, and what to do next."""
    where = {"audit_no": broken.audit_no, "occurred_at": broken.occurred_at, "to_no": broken.to_no}
    row = Refusal("AUDIT_ROW" if broken.occurred_at is None else "AUDIT_ROW_OF", where)
    rows_are = Refusal("ROW_IS" if broken.to_no in (None, broken.audit_no) else "ROWS_ARE", where)
    facts: dict[str, Any] = {**where, "row": row, "rows_are": rows_are}
    code = BREAKS[broken.kind]
    match broken.kind:
        case BreakKind.CUT:
            facts["counted_no"] = broken.to_no or broken.audit_no
        case BreakKind.UNSEALED:
            facts["counted_no"] = broken.audit_no - 1
        case BreakKind.REWRITTEN if broken.occurred_at is None:
            code, facts["last_no"] = "AUDIT_KEPT_ROW_GONE", found.last_no
    return Refusal(code, facts, ("keep_database",))
