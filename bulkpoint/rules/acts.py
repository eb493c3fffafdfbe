"""What a person may do with a campaign now: for a page, which offers nothing that would be refused for sure."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from bulkpoint.rules.lifecycle import TRANSITIONS, CampaignState, Command
from bulkpoint.rules.rights import Right


class Act(StrEnum):
    """One thing to do."""

    STOP = "STOP"
    HOLD = "HOLD"
    RELEASE = "RELEASE"
    START = "START"
    RESUME = "RESUME"
    RETRY = "RETRY"
    APPROVE = "APPROVE"
    WITHDRAW = "WITHDRAW"
    ACKNOWLEDGE = "ACKNOWLEDGE"
    CALL_BACK = "CALL_BACK"
    REPORT = "REPORT"


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides. failed: FAILED payments, UNKNOWN ones included. on_hold: the limit is 0.

    frozen: it has payments. asked: a run was asked for, and is not made. left: its end needs a person, as `check` says.
    """

    state: CampaignState
    stopping: bool = False
    driver_is_gone: bool = False
    archived: bool = False
    frozen: bool = False
    failed: int = 0
    on_hold: bool = False
    asked: bool = False
    left: bool = False

    @property
    def is_running(self) -> bool:
        return self.state == CampaignState.RUNNING


# An act that is a command of the table of transitions, which says in which states it may be given, and by whom.
_COMMANDS = {
    Act.STOP: Command.STOP,
    Act.START: Command.START,
    Act.RESUME: Command.RESUME,
    Act.RETRY: Command.RETRY,
    Act.APPROVE: Command.APPROVE,
    Act.WITHDRAW: Command.WITHDRAW,
}
_RIGHTS = {Act.HOLD: Right.THROTTLE, Act.RELEASE: Right.THROTTLE, Act.ACKNOWLEDGE: Right.START}
# What else must be so.
_FITS: dict[Act, Callable[[Situation], bool]] = {
    Act.STOP: lambda now: not now.stopping,
    Act.HOLD: lambda now: now.is_running and not now.on_hold,
    Act.RELEASE: lambda now: now.is_running and now.on_hold,
    Act.START: lambda now: not now.asked,
    Act.RESUME: lambda now: not now.asked and (now.driver_is_gone or not now.is_running),
    Act.RETRY: lambda now: not now.asked and now.failed > 0,
    Act.ACKNOWLEDGE: lambda now: now.left,
    Act.CALL_BACK: lambda now: now.asked and not now.is_running,
    Act.REPORT: lambda now: now.frozen and not now.archived,
}


def acts_for(situation: Situation, rights: Collection[Right], *, may_write: bool) -> list[Act]:
    """What may be done, the most urgent first. rights: of the login; may_write: it may change campaigns at all."""
    return [act for act in Act if _is_possible(act, situation) and _may(act, rights, may_write=may_write)]


def _is_possible(act: Act, now: Situation) -> bool:
    if act in _COMMANDS and (now.archived or now.state not in TRANSITIONS[_COMMANDS[act]].sources):
        return False
    return act not in _FITS or _FITS[act](now)


def _may(act: Act, rights: Collection[Right], *, may_write: bool) -> bool:
    if act is Act.REPORT:
        return True
    right = TRANSITIONS[_COMMANDS[act]].right if act in _COMMANDS else _RIGHTS.get(act)
    return may_write and (right is None or right in rights)
