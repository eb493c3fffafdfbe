"""`campaign archive`: a campaign is wholly in the database, or wholly in files that were read back, never between."""

import hashlib
import json
import os
import random
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bulkpoint.archive import tables as tables_of_archive
from bulkpoint.archive.folder import ArchiveFolder
from bulkpoint.campaigns import archive as use_case
from bulkpoint.campaigns.archive import Archived, archive_campaign
from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.rules.findings import Example, Finding, FindingName
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import load_settings
from bulkpoint.store import archive as store
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.finding import keep_judgement
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.payment import Attempt
from bulkpoint.store.sql import sql
from tests.world.campaigns import Campaign, World
from tests.world.command_line import CommandLine
from tests.world.logins import member_of
from tests.world.refusals import refused
from tests.world.waiting import wait_for

OLD_S = 400 * 86_400.0


def attempt(seq: int, outcome: str, **more: Any) -> Attempt:
    values = {"answered_at": None, "http_status": None, "code": None, "transaction_id": None} | more
    return Attempt(
        str(uuid.uuid7() if hasattr(uuid, "uuid7") else uuid.uuid4()), "POST", seq, 1.5, outcome=outcome, **values
    )


@pytest.fixture
def old(world: World) -> Campaign:
    """A campaign that ended 400 days ago: 2 payments SUCCESS, 1 REJECTED, and odd texts everywhere."""
    rows = [("가나", 5, "봄"), ("m2", 7, "봄"), ('m,3:"x"', 9, 'of, "all"; 7:x')]
    campaign = world.campaign(rows, name="Spring").begun().paid([1, 2]).failed([3], failure_message="no, 봄: '-'")
    campaign.attempted(
        attempt(1, "SUCCESS", answered_at=1.75, http_status=200, transaction_id="t-1"), attempt(3, "-", code="NO")
    )
    return campaign.ended("COMPLETED").was_finished(seconds_ago=OLD_S)


def archived(campaign: Campaign, folder: Path, connection: Connection | None = None) -> Archived:
    mine = connection or campaign.world.connection
    return archive_campaign(mine, load_settings(), campaign.id, folder, actor="kim", reason="r", say=lambda _: None)


def tables(campaign: Campaign) -> list[str]:
    """The campaign's own tables."""
    rows = campaign.world.connection.execute(
        "select relname from pg_class where relkind = 'r' and relname ~ %s order by 1", (f"^payment.*_{campaign.id}$",)
    )
    return [name for (name,) in rows]


def assert_whole(campaign: Campaign, payments: int = 3) -> None:
    """Nothing of the campaign has left the database."""
    assert tables(campaign) == [f"payment_{campaign.id}", f"payment_attempt_{campaign.id}"]
    assert len(campaign.payments()) == payments
    targets = campaign.world.connection.execute(
        "select count(*) from campaign_target where campaign_id = %s", (campaign.id,)
    ).fetchone()
    assert targets == (payments,)
    assert store.get_archive(campaign.world.connection, campaign.id) is None
    campaign.assert_sums_hold()


@contextmanager
def another_reads_payments(database_url: str) -> Iterator[Connection]:
    """A transaction with the lock that a long report, or Spark's reader, has on the tables of all campaigns."""
    with connect(database_url) as other, other.transaction():
        other.execute("lock table only payment in access share mode")
        yield other


def test_the_files_have_every_row_with_every_value(old: Campaign, tmp_path: Path) -> None:
    assert_files_have_every_value(old, tmp_path)


def assert_files_have_every_value(campaign: Campaign, folder: Path) -> None:
    from pyarrow import parquet

    connection = campaign.world.connection
    for table, key, left_out in (
        ("payment", "seq", {"claim_share", "claim_epoch"}),
        ("payment_attempt", "attempt_id", set()),
    ):
        names = [
            name
            for (name,) in connection.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                (table,),
            )
        ]
        rows = connection.execute(f"select * from {table} order by {key}".encode()).fetchall()
        before = [dict(zip(names, row, strict=True)) for row in rows]
        if table == "payment":
            place = Path(archive_into(campaign, folder / "probe").place)
        file = place / ("payments.parquet" if table == "payment" else "attempts.parquet")
        found = parquet.read_table(file).to_pylist()
        assert [{name: plain(value) for name, value in row.items() if name not in left_out} for row in before] == found


