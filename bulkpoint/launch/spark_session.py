"""The Spark session of a job: start it, and count the partitions that may send at the same time."""

import time

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bulkpoint.errors import RefusedError, UnreachableError, UsageError
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Database

# A cluster that is busy with other applications gives executors late, or never.
EXECUTORS_S_MAX = 60.0
EXECUTORS_POLL_S = 0.1


def start_spark(campaign_id: int, database: Database) -> SparkSession:
    """The session that spark-submit configured, for the caller to stop; `campaign_id` names the application.

    Raises UnreachableError when Spark does not start, RefusedError where it would run a task twice (speculation).
    """
    try:
        spark = SparkSession.builder.appName(f"bulkpoint campaign {campaign_id}").getOrCreate()
    except (Py4JError, PySparkException, RuntimeError) as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")  # the rest is a page of Java
        raise UnreachableError("SPARK_DID_NOT_START", "check_spark_and_java", why=why) from error
    if spark.conf.get("spark.speculation", "false") != "false":
        spark.stop()
        raise RefusedError("SPARK_SPECULATES", "set_speculation_off")
    # An adaptive exchange would merge partitions, and show a wave as two jobs.
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    # The JVM may have been started before the embedded database had a password file.
    jvm = spark.sparkContext._jvm  # the only way to set a property of a JVM that runs already
    assert jvm is not None
    jvm.java.lang.System.setProperty("org.postgresql.pgpassfile", str(database.passfile))
    return spark


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
    if settings.spark_master.startswith("local"):
        return
    deadline = time.monotonic() + EXECUTORS_S_MAX
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 2:  # the driver is one of them
        if time.monotonic() > deadline:
            raise UnreachableError(
                "NO_EXECUTOR", "look_at_spark_workers", master=settings.spark_master, seconds=EXECUTORS_S_MAX
            )
        time.sleep(EXECUTORS_POLL_S)
