"""One wave as Spark does it: what the driver reads, by whichever address; how it is cut, spread and handed back."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import trustme
from chispa import assert_df_equality
from psycopg.conninfo import make_conninfo
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.classic.dataframe import DataFrame
from pyspark.sql.functions import spark_partition_id

from bulkpoint.embedded import accounts
from bulkpoint.errors import UnreachableError
from bulkpoint.pay.driver import Driver, JobEnvironment, SparkInUse
from bulkpoint.pay.stop_signals import StopSignals
from bulkpoint.pay.task import REPORT_SCHEMA
from bulkpoint.pay.wave import get_ready
from bulkpoint.rules.waves import Wave
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection, Database, connect
from bulkpoint.store.jdbc import reader_url
from tests.world.campaigns import Campaign, World
from tests.world.logins import new_login
from tests.world.tls import Certificates, make_certificates
from tests.world.waiting import wait_for

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
    job = JobEnvironment(lambda: SparkInUse(spark, SHARES), database_url, settings, deliver=lambda _: None)
    driver = Driver(campaign.run, job, StopSignals())
    driver._heartbeat.stop()
    campaign.stopped()
    assert driver._waves.pay(WAVE, "the wave of the test").paid
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


def test_each_partition_has_its_payments_in_the_order_in_which_they_were_read(paid: Paid) -> None:
    dealt: dict[int, list[int]] = {}
    for number, seq in paid.spread.select(spark_partition_id(), "seq").collect():
        dealt.setdefault(number, []).append(seq)
    for seqs in dealt.values():
        steps_back = sum(later < earlier for earlier, later in pairwise(seqs))
        assert steps_back < SHARES, f"more than one for each range that was read: {seqs}"


def test_the_workers_of_a_run_that_is_over_report_that_they_took_and_sent_nothing(
    spark: SparkSession, paid: Paid, connection: Connection
) -> None:
    expected = spark.createDataFrame([(0, 0, None)] * SHARES, REPORT_SCHEMA)
    assert_df_equality(paid.reports, expected)
    states = connection.execute("select count(*) from payment where state = 'PROCESSING'").fetchone()
    assert states == (len(PROCESSING),), "a worker claimed a payment"


def test_spark_gets_ready_by_a_wave_of_one_row_that_is_no_payment(
    spark: SparkSession, campaign: Campaign, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[Any] = []
    map_in_arrow = DataFrame.mapInArrow

    def work(frame: DataFrame, *how: Any) -> Any:
        frames.append(map_in_arrow(frame, *how))
        return frames[-1]

    monkeypatch.setattr(DataFrame, "mapInArrow", work)
    before = connection.execute("select * from payment order by campaign_id, seq").fetchall()
    get_ready(spark, database_url)
    [through_python] = frames
    assert_df_equality(through_python, spark.createDataFrame([(1, "", 0, "")], PAYMENT_SCHEMA), ignore_metadata=True)
    assert connection.execute("select * from payment order by campaign_id, seq").fetchall() == before


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
        monkeypatch.setattr("bulkpoint.pay.wave.wave_query", lambda *_: slowly)
        settings = load_settings({"BULKPOINT_DATABASE_URL": database_url})
        conninfo = make_conninfo(login.address, passfile=str(passfile))
        job = JobEnvironment(lambda: SparkInUse(spark, SHARES), conninfo, settings, lambda _: None)
        driver = Driver(campaign.run, job, StopSignals())
        driver._heartbeat.stop()
        with passwords_of_jvm(spark, passfile):
            assert driver._waves.read(WAVE).count() > 0
        login.alter("connection limit 0 nosuperuser")
        monkeypatch.setattr("bulkpoint.pay.wave.PATIENCE_S", 0)
        with passwords_of_jvm(spark, passfile):
            assert not driver._waves.pay(WAVE, "the wave of the test").paid
        why = driver._failed_in_a_row("WAVES_FAILED")
        assert f'Spark could not read the payments: FATAL: too many connections for role "{login.name}"' in why
        assert "\n" not in why


@contextmanager
def passwords_of_jvm(spark: SparkSession, passfile: Path) -> Iterator[None]:
    assert spark.sparkContext._jvm is not None
    system = spark.sparkContext._jvm.java.lang.System
    before = system.setProperty("org.postgresql.pgpassfile", str(passfile))
    try:
        yield
    finally:
        system.setProperty("org.postgresql.pgpassfile", before)


# What both drivers are given


@pytest.fixture(scope="module")
def tls(postgres_server: Database, reachable_tmp: Path) -> Iterator[Certificates]:
    """The session's server speaks TLS, as 127.0.0.1 and under no other name."""
    account = accounts.server_account() if os.geteuid() == 0 else None
    certificates = make_certificates(
        reachable_tmp / "tls", owner=None if account is None else (account.pw_uid, account.pw_gid)
    )
    certificate, key = certificates.server
    given = {"ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": certificates.root, "ssl": "on"}
    with connect(postgres_server.url) as server:
        for name, value in given.items():
            server.execute(f"alter system set {name} = '{value}'".encode())
        server.execute("select pg_reload_conf()")
        wait_for(lambda: server.execute("show ssl").fetchone() == ("on",), "TLS")
        yield certificates
        for name in given:
            server.execute(f"alter system reset {name}".encode())
        server.execute("select pg_reload_conf()")
        wait_for(lambda: server.execute("show ssl").fetchone() == ("off",), "no TLS")


