"""The states of campaigns, runs and payments, and which command may change what.

A campaign has no state of its own: it waits, then shows its latest run's. A run ends once; going on after that is a new
run. So COMPLETED, FAILED and STOPPED are final, and still nothing is ever stuck.
"""

from dataclasses import dataclass
from enum import StrEnum


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
    REVERSAL = "REVERSAL"  # takes points back; not built yet


class CampaignState(StrEnum):
    """What a campaign shows: its own two states before any run, then its latest run's."""

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

    REJECTED = "REJECTED"  # money said no to this payment
    MISMATCH = "MISMATCH"  # money knows the key with another body
    UNAVAILABLE = "UNAVAILABLE"  # money took none of the calls; nothing was credited
    UNKNOWN = "UNKNOWN"  # perhaps credited; a look-up tells


class Command(StrEnum):
    """What a person asks of a campaign."""

    START = "start"
    STOP = "stop"
    RESUME = "resume"
    RETRY = "retry"
    APPROVE = "approve"
    WITHDRAW = "withdraw"


# RETRY runs that take one payment, unless somebody asks for more: what three could not pay wants a look first.
RETRY_RUNS_MAX = 3

# Reaching these is final for a run.
RUN_ENDS = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.STOPPED})


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a command leads: the campaign's state after it, the kind of run it opens, and why it may."""

    to: CampaignState
    opens: RunKind | None
    why: str


TRANSITIONS: dict[tuple[CampaignState, Command], Transition] = {
    (CampaignState.WAITING, Command.APPROVE): Transition(
        CampaignState.WAITING, None, "a second person has looked at the targets; nothing runs yet"
    ),
    (CampaignState.WAITING, Command.START): Transition(
        CampaignState.RUNNING, RunKind.INITIAL, "the first run freezes the targets and pays them"
    ),
    (CampaignState.WAITING, Command.WITHDRAW): Transition(
        CampaignState.WITHDRAWN, None, "nothing was paid, so nothing is left behind"
    ),
    (CampaignState.RUNNING, Command.STOP): Transition(
        CampaignState.STOPPED, None, "a person ends the run; answers that still come are recorded"
    ),
    (CampaignState.RUNNING, Command.RESUME): Transition(
        CampaignState.RUNNING,
        RunKind.RESUME,
        "only when the driver is gone: its run ends FAILED in the same transaction",
    ),
    (CampaignState.STOPPED, Command.RESUME): Transition(
        CampaignState.RUNNING, RunKind.RESUME, "a stop leaves payments open"
    ),
    (CampaignState.FAILED, Command.RESUME): Transition(
        CampaignState.RUNNING, RunKind.RESUME, "a failed run leaves payments open"
    ),
    (CampaignState.COMPLETED, Command.RETRY): Transition(
        CampaignState.RUNNING, RunKind.RETRY, "no payment is open, some are FAILED"
    ),
}

_ASKED = {
    Command.START: "be started",
    Command.STOP: "be stopped",
    Command.RESUME: "be resumed",
    Command.RETRY: "be retried",
    Command.APPROVE: "be approved",
    Command.WITHDRAW: "be withdrawn",
}

# What to do instead, where a command has no transition. {id} is the campaign's.
_REFUSALS: dict[CampaignState, str] = {
    CampaignState.WAITING: "it has not been started, or Spark is still starting it, which takes up to 30 s:"
    " use `bulkpoint campaign start {id}`, or try again in a moment",
    CampaignState.WITHDRAWN: "it was withdrawn, and that is final: create a new campaign",
    CampaignState.RUNNING: "follow it with `bulkpoint campaign watch {id}`, or end it with"
    " `bulkpoint campaign stop {id}`",
    CampaignState.COMPLETED: "every payment has its result; pay any FAILED again by `bulkpoint campaign retry {id}`",
    CampaignState.FAILED: "its last run failed with payments open: go on with `bulkpoint campaign resume {id}`",
    CampaignState.STOPPED: "it was stopped with payments open: go on with `bulkpoint campaign resume {id}`",
}


def transition(command: Command, state: CampaignState) -> Transition | None:
    """What `command` does to a campaign in `state`; none where it may not."""
    return TRANSITIONS.get((state, command))


def refusal(command: Command, state: CampaignState, campaign_id: int) -> str | None:
    """Why `command` is refused to a campaign in `state`: a sentence with what to do instead; none where it may."""
    if (state, command) in TRANSITIONS:
        return None
    return f"Campaign {campaign_id} is {state} and cannot {_ASKED[command]}: {_REFUSALS[state].format(id=campaign_id)}."
