"""`bulkpoint notify`: Slack messages about what happened and what is wrong."""

from contextlib import closing

import click

from bulkpoint.cli.session import open_session
from bulkpoint.errors import ExitCode, UsageError

ANSWER_S_MAX = 10.0


@click.command(short_help="Send Slack messages: what happened, what is wrong.")
@click.option("--follow", is_flag=True, help="Keep running, and send new messages.")
def notify(*, follow: bool) -> int:
    """Send one Slack message for each campaign that completed, failed, was stopped or was forced.

    Events come from Kafka if it is configured, else from the outbox. Also reported: a job that died, a limit of 0 for
    more than 10 minutes, parked events. Each is sent once, even with several notifiers, at most one message a second;
    Slack's Retry-After is honoured, and said.

    Exit code 6: Slack, Kafka or the database did not accept it. Nothing is lost: the next notifier sends it.

    \b
    Examples:
      bulkpoint notify
      bulkpoint notify --follow
    """
    from bulkpoint import log
    from bulkpoint.events.notify import Notifier, follow_events, notify_once
    from bulkpoint.store.connect import Link
    from bulkpoint.views.sentences import sentence

    with open_session() as session:
        settings = session.settings
        if settings.slack_channel is None or settings.slack_token_file is None:
            raise UsageError("NO_SLACK", "set_slack")
        link = Link(session.database_url, name="bulkpoint notify", answer_s_max=ANSWER_S_MAX)
        with closing(link):
            log.use(settings.log_format)

            def say(line: str) -> None:
                log.say(line, event="not_sent", level=log.Level.WARNING)

            notifier = Notifier(settings, link, say)
            if follow:
                for error in follow_events(settings, notifier):
                    log.say(sentence(error), event="out_of_reach", level=log.Level.WARNING)
            return ExitCode.DONE if notify_once(settings, notifier) else ExitCode.UNREACHABLE
