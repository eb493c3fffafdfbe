"""One payment settled by a person's word: what is known of it before, and the row that says so for ever."""

from dataclasses import dataclass
from typing import NamedTuple

from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.store.connect import Connection
from bulkpoint.store.reconcile import EndedRun
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

REASON_CHARACTERS_MAX = 500


class PaymentToSettle(NamedTuple):
    """A payment as it was read. since_*: seconds before that, None where it was never sent; alive_s: seconds.

    last_sent_at: seconds since 1970 by the database. alive_s: None where no worker has it.
    """

    seq: int
    member_id: str
    amount: int
    state: PaymentState
    failure_kind: str | None
    failure_code: str | None
    transaction_id: str | None
    claim_share: int | None
    claim_epoch: int | None
    retry_runs: int
    last_sent_at: float | None
    since_first_sent_s: float | None
    since_last_sent_s: float | None
    alive_s: float | None

    def is_as(self, other: "PaymentToSettle") -> bool:
        """Whether nothing has happened to it between the two looks."""
        return self._without_clock() == other._without_clock()

    def _without_clock(self) -> "PaymentToSettle":
        return self._replace(since_first_sent_s=None, since_last_sent_s=None, alive_s=None)


@dataclass(frozen=True, slots=True)
class SettledByHand:
    """How many payments of a campaign are SUCCESS by a person's word, and their points."""

    count: int
    amount: int


_PAYMENT = Query("payment_to_settle", PaymentToSettle)
_IS = Query("is_settled_by_hand", bool)
_COUNT = Query("count_settled_by_hand", SettledByHand)


def find_payment_to_settle(connection: Connection, run: EndedRun, member_id: str) -> PaymentToSettle | None:
    """The member's payment in the campaign of `run`, its latest; None where the campaign does not name the member."""
    return _PAYMENT.first(connection, campaign_id=run.campaign_id, run_id=run.run_id, member_id=member_id)


def note_settled_by_hand(
    connection: Connection,
    run: EndedRun,
    payment: PaymentToSettle,
    *,
    transaction_id: str,
    money_said: str,
    reason: str,
    actor: str,
) -> None:
    """Write down whose word made the payment SUCCESS, in the caller's transaction, which made it so.

    The database refuses a login that has not the right `reconcile`.
    """
    connection.execute(
        sql("insert_settled_by_hand"),
        {
            "campaign_id": run.campaign_id,
            "seq": payment.seq,
            "amount": payment.amount,
            "transaction_id": transaction_id,
            "money_said": money_said,
            "reason": reason,
            "actor": actor,
        },
    )


def is_settled_by_hand(connection: Connection, campaign_id: int, seq: int) -> bool:
    """Whether the payment is SUCCESS by a person's word."""
    return _IS.one(connection, campaign_id=campaign_id, seq=seq)


def count_settled_by_hand(connection: Connection, campaign_id: int) -> SettledByHand:
    """For a campaign's figures."""
    return _COUNT.one(connection, campaign_id=campaign_id)
