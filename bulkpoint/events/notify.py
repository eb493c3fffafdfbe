"""From events to people: one Slack message for each event that matters, even with several notifiers.

Each message is claimed in the database before it is sent and marked as sent after, so a relay that published twice, two
notifiers and the job's own last step make one message. Only if a notifier dies between Slack's answer and that mark can
a message come twice: better than none.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from pydantic import ValidationError

from bulkpoint.errors import UnreachableError
from bulkpoint.events.envelope import decode
from bulkpoint.events.kafka import ANSWER_S_MAX, ensure_topic, kafka_unusable, new_client
from bulkpoint.events.message import CREATED, Message, message_of, message_of_alerts, notified_types
from bulkpoint.events.patience import repeat
from bulkpoint.events.slack import send
from bulkpoint.extras import require_extra
from bulkpoint.settings import Settings
from bulkpoint.store.alert import find_alerts
from bulkpoint.store.connect import Link
from bulkpoint.store.notification import (
    NOTIFIED_WITHIN_S,
    awaits_approval,
    claim_notification,
    give_up_notification,
    notification_sent,
    unsent_notifications,
    was_notified,
)
from bulkpoint.store.outbox import Event
from bulkpoint.views.alerts import alert_sentence

if TYPE_CHECKING:
    from confluent_kafka import Consumer

GROUP = "bulkpoint.notify"
# Alerts have no event with an id that says whether they were sent: theirs is made from their kind and key.
ALERTS = UUID("5f0c5a1e-3f2b-4b53-9d6e-6a0f4f6f7c11")
ALERTS_S = 30.0
# How often a notifier without Kafka looks into the outbox.
LOOK_S = 2.0
POLL_S = 1.0
# A message that Slack does not accept now is tried again after this, or after the time that Slack asks for.
TRY_AGAIN_S = 10.0
# Slack's Retry-After is waited for with the message claimed, up to this: four tries must end within a claim. A longer
# one is waited for between two claims.
SLACK_WAIT_S_MAX = 30.0
# A notifier that must end soon, as in a job, leaves the message to the next notifier instead.
SLACK_WAIT_S_MAX_IN_PASSING = 5.0

Say = Callable[[str], None]


class Notifier:
    """Sends messages, one per event or alert.

    refused: ids of the events whose messages Slack refuses for themselves, as one that is too long. They stay unsent,
    which `check` shows; this notifier does not try them again, and the others go out.
    """

    def __init__(self, settings: Settings, link: Link, say: Say, *, wait_s_max: float = SLACK_WAIT_S_MAX) -> None:
        """Raises UsageError where the extra `slack` is not installed."""
        assert settings.slack_channel is not None, "the caller has looked"
        require_extra("slack")
        self._settings = settings
        self._channel = settings.slack_channel
        self._link = link
        self._say = say
        self._wait_s_max = wait_s_max
        self._look_at = 0.0
        self.types = notified_types(require_approval=settings.require_approval)
        self.refused: set[str] = set()

    def send_event(self, event: Event) -> float | None:
        """Send the message of an event, unless it is sent; returns seconds until the next try, None when it is sent."""
        try:
            message = message_of(event, language=self._settings.language, web_url=self._settings.web_url)
        except ValidationError:
            self._say(f"event {event.event_id} ({event.type}) has data of another shape; no message is sent")
            self._leave_unsent(event)
            return None
        if event.type == CREATED and not self._awaits_approval(event):
            self._leave_unsent(event)
            return None
        return self.send_once(event.event_id, message)

    def _awaits_approval(self, event: Event) -> bool:
        return self._link.ask(lambda connection: awaits_approval(connection, event.campaign_id))

    def _leave_unsent(self, event: Event) -> None:
        """Count it as sent: nobody needs it any more."""
        self._link.ask(lambda connection: claim_notification(connection, event.event_id, self._channel))
        self._link.ask(lambda connection: notification_sent(connection, event.event_id, self._channel))

    def send_once(self, event_id: str, message: Message) -> float | None:
        """The same for any message that has an id of its own."""
        if event_id in self.refused:
            return TRY_AGAIN_S
        if not self._link.ask(lambda connection: claim_notification(connection, event_id, self._channel)):
            out = self._link.ask(lambda connection: was_notified(connection, event_id, self._channel))
            return None if out else TRY_AGAIN_S
        problem = send(self._settings, message, wait_s_max=self._wait_s_max, say=self._say)
        if problem is None:
            self._link.ask(lambda connection: notification_sent(connection, event_id, self._channel))
            return None
        self._link.ask(lambda connection: give_up_notification(connection, event_id, self._channel))
        self._say(f"a message to Slack was not sent: {problem.sentence}")
        if problem.of_message:
            self.refused.add(event_id)
        return max(TRY_AGAIN_S, problem.wait_s)

    def notify_from_outbox(self, over: Callable[[], bool] = lambda: False) -> float | None:
        """Send what the outbox has that is not sent yet, until `over`; returns seconds until another try, or None."""
        while not over():
            unsent = self._link.ask(lambda connection: unsent_notifications(connection, self.types, self._channel))
            events = [event for event in unsent if event.event_id not in self.refused]
            if not events:
                break
            for event in events:
                again_s = self.send_event(event)
                if event.event_id in self.refused:  # it does not keep those behind it
                    continue
                if again_s is not None or over():
                    return again_s
        return TRY_AGAIN_S if self.refused else None

    def send_alerts(self) -> bool:
        """Send the alerts, each once for as long as it lasts; looks every half minute at most.

        False when Slack does not accept one now.
        """
        if time.monotonic() < self._look_at:
            return True
        self._look_at = time.monotonic() + ALERTS_S
        sent = True
        for alert in self._link.ask(find_alerts):
            sentence = alert_sentence(alert, self._settings.timezone, self._settings.language)
            message = message_of_alerts([sentence], language=self._settings.language)
            sent = self.send_once(str(uuid5(ALERTS, f"{alert.kind}:{alert.key}")), message) is None and sent
        return sent


def notify_once(settings: Settings, notifier: Notifier) -> bool:
    """Send what there is to send; False where something was not accepted now.

    Raises UnreachableError when the broker or the database does not answer.
    """
    if settings.kafka_bootstrap_servers is not None:
        sent = consume(settings, notifier, follow=False)
    else:
        sent = notifier.notify_from_outbox() is None
    return notifier.send_alerts() and sent and not notifier.refused


def follow_events(settings: Settings, notifier: Notifier) -> Iterator[UnreachableError]:
    """Send what comes, for ever; yields what is unreachable meanwhile."""

    def turn() -> float:
        if settings.kafka_bootstrap_servers is not None:
            consume(settings, notifier, follow=True)  # which does not return
        again_s = notifier.notify_from_outbox()
        notifier.send_alerts()
        return again_s or LOOK_S

    for seen in repeat(turn, pause_s=lambda again_s: again_s):
        if isinstance(seen, UnreachableError):
            yield seen


def consume(settings: Settings, notifier: Notifier, *, follow: bool) -> bool:
    """Send the events of the topic, each committed when its message is sent; returns whether all are.

    Ends at the topic's end, or at a message that Slack does not accept now. With `follow` it never ends: that message
    is tried again, and alerts are sent, too. Raises UnreachableError when the broker does not answer.
    """
    require_extra("kafka")
    from confluent_kafka import Consumer, KafkaError

    ensure_topic(settings)
    config = {
        "group.id": GROUP,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "session.timeout.ms": 10_000,
    }
    consumer = new_client(Consumer, settings, config)
    at_end: set[int | None] = set()
    heard_at = time.monotonic()
    try:
        consumer.subscribe([settings.kafka_topic])
        while True:
            if follow:
                notifier.send_alerts()
            message = consumer.poll(POLL_S)
            if message is None:
                if not follow and not consumer.assignment() and time.monotonic() > heard_at + 3 * ANSWER_S_MAX:
                    raise kafka_unusable(settings, None)
                continue
            heard_at = time.monotonic()
            trouble = message.error()
            if trouble is None:
                at_end.discard(message.partition())
                if not _send_message(consumer, message, notifier, stay=follow):
                    return False
            elif trouble.code() == KafkaError._PARTITION_EOF:
                at_end.add(message.partition())
                if not follow and at_end >= {place.partition for place in consumer.assignment()}:
                    return True
            elif not trouble.retriable() and trouble.code() != KafkaError._ALL_BROKERS_DOWN:
                raise kafka_unusable(settings, trouble)
    finally:
        consumer.close()


def _send_message(consumer: "Consumer", message: Any, notifier: Notifier, *, stay: bool) -> bool:
    """Send one message of the topic, if it is for people; its offset is committed after that, never before.

    One that Slack refuses for itself is passed over. False when Slack does not accept it now; with `stay` it is tried
    until Slack does.
    """
    event = decode(message.value() or b"")
    if event is not None and event.type in notifier.types and _is_news(event):
        while (again_s := notifier.send_event(event)) is not None and event.event_id not in notifier.refused:
            if not stay:
                return False
            _pause(consumer, again_s)
    consumer.commit(message=message, asynchronous=False)
    return True


def _pause(consumer: "Consumer", seconds: float) -> None:
    """Wait without losing the place in the group, which a consumer keeps by polling."""
    consumer.pause(consumer.assignment())
    deadline = time.monotonic() + seconds
    while (left_s := deadline - time.monotonic()) > 0:
        consumer.poll(min(POLL_S, left_s))
    consumer.resume(consumer.assignment())


def _is_news(event: Event) -> bool:
    return event.occurred_at > datetime.now(UTC) - timedelta(seconds=NOTIFIED_WITHIN_S)
