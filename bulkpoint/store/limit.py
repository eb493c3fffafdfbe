"""The limit: one global TPS and the number of shares it is divided into."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from bulkpoint.rules.shares import permits
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import DEPLOYMENT, write_event
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class Limit:
    """tps: calls a second at most, 0 holds everything. leased: the numbers of the shares that someone holds.

    until and tps_afterwards: when the present figure ends, and what comes then.
    """

    tps: int
    shares: int
    set_by: str
    set_at: datetime
    reason: str | None
    until: datetime | None
    tps_afterwards: int | None
    leased: list[int]

    @property
    def in_use(self) -> int:
        """What the holders of shares may send a second, all together."""
        return sum(permits(self.tps, self.shares, share) for share in self.leased)


def ensure_limit(connection: Connection, *, tps: int, shares: int, actor: str) -> None:
    """Store the first limit; changes nothing where there is one."""
    connection.execute(sql("ensure_limit"), {"tps": tps, "shares": shares, "actor": actor})


def get_limit(connection: Connection) -> Limit:
    """The limit as it is. Call ensure_limit first."""
    with connection.cursor(row_factory=class_row(Limit)) as cursor:
        limit = cursor.execute(sql("get_limit")).fetchone()
    assert limit is not None, "ensure_limit comes first"
    return limit


def set_tps(connection: Connection, *, tps: int, actor: str, reason: str | None, until: datetime | None) -> Limit:
    """Change the limit, with its audit row and its event, in one transaction; all shares move with it.

    With `until`, the figure that was in force comes back then; a second temporary figure keeps what the first one
    would have brought back.
    """
    with connection.transaction():
        row = connection.execute(sql("lock_limit")).fetchone()
        assert row is not None, "ensure_limit comes first"
        tps_before, tps_afterwards = row
        if until is None:
            tps_afterwards = None
        elif tps_afterwards is None:
            tps_afterwards = tps_before
        connection.execute(
            sql("set_limit"),
            {"tps": tps, "actor": actor, "reason": reason, "until": until, "tps_afterwards": tps_afterwards},
        )
        change = {
            "tps": tps,
            "tps_before": tps_before,
            "reason": reason,
            "until": None if until is None else until.isoformat(),
            "tps_afterwards": tps_afterwards,
        }
        write_audit(connection, action="tps.set", campaign_id=None, run=None, actor=actor, detail=change)
        write_event(connection, campaign_id=DEPLOYMENT, run=None, type="tps.changed", actor=actor, data=change)
    return get_limit(connection)


def restore_tps_if_due(connection: Connection) -> bool:
    """Bring back the figure that a temporary one stood in for, once its `until` has passed; the first look does it.

    A running job looks every second, and so does every command that shows the limit.
    """
    with connection.transaction():
        row = connection.execute(sql("lock_limit_that_is_over")).fetchone()
        if row is None:
            return False
        tps, set_by = row
        set_tps(connection, tps=tps, actor=set_by, reason="the temporary limit is over", until=None)
    return True
