"""A worker's lease of one share of the limit: taken, renewed on a connection of its own, lost, or released.

At the end of a run some workers are done before the others. What they gave back is then nobody's: a worker that is
still at work leases such idle shares too, and its gate has the permits of all of them, so that the limit is used to the
last payment. While the money API slows any share down it gives them back: turns are taken by equal shares.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bulkpoint.campaigns.promises import promises_of
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.task import PartitionTask
from bulkpoint.rules.clocks import DatabaseClock
from bulkpoint.rules.gate import CountsFrom
from bulkpoint.rules.patience import Heard
from bulkpoint.rules.pressure import PressureSnapshot
from bulkpoint.rules.promises import GRACE_AFTER_TIMEOUT_S, MoneyPromises, changed, safer
from bulkpoint.rules.shares import deal, permits
from bulkpoint.rules.turns import read_back, written
from bulkpoint.store.connect import Connection, DatabaseAwayError, Link, PeriodicLink
from bulkpoint.store.share import (
    Renewal,
    RunToken,
    ShareToken,
    acquire_share,
    release_share,
    renew_share,
)

RENEW_EVERY_S = 0.3
# Measured from the moment before the last successful renewal was requested. Sending needs fresh knowledge of a stop or
# a new limit ...
FRESH_S = 0.9
# ... but the share itself is kept longer: a short database outage does not lose it.
OWN_S = 3.0
# A renewal that takes longer would be too late to send by; a new connection may be faster.
ANSWER_S_MAX = 2.0
# Of the latest readings of the database's clock, so many are compared: those of about three seconds.
CLOCKS_KEPT = 10


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What the leases of one worker have in common: database, run, and what it relies on of the money API.

    name: of the worker, for pg_stat_activity. Without a run: for look-ups, which count against the limit as all calls.
    """

    conninfo: str
    name: str
    run: RunToken | None
    promises: MoneyPromises
    counts_from: CountsFrom = "send"

    @classmethod
    def of(cls, job: PartitionTask) -> "LeaseTerms":
        """Of the workers of one run."""
        settings, name = job.settings, f"bulkpoint worker of run {job.run.run_id}"
        return cls(job.conninfo, name, job.run, promises_of(settings), settings.limit_counts_from)

    @property
    def in_database_s(self) -> float:
        """How long the row stays taken after a renewal: the lease, and the calls that may still be on their way.

        With calls counted from the answer, a call that timed out may reach the money API one more timeout later.
        """
        timeouts = 2 if self.counts_from == "answer" else 1
        return OWN_S + timeouts * self.promises.timeout_s + GRACE_AFTER_TIMEOUT_S


