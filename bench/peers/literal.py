"""The job as its description reads, word for word: read over JDBC, repartition into N, foreachPartition; in each
partition requests, ratelimit and tenacity, one call after the other, and one upsert for each row.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import requests
from job import RECORD, TIMEOUT_S, Job, call_of, read_job, stamp
from pyspark.sql import Row, SparkSession
from ratelimit import limits, sleep_and_retry
from tenacity import retry, stop_after_attempt, wait_fixed

NO_LIMIT = 10**9


def pay_partition(job: Job, rows: Iterator[Row]) -> None:
    calls = int(job.tps_of_a_worker) or NO_LIMIT

    @retry(stop=stop_after_attempt(4), wait=wait_fixed(3))
    @sleep_and_retry
    @limits(calls=calls, period=1)
    def call(session: requests.Session, row: Row) -> str:
        headers, body = call_of(row.member_id, row.amount, row.reason)
        stamp(job.stamps)
        answer = session.post(job.url, data=body, headers=headers, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()["transaction_id"]

    with requests.Session() as session, psycopg.connect(job.database, autocommit=True) as connection:
        for row in rows:
            connection.execute(RECORD, (row.n, call(session, row)))


def main(job: Job) -> None:
    spark = SparkSession.builder.getOrCreate()
    # The driver for JDBC finds the password where psycopg does: in the file that PGPASSFILE names.
    address = urlsplit(job.database)
    url = f"jdbc:postgresql://{address.hostname}:{address.port}{address.path}?user={address.username}"
    targets = spark.read.jdbc(url, "bench_target", properties={"driver": "org.postgresql.Driver"})
    targets.repartition(job.workers).foreachPartition(lambda rows: pay_partition(job, rows))
    spark.stop()


if __name__ == "__main__":
    main(read_job())
