"""What a command that changes something prints: which thing, and how it is now."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from bulkpoint.rules.by_hand import MoneySays
from bulkpoint.rules.lifecycle import CampaignState, PaymentState, RunKind, RunState
from bulkpoint.rules.rights import Right
from bulkpoint.store.progress import RunSummary, Sample
from bulkpoint.store.run_request import AskedRun
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time, state_words
from bulkpoint.views.headline import warning
from bulkpoint.views.languages import phrase
from bulkpoint.views.view import Line, Moment, Screen, View


class CampaignCreated(Line):
    """A campaign was created."""

    printed_by = ("campaign create",)

    campaign_id: int

    def as_line(self) -> str:
        return f"created campaign {self.campaign_id}"


class CampaignApproved(Line):
    """A campaign's targets were approved; digest: SHA-256 over them, hexadecimal."""

    printed_by = ("campaign approve",)

    campaign_id: int
    digest: str

    def as_line(self) -> str:
        return f"approved campaign {self.campaign_id} with digest {self.digest}"


class CampaignRejected(Line):
    """A campaign was rejected: it waits, and does not start until it is approved."""

    printed_by = ("campaign reject",)

    campaign_id: int
    reason: str

    def as_line(self) -> str:
        return f"rejected campaign {self.campaign_id}: {escaped(self.reason)}"


class CampaignWithdrawn(Line):
    """A campaign was taken out of the queue."""

    printed_by = ("campaign withdraw",)

    campaign_id: int
    state: CampaignState = CampaignState.WITHDRAWN

    def as_line(self) -> str:
        return f"campaign {self.campaign_id} {state_words(self.state)}"


class EndAcknowledged(Line):
    """What a campaign's last run left stays as it is; `check` names it no more. already: somebody said so before."""

    printed_by = ("campaign acknowledge",)

    campaign_id: int
    run: int
    already: bool

    def as_line(self) -> str:
        if self.already:
            return (
                f"what run {self.run} of campaign {self.campaign_id} left was acknowledged before; nothing is changed"
            )
        return f"acknowledged what run {self.run} of campaign {self.campaign_id} left"


class CampaignStopped(View):
    """A campaign was stopped; unpaid: payments that are not processed. processing: those of them that are perhaps sent.

    last_call_at: when the last call left, null where none ever did.
    """

    printed_by = ("campaign stop",)

    campaign_id: int
    state: CampaignState
    success: int
    failed: int
    unknown: int
    unpaid: int
    processing: int
    last_call_at: Moment | None

    @classmethod
    def of(cls, campaign_id: int, sample: Sample, last_call: Moment | None) -> "CampaignStopped":
        """By a look at the campaign after its stop."""
        return cls(
            campaign_id=campaign_id,
            state=sample.state,
            success=sample.success,
            failed=sample.failed,
            unknown=sample.unknown,
            unpaid=sample.total - sample.done,
            processing=sample.processing,
            last_call_at=last_call,
        )

    def as_text(self, screen: Screen) -> Iterable[str]:
        last = "never" if self.last_call_at is None else local_time(self.last_call_at, screen.timezone)
        return [
            f"campaign {self.campaign_id} {state_words(self.state)}: paid {self.success:,},"
            f" {_failed_words(self.failed, self.unknown)}, {_open_words(self.unpaid, self.processing)};"
            f" last call {last}"
        ]

    def remarks(self) -> Iterable[str]:
        if self.processing:
            yield (
                f"{self.processing:,} payments may have been sent, and have no answer: `bulkpoint campaign resume"
                f" {self.campaign_id}` takes them up again under the same keys, so none is credited twice."
            )


class AskedRunView(View):
    """A run that was asked for: by whom (login: the database's own word), and when."""

    kind: RunKind
    actor: str
    login: str
    requested_at: Moment


class StartCalledBack(View):
    """A start, resume or retry that was on its way was called back: its run is not made, the campaign is as it was."""

    printed_by = ("campaign stop",)

    campaign_id: int
    state: CampaignState
    called_back: list[AskedRunView]

    @classmethod
    def of(cls, campaign_id: int, state: CampaignState, asked: Sequence[AskedRun]) -> "StartCalledBack":
        """The view of what a stop found on its way."""
        views = [AskedRunView.model_validate(asdict(each) | {"login": each.requested_by}) for each in asked]
        return cls(campaign_id=campaign_id, state=state, called_back=views)

    def as_text(self, screen: Screen) -> Iterator[str]:
        for each in self.called_back:
            at = local_time(each.requested_at, screen.timezone)
            yield (
                f"campaign {self.campaign_id} {state_words(self.state)}: the {each.kind} run that"
                f" {escaped(each.actor)} asked for at {at} is called back; it is not made"
            )


