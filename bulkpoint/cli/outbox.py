"""`bulkpoint outbox`: events on their way to Kafka."""

import time
from typing import TYPE_CHECKING

import click

from bulkpoint.cli.output import emit, end_with, json_option
from bulkpoint.cli.session import Session, open_session, say
from bulkpoint.errors import RefusedError, UnreachableError, UsageError

if TYPE_CHECKING:
    from bulkpoint.events.relay import Relayed

# How often a relay or notifier that stays looks for something new, and for a broker that is back.
LOOK_S = 1.0
LOOK_AGAIN_S = 5.0


@click.group(short_help="Events that wait for Kafka: publish them, show them.")
def outbox() -> None:
    """Events that wait for Kafka (transactional outbox): every change of a campaign is one."""


@outbox.command(short_help="Publish the waiting events, each campaign's in order.")
@click.option("--follow", is_flag=True, help="Keep running, and publish new events.")
@click.option("--parked", is_flag=True, help="Publish the parked events again.")
@json_option()
def relay(*, follow: bool, parked: bool) -> None:
    """Publish the waiting events, each campaign's in order. Several relays in parallel are safe.

    If the broker is unreachable, the events stay in the outbox (exit code 6; with --follow the relay waits). An event
    that the broker refuses is tried 5 times and then parked (dead letter); the others continue.

    \b
    Examples:
      bulkpoint outbox relay
      bulkpoint outbox relay --follow
    """
    from bulkpoint.views.changes import EventsPublished

    with open_session() as session:
        if session.settings.kafka_bootstrap_servers is None:
            raise UsageError("NO_KAFKA", "name_brokers")
        relayed = _follow_relay(session) if follow else _relay_once(session, parked=parked)
        published = EventsPublished(published=relayed.published, set_aside=relayed.parked)
        if relayed.parked:
            end_with(published, RefusedError("EVENTS_SET_ASIDE", "show_outbox", set_aside=relayed.parked))
        emit(published)


def _relay_once(session: Session, *, parked: bool) -> "Relayed":
    from bulkpoint.events.kafka import Publisher
    from bulkpoint.events.relay import publish_parked, relay_waiting
    from bulkpoint.store.relay import list_waiting

    publisher = Publisher(session.settings)
    relayed = publish_parked(session.connection, publisher) if parked else relay_waiting(session.connection, publisher)
    while any(one.trouble for one in list_waiting(session.connection)):  # it is tried a few times, then set aside
        time.sleep(LOOK_S)
        relayed += relay_waiting(session.connection, publisher)
    return relayed


def _follow_relay(session: Session) -> "Relayed":
    from bulkpoint.events.kafka import Publisher
    from bulkpoint.events.relay import relay_waiting
    from bulkpoint.store.connect import connect
    from bulkpoint.views.sentences import sentence

    publisher: Publisher | None = None
    away = False
    while True:
        try:
            with connect(session.database_url, name="bulkpoint relay") as connection:
                publisher = publisher or Publisher(session.settings)
                while True:
                    relayed = relay_waiting(connection, publisher)
                    if away:
                        say("Kafka and the database answer again.")
                        away = False
                    if relayed.published or relayed.parked:
                        say(f"published {relayed.published:,} events, set aside {relayed.parked:,}")
                    time.sleep(LOOK_S)
        except UnreachableError as error:
            if not away:
                say(sentence(error))
            away, publisher = True, None
            time.sleep(LOOK_AGAIN_S)


@outbox.command(short_help="Show which events wait, and which are parked.")
@json_option()
def status() -> None:
    """Show which events wait for Kafka, since when, and which are parked.

    \b
    Example:
      bulkpoint outbox status
    """
    from bulkpoint.store.relay import list_parked, list_waiting
    from bulkpoint.views.outbox import OutboxView

    with open_session() as session:
        shown = {
            "waiting": list_waiting(session.connection),
            "parked": list_parked(session.connection),
            "has_kafka": session.settings.kafka_bootstrap_servers is not None,
        }
    emit(OutboxView.model_validate(shown), timezone=session.settings.timezone)
