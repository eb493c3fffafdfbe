"""A wave, as Spark pays it: one job reads its payments by JDBC, deals them to one partition per share, and waits.

Spark forgets what it did, so a wave that fails is paid again by a sweep; here its failure is put into words.
"""

import time
from functools import partial
from typing import NamedTuple

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from bulkpoint.log import Level
from bulkpoint.pay.heartbeat import Heartbeat
from bulkpoint.pay.log import say
from bulkpoint.pay.partition import pay_partition
from bulkpoint.pay.task import REPORT_SCHEMA, PartitionTask
from bulkpoint.rules.connections import readers
from bulkpoint.rules.spark_trouble import is_of_database, trouble_of_spark
from bulkpoint.rules.waves import FAILED_WAVES_MAX, Wave
from bulkpoint.store.connect import PATIENCE_S
from bulkpoint.store.jdbc import reader_url
from bulkpoint.store.payment import no_payment_query, wave_query
from bulkpoint.store.session import settle_transaction_statement
from bulkpoint.views.sentences import sentence

# Before another wave is read after the database had no connection for the last one.
DATABASE_PAUSE_S = 5.0
# Of a chain of Java exceptions.
CAUSES_MAX = 10
# Rows per JDBC fetch.
FETCH_ROWS = 10_000


class WaveEnd(NamedTuple):
    """How one Spark job ended. paid: False where Spark gave it up. sent: wire sends that its partitions reported."""

    paid: bool
    sent: int = 0


class WavePayer:
    """Pays the waves of one run, two at a time.

    failure: in words, why the last wave was not paid to its end; None where it was, or where only the log knows.
    """

    def __init__(
        self, spark: SparkSession, shares: int, task: PartitionTask, heartbeat: Heartbeat, *, group: str
    ) -> None:
        """group: of the Spark jobs, for Spark's page."""
        self.failure: str | None = None
        self._spark = spark
        self._shares = shares
        self._task = task
        self._heartbeat = heartbeat
        self._group = group
        # Rows are dealt in the order in which they are read, that of seq. Spark would first sort them by their hashes,
        # so that a lost part, read again, is dealt as before. Here a row that is dealt twice is claimed once, and one
        # that is dealt to none is left for a sweep; and 500 rows in order are on a tenth of the pages.
        spark.conf.set("spark.sql.execution.sortBeforeRepartition", "false")

    def pay(self, wave: Wave, name: str, *, shares: int | None = None) -> WaveEnd:
        """One Spark job. What it paid is recorded even where Spark gave it up. shares: among how many it is dealt."""
        context = self._spark.sparkContext
        context.setJobGroup(self._group, name)
        gives_up_at = time.monotonic() + PATIENCE_S / FAILED_WAVES_MAX
        while (ended := self._try(wave, name, shares or self._shares)) is None:
            if time.monotonic() > gives_up_at or self._heartbeat.over.wait(DATABASE_PAUSE_S):
                return WaveEnd(paid=False)
        return ended

    def _try(self, wave: Wave, name: str, shares: int) -> WaveEnd | None:
        """The same; None where Spark could not read the payments, which waiting may help."""
        try:
            partitions = self.read(wave).repartition(shares)
            with self._heartbeat.waits.tasks():
                reports = partitions.mapInArrow(partial(pay_partition, self._task), REPORT_SCHEMA).collect()
        except (Py4JError, PySparkException) as error:
            if self._heartbeat.over.is_set():
                return WaveEnd(paid=False)
            why = trouble_of_spark(words_of_java(error))
            self.failure = None if why is None else sentence(why)
            said = self.failure or str(error).strip().splitlines()[0]
            say(f"{name} failed: {said}", event="wave_failed", level=Level.WARNING)
            return None if is_of_database(why) else WaveEnd(paid=False)
        troubles = [report.trouble for report in reports if report.trouble is not None]
        self.failure = troubles[0] if troubles else None
        if troubles:
            say(f"{name} is not paid to its end: {self.failure}", event="wave_unfinished", level=Level.WARNING)
        return WaveEnd(paid=not troubles, sent=sum(report.sent for report in reports))

    def read(self, wave: Wave) -> DataFrame:
        """The payments of one wave that are open."""
        query = wave_query(self._task.run.campaign_id, wave.first_seq, wave.last_seq)
        ranges = readers(self._shares, wave.last_seq + 1 - wave.first_seq)
        return _read(self._spark, self._task.conninfo, query, wave, ranges)


def get_ready(spark: SparkSession, conninfo: str) -> None:
    """One job like that of a wave, which pays nothing: Spark and its Python daemon load what they need for one."""
    rows = _read(spark, conninfo, no_payment_query(), Wave(0, 1, 1), 1).repartition(1)
    rows.mapInArrow(lambda batches: batches, rows.schema).collect()


def _read(spark: SparkSession, conninfo: str, query: str, wave: Wave, ranges: int) -> DataFrame:
    """The rows of `query` with a seq in that of the wave, in so many ranges of it."""
    return (
        spark.read.format("jdbc")
        .option("driver", "org.postgresql.Driver")
        .option("url", reader_url(conninfo))
        .option("dbtable", query)
        .option("partitionColumn", "seq")
        .option("lowerBound", wave.first_seq)
        .option("upperBound", wave.last_seq + 1)
        .option("numPartitions", ranges)
        .option("fetchsize", FETCH_ROWS)
        .option("sessionInitStatement", settle_transaction_statement())
        .load()
    )


def words_of_java(error: Exception) -> str:
    """What Spark says, and the causes that it leaves out: of a failed connection it keeps only that it failed."""
    words = [str(error)]
    cause = getattr(error, "_origin", None)
    while cause is not None and len(words) < CAUSES_MAX:
        words.insert(0, str(cause.toString()))
        cause = cause.getCause()
    return "\n".join(words)