class Lease:
    """One lease of one share. Renewals open and close the gate; `stop` ends them, `release` gives the share back.

    Deadlines use this machine's clock, from the moment *before* a renewal was requested, so a slow answer can only
    shorten them.

    promises: what to rely on now; a change in the database that makes it stricter arrives with the next renewal.
    clock: converts an instant of this worker's clock to the database's seconds since 1970. The offset is measured
    before the first send, so that the stamps of one share never jump. trouble: what ended the renewals though nobody
    asked for it; the gate is closed then, and the share expires by itself where it cannot be released. link: connected
    already, for the renewals.
    """

    def __init__(
        self,
        terms: LeaseTerms,
        token: ShareToken,
        gate: LeasedGate,
        *,
        clock: DatabaseClock,
        link: Link | None = None,
    ) -> None:
        self.token = token
        self.gate = gate
        self.run_over = False
        self.lost = False
        self.trouble: Exception | None = None
        self.moved_away = False  # the share has no permits, but other shares do: give it back
        self.promises = terms.promises
        self._idle_ones: list[ShareToken] = []  # leased besides, by the renewals' thread
        self._permits: dict[ShareToken, int] = {}  # of each that the gate has now
        self._clocks = deque([clock], maxlen=CLOCKS_KEPT)
        gate.take_part(token.share)
        self._terms = terms
        self._owned_until = clock.asked_at + OWN_S
        self.clock = clock
        self._first_answer = threading.Event()
        self._renewals = PeriodicLink(
            terms.conninfo,
            self._turn,
            name=terms.name,
            thread_name=f"renew-{token.share}",
            every_s=RENEW_EVERY_S,
            answer_s_max=ANSWER_S_MAX,
            on_trouble=self._renewals_ended,
            link=link,
        )
        self._first_answer.wait(OWN_S)

    @property
    def over(self) -> bool:
        """Whether no more calls may be sent under this lease."""
        ended = self.lost or self.run_over or self.moved_away or self.trouble is not None
        return ended or boot_clock() >= self._owned_until

    def stop(self) -> None:
        """Close the gate and stop renewing."""
        self.gate.close()
        self._renewals.stop()

    def release(self, connection: Connection) -> None:
        """Give the share back with the sends of the last second, so that its next holder counts each once.

        The sends of several shares are dealt to their next holders: all of them together count each send once.
        """
        if self.lost or boot_clock() >= self._owned_until:
            return
        tokens = [self.token, *self._idle_ones]
        own, *others = deal(self._sends(), [self._permits.get(token, 0) for token in tokens])
        release_share(connection, self.token, own, self._pressure(), self._heard())
        for token, sent_at in zip(self._idle_ones, others, strict=True):
            release_share(connection, token, sent_at)

    def _sends(self) -> list[float]:
        """Those of the last second, by the database's clock."""
        return [self.clock.stamp(at) for at in self.gate.remembered()]

    def _pressure(self) -> dict[str, float | None] | None:
        """How far the money API slows this share down, by the database's clock."""
        pressure = self.gate.pressure()
        return None if pressure is None else _shifted(pressure, self.clock.stamp)._asdict()

    def _heard(self) -> dict[str, float | str | None] | None:
        """What was heard of the money API under this lease, by the database's clock; None for nothing yet."""
        heard = self.gate.heard
        if heard == Heard():
            return None
        instants = {name: getattr(heard, name) for name in ("usable_at", "trouble_at", "asked_until")}
        return heard._asdict() | {name: at and self.clock.stamp(at) for name, at in instants.items()}

    def _turns(self) -> dict[str, Any] | None:
        told = self.gate.tell_turns()
        ahead_s = self._database_ahead_s()
        return None if told is None else written(told, lambda at: at + ahead_s)

    def _hear_turns(self, others: list[dict[str, Any]] | None) -> None:
        if others is None:
            self.gate.hear_turns(None)
            return
        ahead_s = self._database_ahead_s()
        self.gate.hear_turns([read_back(one["share"], one["turns"], lambda at: at - ahead_s) for one in others])

    def _database_ahead_s(self) -> float:
        """How far the database's clock is ahead, by the best of the latest readings: turns need no caution, and a
        database's clock may be set."""
        best = min(self._clocks, key=lambda clock: clock.error_s)
        return best.database_now - (best.asked_at + best.answered_at) / 2

    def _turn(self, link: Link) -> bool:
        if self.over:
            return False
        asked_at = boot_clock()
        # Without an answer the gate closes by itself 0.9 s after the last one, and the lease is `over` after 3 s.
        with suppress(DatabaseAwayError):
            renewal = link.ask(self._renew)
            slowed = renewal.others is not None or self.gate.pressure() is not None
            self._learn(renewal, asked_at, idle_ones=() if slowed else self._idle_ones)
            self._first_answer.set()
            if slowed and self._idle_ones:
                link.ask(self._give_idle_ones_back)
            elif self._may_take_idle(renewal) and not slowed and not self.over and link.ask(self._take_idle_one):
                self._permit(renewal, asked_at, self._idle_ones)
        return True

    def _may_take_idle(self, renewal: Renewal) -> bool:
        """Not where calls count from their answers: one without an answer may arrive after its share was given back,
        and the next holder cannot know when."""
        return renewal.idle_share and self._terms.counts_from == "send"

    def _take_idle_one(self, connection: Connection) -> bool:
        """Lease one more share; False where another one has just taken it."""
        asked_at = boot_clock()
        holder, lease_s = self.token.holder, self._terms.in_database_s
        acquired = acquire_share(connection, self._terms.run, holder, lease_s=lease_s, idle=True)
        if acquired is None:
            return False
        clock = DatabaseClock(asked_at, boot_clock(), acquired.database_now)
        self.gate.remember([clock.instant(at) for at in acquired.sent_at])
        self._idle_ones.append(acquired.token)
        return True

    def _give_idle_ones_back(self, connection: Connection) -> None:
        """After their permits were taken from the gate. It goes on counting the sends that it hands over: for a second
        they count twice."""
        for token in list(self._idle_ones):
            release_share(connection, token, self._sends())
            self._idle_ones.remove(token)

    def _renew(self, connection: Connection) -> Renewal:
        terms = self._terms
        renewal = renew_share(
            connection,
            terms.run,
            self.token,
            lease_s=terms.in_database_s,
            pressure=self._pressure(),
            heard=self._heard(),
            turns=self._turns(),
        )
        self._idle_ones = [
            token
            for token in self._idle_ones
            if renew_share(connection, terms.run, token, lease_s=terms.in_database_s).held
        ]
        return renewal

    def _learn(self, renewal: Renewal, asked_at: float, *, idle_ones: Sequence[ShareToken]) -> None:
        if not renewal.held or boot_clock() >= self._owned_until:
            self._lose()
            return
        self._owned_until = asked_at + OWN_S
        clock = DatabaseClock(asked_at, boot_clock(), renewal.database_now)
        self._clocks.append(clock)
        if not self._first_answer.is_set():  # nothing was sent yet: the better of two measurements stays
            self.clock = min(self.clock, clock, key=lambda measured: measured.error_s)
        if not renewal.run_live:
            self.run_over = True
            self.gate.close()
            return
        stored = {"key_retention_h": renewal.key_retention_h, "settle_s": renewal.settle_s}
        self.promises = safer(self._terms.promises, changed(self._terms.promises, stored))
        if permits(renewal.tps, renewal.shares, self.token.share) == 0 and renewal.tps > 0:
            self.moved_away = True
            self.gate.close()
            return
        self._permit(renewal, asked_at, idle_ones)
        self._hear_turns(renewal.others)

    def _permit(self, renewal: Renewal, asked_at: float, idle_ones: Sequence[ShareToken]) -> None:
        self._permits = {token: permits(renewal.tps, renewal.shares, token.share) for token in (self.token, *idle_ones)}
        self.gate.learn(rate=sum(self._permits.values()), fresh_until=asked_at + FRESH_S, tps=renewal.tps)

    def _renewals_ended(self, error: Exception) -> None:
        self.trouble = error
        self.gate.close()
        self._first_answer.set()

    def _lose(self) -> None:
        self.lost = True
        self.gate.close()


