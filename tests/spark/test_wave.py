"""One wave as Spark does it: what the driver's own read brings, how it is cut and spread, what workers hand back."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession
from pyspark.sql.classic.dataframe import DataFrame
from pyspark.sql.functions import spark_partition_id

from bulkpoint.campaigns.runs import begin_run, end_run, stop_run
from bulkpoint.pay.driver import Driver, JobEnvironment
from bulkpoint.pay.stop_signals import StopSignals
from bulkpoint.pay.task import REPORT_SCHEMA
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.rules.waves import Wave
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.run import Run

SHARES = 3  # not what Spark would choose by itself: it has two slots
TARGETS = 90
WAVE = Wave(1, 21, 80)
SUCCESS, FAILED, PROCESSING = (25, 80), (21, 40), (33, 50)
AMOUNT_MAX = 1_000_000_000_000
PAYMENT_SCHEMA = "seq bigint, member_id string, amount bigint, reason string"


def target(seq: int) -> tuple[str, int, str]:
    """Member, amount and reason; members are in the order of seq."""
    return f"회원-{seq:03}", AMOUNT_MAX - seq, f'적립 보상 "{seq}", 가을 \\ 🍁 {"가" * seq}'


@dataclass
class Paid:
    """The frames the driver made for one wave, each as the next step got it."""

    read: DataFrame
    spread: DataFrame
    reports: DataFrame


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        yield connection


@pytest.fixture
def run(connection: Connection) -> Run:
    """A run with rows of every state in the wave; another campaign has been there before."""
    ensure_limit(connection, tps=100, shares=SHARES, actor="tester")
    end_run(connection, begun(connection, "before", amount=7), RunState.FAILED, "the test says so")
    run = begun(connection, "now", amount=None)
    for statement, seqs in (
        (b"update payment set state = 'SUCCESS', transaction_id = 't'", SUCCESS),
        (b"update payment set state = 'FAILED', failure_kind = 'REJECTED', first_sent_at = now()", FAILED),
        (b"update payment set state = 'PROCESSING', claim_share = 0, claim_epoch = 1", PROCESSING),
    ):
        connection.execute(
            statement + b" where campaign_id = %s and seq = any(%s)", (run.token.campaign_id, list(seqs))
        )
    return run


def begun(connection: Connection, name: str, *, amount: int | None) -> Run:
    targets = [target(seq) for seq in range(1, TARGETS + 1)]
    rows = [(member, amount or own, reason) for member, own, reason in targets]
    inserted = connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values (%s, %s, %s, 'tester')"
        " returning campaign_id",
        (name, len(rows), sum(row[1] for row in rows)),
    ).fetchone()
    assert inserted is not None
    with connection.cursor() as cursor:
        cursor.executemany("insert into campaign_target values (%s, %s, %s, %s)", [(*inserted, *row) for row in rows])
    return begin_run(connection, inserted[0], kind="INITIAL", actor="tester", reason=None, shares=SHARES)


@pytest.fixture
def paid(
    spark: SparkSession, connection: Connection, run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Paid:
    """The driver paid WAVE of a run that is over: it read, spread and started workers, and they sent nothing."""
    frames: dict[str, Any] = {}
    repartition, map_in_arrow = DataFrame.repartition, DataFrame.mapInArrow

    def spread(frame: DataFrame, *by: Any) -> Any:
        frames["read"] = frame
        return repartition(frame, *by)

    def work(frame: DataFrame, *how: Any) -> Any:
        frames["spread"], frames["reports"] = frame, map_in_arrow(frame, *how)
        return frames["reports"]

    monkeypatch.setattr(DataFrame, "repartition", spread)
    monkeypatch.setattr(DataFrame, "mapInArrow", work)
    settings = load_settings({"BULKPOINT_DATABASE_URL": database_url})
    job = JobEnvironment(spark, SHARES, database_url, settings, deliver=lambda _: None)
    driver = Driver(run, job, StopSignals())
    driver._heartbeat.stop()
    stop_run(connection, run.token.campaign_id, actor="tester")
    assert driver._pay_wave(WAVE, "the wave of the test")
    return Paid(**frames)


def test_a_wave_reads_the_open_payments_of_its_range_and_no_others(spark: SparkSession, paid: Paid) -> None:
    left = [seq for seq in range(WAVE.first_seq, WAVE.last_seq + 1) if seq not in SUCCESS + FAILED]
    expected = spark.createDataFrame([(seq, *target(seq)) for seq in left], PAYMENT_SCHEMA)
    assert_df_equality(paid.read, expected, ignore_row_order=True, ignore_metadata=True)


def test_a_wave_is_read_in_as_many_ranges_of_seq_as_there_are_shares(paid: Paid) -> None:
    ranges: dict[int, list[int]] = {}
    for number, seq in paid.read.select(spark_partition_id(), "seq").collect():
        ranges.setdefault(number, []).append(seq)
    assert sorted(ranges) == list(range(SHARES))
    in_order = [ranges[number] for number in range(SHARES)]
    assert all(max(one) < min(after) for one, after in pairwise(in_order))
    assert max(map(len, in_order)) <= 20, "ranges of one width"


def test_every_payment_of_a_wave_is_in_exactly_one_of_n_even_partitions(paid: Paid) -> None:
    placed = paid.spread.select(spark_partition_id(), "seq").collect()
    assert sorted(seq for _, seq in placed) == sorted(row.seq for row in paid.read.collect())
    sizes = Counter(number for number, _ in placed)
    assert sorted(sizes) == list(range(SHARES))
    assert max(sizes.values()) - min(sizes.values()) <= SHARES


def test_the_workers_of_a_run_that_is_over_report_that_they_took_and_sent_nothing(
    spark: SparkSession, paid: Paid, connection: Connection
) -> None:
    expected = spark.createDataFrame([(0, 0)] * SHARES, REPORT_SCHEMA)
    assert_df_equality(paid.reports, expected)
    states = connection.execute("select count(*) from payment where state = 'PROCESSING'").fetchone()
    assert states == (len(PROCESSING),), "a worker claimed a payment"
