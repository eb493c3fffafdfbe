"""Events to be published: which relay has a campaign, what waits, what was published, what was parked."""

from dataclasses import dataclass
from datetime import datetime

from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import Event
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class CursorLock:
    """A campaign's cursor, locked until the caller's transaction ends. tries: refusals of the next event so far."""

    campaign_id: int
    published_no: int
    tries: int


@dataclass(frozen=True)
class Waiting:
    """A campaign whose events are not all published. trouble: what the broker said about the next one."""

    campaign_id: int
    published_no: int
    last_event_no: int
    waits_since: datetime | None
    trouble: str | None

    @property
    def count(self) -> int:
        """How many of its events wait."""
        return self.last_event_no - self.published_no


@dataclass(frozen=True)
class Parked:
    """An event that the broker refuses, set aside (a dead letter)."""

    campaign_id: int
    event_no: int
    event_id: str
    type: str
    parked_at: datetime
    trouble: str


_CURSOR = Query("take_cursor", CursorLock)
_EVENTS = Query("events_to_publish", Event)
_WAITING = Query("outbox_status", Waiting)
_PARKED = Query("parked_events", Parked)


def add_missing_cursors(connection: Connection) -> None:
    """Make a cursor for every campaign that has events and none yet."""
    connection.execute(sql("add_missing_cursors"))


def lock_next_cursor(connection: Connection) -> CursorLock | None:
    """Lock a campaign with events to publish that no other relay has, if any. Call it in a transaction."""
    return _CURSOR.first(connection)


def events_to_publish(connection: Connection, turn: CursorLock, *, most: int) -> list[Event]:
    """The next events of a campaign, in order."""
    return _EVENTS.all(connection, campaign_id=turn.campaign_id, after=turn.published_no, most=most)


def mark_published(connection: Connection, turn: CursorLock, upto: int) -> None:
    """The broker has these events: the campaign's cursor moves past them."""
    asked = {"campaign_id": turn.campaign_id, "after": turn.published_no, "upto": upto}
    connection.execute(sql("mark_published"), asked)
    move_cursor(connection, turn, published_no=upto)


def move_cursor(
    connection: Connection, turn: CursorLock, *, published_no: int, tries: int = 0, wait_s: float | None = None
) -> None:
    """Store how far the relay is with a campaign. wait_s: seconds until its next try, None: at once."""
    moved = {"campaign_id": turn.campaign_id, "published_no": published_no, "tries": tries, "wait_s": wait_s}
    connection.execute(sql("move_cursor"), moved)


def note_trouble(connection: Connection, event: Event, trouble: str) -> None:
    """Store what the broker said about an event that will be tried again."""
    asked = {"campaign_id": event.campaign_id, "event_no": event.event_no, "trouble": trouble}
    connection.execute(sql("note_trouble"), asked)


def park_event(connection: Connection, event: Event, trouble: str) -> None:
    """Set an event aside (dead letter): the ones after it go on, and people are notified."""
    asked = {"campaign_id": event.campaign_id, "event_no": event.event_no, "trouble": trouble}
    connection.execute(sql("park_event"), asked)


def list_waiting(connection: Connection) -> list[Waiting]:
    """Campaigns with events that wait to be published."""
    return _WAITING.all(connection)


def list_parked(connection: Connection) -> list[Parked]:
    """Events that were set aside."""
    return _PARKED.all(connection)


def event_of(connection: Connection, parked: Parked) -> Event:
    """A parked event, to be published after all."""
    turn = CursorLock(parked.campaign_id, parked.event_no - 1, 0)
    return events_to_publish(connection, turn, most=1)[0]


def unpark_event(connection: Connection, parked: Parked) -> None:
    """It was published after all."""
    connection.execute(sql("unpark_event"), {"campaign_id": parked.campaign_id, "event_no": parked.event_no})
