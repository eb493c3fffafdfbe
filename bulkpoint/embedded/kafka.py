"""An Apache Kafka broker of one node for tests and trials: it keeps its port and its messages through stop and kill.

Its own controller (KRaft), loopback only, no encryption, no password: nothing here is meant for production.

    <folder>/data               the messages and the cluster's metadata
    <folder>/server.properties  written at every start
    <folder>/server.log         warnings and errors
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkpoint.embedded.kafka_home import NODE_ID, KafkaHome, find_kafka
from bulkpoint.embedded.machine import HOST, free_ports, last_lines
from bulkpoint.embedded.maven import cache_lock
from bulkpoint.errors import UnreachableError

_START_S_MAX = 90.0  # 2 s on a free machine
_STOP_S_MAX = 30.0  # 0.4 s on a free machine; 3 s more when the classes are archived
_POLL_S = 0.05

_JAVA_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",  # one thread instead of one per core
    "-XX:TieredStopAtLevel=1",  # the quick compiler: for a few thousand messages the thorough one does not pay
    "-Dorg.apache.logging.log4j.level=WARN",
)

_CONFIGURATION = """\
# Written by bulkpoint at every start; a change here is lost.
process.roles=broker,controller
node.id={node_id}
controller.quorum.voters={node_id}@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable={create_topics}

# One node: one copy of everything, one partition where nobody says otherwise.
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Nobody else joins: a consumer's first poll need not wait for others, nor a start for the time-out of a killed broker.
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""

# Ends the broker when the pipe to its parent closes, which the kernel does however the parent dies.
_END_WITH_PARENT = 'read -r _; kill -9 "$1"'


class KafkaBroker:
    """One broker with its folder; started and stopped by one thread at a time."""

    def __init__(self, home: KafkaHome, folder: Path, *, create_topics: bool) -> None:
        self._home = home
        self._folder = folder
        self._create_topics = create_topics
        self._port, self._controller_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients, HOST:PORT; the same through every stop and start."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The JVM's process, or None while the broker is stopped or after it has died."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Starts the broker and returns when it answers clients; nothing to do if it runs.

        Raises:
            UnreachableError: it does not start; with the last lines of its log.
        """
        if self.pid is None:
            self._collect()
            self._launch(f"-XX:SharedArchiveFile={self._home.class_archive}")

    def stop(self) -> None:
        """Stops the broker in order: clients are notified, all is on the disk. Nothing to do if it is stopped."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._collect()

    def kill(self) -> None:
        """Kills the broker with SIGKILL: no client is notified. What it had acknowledged is in its files."""
        if self._process is not None:
            self._process.kill()
        self._collect()

    def archive_classes(self) -> None:
        """Runs the broker once so that the JVM archives its classes: later starts take half the time."""
        unfinished = self._home.class_archive.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        self._launch(f"-XX:ArchiveClassesAtExit={unfinished}")
        self.stop()
        if unfinished.is_file():
            unfinished.replace(self._home.class_archive)

    def _launch(self, java_option: str) -> None:
        data = self._folder / "data"
        if not data.exists():
            shutil.copytree(self._home.formatted, data)
        configuration = self._folder / "server.properties"
        configuration.write_text(
            _CONFIGURATION.format(
                node_id=NODE_ID,
                host=HOST,
                port=self._port,
                controller_port=self._controller_port,
                data=data,
                create_topics=str(self._create_topics).lower(),
            )
        )
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._home.java(*_JAVA_OPTIONS, java_option), "kafka.Kafka", str(configuration)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for its parent only
            )
        self._watch = subprocess.Popen(
            ["sh", "-c", _END_WITH_PARENT, "sh", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait_until_ready(time.monotonic() + _START_S_MAX)
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self, deadline: float) -> None:
        while self.pid is not None and time.monotonic() < deadline:
            if _accepts(self._port) and _answers(self.bootstrap):
                return
            time.sleep(_POLL_S)
        raise UnreachableError(
            "KAFKA_DOES_NOT_START",
            folder=str(self._folder),
            log=str(self._log),
            last_lines=last_lines(self._log.read_text(errors="replace")),
        )

    def _collect(self) -> None:
        """Clean up after the broker. The watch is killed: else it kills this pid, which may soon be another process."""
        if self._watch is not None:
            self._watch.kill()
            self._watch.communicate()
        if self._process is not None:
            self._process.wait()
        self._watch = self._process = None

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"


@contextmanager
def embedded_kafka(folder: Path, *, create_topics: bool = False) -> Iterator[KafkaBroker]:
    """A broker that runs while the block does, with its files in a folder that need not exist.

    The first one on a machine fetches Kafka (43 MB, under a minute); the next ones start in 2 s. `create_topics` lets
    the first message or question about an unknown topic create it, as an unconfigured broker does.

    Raises:
        UnreachableError: Kafka cannot be fetched or does not start.
    """
    folder = folder.absolute()
    home = find_kafka()
    if not home.class_archive.is_file():
        with cache_lock("kafka"):
            if not home.class_archive.is_file():
                _archive_classes(home, folder / "first")
    folder.mkdir(parents=True, exist_ok=True)
    broker = KafkaBroker(home, folder, create_topics=create_topics)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def _archive_classes(home: KafkaHome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        KafkaBroker(home, folder, create_topics=False).archive_classes()
    finally:
        shutil.rmtree(folder)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(bootstrap: str) -> bool:
    """The port opens before the broker is connected to its controller; the list of topics comes only after that."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        return bool(AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=5).brokers)
    except KafkaException:
        return False
