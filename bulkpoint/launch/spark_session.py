"""The Spark session of a job: start it, and count the partitions that may send at the same time."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bulkpoint.errors import RefusedError, UnreachableError, UsageError
from bulkpoint.pay.driver import SparkInUse
from bulkpoint.pay.wave import get_ready
from bulkpoint.settings import Settings

# A cluster that is busy with other applications gives executors late, or never.
EXECUTORS_S_MAX = 60.0
EXECUTORS_POLL_S = 0.1


@contextmanager
def starting_spark(
    campaign_id: int, settings: Settings, passfile: Path, conninfo: str
) -> Iterator[Callable[[], SparkInUse]]:
    """Spark while the block runs: it starts in a thread of its own, and the function waits until it has.

    Raises RefusedError where Spark would run a task twice (speculation). The function raises what start_spark and
    count_shares raise. A block that ends by a signal waits for nothing. conninfo: of the database, which a local Spark
    reads from once while nobody waits for it.
    """
    _refuse_speculation()
    started: Future[SparkInUse] = Future()
    awaited = threading.Event()

    def start() -> None:
        try:
            session = start_spark(campaign_id, passfile)
            try:
                shares = count_shares(session, settings)
            except BaseException:
                session.stop()
                raise
            started.set_result(SparkInUse(session, shares))
        except BaseException as error:  # noqa: BLE001 (it is raised where Spark is waited for)
            started.set_exception(error)
            return
        if settings.spark_is_local and not awaited.is_set():
            # It is stopped meanwhile, perhaps half: then parts of the session are None. Or the database is away.
            with suppress(Exception):
                _get_ready(session, conninfo)

    def spark() -> SparkInUse:
        awaited.set()
        return started.result()

    threading.Thread(target=start, name="spark", daemon=True).start()
    try:
        yield spark
    except Exception:
        _stop(started)
        raise
    else:
        _stop(started)


def _stop(started: "Future[SparkInUse]") -> None:
    with suppress(Exception):  # why it did not start is known
        started.result().session.stop()


def _get_ready(session: SparkSession, conninfo: str) -> None:
    """On the core that the freeze leaves free."""
    session.sparkContext.setJobGroup("start", "Spark and its workers get ready")
    get_ready(session, conninfo)


def start_spark(campaign_id: int, passfile: Path) -> SparkSession:
    """The session that spark-submit configured, for the caller to stop; `campaign_id` names the application.

    Raises UnreachableError when Spark does not start.
    """
    try:
        spark = SparkSession.builder.appName(f"bulkpoint campaign {campaign_id}").getOrCreate()
    except (Py4JError, PySparkException, RuntimeError) as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")  # the rest is a page of Java
        raise UnreachableError("SPARK_DID_NOT_START", "check_spark_and_java", why=why) from error
    # An adaptive exchange would merge partitions, and show a wave as two jobs.
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    # The JVM may have been started before the embedded database had a password file.
    jvm = spark.sparkContext._jvm  # the only way to set a property of a JVM that runs already
    assert jvm is not None
    jvm.java.lang.System.setProperty("org.postgresql.pgpassfile", str(passfile))
    return spark


def _refuse_speculation() -> None:
    SparkContext._ensure_initialized()
    if SparkConf().get("spark.speculation", "false") != "false":
        raise RefusedError("SPARK_SPECULATES", "set_speculation_off")


def count_shares(spark: SparkSession, settings: Settings) -> int:
    """N, the partitions that send at the same time: the slots less one, which lets the next wave read ahead.

    Raises UnreachableError for a cluster that gives no executor: the run would be RUNNING, and no payment made.
    """
    wait_for_executors(spark, settings)
    slots = spark.sparkContext.defaultParallelism
    shares = settings.partitions or max(1, slots - 1)
    if shares > slots:
        raise UsageError("MORE_PARTITIONS_THAN_SLOTS", "lower_partitions_or_add_cores", partitions=shares, slots=slots)
    return shares


def wait_for_executors(spark: SparkSession, settings: Settings) -> None:
    """Return when the cluster has given at least one; a local master needs none."""
    if settings.spark_is_local:
        return
    deadline = time.monotonic() + EXECUTORS_S_MAX
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 2:  # the driver is one of them
        if time.monotonic() > deadline:
            raise UnreachableError(
                "NO_EXECUTOR", "look_at_spark_workers", master=settings.spark_master, seconds=EXECUTORS_S_MAX
            )
        time.sleep(EXECUTORS_POLL_S)
