"""Where the embedded Apache Kafka lives: its jars, fetched once by their coordinates into the user's cache.

~/.cache/bulkpoint/kafka-<version>/jars         the broker and what it needs; nothing of Spark's
~/.cache/bulkpoint/kafka-<version>/formatted    the storage of an empty cluster, copied for each new broker
~/.cache/bulkpoint/kafka-<version>/classes.jsa  its classes as the JVM keeps them in memory
~/.cache/bulkpoint/kafka.lock                   locked by the process that makes these
"""

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from bulkpoint import files
from bulkpoint.embedded.maven import Coordinates, cache_lock, fetch_jars, java, run_program

NODE_ID = 1

_KAFKA = Coordinates("org.apache.kafka", "kafka_2.13", "4.4.0")
# The version of the log4j that this Kafka contains.
_LOG_BINDING = Coordinates("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5")
# Clusters that never meet may share an id; 16 bytes in base64, as Kafka wants it.
_CLUSTER_ID = "YnVsa3BvaW50LWxvY2FsAA"

_FORMAT_S_MAX = 120.0

# What `format` needs to know of a cluster; the ports and folders of a broker are not part of it.
_FORMAT_CONFIGURATION = f"""\
process.roles=broker,controller
node.id={NODE_ID}
controller.quorum.voters={NODE_ID}@127.0.0.1:1
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


@dataclass(frozen=True)
class KafkaHome:
    """One version of Kafka in the user's cache."""

    folder: Path

    @property
    def jars(self) -> Path:
        return self.folder / "jars"

    @property
    def formatted(self) -> Path:
        return self.folder / "formatted"

    @property
    def class_archive(self) -> Path:
        return self.folder / "classes.jsa"

    def java(self, *options: str) -> list[str]:
        """The command line of a JVM with Kafka's class path, and nothing else's."""
        return [java(), *options, "-cp", f"{self.jars}/*"]


def find_kafka() -> KafkaHome:
    """Kafka, fetched if it is not there; of several processes that want it at once, one fetches.

    Raises:
        UnreachableError: it cannot be fetched, or there is no Java that runs it.
    """
    home = KafkaHome(files.cache_folder() / f"kafka-{_KAFKA.version}")
    if not home.folder.is_dir():
        with cache_lock("kafka"):
            if not home.folder.is_dir():
                _make(home.folder)
    return home


def _make(folder: Path) -> None:
    """Makes the folder, in full or not at all."""
    for left_over in folder.parent.glob(f"{folder.name}.new-*"):  # of a process that was killed while it did this
        shutil.rmtree(left_over, ignore_errors=True)
    unfinished = folder.with_name(f"{folder.name}.new-{secrets.token_hex(4)}")
    unfinished.mkdir()
    try:
        fetch_jars([_KAFKA, _LOG_BINDING], unfinished, failure="KAFKA_NOT_FETCHED")
        _format(KafkaHome(unfinished))
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _format(home: KafkaHome) -> None:
    configuration = home.folder / "format.properties"
    configuration.write_text(f"{_FORMAT_CONFIGURATION}log.dirs={home.formatted}\n")
    run_program(
        [
            *home.java("-XX:TieredStopAtLevel=1"),
            *("kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER_ID, "--config", str(configuration)),
        ],
        seconds=_FORMAT_S_MAX,
        failure="KAFKA_DOES_NOT_RUN",
    )
