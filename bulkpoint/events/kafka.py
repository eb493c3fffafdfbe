"""Kafka: how it is reached, what is produced, and its refusals with their codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bulkpoint.errors import UnreachableError
from bulkpoint.events.envelope import decode, encode
from bulkpoint.extras import require_extra
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, read_secret
from bulkpoint.store.outbox import Event

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

T = TypeVar("T")

# A broker that does not answer within this time counts as unreachable; the events stay in the outbox.
ANSWER_S_MAX = 10.0
# To find the broker at all; a job's end waits this long if it is unreachable.
FOUND_S_MAX = 5.0
FLUSH_S_MAX = 15.0


@dataclass(frozen=True)
class Published:
    """How many events the broker has, from the first on, and why it refused the next one."""

    count: int
    refusal: str | None = None


def client_config(settings: Settings) -> dict[str, Any]:
    """The librdkafka settings of all our clients; the password is read from its file now.

    Raises UsageError for an unusable password file.
    """
    assert settings.kafka_bootstrap_servers is not None, "the caller has looked"
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        "client.id": "bulkpoint",
        "log.connection.close": False,
        "logger": _quiet(),
    }
    if settings.kafka_ca_file is not None:
        config["ssl.ca.location"] = str(settings.kafka_ca_file)
    if settings.kafka_certificate_file is not None:
        config["ssl.certificate.location"] = str(settings.kafka_certificate_file)
        config["ssl.key.location"] = str(settings.kafka_key_file)
    if settings.kafka_security_protocol == "sasl_ssl":
        assert settings.kafka_password_file is not None, "the settings see to it"
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_username
        config["sasl.password"] = read_secret(settings.kafka_password_file, "BULKPOINT_KAFKA_PASSWORD_FILE")
    return config


def new_client(kind: Callable[[dict[str, Any]], T], settings: Settings, config: dict[str, Any]) -> T:
    """A client of the library; UnreachableError for settings that it does not accept, such as a missing file."""
    from confluent_kafka import KafkaException

    try:
        return kind(client_config(settings) | config)
    except KafkaException as error:
        raise kafka_unusable(settings, error.args[0]) from error


class Publisher:
    """Sends events to the topic, each campaign's in order. For one thread."""

    def __init__(self, settings: Settings) -> None:
        """Connect to the broker and find the topic, or make it.

        Raises UnreachableError if either fails, UsageError if the extra `kafka` is not installed.
        """
        require_extra("kafka")
        self._settings = settings
        self._producer = self._new_producer()
        ensure_topic(settings)

    def publish(self, events: Sequence[Event]) -> Published:
        """Send events of one campaign, in order; returns when the broker has answered for all that the client accepted.

        After an event that fails, no later one is published. A refusal may be about any of those not published: publish
        fewer to find out which. Raises UnreachableError when the broker does not answer.
        """
        from confluent_kafka import KafkaException

        answers: list[KafkaError | None] = []

        def answered(error: "KafkaError | None", _message: "Message") -> None:
            answers.append(error)

        trouble: KafkaError | None = None
        try:
            for event in events:
                self._producer.produce(
                    self._settings.kafka_topic,
                    key=str(event.campaign_id).encode(),
                    value=encode(event),
                    on_delivery=answered,
                )
        except KafkaException as error:  # this client's own limit on a message
            trouble = error.args[0]
        try:
            waiting = self._producer.flush(FLUSH_S_MAX)
        except (KafkaException, SystemError) as error:  # so the client reports that order would be lost
            cause = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(cause, KafkaException):
                raise
            trouble, waiting = cause.args[0], 1
        count = next((number for number, answer in enumerate(answers) if answer is not None), len(answers))
        if trouble is None and count < len(answers):
            trouble = answers[count]
        if trouble is None and not waiting:
            return Published(count)
        self._producer = self._new_producer()  # unsent events of the old one are dropped with it
        if trouble is not None and _is_refusal(trouble):
            return Published(count, trouble.str())
        if count:
            return Published(count)
        raise kafka_unusable(self._settings, trouble)

    def _new_producer(self) -> Any:
        from confluent_kafka import Producer

        config = {
            "acks": "all",
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,  # after an event that fails, no later one is published
            "message.timeout.ms": int(ANSWER_S_MAX * 1000),
            "linger.ms": 5,
        }
        return new_client(Producer, self._settings, config)


# Errors that the event itself causes; every other error is the broker's or the network's.
_REFUSALS = (
    "MSG_SIZE_TOO_LARGE",
    "INVALID_MSG",
    "INVALID_MSG_SIZE",
    "INVALID_RECORD",
    "RECORD_LIST_TOO_LARGE",
    "INVALID_TIMESTAMP",
    "POLICY_VIOLATION",
)


def _is_refusal(trouble: "KafkaError") -> bool:
    """By its code, or by its text where the client reports that order would be lost, and why."""
    from confluent_kafka import KafkaError

    if trouble.name() in _REFUSALS:
        return True
    words = trouble.str()
    return trouble.fatal() and any(KafkaError(getattr(KafkaError, name)).str() in words for name in _REFUSALS)


def ensure_topic(settings: Settings) -> None:
    """Find the topic, or make it with the broker's own defaults.

    Raises UnreachableError where the broker does not answer, or where the topic is missing and may not be made.
    """
    require_extra("kafka")
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = settings.kafka_topic
    admin = new_client(AdminClient, settings, {})
    try:
        if topic in admin.list_topics(timeout=FOUND_S_MAX).topics:
            return
        made = admin.create_topics([NewTopic(topic, num_partitions=-1, replication_factor=-1)])
        made[topic].result(ANSWER_S_MAX)
    except KafkaException as error:
        trouble = error.args[0]
        if trouble.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return
        if trouble.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
            raise UnreachableError("KAFKA_TOPIC_MISSING", "make_topic", topic=topic, why=trouble.str()) from error
        raise kafka_unusable(settings, trouble) from error


def read_topic(settings: Settings, *, key: int) -> list[Event]:
    """The events of one campaign that the topic has now, from its first on; to show them, not to process them.

    Raises UnreachableError when the broker does not answer.
    """
    require_extra("kafka")
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    config = {"group.id": "bulkpoint.look", "enable.partition.eof": True, "enable.auto.commit": False}
    consumer = new_client(Consumer, settings, config)
    found: list[Event] = []
    try:
        topic = consumer.list_topics(settings.kafka_topic, timeout=FOUND_S_MAX).topics[settings.kafka_topic]
        left = set(topic.partitions)
        consumer.assign([TopicPartition(settings.kafka_topic, number, OFFSET_BEGINNING) for number in left])
        while left:
            message = consumer.poll(ANSWER_S_MAX)
            if message is None:
                raise kafka_unusable(settings, None)
            trouble = message.error()
            if trouble is None:
                event = decode(message.value() or b"")
                if event is not None and event.campaign_id == key:
                    found.append(event)
            elif trouble.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                raise kafka_unusable(settings, trouble)
    finally:
        consumer.close()
    return found


def kafka_unusable(settings: Settings, trouble: "KafkaError | None") -> UnreachableError:
    """A broker that cannot be used; trouble: the client's error, None if the broker gave no answer."""
    return UnreachableError(
        "KAFKA_UNUSABLE",
        "check_kafka",
        "relay_later",
        brokers=settings.kafka_bootstrap_servers,
        why=Refusal("NO_ANSWER") if trouble is None else trouble.str().rstrip("."),
    )


def _quiet() -> Any:
    """librdkafka logs every lost connection several times; what matters is returned as an error."""
    import logging

    logger = logging.getLogger("bulkpoint.kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
