"""`bulkpoint notify`: tell people, in Slack, what happened and what is wrong."""

import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from bulkpoint.cli.session import Session, open_session, say
from bulkpoint.errors import ExitCode, UnreachableError, UsageError

if TYPE_CHECKING:
    from bulkpoint.events.notify import Notifier

LOOK_S = 2.0
LOOK_AGAIN_S = 5.0
ANSWER_S_MAX = 10.0


@click.command(short_help="Send Slack messages: what happened, what is wrong.")
@click.option("--follow", is_flag=True, help="Keep running, and send new messages.")
def notify(*, follow: bool) -> int:
    """Send one Slack message for each campaign that completed, failed, was stopped or was forced.

    Events come from Kafka if it is configured, else from the outbox. Also reported: a job that died, a limit of 0 for
    more than 10 minutes, parked events. Each is sent once, even with several notifiers, at most one message a second;
    Slack's Retry-After is honoured.

    Exit code 6: Slack, Kafka or the database did not accept it. Nothing is lost: the next notifier sends it.

    \b
    Examples:
      bulkpoint notify
      bulkpoint notify --follow
    """
    from bulkpoint.events.notify import Notifier
    from bulkpoint.store.connect import Link

    with open_session() as session:
        settings = session.settings
        if settings.slack_channel is None or settings.slack_token_file is None:
            raise UsageError("NO_SLACK", "set_slack")
        link = Link(session.database_url, name="bulkpoint notify", answer_s_max=ANSWER_S_MAX)
        with closing(link):
            notifier = Notifier(settings, link, say)
            return _follow(session, notifier) if follow else _once(session, notifier)


def _once(session: Session, notifier: "Notifier") -> int:
    from bulkpoint.events.notify import consume

    told = True
    if session.settings.kafka_bootstrap_servers is not None:
        told = consume(session.settings, notifier, follow=False)
    else:
        told = notifier.notify_from_outbox() is None
    told = notifier.tell_troubles() and told
    return ExitCode.DONE if told else ExitCode.UNREACHABLE


def _follow(session: Session, notifier: "Notifier") -> int:
    """For ever; a broker or database that is away is waited for, and said once."""
    from bulkpoint.events.notify import consume
    from bulkpoint.views.sentences import sentence

    said = None
    while True:
        try:
            if session.settings.kafka_bootstrap_servers is not None:
                consume(session.settings, notifier, follow=True)
            else:
                _tell_for_ever(notifier)
        except UnreachableError as error:
            if sentence(error) != said:
                said = sentence(error)
                say(said)
            time.sleep(LOOK_AGAIN_S)


def _tell_for_ever(notifier: "Notifier") -> None:
    while True:
        again_s = notifier.notify_from_outbox()
        notifier.tell_troubles()
        time.sleep(again_s or LOOK_S)
