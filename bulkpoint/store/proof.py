"""What was recorded, row by row: for comparing it with money's ledger and with the limit."""

from dataclasses import dataclass

from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import typed_row
from bulkpoint.store.sql import sql


@dataclass(frozen=True, slots=True)
class Result:
    """A payment as we have it; `failure_kind` is empty where it did not fail."""

    member_id: str
    amount: int
    state: PaymentState
    transaction_id: str | None
    failure_kind: str


def list_results(connection: Connection, campaign_id: int) -> list[Result]:
    """Every payment of a campaign; in memory, so for a million rows, not for a hundred."""
    with connection.cursor(row_factory=typed_row(Result)) as cursor:
        return cursor.execute(sql("list_results"), {"campaign_id": campaign_id}).fetchall()


def list_sends(connection: Connection, campaign_id: int) -> list[tuple[float, int]]:
    """When each call of a campaign left (seconds since 1970) and its payment's seq, in the order of leaving."""
    return connection.execute(sql("list_sends"), {"campaign_id": campaign_id}).fetchall()