def renewing_link(terms: LeaseTerms) -> Link:
    """A link for the renewals of a lease, not connected yet."""
    return Link(terms.conninfo, name=terms.name, answer_s_max=ANSWER_S_MAX, patience_s=0)


def take_share(
    connection: Connection, terms: LeaseTerms, make_gate: Callable[[], LeasedGate], link: Link | None = None
) -> Lease | None:
    """Acquire a free share and begin renewing it, by `link` where it is given; None while no share is free."""
    asked_at = boot_clock()
    acquired = acquire_share(connection, terms.run, uuid4(), lease_s=terms.in_database_s)
    if acquired is None:
        return None
    clock = DatabaseClock(asked_at, boot_clock(), acquired.database_now)
    gate = make_gate()
    gate.remember([clock.instant(at) for at in acquired.sent_at])
    if acquired.pressure is not None:
        gate.take_over(_shifted(PressureSnapshot(**acquired.pressure), clock.instant))
    return Lease(terms, acquired.token, gate, clock=clock, link=link)


def _shifted(pressure: PressureSnapshot, to_other_clock: Callable[[float], float]) -> PressureSnapshot:
    """The same snapshot, with instants of another clock."""
    instants = (None if at is None else to_other_clock(at) for at in pressure[2:])
    return PressureSnapshot(pressure.rate, pressure.ceiling, *instants)
