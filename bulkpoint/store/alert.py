"""What needs a person: queried every minute by monitoring; changes nothing, needs no right."""

from dataclasses import dataclass
from datetime import datetime

from bulkpoint.rules.troubles import TroubleKind
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# A limit of 0 is for checking answers of the money API, which takes minutes. After ten it may have been forgotten.
HOLD_S_MAX = 600.0
# Longer than anything a run itself waits for: the breaker's patience, the time a look-up needs to prove absence.
STANDSTILL_S_MAX = 600.0


@dataclass(frozen=True)
class Alert:
    """One thing that goes wrong, with a campaign that says RUNNING, or with an event to be published.

    DRIVER_GONE: the driver's lease expired at `since`. ON_HOLD: the limit is 0, set at `since` by `who`, for `why`, up
    to `until`; `why` and `until` are None where not given. STANDSTILL: no payment has ended since `since`, though the
    limit lets calls out. PARKED: Kafka refuses one of its events (a dead letter), for `why`. `key` stays the same for
    as long as the trouble is the same one.
    """

    kind: TroubleKind
    key: str
    campaign_id: int
    name: str
    since: datetime
    who: str | None
    why: str | None
    until: datetime | None


_ALERTS = Query("find_alerts", Alert)


def find_alerts(connection: Connection) -> list[Alert]:
    """Everything that needs a person now, from one snapshot; empty when all is well. Reads only a few rows."""
    return _ALERTS.all(connection, hold_s_max=HOLD_S_MAX, standstill_s_max=STANDSTILL_S_MAX)
