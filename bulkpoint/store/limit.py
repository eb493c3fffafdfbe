"""The limit: one global TPS and the number of shares it is divided into."""

from dataclasses import asdict, dataclass
from datetime import datetime

from bulkpoint.rules.shares import permits
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class Limit:
    """tps: calls a second at most, 0 pauses everything. leased: the numbers of the leased shares.

    until and tps_afterwards: when the present figure ends, and the figure after it.
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
        """Calls a second that all leased shares together may send."""
        return sum(permits(self.tps, self.shares, share) for share in self.leased)


@dataclass(frozen=True, slots=True)
class LockedLimit:
    """The figure in force and who set it, its row locked. tps_afterwards: what comes back, None: permanent."""

    tps: int
    tps_afterwards: int | None
    set_by: str


@dataclass(frozen=True, slots=True)
class NewLimit:
    """What the limit is to be. until: when tps_afterwards comes back; both None: permanent."""

    tps: int
    reason: str | None
    until: datetime | None
    tps_afterwards: int | None


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One change, as its audit row has it; None: not known. until: a time in ISO format."""

    audit_no: int
    at: datetime
    login: str
    actor: str
    tps: int | None
    tps_before: int | None
    reason: str | None
    until: str | None
    tps_afterwards: int | None


_LIMIT = Query("get_limit", Limit)
_IN_FORCE = Query("limit_in_force", Limit)
_LOCK = Query("lock_limit", LockedLimit)
_LOCK_OVER = Query("lock_limit_that_is_over", LockedLimit)
_CHANGES = Query("list_limit_changes", LimitChange)


def ensure_limit(connection: Connection, *, tps: int, shares: int, actor: str) -> None:
    """Store the first limit; changes nothing where there is one."""
    connection.execute(sql("ensure_limit"), {"tps": tps, "shares": shares, "actor": actor})


def get_limit(connection: Connection) -> Limit:
    """The limit as it is. Call ensure_limit first."""
    return _LIMIT.one(connection)


def limit_in_force(connection: Connection) -> Limit | None:
    """The limit that counts now, changing nothing; None where none was stored yet."""
    return _IN_FORCE.first(connection)


def lock_limit(connection: Connection) -> LockedLimit:
    """Lock the limit until the caller's transaction ends. Call ensure_limit first."""
    return _LOCK.one(connection)


def lock_limit_that_is_over(connection: Connection) -> LockedLimit | None:
    """The same for a temporary figure that has expired; None where the figure in force is not one."""
    return _LOCK_OVER.first(connection)


def set_limit(connection: Connection, new: NewLimit, *, actor: str) -> None:
    """Change the locked limit; all shares change with it."""
    connection.execute(sql("set_limit"), asdict(new) | {"actor": actor})


def list_limit_changes(
    connection: Connection, *, rows_max: int, before_no: int | None = None, since: datetime | None = None
) -> list[LimitChange]:
    """The latest changes, at most `rows_max`, latest first; those before a row of the audit log, those since a time."""
    return _CHANGES.all(connection, rows_max=rows_max, before_no=before_no, since=since)
