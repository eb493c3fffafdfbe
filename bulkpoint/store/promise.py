"""What the money API promises, as the database has it: one row."""

from dataclasses import asdict, dataclass
from datetime import datetime

from bulkpoint.rules.promises import MoneyPromises
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True, slots=True)
class StoredPromises:
    """The deployment's promises, and who set them, when and why."""

    key_retention_h: float
    settle_s: float
    connect_timeout_s: float
    timeout_s: float
    set_by: str
    set_at: datetime
    reason: str

    @property
    def promises(self) -> MoneyPromises:
        """The values alone."""
        return MoneyPromises(self.key_retention_h, self.settle_s, self.connect_timeout_s, self.timeout_s)


@dataclass(frozen=True, slots=True)
class PromisesInForce:
    """What counts in this process. stored: None where no command has stored any yet; set_here: as this process is set.

    remarks: one for each value that is set here and is not the stored one, to be shown to people.
    """

    promises: MoneyPromises
    stored: StoredPromises | None
    set_here: MoneyPromises
    remarks: tuple[Refusal, ...] = ()


_GET = Query("get_promises", StoredPromises)
_LOCK = Query("lock_promises", StoredPromises)


def ensure_promises(connection: Connection, first: MoneyPromises, *, actor: str) -> None:
    """Store the first promises; changes nothing where there are some."""
    connection.execute(sql("ensure_promises"), asdict(first) | {"actor": actor})


def get_promises(connection: Connection) -> StoredPromises | None:
    """The promises as they are; None where none were stored yet."""
    return _GET.first(connection)


def lock_promises(connection: Connection) -> StoredPromises:
    """Lock them until the caller's transaction ends. Call ensure_promises first."""
    return _LOCK.one(connection)


def set_promises(connection: Connection, new: MoneyPromises, *, actor: str, reason: str) -> None:
    """Change the locked promises."""
    connection.execute(sql("set_promises"), asdict(new) | {"actor": actor, "reason": reason})
