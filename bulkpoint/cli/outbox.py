"""`bulkpoint outbox`: events on their way to Kafka."""

from typing import NoReturn

import click

from bulkpoint.cli.output import emit, end_with, json_option
from bulkpoint.cli.session import Session, open_session
from bulkpoint.errors import RefusedError, UnreachableError, UsageError


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
    from bulkpoint import log
    from bulkpoint.events.relay import relay_once
    from bulkpoint.views.changes import EventsPublished

    with open_session() as session:
        if session.settings.kafka_bootstrap_servers is None:
            raise UsageError("NO_KAFKA", "name_brokers")
        log.use(session.settings.log_format)
        if follow:
            _follow(session)
        relayed = relay_once(session.connection, session.settings, parked=parked)
        published = EventsPublished(published=relayed.published, set_aside=relayed.parked)
        if relayed.parked:
            end_with(published, RefusedError("EVENTS_SET_ASIDE", "show_outbox", set_aside=relayed.parked))
        emit(published)


def _follow(session: Session) -> NoReturn:
    from bulkpoint import log
    from bulkpoint.events.patience import Recovered
    from bulkpoint.events.relay import follow_outbox
    from bulkpoint.views.sentences import sentence

    for seen in follow_outbox(session.settings, session.database_url):
        match seen:
            case UnreachableError():
                log.say(sentence(seen), event="out_of_reach", level=log.Level.WARNING)
            case Recovered():
                log.say("Kafka and the database answer again.", event="back")
            case relayed if relayed.published or relayed.parked:
                said = f"published {relayed.published:,} events, set aside {relayed.parked:,}"
                log.say(said, event="published", more={"published": relayed.published, "parked": relayed.parked})
    raise AssertionError("it goes on for ever")


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
