"""From the outbox to Kafka: each campaign's events in order, each at least once, also with several relays.

A relay locks a *campaign's* cursor row (skipped if another relay has it), publishes the campaign's next events in order
and moves the cursor when the broker has them. If it dies in between, some events are published again: consumers
recognise an event by its event_id. An event that the broker refuses because of its content is tried a few times alone
and then parked (dead letter); events of other campaigns never wait for it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from bulkpoint.errors import UnreachableError
from bulkpoint.events.kafka import Publisher
from bulkpoint.events.patience import Recovered, repeat
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Connection, Link
from bulkpoint.store.outbox import Event
from bulkpoint.store.relay import (
    CursorLock,
    add_missing_cursors,
    event_of,
    events_to_publish,
    list_parked,
    list_waiting,
    lock_next_cursor,
    mark_published,
    move_cursor,
    note_trouble,
    park_event,
    unpark_event,
)

# Events of one campaign in one turn: large enough for thousands a second, small enough to be acknowledged in one go.
BATCH_EVENTS = 500
# Tries of an event that the broker refuses, and seconds between them: a person may be correcting its limits.
TRIES_MAX = 5
TRY_AGAIN_S = 2.0
# How often a relay that stays looks for new events, and how long one of its turns may take.
LOOK_S = 1.0
TURN_S_MAX = 60.0
ANSWER_S_MAX = TURN_S_MAX + 60.0


@dataclass(frozen=True)
class Relayed:
    """Events published and events parked."""

    published: int = 0
    parked: int = 0

    def __add__(self, other: "Relayed") -> "Relayed":
        return Relayed(self.published + other.published, self.parked + other.parked)


def relay_once(connection: Connection, settings: Settings, *, parked: bool = False) -> Relayed:
    """Publish all that waits, or with `parked` what was set aside; an event that is refused is tried, then parked.

    Raises UnreachableError when the broker does not answer.
    """
    publisher = Publisher(settings)
    relayed = publish_parked(connection, publisher) if parked else relay_waiting(connection, publisher)
    while any(campaign.trouble for campaign in list_waiting(connection)):
        time.sleep(LOOK_S)
        relayed += relay_waiting(connection, publisher)
    return relayed


def follow_outbox(settings: Settings, conninfo: str) -> Iterator[Relayed | Recovered | UnreachableError]:
    """Publish what comes, for ever; yields what each turn published, and what was unreachable meanwhile."""
    publisher: Publisher | None = None
    link = Link(conninfo, name="bulkpoint relay", answer_s_max=ANSWER_S_MAX, patience_s=0)

    def turn() -> Relayed:
        nonlocal publisher
        try:
            publisher = client = publisher or Publisher(settings)
            deadline = time.monotonic() + TURN_S_MAX
            return link.ask(lambda connection: relay_waiting(connection, client, lambda: time.monotonic() > deadline))
        except UnreachableError:
            publisher = None  # its unsent events are published again, from the outbox
            raise

    with closing(link):
        yield from repeat(turn, pause_s=lambda _: LOOK_S)


def relay_waiting(connection: Connection, publisher: Publisher, over: Callable[[], bool] = lambda: False) -> Relayed:
    """Publish what waits, campaign by campaign, until nothing is left that this relay may publish, or until `over`.

    Raises UnreachableError when the broker does not answer; what it has by then is marked as published.
    """
    add_missing_cursors(connection)
    relayed = Relayed()
    while not over():
        with connection.transaction():
            turn = lock_next_cursor(connection)
            if turn is None:
                return relayed
            relayed += _publish_next(connection, publisher, turn)
    return relayed


def _publish_next(connection: Connection, publisher: Publisher, turn: CursorLock) -> Relayed:
    events = events_to_publish(connection, turn, most=1 if turn.tries else BATCH_EVENTS)
    published = publisher.publish(events)
    while published.refusal is not None and published.count == 0 and len(events) > 1:
        events = events[: len(events) // 2]  # to find the one that is refused
        published = publisher.publish(events)
    if published.count:  # a refused one after them is the next turn's first
        mark_published(connection, turn, events[published.count - 1].event_no)
        return Relayed(published.count)
    assert published.refusal is not None, "a turn has events"
    return _refused(connection, turn, events[0], published.refusal)


def _refused(connection: Connection, turn: CursorLock, event: Event, refusal: str) -> Relayed:
    tries = turn.tries + 1
    if tries < TRIES_MAX:
        note_trouble(connection, event, refusal)
        move_cursor(connection, turn, published_no=turn.published_no, tries=tries, wait_s=TRY_AGAIN_S)
        return Relayed()
    park_event(connection, event, refusal)
    move_cursor(connection, turn, published_no=event.event_no)
    return Relayed(parked=1)


def publish_parked(connection: Connection, publisher: Publisher) -> Relayed:
    """Try each parked event once more; it then arrives after events that followed it."""
    relayed = Relayed()
    for parked in list_parked(connection):
        with connection.transaction():
            if publisher.publish([event_of(connection, parked)]).count:
                unpark_event(connection, parked)
                relayed += Relayed(published=1)
            else:
                relayed += Relayed(parked=1)
    return relayed
