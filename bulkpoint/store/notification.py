"""Which event was sent to which channel: claimed before it is sent, so that two notifiers send one message."""

from collections.abc import Sequence

from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import Event
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

# A message is sent within this time; else its sender is assumed dead, and the next notifier sends it.
CLAIM_S = 180.0
# Events that are older than this are not notified.
NOTIFIED_WITHIN_S = 7 * 86_400.0
EVENTS_AT_A_TIME = 100

_CLAIM = Query("claim_notification", bool)
_WAS_NOTIFIED = Query("was_notified", bool)
_AWAITS = Query("awaits_approval", bool)
_UNSENT = Query("unsent_notifications", Event)


def claim_notification(connection: Connection, event_id: str, channel: str) -> bool:
    """Claim the message of this event; True when the caller is to send it."""
    return _CLAIM.first(connection, event_id=event_id, channel=channel, claim_s=CLAIM_S) is not None


def was_notified(connection: Connection, event_id: str, channel: str) -> bool:
    """Whether the message of this event was sent."""
    return _WAS_NOTIFIED.first(connection, event_id=event_id, channel=channel) or False


def notification_sent(connection: Connection, event_id: str, channel: str) -> None:
    """Mark the message as sent, permanently."""
    connection.execute(sql("notification_sent"), {"event_id": event_id, "channel": channel})


def give_up_notification(connection: Connection, event_id: str, channel: str) -> None:
    """It could not be sent: the next notifier may try."""
    connection.execute(sql("give_up_notification"), {"event_id": event_id, "channel": channel})


def unsent_notifications(connection: Connection, types: Sequence[str], channel: str) -> list[Event]:
    """Events of the last seven days that were not sent to the channel, the oldest first, at most a hundred."""
    return _UNSENT.all(connection, types=list(types), channel=channel, age_s=NOTIFIED_WITHIN_S, most=EVENTS_AT_A_TIME)


def awaits_approval(connection: Connection, campaign_id: int) -> bool:
    """Whether a campaign waits, and nobody has approved it yet."""
    return _AWAITS.first(connection, campaign_id=campaign_id) or False