class RunBegun(Line):
    """A run began and is not followed; both null where there was no campaign to start."""

    printed_by = ("campaign start", "campaign resume", "campaign retry")

    campaign_id: int | None
    run: int | None

    def as_line(self) -> str:
        return "nothing to start" if self.campaign_id is None else f"campaign {self.campaign_id} runs"


class RunEnded(Line):
    """A run that was followed to its end: the whole campaign's counts and points by then. FAILED includes UNKNOWN.

    open: payments that have no result. processing: those of them that are perhaps sent.
    """

    printed_by = ("campaign start", "campaign resume", "campaign retry")

    campaign_id: int
    name: str
    run: int
    kind: RunKind
    state: RunState
    reason: str | None
    started_at: Moment
    finished_at: Moment | None
    success: int
    failed: int
    unknown: int
    open: int
    success_amount: int
    failed_amount: int
    unknown_amount: int
    open_amount: int
    processing: int
    processing_amount: int

    @classmethod
    def of(cls, summary: RunSummary) -> "RunEnded":
        """The same figures as the closing message."""
        return cls.model_validate(vars(summary) | {"run": summary.run_no})

    def as_line(self) -> str:
        why = f" ({escaped(self.reason)})" if self.reason else ""
        return (
            f"campaign {self.campaign_id} {state_words(self.state)}{why}{self._warning()}: success {self.success:,},"
            f" {_failed_words(self.failed, self.unknown)}, {_open_words(self.open, self.processing)}"
        )

    def _warning(self) -> str:
        """What happened, where the state alone would mislead."""
        counts = {"success": self.success, "failed": self.failed, "unknown": self.unknown, "open": self.open}
        said = warning(self.state, **counts, language="en")
        return "" if said is None else f", {said}"


def _failed_words(failed: int, unknown: int) -> str:
    """Counts of FAILED payments, and apart from them of those that may have been credited."""
    return f"failed {failed - unknown:,}" + (f", unknown {unknown:,}" if unknown else "")


def _open_words(open: int, processing: int) -> str:
    """Counts of payments without a result: what is not processed, and apart from it what is perhaps sent."""
    sent = f", perhaps sent {processing:,} (resume looks them up first)" if processing else ""
    return f"not processed {open - processing:,}{sent}"


class PaymentSettled(Line):
    """A payment is SUCCESS under the named transaction id; amount in points.

    money_says: what the money API said about our key; null where the payment was SUCCESS before: nothing was changed.
    by_hand: only a person's word says that it was paid.
    """

    printed_by = ("payment settle",)

    campaign_id: int
    member_id: str
    amount: int
    state: PaymentState = PaymentState.SUCCESS
    transaction_id: str
    money_says: MoneySays | None
    by_hand: bool

    def as_line(self) -> str:
        hand = ", settled by hand" if self.by_hand else ""
        said = phrase("en", f"money_says.{self.money_says or 'NOT_ASKED'}")
        return (
            f"campaign {self.campaign_id}, member {escaped(self.member_id)}: {self.state}{hand},"
            f" {self.amount:,} points, transaction {escaped(self.transaction_id)}; {said}"
        )


class RightsChanged(Line):
    """A database login has these rights now, or no longer. changed: how many of them it had not, or had, before."""

    printed_by = ("right grant", "right revoke")

    login: str
    rights: list[Right]
    granted: bool
    changed: int

    def as_line(self) -> str:
        may = "may now" if self.granted else "may no longer"
        return f"{escaped(self.login)} {may}: {', '.join(self.rights)}"

    def remarks(self) -> Iterator[str]:
        if not self.changed:
            had = "had" if self.granted else "did not have"
            yield f"{escaped(self.login)} {had} {'them' if len(self.rights) > 1 else 'it'} already."


class EventsPublished(Line):
    """Events that went to Kafka, and those that it refused, which were set aside."""

    printed_by = ("outbox relay",)

    published: int
    set_aside: int

    def as_line(self) -> str:
        return f"published {self.published:,} events, set aside {self.set_aside:,}"


class DatabaseMigrated(Line):
    """Migrations that were applied, in order; none where the database was up to date."""

    printed_by = ("db migrate",)

    applied: list[str]

    def as_line(self) -> str:
        return "\n".join(f"applied {name}" for name in self.applied) or "up to date"


class RolesMade(Line):
    """The group roles that the database has now."""

    printed_by = ("db roles",)

    roles: list[str]

    def as_line(self) -> str:
        *first, last = self.roles
        return f"{', '.join(first)} and {last} are up to date"
