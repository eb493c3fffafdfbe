"""Where the embedded Apache Kafka lives: its jars, fetched once by their coordinates into the user's cache.

~/.cache/bulkpoint/kafka-<version>/jars         the broker and what it needs; nothing of Spark's
~/.cache/bulkpoint/kafka-<version>/formatted    the storage of an empty cluster, copied for each new broker
~/.cache/bulkpoint/kafka-<version>/classes.jsa  its classes as the JVM keeps them in memory
~/.cache/bulkpoint/kafka.lock                   held by whoever makes these
"""

import os
import secrets
import shutil
import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bulkpoint import files
from bulkpoint.embedded.machine import last_lines, locked
from bulkpoint.errors import UnreachableError
from bulkpoint.rules.refusals import Refusal

NODE_ID = 1

_KAFKA = ("org.apache.kafka", "kafka_2.13", "4.4.0")
_LOG_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5")  # of the log4j that this Kafka brings
# Clusters that never meet may share an id; 16 bytes in base64, as Kafka wants it.
_CLUSTER_ID = "YnVsa3BvaW50LWxvY2FsAA"

_FETCH_S_MAX = 600.0  # 43 MB in 90 files; measured: 35 s, most of it waiting for one answer after the other
_LOCK_S_MAX = 2 * _FETCH_S_MAX  # another process fetches
_FORMAT_S_MAX = 120.0

_IVY_MODULE = """\
<ivy-module version="2.0">
  <info organisation="bulkpoint" module="kafka"/>
  <configurations><conf name="default"/></configurations>
  <dependencies>{dependencies}
  </dependencies>
</ivy-module>
"""
_IVY_DEPENDENCY = '\n    <dependency org="{}" name="{}" rev="{}" conf="default"/>'

# What `format` wants to know of a cluster; the ports and folders of a broker are not part of it.
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
        return [_java(), *options, "-cp", f"{self.jars}/*"]


def find_kafka() -> KafkaHome:
    """Kafka, fetched if it is not there; of several processes that want it at once, one fetches.

    Raises:
        UnreachableError: it cannot be fetched, or there is no Java that runs it.
    """
    home = KafkaHome(files.cache_folder() / f"kafka-{_KAFKA[2]}")
    if not home.folder.is_dir():
        with kafka_lock():
            if not home.folder.is_dir():
                _make(home.folder)
    return home


def kafka_lock() -> AbstractContextManager[None]:
    """Held while something in the cache is made.

    Raises:
        UnreachableError: another process has held it for too long.
    """
    cache = files.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    busy = UnreachableError("KAFKA_FETCHED_ELSEWHERE", "end_fetching", folder=str(cache), seconds=_LOCK_S_MAX)
    return locked(cache / "kafka.lock", wait_s_max=_LOCK_S_MAX, busy=busy)


def _make(folder: Path) -> None:
    """Makes the folder, in full or not at all."""
    for left_over in folder.parent.glob(f"{folder.name}.new-*"):  # of a process that was killed while it did this
        shutil.rmtree(left_over, ignore_errors=True)
    unfinished = folder.with_name(f"{folder.name}.new-{secrets.token_hex(4)}")
    unfinished.mkdir()
    try:
        _fetch(unfinished)
        _format(KafkaHome(unfinished))
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch(folder: Path) -> None:
    """The jars, by Ivy, which Spark brings along; it runs alone, so nothing of Spark's can get among them."""
    ivy_jars = sorted((files.spark_home() / "jars").glob("ivy-[0-9]*.jar"))
    if not ivy_jars:
        raise UnreachableError("IVY_MISSING", "reinstall_pyspark", folder=str(files.spark_home() / "jars"))
    module = folder / "ivy.xml"
    module.write_text(
        _IVY_MODULE.format(dependencies="".join(_IVY_DEPENDENCY.format(*it) for it in (_KAFKA, _LOG_BINDING)))
    )
    work = folder / "ivy"
    _run(
        [
            _java(),
            f"-Divy.default.ivy.user.dir={work}",
            *("-cp", str(ivy_jars[-1]), "org.apache.ivy.Main"),
            *("-ivy", str(module), "-confs", "default", "-types", "jar", "bundle"),
            *("-cache", str(work / "cache")),
            *("-retrieve", f"{folder}/jars/[artifact]-[revision].[ext]"),
        ],
        seconds=_FETCH_S_MAX,
        failure="KAFKA_NOT_FETCHED",
    )
    shutil.rmtree(work)


def _format(home: KafkaHome) -> None:
    configuration = home.folder / "format.properties"
    configuration.write_text(f"{_FORMAT_CONFIGURATION}log.dirs={home.formatted}\n")
    _run(
        [
            *home.java("-XX:TieredStopAtLevel=1"),
            *("kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER_ID, "--config", str(configuration)),
        ],
        seconds=_FORMAT_S_MAX,
        failure="KAFKA_DOES_NOT_RUN",
    )


def _run(command: list[str], *, seconds: float, failure: str) -> None:
    """Run a program of Java's for `seconds` at most; where it fails, the code `failure` says what that means."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise UnreachableError("JAVA_MISSING", "install_java", program=command[0]) from error
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(failure, why=Refusal("TOOK_TOO_LONG", {"seconds": seconds})) from error
    if done.returncode != 0:
        raise UnreachableError(failure, why=Refusal("LAST_LINES", {"last_lines": last_lines(done.stdout)}))


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"
