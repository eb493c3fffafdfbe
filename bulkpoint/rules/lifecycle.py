"""The states of campaigns, runs and payments, and which command may change what.

A campaign stores no state: it is WAITING, then shows the state of its latest run. A run ends once; continuing is a new
run. So COMPLETED, FAILED and STOPPED are final, and still no campaign is ever stuck.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right


class RunState(StrEnum):
    """The type run_state of the database."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class RunKind(StrEnum):
    """The type run_kind of the database."""

    INITIAL = "INITIAL"  # all payments
    RETRY = "RETRY"  # those that FAILED
    RESUME = "RESUME"  # those an unfinished run left open


class CampaignState(StrEnum):
    """What a campaign shows: WAITING or WITHDRAWN before any run, then the state of its latest run."""

    WAITING = "WAITING"
    WITHDRAWN = "WITHDRAWN"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class PaymentState(StrEnum):
    """The type payment_state of the database."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class FailureKind(StrEnum):
    """The type failure_kind of the database: why a payment is FAILED."""

    REJECTED = "REJECTED"  # the money API refused this payment
    MISMATCH = "MISMATCH"  # the money API knows the key with another body
    UNAVAILABLE = "UNAVAILABLE"  # the money API accepted none of the calls; nothing was credited
    UNKNOWN = "UNKNOWN"  # in doubt: may have been credited; a look-up finds out


class FailedApart:
    """A campaign's figures: FAILED without UNKNOWN are the only ones that people see as failed, or not paid.

    The columns and JSON fields `failed` include UNKNOWN; a payment that may have been credited is never shown so.
    """

    failed: int
    unknown: int
    failed_amount: int
    unknown_amount: int

    @property
    def not_paid(self) -> int:
        """Payments that FAILED and certainly were not credited."""
        return self.failed - self.unknown

    @property
    def not_paid_amount(self) -> int:
        """Their points."""
        return self.failed_amount - self.unknown_amount


class OpenApart:
    """Figures of payments without a result: those that are perhaps sent are never shown as not processed."""

    open: int
    processing: int
    open_amount: int
    processing_amount: int

    @property
    def waiting(self) -> int:
        """What is not processed: the open ones without those that are perhaps sent."""
        return self.open - self.processing

    @property
    def waiting_amount(self) -> int:
        """Their points."""
        return self.open_amount - self.processing_amount


class Command(StrEnum):
    """What changes a campaign or the limit: people's commands, then what a run's driver and the clock do."""

    CREATE = "create"
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    START = "start"
    FORCE = "force"
    RESUME = "resume"
    RETRY = "retry"
    STOP = "stop"
    SET_TPS = "set tps"
    COMPLETE = "complete"
    FAIL = "fail"
    RESTORE_TPS = "restore tps"


# The kinds that a retry takes by default. The other kinds must be named: the money API would refuse a REJECTED payment
# again, and people must decide on a MISMATCH, where its record and ours disagree.
RETRIED_KINDS = (FailureKind.UNAVAILABLE, FailureKind.UNKNOWN)

# RETRY runs that take one payment, unless more are requested: after three failures a person should look first.
RETRY_RUNS_MAX = 3

# Reaching these is final for a run.
RUN_ENDS = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.STOPPED})


@dataclass(frozen=True, slots=True)
class Transition:
    """One command: in which states it may be given and why, its result, its event and audit row, the right it needs.

    sources: the states it may be given in (None: before the campaign exists), each with the reason; empty for commands
    to the deployment. to: the campaign's state after it. opens: the kind of run that it begins. event, action: the type
    of its outbox event and the action of its audit row; every change writes one of each. right: of the database login;
    None: anyone who can reach the database may.
    """

    sources: Mapping[CampaignState | None, str]
    to: CampaignState | None
    event: str
    action: str
    opens: RunKind | None = None
    right: Right | None = None


TRANSITIONS: dict[Command, Transition] = {
    Command.CREATE: Transition(
        {None: "a list, or the totals that a list must add up to"},
        CampaignState.WAITING,
        event="campaign.created",
        action="create",
    ),
    Command.APPROVE: Transition(
        {CampaignState.WAITING: "a second person has looked at the targets; nothing runs yet"},
        CampaignState.WAITING,
        event="campaign.approved",
        action="approve",
        right=Right.APPROVE,
    ),
    Command.REJECT: Transition(
        {CampaignState.WAITING: "a second person has looked at it and says why it is not to be paid; a yes undoes it"},
        CampaignState.WAITING,
        event="campaign.rejected",
        action="reject",
        right=Right.APPROVE,
    ),
    Command.WITHDRAW: Transition(
        {CampaignState.WAITING: "nothing was paid, so nothing is left behind"},
        CampaignState.WITHDRAWN,
        event="campaign.withdrawn",
        action="withdraw",
        right=Right.START,
    ),
    Command.START: Transition(
        {CampaignState.WAITING: "the first run freezes the targets and pays them"},
        CampaignState.RUNNING,
        event="campaign.started",
        action="start",
        opens=RunKind.INITIAL,
        right=Right.START,
    ),
    Command.FORCE: Transition(
        {CampaignState.WAITING: "a start that jumps the order of the queue, which follows in the same transaction"},
        CampaignState.WAITING,
        event="campaign.forced",
        action="force",
        right=Right.FORCE,
    ),
    Command.RESUME: Transition(
        {
            CampaignState.STOPPED: "a stop leaves payments open",
            CampaignState.FAILED: "a failed run leaves payments open",
            CampaignState.RUNNING: "only when the driver is gone: its run ends FAILED in the same transaction",
        },
        CampaignState.RUNNING,
        event="campaign.resumed",
        action="resume",
        opens=RunKind.RESUME,
        right=Right.START,
    ),
    Command.RETRY: Transition(
        {CampaignState.COMPLETED: "no payment is open, some are FAILED"},
        CampaignState.RUNNING,
        event="campaign.retried",
        action="retry",
        opens=RunKind.RETRY,
        right=Right.START,
    ),
    Command.STOP: Transition(
        {CampaignState.RUNNING: "a person ends the run; answers that still come are recorded"},
        CampaignState.STOPPED,
        event="campaign.stopped",
        action="stop",
    ),
    Command.COMPLETE: Transition(
        {CampaignState.RUNNING: "its own driver ends the run: no payment is open"},
        CampaignState.COMPLETED,
        event="campaign.completed",
        action="complete",
    ),
    Command.FAIL: Transition(
        {CampaignState.RUNNING: "its own driver ends a run that was halted, or a resume one whose driver is gone"},
        CampaignState.FAILED,
        event="campaign.failed",
        action="fail",
    ),
    Command.SET_TPS: Transition({}, None, event="tps.changed", action="tps.set", right=Right.THROTTLE),
    # A temporary limit has expired: the first process that notices restores the figure before it.
    Command.RESTORE_TPS: Transition({}, None, event="tps.changed", action="tps.set"),
}

# The code of a command's refusal in each state, and what to do instead.
_REFUSALS: dict[CampaignState, tuple[str, tuple[str, ...]]] = {
    CampaignState.WAITING: ("CAMPAIGN_NOT_STARTED", ("start_or_wait",)),
    CampaignState.WITHDRAWN: ("CAMPAIGN_WITHDRAWN", ("create_another",)),
    CampaignState.RUNNING: ("CAMPAIGN_RUNNING", ("watch", "stop")),
    CampaignState.COMPLETED: ("CAMPAIGN_COMPLETED", ("retry",)),
    CampaignState.FAILED: ("CAMPAIGN_FAILED", ("resume",)),
    CampaignState.STOPPED: ("CAMPAIGN_STOPPED", ("resume",)),
}


def refusal(command: Command, state: CampaignState, campaign_id: int) -> Refusal | None:
    """Why `command` is refused for a campaign in `state`, and what to do instead; None where it is allowed."""
    if state in TRANSITIONS[command].sources:
        return None
    code, remedies = _REFUSALS[state]
    return Refusal(code, {"campaign_id": campaign_id, "state": state, "asked": command}, remedies)
