"""What `check` names: every kind of trouble in one place, and from when on each needs a person."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class TroubleKind(StrEnum):
    """Stable names: programs read them from `check --json`. Each has a sentence with its command in both languages."""

    # a campaign that says RUNNING
    DRIVER_GONE = "DRIVER_GONE"  # its driver's lease has expired
    ON_HOLD = "ON_HOLD"  # the limit is 0
    STANDSTILL = "STANDSTILL"  # no payment ends, though the limit lets calls out
    WAITING = "WAITING"  # it waits for the money API, a share or Spark
    # one whose last run ended
    RUN_FAILED = "RUN_FAILED"  # FAILED, with payments that are not processed or failed
    RUN_STOPPED = "RUN_STOPPED"  # STOPPED, with payments that are not processed
    UNKNOWN_LEFT = "UNKNOWN_LEFT"  # payments that may have been credited
    # one that has not begun
    OVERDUE = "OVERDUE"  # its --not-before is long past
    APPROVAL_WAITING = "APPROVAL_WAITING"
    FINDINGS_WAITING = "FINDINGS_WAITING"  # its list has findings with money at stake that nobody has accepted
    START_NOT_TAKEN = "START_NOT_TAKEN"  # a run was asked for, and no job makes it
    NO_AGENT = "NO_AGENT"  # a run was asked for and left to an agent, and none is alive
    # the deployment
    LIMIT_ZERO = "LIMIT_ZERO"  # nothing runs, and the next campaign would pay nothing
    PARKED = "PARKED"  # Kafka refuses an event
    EVENTS_WAITING = "EVENTS_WAITING"  # nobody publishes
    MESSAGES_WAITING = "MESSAGES_WAITING"  # nobody notifies
    LOCK_TABLE = "LOCK_TABLE"  # it is almost full now
    LOCK_TABLE_SMALL = "LOCK_TABLE_SMALL"  # a dump, or a migration, would fill it
    EMBEDDED_DATABASE = "EMBEDDED_DATABASE"


# What concerns no campaign: as events of the deployment have it.
DEPLOYMENT = 0

# A run that pays nothing for so long is not well, though it may go on by itself.
WAITS_S_MAX = 30.0
# A scheduler that starts what is due looks every few minutes.
OVERDUE_S_MAX = 3_600.0
# A person has a working day to approve a list, or to look at what was found in it.
APPROVAL_S_MAX = 86_400.0
# Spark needs some 20 s to start, on a busy cluster some minutes.
START_S_MAX = 300.0
# A limit of 0 while nothing runs is a precaution; by the next day it may have been forgotten.
IDLE_HOLD_S_MAX = 86_400.0
# Job, relay and notifier deliver within seconds; Slack may ask for minutes.
DELIVERY_S_MAX = 900.0
# Beyond this part of PostgreSQL's lock table, a statement over many campaigns may be refused (out of shared memory).
# Also of what a dump would need: others hold locks too.
LOCKS_SHARE_MAX = 0.8
# Each look at an overdue campaign's targets is a scan of them.
LOOKED_AT_MAX = 5


@dataclass(frozen=True)
class Trouble:
    """One thing that is not as it should be, since when; campaign_id is DEPLOYMENT where it concerns no campaign.

    facts: what its sentence is filled with. needs_person: false for what is only listed: too old to alarm, or not yet
    long enough.
    """

    kind: TroubleKind
    campaign_id: int
    name: str
    since: datetime
    facts: dict[str, Any] = field(default_factory=dict)
    needs_person: bool = True