# What a reader of CSV may take for something else: a missing value, another type, the end of a value, of a row, of all.
PIECES = (
    ",", '"', "'", "\n", "\r", "\r\n", "\\", "\\N", "\\.", "\t", " ", "t", "f", "true", "NULL", "null", "nan", "-",
    "1", "007", "1e9", "2026-01-01", ":", ";", "#", "\ufffd", "\ufeff", "\u1100\u1161\u11a8", "각", "e\u0301", "\u2028",
    "😀", "\x01", "\x7f",
)  # fmt: skip
LONG = 'a "quoted" line,\r\n' * 200_000  # longer than what a reader of CSV takes at a time


def test_any_text_number_and_moment_is_in_the_files_as_it_was(world: World, tmp_path: Path) -> None:
    """More rows than a batch has."""
    seed = random.randrange(2**32)
    print("seed", seed)
    any_of = random.Random(seed)

    def text() -> str:
        return "".join(any_of.choices(PIECES, k=any_of.choice((0, 1, 1, 2, 5))))

    def text_or_none() -> str | None:
        return None if any_of.random() < 0.3 else text()

    def moment() -> datetime:
        """Before and after 1970, to the microsecond."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=any_of.randrange(-(2**52), 2**52))

    rows = [(f'm,"{n}', any_of.randrange(1, 10**6), any_of.choice(('a,"b"', "t", "NULL", "각"))) for n in range(10_003)]
    campaign = world.campaign(rows).begun().ended("COMPLETED").was_finished(seconds_ago=OLD_S)
    with world.connection.cursor() as cursor:
        cursor.executemany(
            "update payment set transaction_id = %s, failure_code = %s, failure_message = %s, retried_code = %s,"
            " retried_message = %s, first_sent_at = %s, last_sent_at = %s, finished_at = %s where seq = %s",
            [
                (text(), *(text_or_none() for _ in range(4)), moment(), moment(), moment(), seq)
                for seq in any_of.sample(range(1, 10_004), 2_000)
            ],
        )
        cursor.execute("update payment set retried_message = %s where seq in (1, 10001)", (LONG,))
        cursor.executemany(
            "insert into payment_attempt (campaign_id, attempt_id, seq, run_id, sent_at, answered_at, http_status,"
            " outcome, code, transaction_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(campaign.id, uuid.UUID(int=any_of.getrandbits(128)), any_of.randrange(-(2**63), 2**63)),
                    *(2**63 - 1, moment(), any_of.choice((None, moment())), any_of.choice((None, -1, 200))),
                    *(text(), text_or_none(), text_or_none()),
                )
                for _ in range(2_000)
            ],
        )
    assert_files_have_every_value(campaign, tmp_path)


@pytest.mark.parametrize("name", ["archive_payments", "archive_attempts", "digest_payments", "digest_attempts"])
def test_a_batch_is_found_by_the_index_and_not_by_sorting_all_rows(old: Campaign, name: str) -> None:
    connection = old.world.connection
    first = "00000000-0000-0000-0000-000000000000" if "attempts" in name else 0
    for other in ("seqscan", "bitmapscan", "sort"):
        connection.execute(f"set enable_{other} = off".encode())
    asked = {"campaign_id": old.id, "after": first, "rows_max": 10}
    plan = "\n".join(line for (line,) in connection.execute(b"explain " + sql(name), asked).fetchall())
    of_the_batch = plan[plan.index("Limit") :]
    assert "Index Scan" in of_the_batch
    assert "Sort" not in of_the_batch


def plain(value: Any) -> Any:
    return str(value) if isinstance(value, uuid.UUID) else value


def archive_into(campaign: Campaign, folder: Path) -> Archived:
    """The files alone: the transaction is taken back, so that rows and files can be compared."""
    folder.mkdir()
    with campaign.world.connection.transaction(force_rollback=True):
        return archived(campaign, folder)


def test_the_manifest_proves_the_files(old: Campaign, tmp_path: Path) -> None:
    place = Path(archived(old, tmp_path).place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["campaign-1"]
    manifest = json.loads((place / "manifest.json").read_text())
    for name in ("payments.parquet", "attempts.parquet"):
        content = (place / name).read_bytes()
        assert manifest["files"][name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert manifest["files"][name]["bytes"] == len(content)
    assert [manifest["files"][name]["rows"] for name in ("payments.parquet", "attempts.parquet")] == [3, 2]
    assert manifest["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 2, "FAILED": 1}
    assert manifest["amounts"]["SUCCESS"] == 16
    assert [(run["run"], run["kind"], run["state"]) for run in manifest["runs"]] == [(1, "INITIAL", "COMPLETED")]
    namespace = uuid.UUID(manifest["key_namespace"])
    assert old.run.key_namespace == namespace
    kept = store.get_archive(old.world.connection, old.id)
    assert kept is not None
    assert kept.manifest_digest == hashlib.sha256((place / "manifest.json").read_bytes()).digest()


def test_only_figures_and_digests_stay_in_the_database(old: Campaign, tmp_path: Path) -> None:
    connection, counts = old.world.connection, old.counts()
    example = Example(2, "m2", Refusal("WHY"))
    keep_judgement(connection, old.id, b"d" * 32, [Finding.of(FindingName.LOOK_ALIKE_IDS, 1, [example])])
    done = archived(old, tmp_path)
    assert (done.payments, done.attempts, done.already) == (3, 2, False)
    assert tables(old) == []
    assert old.counts() == counts
    kept = {
        table: connection.execute(f"select count(*) from {table} where campaign_id = 1".encode()).fetchone()
        for table in ("campaign_target", "payment", "payment_attempt", "duplicate_list", "money_transaction")
    }
    assert kept == {
        "campaign_target": (0,),
        "payment": (0,),
        "payment_attempt": (0,),
        "duplicate_list": (1,),
        "money_transaction": (2,),
    }
    row = connection.execute(
        "select action, login, actor, detail from audit_event order by audit_no desc limit 1"
    ).fetchone()
    assert row is not None
    assert (row[0], row[2]) == ("archive", "kim")
    assert row[3]["reason"] == "r"
    assert row[3]["place"] == done.place
    for table in ("archived_sum", "campaign_finding", "judged_list"):
        left = " ".join(str(each) for each in connection.execute(f"select t::text from {table} t".encode()).fetchall())
        assert left
        assert "m2" not in left


def test_the_same_once_more_changes_nothing(old: Campaign, tmp_path: Path) -> None:
    first = archived(old, tmp_path)
    content = (Path(first.place) / "manifest.json").read_bytes()
    written = old.world.written(old.id)
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path, tmp_path / "elsewhere"):
        assert archived(old, folder) == replace(first, already=True)
    assert (Path(first.place) / "manifest.json").read_bytes() == content
    assert old.world.written(old.id) == written
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "step",
    [
        "write_table",
        "read_back",
        "lock_campaign",
        "make_manifest",
        "finish",
        "mark_archived",
        "write_audit",
        "try_to_drop",
    ],
)
def test_an_end_at_any_step_leaves_the_whole_campaign_and_the_next_try_archives_it(
    old: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def break_off(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    place = ArchiveFolder if step == "finish" else store if hasattr(store, step) else use_case
    with monkeypatch.context() as patch:
        patch.setattr(place, step, break_off)
        with pytest.raises(KeyboardInterrupt):
            archived(old, tmp_path)
    assert_whole(old)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert archived(old, tmp_path).payments == 3
    assert [path.name for path in tmp_path.iterdir()] == ["campaign-1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_before_the_last_step_leaves_the_whole_campaign(
    old: Campaign, tmp_path: Path, database_url: str, bulkpoint: CommandLine, number: signal.Signals
) -> None:
    with another_reads_payments(database_url):
        command = bulkpoint.begin("campaign", "archive", "1", "--out", str(tmp_path), "--yes")
        wait_for((tmp_path / "campaign-1").is_dir, "the files")
        command.send_signal(number)
        _, stderr = command.communicate(timeout=60)
        assert command.returncode == (128 + number if number == signal.SIGTERM else -number), stderr
    wait_for(lambda: not active_archives(old), "the server to notice")
    assert_whole(old)
    ended = bulkpoint.succeed("campaign", "archive", "1", "--out", str(tmp_path), "--yes")
    assert ended.stdout == f"archived campaign 1 to {tmp_path.resolve()}/campaign-1: 3 payments, 2 calls\n"


def active_archives(campaign: Campaign) -> int:
    row = campaign.world.connection.execute("select count(*) from pg_locks where locktype = 'advisory'").fetchone()
    assert row is not None
    count: int = row[0]
    return count


def test_two_at_a_time_are_kept_apart(old: Campaign, tmp_path: Path, database_url: str, bulkpoint: CommandLine) -> None:
    with another_reads_payments(database_url):
        first = bulkpoint.begin("campaign", "archive", "1", "--out", str(tmp_path), "--yes")
        wait_for((tmp_path / "campaign-1").is_dir, "the first one's files")
        (tmp_path / "b").mkdir()
        second = bulkpoint("campaign", "archive", "1", "--out", str(tmp_path / "b"), "--yes")
        assert (second.returncode, second.stdout) == (3, "")
        assert "is being archived by another process" in second.stderr
    _, stderr = first.communicate(timeout=60)
    assert first.returncode == 0, stderr
    assert "waits for those who read the payments just now" in stderr
    assert list((tmp_path / "b").iterdir()) == []
    assert tables(old) == []


def test_another_campaign_is_paid_while_its_tables_cannot_be_dropped(
    old: Campaign, tmp_path: Path, database_url: str, bulkpoint: CommandLine
) -> None:
    """A payer waits for our turns at the tables, which are short: it does not meet a time-out of its own."""
    other = old.world.campaign(200, name="now").begun()
    token = other.share()
    with another_reads_payments(database_url):
        command = bulkpoint.begin("campaign", "archive", "1", "--out", str(tmp_path), "--yes")
        wait_for((tmp_path / "campaign-1").is_dir, "the files")
        old.world.connection.execute("set lock_timeout = '1s'")
        for seq in range(1, 201):
            assert len(other.claim(token, [seq])) == 1
            time.sleep(0.01)
    _, stderr = command.communicate(timeout=60)
    assert command.returncode == 0, stderr
    assert tables(old) == []
    assert len(tables(other)) == 2


def test_stops_and_changes_of_the_limit_are_written_while_the_tables_cannot_be_dropped(
    old: Campaign, tmp_path: Path, database_url: str
) -> None:
    """Each is a row of the audit log, and that waits for the row before it."""
    told: list[str] = []
    with connect(database_url) as reader, connect(database_url) as person:
        reader.execute("begin")
        reader.execute("lock table only payment in access share mode")
        person.execute("set lock_timeout = '1s'")

        def meanwhile(sentence: str) -> None:
            told.append(sentence)
            write_audit(person, action="tps.set", campaign_id=None, run_no=None, actor="lee", detail={})
            reader.execute("rollback")

        mine = old.world.connection
        archive_campaign(mine, load_settings(), old.id, tmp_path, actor="kim", reason="r", say=meanwhile)
    assert len(told) == 1
    assert tables(old) == []
    rows = old.world.connection.execute("select action from audit_event order by audit_no desc limit 2").fetchall()
    assert rows == [("archive",), ("tps.set",)]


def test_where_the_tables_stay_in_use_nothing_is_changed(
    old: Campaign, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_case, "DROP_S_MAX", 0.3)
    monkeypatch.setattr(use_case, "DROP_PAUSE_S", 0.1)
    with another_reads_payments(database_url), refused("kept the tables of payments in use", UnreachableError):
        archived(old, tmp_path)
    assert_whole(old)


def test_rows_that_change_after_they_were_written_stay(
    old: Campaign, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_back = tables_of_archive.read_back

    def read_and_change(*arguments: Any) -> Any:
        with connect(database_url) as other:
            other.execute("update payment set failure_message = 'other' where seq = 3")
        return read_back(*arguments)

    monkeypatch.setattr(use_case, "read_back", read_and_change)
    with refused("\\(payments differ\\). Nothing was changed"):
        archived(old, tmp_path)
    assert_whole(old)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: b"".join(rows.splitlines(keepends=True)[:-1]), "payments, counters, targets"),
        (lambda rows: rows.replace(b",9,", b",8,"), "payments, counters, targets"),
        (lambda rows: rows.replace(b",no, ", b",no; ").replace(b'"no, ', b'"no; '), "payments"),
        (lambda rows: rows.replace(b",\n", b',""\n'), "payments"),
    ],
    ids=["a row that is missing", "another amount", "another text", "an empty text where none is"],
)
def test_files_that_are_not_what_the_database_has_are_thrown_away(
    old: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, what: str
) -> None:
    as_csv = store.payments_as_csv
    monkeypatch.setattr(store, "payments_as_csv", lambda *given: change(as_csv(*given)))
    with refused(f"\\({what} differ\\)"):
        archived(old, tmp_path)
    assert_whole(old)
    assert list(tmp_path.iterdir()) == []


def test_counters_that_the_rows_do_not_add_up_to_keep_the_campaign(old: Campaign, tmp_path: Path) -> None:
    old.world.connection.execute("update campaign_counter set count = count + 1 where state = 'SUCCESS'")
    with refused("\\(counters differ\\)"):
        archived(old, tmp_path)
    assert len(tables(old)) == 2


def test_a_folder_that_takes_no_files_is_said(
    old: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bulkpoint: CommandLine
) -> None:
    missing = bulkpoint("campaign", "archive", "1", "--out", str(tmp_path / "no"), "--yes")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no is no folder that exists. Make it first" in missing.stderr
    refuses = bulkpoint("campaign", "archive", "1", "--out", "/proc", "--yes")
    assert refuses.returncode == 2
    assert "Nothing can be written to --out /proc: it takes no new folders." in refuses.stderr
    file = tmp_path / "a-file"
    file.touch()
    no_folder = bulkpoint("campaign", "archive", "1", "--out", str(file), "--yes")
    assert no_folder.returncode == 2
    assert f"--out {file} is no folder that exists." in no_folder.stderr
    file.unlink()

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with refused("No space left on device. Nothing was changed", UsageError):
            archived(old, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert_whole(old)


def test_what_is_in_the_folder_already_is_replaced_only_where_it_is_this_campaigns(
    old: Campaign, tmp_path: Path
) -> None:
    (tmp_path / "campaign-1").mkdir()
    (tmp_path / "campaign-1" / "family.jpg").write_text("!")
    with refused("is there already, and is not an unfinished archive of this campaign"):
        archived(old, tmp_path)
    (tmp_path / "campaign-1" / "family.jpg").unlink()
    (tmp_path / "campaign-1").rmdir()
    archive_into(old, tmp_path / "probe")  # files of a try that did not commit
    manifest = tmp_path / "probe" / "campaign-1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"actor": "kim"', '"actor": "lee"'))
    archived(old, tmp_path / "probe")
    assert '"actor": "kim"' in manifest.read_text()


def test_another_databases_campaign_of_the_same_number_is_never_replaced(old: Campaign, tmp_path: Path) -> None:
    archive_into(old, tmp_path / "x")
    manifest = tmp_path / "x" / "campaign-1" / "manifest.json"
    theirs = json.loads(manifest.read_text()) | {"key_namespace": str(uuid.uuid4())}
    manifest.write_text(json.dumps(theirs))
    with refused("is there already"):
        archived(old, tmp_path / "x")
    assert json.loads(manifest.read_text()) == theirs
    assert_whole(old)


def test_only_a_login_with_the_right_archives_and_the_database_itself_refuses_others(
    old: Campaign, tmp_path: Path, database_url: str
) -> None:
    owner = old.world.connection
    make_roles(database_url)
    with member_of(owner, database_url, "bulkpoint_operator") as kim:
        with refused("login kim may not move old campaigns into files"):
            archived(old, tmp_path, kim)
        for statement in (
            "select lock_payments(1)", "select archive_campaign(1, 'x', 'y', sha256(''), 3, 2)",
            "select drop_archived_partitions(1)",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                kim.execute(statement.encode())
        owner.execute("insert into operator_right (login, permission) values ('kim', 'archive'), ('kim', 'members')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the partitions of campaign 1 stay"):
            kim.execute("select drop_archived_partitions(1)")
        assert_whole(old)
        archived(old, tmp_path, kim)
    assert tables(old) == []
    row = owner.execute("select login, actor from audit_event where action = 'archive'").fetchone()
    assert row == ("kim", "kim")
    assert owner.execute("select archived_login from campaign_archive").fetchone() == ("kim",)


def test_the_database_itself_keeps_a_campaign_whose_keys_money_may_know(old: Campaign) -> None:
    connection = old.world.connection
    old.was_finished(seconds_ago=3_600)
    connection.execute(
        "insert into money_promise (key_retention_h, settle_s, connect_timeout_s, timeout_s, set_by, reason)"
        " values (2, 0, 1, 1, 'a', 'r')"
    )
    with pytest.raises(psycopg.errors.RestrictViolation, match="the money API still knows its keys"):
        connection.execute("select archive_campaign(1, 'x', 'y', sha256(''), 3, 2)")
