"""How long a run waits for the money API, and what it waits for: plain values of all its shares, one decision.

The patience belongs to the run, not to a share: a list of two rows is paid by another share in each sweep, and none of
them alone would ever see an outage. It counts over waves and sweeps, while calls fail and while the money API has asked
us to wait; a pause (0 TPS) gives it back in full, and time in which nothing was asked does not count.
"""

from enum import StrEnum
from typing import Any, NamedTuple

from bulkpoint.rules.answers import Outcome

# After a failed call the next one follows within the backoff and this: a sweep of Spark begins in between.
QUIET_S = 10.0
# More time than this between two looks was not looked at: the database was away, or the driver slept.
LOOK_S_MAX = 5.0
# Trouble for less than this is no wait yet.
SHOWN_AFTER_S = 1.0


class Trouble(NamedTuple):
    """A call that got nothing usable. code: a cause's name, or the money API's own code."""

    outcome: Outcome
    code: str | None = None
    status: int | None = None
    retry_after_s: float | None = None


class Heard(NamedTuple):
    """What was last heard of the money API. Instants are seconds of one clock; None: never.

    usable_at: of the last usable answer. trouble_at: of the last call without one; asked_until: until when the money
    API has asked us to wait, at most. What the last trouble was: `outcome`, `code`, `status`, `retry_after_s`.
    """

    usable_at: float | None = None
    trouble_at: float | None = None
    asked_until: float | None = None
    outcome: str | None = None
    code: str | None = None
    status: int | None = None
    retry_after_s: float | None = None

    def after_answer(self, now: float) -> "Heard":
        """After a usable answer."""
        return Heard(usable_at=now)

    def after_trouble(self, trouble: Trouble, now: float) -> "Heard":
        """After a call without one."""
        until = None if trouble.retry_after_s is None else now + trouble.retry_after_s
        asked = [at for at in (self.asked_until, until) if at is not None and at > now]
        return Heard(self.usable_at, now, max(asked, default=None), *trouble)


class WaitsFor(StrEnum):
    """What a run waits for."""

    MONEY_REACHED = "MONEY_REACHED"  # no connection can be made
    MONEY_ASKED = "MONEY_ASKED"  # it has asked us to wait
    MONEY_ANSWER = "MONEY_ANSWER"  # its answers are errors, or none come
    SHARE = "SHARE"  # every share of the limit is leased by another
    TASKS = "TASKS"  # Spark begins its tasks
    NEXT_TRY = "NEXT_TRY"  # payments are not yet due


# For these the patience ends.
MONEY_WAITS = frozenset({WaitsFor.MONEY_REACHED, WaitsFor.MONEY_ASKED, WaitsFor.MONEY_ANSWER})


class Waiting(NamedTuple):
    """What a run waits for, as its row keeps it. since, until: seconds since 1970 by the database's clock."""

    what: WaitsFor
    since: float
    until: float | None = None
    url: str | None = None
    outcome: str | None = None
    code: str | None = None
    status: int | None = None
    retry_after_s: float | None = None

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Waiting":
        """As it was stored."""
        return cls(**{**stored, "what": WaitsFor(stored["what"])})


class Patience:
    """Adds up for how long there has been nothing but trouble; look often, about once a second.

    limit_s: BULKPOINT_BREAKER_PATIENCE_S. backoff_s: seconds from a failed call of a payment to its next one.
    """

    def __init__(self, *, limit_s: float, backoff_s: float) -> None:
        self.spent_s = 0.0
        self._limit_s = limit_s
        self._counts_for_s = backoff_s + QUIET_S
        self._looked_at: float | None = None
        self._usable_at: float | None = None
        self._not_before: float | None = None
        self._trouble_since: float | None = None

    def look(self, heard: Heard, *, tps: int, now: float) -> bool:
        """Count the time since the last look; True when the patience is used up. tps: the limit, 0 for a pause."""
        elapsed_s = 0.0 if self._looked_at is None else min(max(0.0, now - self._looked_at), LOOK_S_MAX)
        self._looked_at = now
        usable_again = heard.usable_at is not None and heard.usable_at != self._usable_at
        self._usable_at = heard.usable_at
        if tps == 0:
            self._not_before = now
        if usable_again or not self._is_trouble(heard):
            self.spent_s, self._trouble_since = 0.0, None
            return False
        assert heard.trouble_at is not None
        if self._trouble_since is None:
            self._trouble_since = heard.trouble_at
            elapsed_s = min(max(0.0, now - heard.trouble_at), LOOK_S_MAX)
        counts_until = max(heard.trouble_at + self._counts_for_s, heard.asked_until or 0.0)
        if now <= counts_until:
            self.spent_s += elapsed_s
        return self.spent_s > self._limit_s

    def waiting(self, heard: Heard, *, url: str, now: float) -> Waiting | None:
        """What is waited for, after a look; None where it is not the money API."""
        if self._trouble_since is None or self.spent_s < SHOWN_AFTER_S or heard.outcome is None:
            return None
        what = WaitsFor.MONEY_ANSWER
        if heard.asked_until is not None and heard.asked_until > now:
            what = WaitsFor.MONEY_ASKED
        elif heard.outcome == Outcome.NOT_CONNECTED:
            what = WaitsFor.MONEY_REACHED
        until = heard.asked_until if what is WaitsFor.MONEY_ASKED else None
        return Waiting(what, self._trouble_since, until, url, *heard[3:])

    def _is_trouble(self, heard: Heard) -> bool:
        at = heard.trouble_at
        if at is None or (self._not_before is not None and at <= self._not_before):
            return False
        return heard.usable_at is None or at > heard.usable_at


def heard_by_all(shares: list[Heard]) -> Heard:
    """What several shares have heard, as one: the last usable answer and the last trouble of any of them."""
    if not shares:
        return Heard()
    troubled = max(shares, key=lambda one: one.trouble_at or 0.0)
    return troubled._replace(
        usable_at=max((one.usable_at for one in shares if one.usable_at is not None), default=None),
        asked_until=max((one.asked_until for one in shares if one.asked_until is not None), default=None),
    )
