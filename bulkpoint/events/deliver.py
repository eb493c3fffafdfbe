"""The job's last step: deliver its events, as far as Kafka and Slack accept them. Paying never waits for that."""

import time
from contextlib import closing

from bulkpoint import log
from bulkpoint.errors import BulkpointError
from bulkpoint.events.kafka import Publisher
from bulkpoint.events.message import build_message
from bulkpoint.events.notify import SLACK_WAIT_S_MAX_IN_PASSING, Notifier
from bulkpoint.events.relay import relay_waiting
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Link, connect, reachable
from bulkpoint.store.progress import RunSummary
from bulkpoint.streams import StdoutFailedError, say_on_stderr
from bulkpoint.views.sentences import sentence

# What is not delivered by then is left to `bulkpoint outbox relay` and `bulkpoint notify`.
DELIVERY_S_MAX = 30.0
ANSWER_S_MAX = 10.0


def deliver(settings: Settings, conninfo: str, summary: RunSummary) -> None:
    """Publish and send what waits, for half a minute at most; each failure is one line of warning.

    Without Slack the message is printed.
    """
    deadline = time.monotonic() + DELIVERY_S_MAX

    def over() -> bool:
        return time.monotonic() > deadline

    if settings.kafka_bootstrap_servers is not None:
        try:
            with connect(conninfo, name="bulkpoint relay") as connection, reachable(conninfo):
                relay_waiting(connection, Publisher(settings), over)
        except BulkpointError as error:
            _warn(sentence(error))
    if settings.slack_channel is None or settings.slack_token_file is None:
        text = build_message(summary, language=settings.language, web_url=settings.web_url).text
        if log.is_json():
            log.say(text, event="message")
            return
        try:
            print(text, flush=True)
        except StdoutFailedError:
            say_on_stderr(text)
        return
    link = Link(conninfo, name="bulkpoint notify", answer_s_max=ANSWER_S_MAX, patience_s=ANSWER_S_MAX)
    try:
        with closing(link):
            notifier = Notifier(settings, link, _warn, wait_s_max=SLACK_WAIT_S_MAX_IN_PASSING)
            notifier.notify_from_outbox(over)
    except BulkpointError as error:
        _warn(sentence(error))


def _warn(line: str) -> None:
    log.say(line, event="not_delivered", level=log.Level.WARNING, text=f"bulkpoint: warning: {line}")
