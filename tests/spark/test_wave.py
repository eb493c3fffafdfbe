"""One wave as Spark does it: what the driver's own read brings, how it is cut and spread, what workers hand back."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chispa import assert_df_equality
from psycopg.conninfo import make_conninfo
from pyspark.sql import SparkSession
from pyspark.sql.classic.dataframe import DataFrame
from pyspark.sql.functions import spark_partition_id

from bulkpoint.pay.driver import Driver, JobEnvironment
from bulkpoint.pay.stop_signals import StopSignals
from bulkpoint.pay.task import REPORT_SCHEMA
from bulkpoint.rules.waves import Wave
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from tests.world.campaigns import Campaign, World
from tests.world.logins import new_login

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
def campaign(connection: Connection) -> Campaign:
    """Running, with payments of every state in the wave; another campaign has been there before."""
    world = World(connection, shares=SHARES)
    targets = [target(seq) for seq in range(1, TARGETS + 1)]
    world.campaign([(member, 7, reason) for member, _, reason in targets]).begun().ended("FAILED")
    return world.campaign(targets).begun().paid(SUCCESS).failed(FAILED).claimed(PROCESSING)


@pytest.fixture
def paid(spark: SparkSession, campaign: Campaign, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Paid:
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
    driver = Driver(campaign.run, job, StopSignals())
    driver._heartbeat.stop()
    campaign.stopped()
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
    expected = spark.createDataFrame([(0, 0, None)] * SHARES, REPORT_SCHEMA)
    assert_df_equality(paid.reports, expected)
    states = connection.execute("select count(*) from payment where state = 'PROCESSING'").fetchone()
    assert states == (len(PROCESSING),), "a worker claimed a payment"


def test_a_wave_is_read_in_spite_of_a_time_out_and_says_why_it_has_no_connection(
    spark: SparkSession,
    campaign: Campaign,
    connection: Connection,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with new_login(connection, database_url) as login:
        passfile = tmp_path / "pgpass"
        passfile.write_text(login.passfile_line)
        passfile.chmod(0o600)
        login.alter("set statement_timeout = '100ms'")
        slowly = "(select seq, member_id, amount, reason from payment, (select pg_sleep(0.3)) s) as wave"
        monkeypatch.setattr("bulkpoint.pay.driver.wave_query", lambda *_: slowly)
        settings = load_settings({"BULKPOINT_DATABASE_URL": database_url})
        conninfo = make_conninfo(login.address, passfile=str(passfile))
        driver = Driver(campaign.run, JobEnvironment(spark, SHARES, conninfo, settings, lambda _: None), StopSignals())
        driver._heartbeat.stop()
        with passwords_of_jvm(spark, passfile):
            assert driver._read(WAVE).count() > 0
        login.alter("connection limit 0 nosuperuser")
        monkeypatch.setattr("bulkpoint.pay.driver.PATIENCE_S", 0)
        with passwords_of_jvm(spark, passfile):
            assert not driver._pay_wave(WAVE, "the wave of the test").paid
        why = driver._failed_in_a_row("waves")
        assert f'Spark could not read the payments: FATAL: too many connections for role "{login.name}"' in why
        assert "\n" not in why


@contextmanager
def passwords_of_jvm(spark: SparkSession, passfile: Path) -> Iterator[None]:
    assert spark.sparkContext._jvm is not None
    system = spark.sparkContext._jvm.java.lang.System
    before = system.setProperty("org.postgresql.pgpassfile", str(passfile))
    yield
    system.setProperty("org.postgresql.pgpassfile", before)
