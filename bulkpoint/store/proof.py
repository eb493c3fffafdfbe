"""What was recorded, row by row: to compare it with the ledger of the money API and with the limit."""

from dataclasses import dataclass
from typing import NamedTuple

from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query


@dataclass(frozen=True, slots=True)
class Result:
    """A payment in our database; `failure_kind` is empty where it did not fail."""

    member_id: str
    amount: int
    state: PaymentState
    transaction_id: str | None
    failure_kind: str


class Send(NamedTuple):
    """A call: when it left (seconds since 1970), and for which payment."""

    sent_at: float
    seq: int


_RESULTS = Query("list_results", Result)
_SENDS = Query("list_sends", Send)


def list_results(connection: Connection, campaign_id: int) -> list[Result]:
    """Every payment of a campaign; in memory, so for one million rows, not for a hundred million."""
    return _RESULTS.all(connection, campaign_id=campaign_id)


def list_sends(connection: Connection, campaign_id: int) -> list[Send]:
    """Every call of a campaign, in the order in which they left."""
    return _SENDS.all(connection, campaign_id=campaign_id)
