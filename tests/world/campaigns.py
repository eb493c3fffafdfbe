"""Campaigns as tests need them, brought there by the product's own statements.

    campaign = world.campaign(targets=5).begun().paid(3).failed(1, kind="UNKNOWN")

is frozen and RUNNING, three payments are SUCCESS, one FAILED, one open, and the counters say so. What only time does (a
lease that passes, a limit that was set long ago) has a verb here, too: no test needs to know the columns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self
from uuid import uuid4

from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.reject import reject_campaign
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.pay.recorder import REASONS
from bulkpoint.rules.lifecycle import FailureKind, RunKind, RunState
from bulkpoint.store.campaign import Counts, get_campaign, get_counts, insert_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.payment import Attempt, Change, Claim, Conflict, claim_payments, record_results
from bulkpoint.store.progress import keep_progress
from bulkpoint.store.run import Run, halt_run
from bulkpoint.store.share import ShareToken, acquire_share, release_share
from bulkpoint.store.target import load_targets
from tests.world.counters import assert_sums_hold
from tests.world.stops import stop_run

ACTOR = "tester"
# Longer than any test looks at it.
LEASE_S = 60.0

Targets = int | Iterable[str] | Iterable[tuple[str, int, str]]


class World:
    """A database with a limit, and what tests put into it."""

    def __init__(self, connection: Connection, *, tps: int = 100, shares: int = 2, actor: str = ACTOR) -> None:
        self.connection = connection
        self.shares = shares
        ensure_limit(connection, tps=tps, shares=shares, actor=actor)

    def campaign(
        self,
        targets: Targets = 3,
        *,
        amount: int = 1,
        name: str = "c",
        note: str = "",
        creator: str = ACTOR,
        expected: tuple[int, int] | None = None,
        not_before: datetime | None = None,
    ) -> "Campaign":
        """A campaign that waits, past `campaign create`: no event and no audit row.

        targets: so many members m1, m2 ..., or their names, of `amount` points each, or whole rows (member, points,
        reason). Two campaigns never have the same list, unless whole rows say so. expected: number and points, where
        they are not those of the targets.
        """
        members: Sequence[str | tuple[str, int, str]]
        members = [f"m{n}" for n in range(1, targets + 1)] if isinstance(targets, int) else list(targets)
        points = sum(amount if isinstance(one, str) else one[1] for one in members)
        count, points = expected or (len(members), points)
        campaign_id = insert_campaign(
            self.connection,
            name=name,
            note=note,
            expected_count=count,
            expected_amount=points,
            creator=creator,
            not_before=not_before,
        )
        rows = [(one, amount, f"reason {campaign_id}") if isinstance(one, str) else one for one in members]
        if rows:
            load_targets(self.connection, campaign_id, rows)
        # Another login's, so that ours may approve it.
        return Campaign(self, campaign_id).created_by("alice")

    def written(self, campaign_id: int | None = None) -> tuple[list[str], list[str]]:
        """Types of events and actions of the audit log so far, in their order; of one campaign where it is named."""
        events = self.connection.execute(
            "select type from outbox_event where campaign_id = %(id)s or %(id)s::bigint is null"
            " order by campaign_id, event_no",
            {"id": campaign_id},
        ).fetchall()
        audit = self.connection.execute(
            "select action from audit_event where campaign_id = %(id)s or %(id)s::bigint is null order by audit_no",
            {"id": campaign_id},
        ).fetchall()
        return [row[0] for row in events], [row[0] for row in audit]

    def ago(self, seconds: float) -> datetime:
        """That moment by the database's clock; of negative seconds, one to come."""
        row = self.connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        now: datetime = row[0]
        return now - timedelta(seconds=seconds)

    # Time passes

    def limit_was_set(self, *, seconds_ago: float) -> None:
        self.connection.execute("update money_limit set set_at = %s", (self.ago(seconds_ago),))

    def limit_ends(self, *, in_s: float) -> None:
        """The temporary figure's own end."""
        self.connection.execute("update money_limit set until = %s", (self.ago(-in_s),))

    def shares_end(self, *, in_s: float, share: int | None = None) -> None:
        """The lease of a share, or of all; where nobody holds it, it is held from now on."""
        self.connection.execute(
            "update money_share set leased_until = %(until)s where share = %(share)s or %(share)s::int is null",
            {"until": self.ago(-in_s), "share": share},
        )

    def shares_were_released(self, *, seconds_ago: float) -> None:
        self.connection.execute(
            "update money_share set released_at = %s where released_at is not null", (self.ago(seconds_ago),)
        )