SEEN = """
    select current_user::text as login, current_database()::text as database, current_setting('search_path') as path,
           ssl, client_dn is not null as with_our_certificate
    from pg_stat_ssl where pid = pg_backend_pid()
"""


def seen_by_psycopg(address: str) -> tuple[Any, ...] | None:
    """Who and where a connection is, and by which TLS; None where there is none."""
    try:
        with connect(address) as connection:
            return connection.execute(SEEN.encode()).fetchone()
    except UnreachableError:
        return None


def seen_by_spark(spark: SparkSession, address: str, passfile: Path) -> tuple[Any, ...] | None:
    read = spark.read.format("jdbc").option("driver", "org.postgresql.Driver").option("dbtable", f"({SEEN}) as seen")
    try:
        with passwords_of_jvm(spark, passfile):
            (row,) = read.option("url", reader_url(address)).load().collect()
    except (Py4JError, PySparkException):
        return None
    return tuple(row)


# Of an address, and whether it must be let in: `other` is the root of another authority, `localhost` not in the
# certificate.
UNCHECKED, CHECKED = ("disable", "allow", "prefer"), ("require", "verify-ca", "verify-full")
TLS = {
    **{f"{mode}, right root": (mode, "127.0.0.1", "root.pem", True) for mode in (*UNCHECKED, *CHECKED)},
    **{f"{mode}, other root": (mode, "127.0.0.1", "other.pem", False) for mode in CHECKED},
    "verify-ca, other name": ("verify-ca", "localhost", "root.pem", True),
    "verify-full, other name": ("verify-full", "localhost", "root.pem", False),
}


@pytest.fixture(scope="module")
def strange(postgres_server: Database, tls: Certificates) -> Iterator[Path]:
    """A login, a database and a password that no URL can have as they are; gives the password file."""
    trustme.CA().cert_pem.write_to_path(tls.folder / "other.pem")
    passfile = tls.folder / "passwords"
    passfile.write_text("*:*:*:김 @/이:a\\\\b\\:c 가+%25\n")
    passfile.chmod(0o600)
    with connect(postgres_server.url) as owner:
        owner.execute("create role \"김 @/이\" login superuser password 'a\\b:c 가+%25'".encode())
        owner.execute('create database "점수 +/1"')
        yield passfile
        owner.execute('drop database "점수 +/1" with (force)')
        owner.execute('drop role "김 @/이"')


@pytest.mark.parametrize(("mode", "host", "root", "let_in"), TLS.values(), ids=TLS)
def test_spark_sees_of_an_address_what_psycopg_sees(
    spark: SparkSession, postgres_server: Database, tls: Certificates, strange: Path, mode: str, host: str, root: str,
    let_in: bool,
) -> None:  # fmt: skip
    query = tls.query(mode=mode, passfile=strange, options="-c search_path=a,bé").replace("root.pem", root)
    login, database = quote("김 @/이", safe=""), quote("점수 +/1", safe="")
    address = f"postgresql://{login}@{host}:{urlsplit(postgres_server.url).port}/{database}?{query.replace('+', '%20')}"
    expected = None
    if let_in:
        encrypted = mode not in {"disable", "allow"}  # `allow` begins without
        expected = ("김 @/이", "점수 +/1", "a,bé", encrypted, encrypted)
    assert seen_by_psycopg(address) == expected
    assert seen_by_spark(spark, address, strange) == expected
