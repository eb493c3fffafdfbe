"""The Spark session of a job: started, asked how many partitions may send next to each other."""

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
        raise UnreachableError(f"Spark did not start: {why}. Check BULKPOINT_SPARK_MASTER and Java.") from error
    if spark.conf.get("spark.speculation", "false") != "false":
        spark.stop()
        raise RefusedError("spark.speculation is true: a second copy of a task would only wait. Set it to false.")
    # An exchange that adapts would merge partitions, and show a wave as two jobs.
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    # The JVM may have been started before the embedded database had a password file.
    jvm = spark.sparkContext._jvm  # the one way to a system property of a JVM that runs already
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
        raise UsageError(
            f"BULKPOINT_PARTITIONS is {shares}, but Spark has {slots} slots: a partition without a slot would never"
            " send its part of the limit. Lower it, or give Spark more cores."
        )
    return shares


def wait_for_executors(spark: SparkSession, settings: Settings) -> None:
    """Return when the cluster has given at least one; local masters are their own."""
    if settings.spark_master.startswith("local"):
        return
    deadline = time.monotonic() + EXECUTORS_S_MAX
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 2:  # the driver is one of them
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"Spark's master {settings.spark_master} gave no executor for {EXECUTORS_S_MAX:.0f} s. Has it workers,"
                " and have they cores and memory to spare? Its web page shows them. Nothing was changed."
            )
        time.sleep(EXECUTORS_POLL_S)
