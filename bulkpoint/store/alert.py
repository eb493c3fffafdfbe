"""What needs a person: asked every minute by whoever watches; changes nothing, needs no right."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# A limit of 0 is a tool: for a look at money's answers it takes minutes. After ten, somebody may have forgotten it.
HOLD_S_MAX = 600.0
# Longer than whatever a run waits for by itself: the breaker's patience, the time a look-up needs to prove absence.
STANDSTILL_S_MAX = 600.0


@dataclass(frozen=True)
class Alert:
    """One thing that goes wrong, with a campaign that says RUNNING, or with an event on its way out.

    DRIVER_GONE: the driver's lease has passed, at `since`. ON_HOLD: the limit is 0, set at `since` by `who`, for `why`,
    up to `until`, each of the last two none where it was not said. STANDSTILL: no payment has ended since `since`,
    though the limit lets calls out. PARKED: Kafka
    refuses one of its events, for `why`. `key` is the same for as long as the trouble is the same one.
    """

    kind: Literal["DRIVER_GONE", "ON_HOLD", "STANDSTILL", "PARKED"]
    key: str
    campaign_id: int
    name: str
    since: datetime
    who: str | None
    why: str | None
    until: datetime | None


_ALERTS = Query("find_alerts", Alert)


def find_alerts(connection: Connection) -> list[Alert]:
    """Everything that needs a person now, of one moment; empty when all is well. A few rows are read, whatever runs."""
    return _ALERTS.all(connection, hold_s_max=HOLD_S_MAX, standstill_s_max=STANDSTILL_S_MAX)
