"""The rows of a partition: read from Spark's batches as they come, claimed a little ahead of the sender."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from bulkpoint.pay.gate import boot_clock
from bulkpoint.pay.task import Payment
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import claim_payments
from bulkpoint.store.share import RunToken, ShareToken

if TYPE_CHECKING:
    import pyarrow as pa

# Per statement.
CLAIM_ROWS_MAX = 500


class FrozenPayment(NamedTuple):
    """A payment as Spark read it; these frozen columns never change, so they may be as old as the wave."""

    seq: int
    member_id: str
    amount: int
    reason: str


class SparkInputError(Exception):
    """Spark's own stream of rows broke, because its JVM failed or ended: it is for Spark to say why."""


class Rows:
    """The rows not yet claimed: those given back first, then the rest of Spark's batches."""

    def __init__(self, batches: Iterable["pa.RecordBatch"]) -> None:
        self._given_back: deque[FrozenPayment] = deque()
        self._coming = _rows_of(batches)
        self._ended = False

    def take(self, count: int) -> list[FrozenPayment]:
        """Up to `count` rows; empty when none is left. Raises SparkInputError."""
        taken: list[FrozenPayment] = []
        while len(taken) < count and self._given_back:
            taken.append(self._given_back.popleft())
        wanted = count - len(taken)
        coming = list(islice(self._coming, wanted))
        self._ended = self._ended or len(coming) < wanted
        return taken + coming

    def give_back(self, payments: Iterable[Payment]) -> None:
        """Payments that were claimed and not sent, for the next lease of a share."""
        self._given_back.extend(FrozenPayment(p.seq, p.member_id, p.amount, p.reason) for p in payments)

    @property
    def ended(self) -> bool:
        return self._ended and not self._given_back


def claim(
    connection: Connection, run: RunToken, token: ShareToken, namespace: UUID, rows: Sequence[FrozenPayment]
) -> list[Payment]:
    """Claim rows; leaves out those that are final, not yet due, or claimed by a live holder."""
    by_seq = {row.seq: row for row in rows}
    asked_at = boot_clock()
    claims = claim_payments(connection, run, token, sorted(by_seq))
    answered_at = boot_clock()
    payments = []
    for seq, tries, maybe_credited, failure_code, refused, since_first_s, since_last_s in claims:
        _, member_id, amount, reason = by_seq[seq]
        key = idempotency_key(namespace, member_id)
        # The durations were true at a moment between the two instants: take the first send as early, the last as late.
        first_sent_at = last_sent_at = None
        if since_first_s is not None:
            first_sent_at = asked_at - since_first_s
            last_sent_at = answered_at - (since_first_s if since_last_s is None else since_last_s)
        payments.append(
            Payment(
                seq,
                member_id,
                amount,
                reason,
                key,
                tries,
                maybe_credited,
                failure_code,
                first_sent_at,
                last_sent_at,
                refused=refused,
            )
        )
    return payments


def _rows_of(batches: Iterable["pa.RecordBatch"]) -> Iterator[FrozenPayment]:
    coming = iter(batches)
    while True:
        try:
            batch = next(coming, None)
        except Exception as error:
            raise SparkInputError(f"{type(error).__name__}: {error}") from error
        if batch is None:
            return
        columns = (batch.column(name).to_pylist() for name in ("seq", "member_id", "amount", "reason"))
        yield from map(FrozenPayment._make, zip(*columns, strict=True))