@dataclass
class Campaign:
    """One campaign; each verb brings it further and returns it."""

    world: World
    id: int
    token: ShareToken | None = field(default=None, repr=False)  # the share under which payments are claimed
    _run: Run | None = field(default=None, repr=False)

    @property
    def run(self) -> Run:
        """Its latest run that a test began."""
        assert self._run is not None, f"campaign {self.id} has not begun: call begun()"
        return self._run

    def on(self, connection: Connection) -> "Campaign":
        """The same campaign, by way of another connection."""
        return replace(self, world=World(connection, shares=self.world.shares))

    # What the product does

    def begun(self, kind: str = "INITIAL", *, actor: str = ACTOR, **asked: Any) -> Self:
        """RUNNING: the first start freezes its targets. asked: other fields of the RunRequest."""
        request = RunRequest(campaign=self.id, kind=RunKind(kind), actor=actor, **asked)
        self._run = begin_run(self._connection, request, shares=self.world.shares)
        return self

    def share(self, *, lease_s: float = LEASE_S) -> ShareToken:
        """A share of the limit, held for this run by nobody else."""
        acquired = acquire_share(self._connection, self.run.token, uuid4(), lease_s=lease_s)
        assert acquired is not None, "no share is free"
        return acquired.token

    def claim(self, token: ShareToken, seqs: Sequence[int]) -> list[Claim]:
        return claim_payments(self._connection, self.run.token, token, seqs)

    def record(self, token: ShareToken, changes: Sequence[Change], attempts: Sequence[Attempt] = ()) -> list[Conflict]:
        return record_results(self._connection, self.run.token, token.share, attempts, changes, reasons=REASONS)

    def attempted(self, *attempts: Attempt) -> Self:
        """Calls that were made, of whatever they came to."""
        record_results(self._connection, self.run.token, -1, attempts, [], reasons=REASONS)
        return self

    def claimed(self, payments: int | Iterable[int]) -> Self:
        """PROCESSING: the first open ones, so many, or those with these numbers; the share stays held as `token`."""
        self.token = self.token or self.share()
        seqs = self._open(payments)
        claims = self.claim(self.token, seqs)
        assert len(claims) == len(seqs), f"of {seqs} could be claimed {sorted(claim.seq for claim in claims)}"
        return self

    def paid(self, payments: int | Iterable[int], *, transaction: str | None = None) -> Self:
        """SUCCESS: so many of those that are open, or those with these numbers; `transaction` begins their ids.

        Without it t-1, t-2 ... in the first campaign; the money API never names two credits alike.
        """
        begins = "t-" if self.id == 1 else f"t-{self.id}-"
        return self._recorded(payments, "SUCCESS", transaction_id=transaction or begins)

    def failed(self, payments: int | Iterable[int], kind: str = "REJECTED", *, code: str = "NO", **more: Any) -> Self:
        """FAILED; UNKNOWN ones may have been credited. more: as Change has it."""
        more = {"maybe_credited": kind == "UNKNOWN", "failure_code": code} | more
        return self._recorded(payments, "FAILED", failure_kind=kind, **more)

    def called(self, payments: int | Iterable[int], **more: Any) -> Self:
        """PENDING again after a call: for its next try, or its look-up. more: as Change has it."""
        return self._recorded(payments, "PENDING", **more)

    def released(self) -> Self:
        """The share under which payments were claimed is free again."""
        assert self.token is not None, "no share is held"
        release_share(self._connection, self.token, [])
        self.token = None
        return self

    def halted(self, halt: str = "UNAUTHORIZED", reason: str = "money said no") -> Self:
        halt_run(self._connection, self.run.token, halt, reason)
        return self

    def ended(self, state: Literal["COMPLETED", "FAILED"], reason: str | None = None) -> Self:
        """Its driver ends the run; what is still open is paid before it is COMPLETED."""
        if state == "COMPLETED":
            self.paid(self._open())
        assert end_run(self._connection, self.run, RunState(state), reason) is not None, (
            "the run was no longer the driver's"
        )
        return self

    def stopped(self, *, actor: str = ACTOR, reason: str | None = None) -> Self:
        stop_run(self._connection, self.id, actor=actor, reason=reason)
        return self

    def approved(self, *, actor: str = ACTOR) -> Self:
        approve_campaign(self._connection, self.id, actor=actor)
        return self

    def rejected(self, *, actor: str = ACTOR, reason: str = "r") -> Self:
        reject_campaign(self._connection, self.id, actor=actor, reason=reason)
        return self

    def withdrawn(self, *, actor: str = ACTOR, reason: str = "r") -> Self:
        withdraw_campaign(self._connection, self.id, actor=actor, reason=reason)
        return self

    # What others do, and time

    def created_by(self, login: str) -> Self:
        self._connection.execute("update campaign set creator_login = %s where campaign_id = %s", (login, self.id))
        return self

    def loaded(self, rows: Iterable[tuple[str, int, str]]) -> Self:
        """More targets, by a loader."""
        load_targets(self._connection, self.id, rows)
        return self

    def driver_ends(self, *, in_s: float) -> Self:
        """The lease of the driver of the run that is RUNNING; where that is past, the driver is gone."""
        return self._run_is("driver_until", self.world.ago(-in_s))

    def without_driver(self) -> Self:
        return self.driver_ends(in_s=-1)

    def was_started(self, *, seconds_ago: float) -> Self:
        return self._run_is("started_at", self.world.ago(seconds_ago))

    def was_finished(self, *, seconds_ago: float) -> Self:
        """Its latest run was."""
        self._connection.execute(
            "update campaign_run set finished_at = %s where run_id = %s",
            (self.world.ago(seconds_ago), self.run.token.run_id),
        )
        return self

    def sampled(self, *, seconds_ago: float = 0) -> Self:
        """A sample of the run's progress as it is, taken so long ago."""
        keep_progress(self._connection, self.run.token.run_id)
        self._connection.execute(
            "update campaign_progress set sampled_at = %s"
            " where sampled_at = (select max(sampled_at) from campaign_progress)",
            (self.world.ago(seconds_ago),),
        )
        return self

    def times(self, payments: Sequence[int], **columns: datetime | None) -> Self:
        """Moments of these payments: first_sent_at, last_sent_at, finished_at ..."""
        for column, at in columns.items():
            self._connection.execute(
                f"update payment set {column} = %s where campaign_id = %s and seq = any(%s)".encode(),
                (at, self.id, list(payments)),
            )
        return self

    def had_retry_runs(self, count: int, *, kind: str) -> Self:
        """So many, those payments that FAILED by this kind."""
        self._connection.execute(
            "update payment set retry_runs = %s where campaign_id = %s and failure_kind = %s", (count, self.id, kind)
        )
        return self

    def lose(self, token: ShareToken) -> None:
        """Its lease has passed just now."""
        self.world.shares_end(in_s=-0.001, share=token.share)

    # Looking

    def counts(self) -> Counts:
        return get_counts(self._connection, get_campaign(self._connection, self.id))

    def states(self) -> dict[int, str]:
        """Of each payment, by its number."""
        return {seq: state for seq, state, *_ in self.payments()}

    def payments(self) -> list[tuple[int, str, str | None, int]]:
        """Number, state, failure kind and points of each payment, in their order."""
        return self._connection.execute(
            "select seq, state::text, failure_kind::text, amount from payment where campaign_id = %s order by seq",
            (self.id,),
        ).fetchall()

    def assert_sums_hold(self) -> None:
        """The counters say what the rows say, in number, points and kinds, and add up to the targets."""
        counts, rows = self.counts(), self.payments()
        for state in STATES:
            amounts = [amount for _, of_row, _, amount in rows if of_row == state]
            counted = (getattr(counts, state.lower()), getattr(counts, f"{state.lower()}_amount"))
            assert counted == (len(amounts), sum(amounts)), state
        kinds = [row[2] for row in rows]
        assert counts.failure_kinds == {kind: kinds.count(kind) for kind in FailureKind}
        assert_sums_hold(self._connection)
        campaign = get_campaign(self._connection, self.id)
        assert (campaign.target_count, campaign.target_amount) == (len(rows), sum(row[3] for row in rows))

    @property
    def _connection(self) -> Connection:
        return self.world.connection

    def _open(self, payments: int | Iterable[int] | None = None) -> list[int]:
        """Their numbers: the first so many, all of them, or just those that are named."""
        if payments is not None and not isinstance(payments, int):
            return list(payments)
        seqs = [seq for seq, state in self.states().items() if state in ("PENDING", "PROCESSING")]
        assert payments is None or payments <= len(seqs), f"only {len(seqs)} payments are open"
        return seqs[:payments]

    def _recorded(self, payments: int | Iterable[int], state: str, **more: Any) -> Self:
        seqs = self._open(payments)
        if not seqs:
            return self
        held = self.token is not None
        self.claimed(seqs)
        token = self.token
        assert token is not None
        of_all: dict[str, Any] = {"tries": 1, "maybe_credited": False} | more
        changes = [Change(seq, state, token, **of_all) for seq in seqs]
        if state == "SUCCESS":
            changes = [change._replace(transaction_id=f"{change.transaction_id}{change.seq}") for change in changes]
        self.record(token, changes)
        return self if held else self.released()

    def _run_is(self, column: str, at: datetime) -> Self:
        self._connection.execute(
            f"update campaign_run set {column} = %s where campaign_id = %s and state = 'RUNNING'".encode(),
            (at, self.id),
        )
        return self


STATES = ("PENDING", "PROCESSING", "SUCCESS", "FAILED")
