"""The embedded Kafka broker, as the tests of the relay use it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bulkpoint.embedded.kafka import KafkaBroker, embedded_kafka
from bulkpoint.embedded.kafka_home import find_kafka
from bulkpoint.errors import UnreachableError
from tests.world.refusals import refused
from tests.world.waiting import wait_for

_S_MAX = 30


def test_messages_come_back_in_order(kafka: KafkaBroker) -> None:
    topic = _new_topic(kafka)
    _send(kafka, topic, range(100))
    assert _read(kafka, topic, 100) == list(range(100))


def test_a_stopped_broker_keeps_port_and_messages(kafka: KafkaBroker) -> None:
    topic, address = _new_topic(kafka), kafka.bootstrap
    _send(kafka, topic, range(10))
    kafka.stop()
    assert kafka.pid is None
    assert not _listens(address)
    kafka.start()
    assert kafka.bootstrap == address
    _send(kafka, topic, range(10, 20))
    assert _read(kafka, topic, 20) == list(range(20))


def test_a_broker_that_died_by_itself_starts_again(kafka: KafkaBroker) -> None:
    assert kafka.pid is not None
    os.kill(kafka.pid, signal.SIGKILL)
    wait_for(lambda: not _listens(kafka.bootstrap), "the broker to answer no more")
    kafka.start()
    assert _listens(kafka.bootstrap)


def test_a_killed_broker_keeps_what_it_acknowledged_and_takes_each_message_once(kafka: KafkaBroker) -> None:
    topic = _new_topic(kafka)
    producer = _producer(kafka)
    producer.produce(topic, b"0")
    assert producer.flush(_S_MAX) == 0
    kafka.kill()
    assert kafka.pid is None
    assert not _listens(kafka.bootstrap)
    producer.produce(topic, b"1")
    kafka.start()
    assert producer.flush(_S_MAX) == 0
    assert _read(kafka, topic, 2) == [0, 1]


def test_an_unknown_topic_stays_unknown(kafka: KafkaBroker) -> None:
    told: list[KafkaError | None] = []
    producer = _producer(kafka, **{"topic.metadata.propagation.max.ms": 300})
    producer.produce(f"unknown-{uuid.uuid4()}", b"0", on_delivery=lambda error, _message: told.append(error))
    assert producer.flush(_S_MAX) == 0
    assert [error and error.code() for error in told] == [KafkaError.UNKNOWN_TOPIC_OR_PART]


def test_no_jar_of_spark_is_in_the_brokers_jvm(kafka: KafkaBroker) -> None:
    jars = {file for file in _files_opened_by(kafka.pid) if file.suffix == ".jar"}
    assert len(jars) > 20
    assert {jar.parent for jar in jars} == {find_kafka().jars}
    assert not [jar for jar in jars if "spark" in jar.name]


def test_a_broker_that_may_create_topics_does_and_leaves_nothing_running(tmp_path: Path) -> None:
    with embedded_kafka(tmp_path / "broker", create_topics=True) as broker:
        pid, address = broker.pid, broker.bootstrap
        _send(broker, "made-by-the-first-message", range(3))
        assert _read(broker, "made-by-the-first-message", 3) == [0, 1, 2]
    assert not Path(f"/proc/{pid}").exists()
    assert not _listens(address)


def test_a_broker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from bulkpoint.embedded.kafka import embedded_kafka\n"
        "with embedded_kafka(Path(sys.argv[1])) as broker:\n"
        "    print(broker.bootstrap, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "broker")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    address = parent.stdout.readline().strip()
    assert _listens(address)
    parent.kill()
    parent.wait(_S_MAX)
    parent.stdout.close()
    wait_for(lambda: not _listens(address), f"{address} to answer no more")


def test_without_a_network_the_fetch_says_so_and_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    nowhere = " ".join(f"-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort=1" for scheme in ("http", "https"))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", nowhere)
    with refused("Check the network", UnreachableError):
        find_kafka()
    assert [file.name for file in (tmp_path / "bulkpoint").iterdir()] == ["kafka.lock"]


def _producer(broker: KafkaBroker, **more: int) -> Producer:
    ours = {"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 0}
    return Producer({**ours, "log_level": 0, **more})


def _new_topic(broker: KafkaBroker) -> str:
    topic = f"test-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})  # the answer does not come without it
    admin.create_topics([NewTopic(topic)])[topic].result(_S_MAX)
    return topic


def _send(broker: KafkaBroker, topic: str, numbers: range) -> None:
    producer, errors = _producer(broker), []
    for number in numbers:
        producer.produce(topic, str(number).encode(), on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(_S_MAX) == 0
    assert errors == [None] * len(numbers)


def _read(broker: KafkaBroker, topic: str, count: int) -> list[int]:
    """All that is in the topic: `count` messages, and none in a little while after them."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])  # as a member of its group: 2 s more
    try:
        messages = consumer.consume(count, _S_MAX) + consumer.consume(1, 0.3)
    finally:
        consumer.close()
    assert not [message.error() for message in messages if message.error()]
    return [int(message.value() or b"") for message in messages]


def _files_opened_by(pid: int | None) -> list[Path]:
    files = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in between
            files.append(descriptor.readlink())
    return files


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
