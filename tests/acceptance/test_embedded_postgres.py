"""The embedded PostgreSQL through starts, stops, shared use, and every way a process can die on it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from bulkpoint import files
from bulkpoint.database import connection_target
from bulkpoint.embedded import accounts, postgres
from bulkpoint.embedded.postgres import embedded_postgres, embedded_server
from bulkpoint.embedded.postgres_home import PostgresHome
from bulkpoint.embedded.postgres_programs import PostgresPrograms
from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Database
from tests.world.refusals import refused
from tests.world.waiting import wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about running as root")

USER_PROGRAM = textwrap.dedent(
    """
    import signal, sys, time
    from pathlib import Path
    from bulkpoint.embedded.postgres import embedded_postgres

    def leave(*_):
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, leave)
    with embedded_postgres(Path(sys.argv[1])):
        print("in", flush=True)
        time.sleep(60)
    """
)


@pytest.fixture(scope="module")
def made(reachable_tmp: Path) -> Path:
    """A data folder with a stopped server in it: copying one takes a tenth of the time of making one."""
    with embedded_postgres(reachable_tmp / "made"):
        pass
    return reachable_tmp / "made"


@pytest.fixture
def new_dir(reachable_tmp: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    folder = reachable_tmp / str(request.node.name)
    yield folder
    server = embedded_server(folder) if folder.exists() else None
    if server:
        os.kill(server.pid, signal.SIGQUIT)
        wait_for(lambda: embedded_server(folder) is None, "the server to end")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def data_dir(made: Path, new_dir: Path) -> Path:
    subprocess.run(["cp", "-a", made, new_dir], check=True)
    return new_dir


@contextmanager
def another_user(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the same server, in a process group of its own as at a terminal."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER_PROGRAM, str(data_dir)], stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close() if process.stdout else None


def connect(database: Database) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(database.url, passfile=str(database.passfile), autocommit=True, connect_timeout=5)


def server_pid(data_dir: Path) -> int:
    server = embedded_server(data_dir)
    assert server is not None
    return server.pid


def servers_in(folder: Path) -> list[int]:
    """Every process that works in the folder, also one that no file names."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder.resolve():
                found.append(int(process.name))
    return found


def is_gone(pid: int) -> bool:
    """Also when it still waits for its parent, which is the machine's first process, to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_it_starts_stops_and_keeps_its_rows_and_its_port_over_a_restart(data_dir: Path) -> None:
    with embedded_postgres(data_dir) as first, connect(first) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (42)")
        pid = server_pid(data_dir)
    assert is_gone(pid)
    assert embedded_server(data_dir) is None
    with embedded_postgres(data_dir) as second, connect(second) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(42,)]
        assert second == first


def test_durability_is_on_and_text_sorts_by_code_point(data_dir: Path) -> None:
    with embedded_postgres(data_dir) as database, connect(database) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == ("on",)
        assert connection.execute("SELECT 'a' > 'B', current_setting('server_encoding')").fetchone() == (True, "UTF8")


def test_a_password_is_required(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSFILE", raising=False)
    with embedded_postgres(data_dir) as database:
        wrong = tmp_path / "pgpass"
        wrong.write_text("*:*:*:*:wrong\n")
        wrong.chmod(0o600)
        for passfile, answer in (
            (tmp_path / "none", "no password supplied"),
            (wrong, "password authentication failed"),
        ):
            with pytest.raises(psycopg.OperationalError, match=answer):
                connect(Database(database.url, passfile))
        assert database.passfile.stat().st_mode & 0o777 == 0o600
        assert database.passfile.read_text().strip().rpartition(":")[2] not in database.url


def test_it_listens_on_loopback_only(data_dir: Path) -> None:
    with embedded_postgres(data_dir) as database, connect(database) as connection:
        port = f"{connection.info.port:04X}"
        assert connection.execute("SELECT current_setting('unix_socket_directories')").fetchone() == ("",)
        listening = [
            columns[1]
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            for columns in map(str.split, Path(table).read_text().splitlines()[1:])
            if columns[3] == "0A" and columns[1].endswith(f":{port}")
        ]
        assert listening == [f"0100007F:{port}"]


def test_two_users_share_it_and_the_last_one_stops_it(data_dir: Path) -> None:
    with another_user(data_dir) as other:
        pid = server_pid(data_dir)
        with embedded_postgres(data_dir) as database:
            other.send_signal(signal.SIGTERM)
            assert other.wait(10) == 143
            with connect(database) as connection:
                connection.execute("SELECT 1")
            assert server_pid(data_dir) == pid
    assert is_gone(pid)


def test_the_one_that_started_it_may_leave_by_ctrl_c_while_the_other_goes_on(data_dir: Path) -> None:
    with another_user(data_dir) as starter, another_user(data_dir) as other:
        pid = server_pid(data_dir)
        os.killpg(starter.pid, signal.SIGINT)
        assert starter.wait(10) != 0
        assert server_pid(data_dir) == pid
        os.killpg(other.pid, signal.SIGINT)
        other.wait(10)
        assert is_gone(pid)


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1])
def test_ctrl_c_in_the_middle_of_the_start_leaves_no_server_behind(data_dir: Path, delay_s: float) -> None:
    configuration = data_dir / "postgres" / "data" / "bulkpoint.conf"
    configuration.unlink()  # it is written just before the server starts
    starter = subprocess.Popen(
        [sys.executable, "-c", USER_PROGRAM, str(data_dir)], stdout=subprocess.DEVNULL, process_group=0
    )
    wait_for(configuration.exists, "the start")
    time.sleep(delay_s)
    os.killpg(starter.pid, signal.SIGINT)
    starter.wait(20)
    time.sleep(0.3)  # for a server that nobody knows of to come up
    assert servers_in(data_dir / "postgres" / "data") == []


def test_a_program_whose_start_is_interrupted_is_waited_for(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "program"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/began\nsleep 0.03\nmv {tmp_path}/began {tmp_path}/ended\n")
    program.chmod(0o755)

    class Programs(PostgresPrograms):
        def reachable_by(self, account: pwd.struct_passwd | None) -> Path:  # noqa: ARG002 (an override)
            return tmp_path

    home = PostgresHome(Programs(), tmp_path, None)
    for delay_ms in (tenth / 10 for tenth in range(40)):
        interrupt = threading.Timer(delay_ms / 1_000, os.kill, (os.getpid(), signal.SIGINT))
        with suppress(KeyboardInterrupt):
            interrupt.start()
            home.run("program")
            time.sleep(0.05)  # the interrupt may come late
        interrupt.join()
        time.sleep(0.01)  # for a program that nobody knows of
        assert not (tmp_path / "began").exists(), f"left behind after {delay_ms} ms"


def test_a_killed_user_leaves_a_server_that_the_next_one_adopts_and_stops(data_dir: Path) -> None:
    with another_user(data_dir) as killed:
        killed.kill()
        killed.wait()
    pid = server_pid(data_dir)
    with embedded_postgres(data_dir) as database, connect(database):
        assert server_pid(data_dir) == pid
    assert is_gone(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_a_server_that_died_is_started_again_with_what_was_committed(data_dir: Path, how: signal.Signals) -> None:
    with embedded_postgres(data_dir) as database:
        with connect(database) as connection:
            connection.execute("CREATE TABLE kept (n int)")
        pid = server_pid(data_dir)
        os.kill(pid, how)
        wait_for(lambda: is_gone(pid), "the server to end")
        with embedded_postgres(data_dir) as again, connect(again) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
            assert again == database


def test_a_stale_pid_file_whose_number_is_another_process_now_is_passed_over(data_dir: Path) -> None:
    with embedded_postgres(data_dir):
        pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
        content = pid_file.read_text().splitlines()
    account = (data_dir / "postgres").stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=account if os.geteuid() == 0 else None) as innocent:
        pid_file.write_text("\n".join([str(innocent.pid), *content[1:]]) + "\n")
        try:
            with embedded_postgres(data_dir) as database, connect(database):
                assert server_pid(data_dir) != innocent.pid
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_a_port_that_someone_else_has_now_is_given_up(data_dir: Path) -> None:
    with embedded_postgres(data_dir) as first, connect(first) as connection:
        port = connection.info.port
    with (
        socket.create_server(("127.0.0.1", port)),
        embedded_postgres(data_dir) as second,
        connect(second) as connection,
    ):
        assert connection.info.port != port


def test_making_it_is_cut_off_and_the_next_one_begins_anew(new_dir: Path) -> None:
    data_dir = new_dir
    program = "import sys; from pathlib import Path; from bulkpoint.embedded.postgres import embedded_postgres\n"
    program += "with embedded_postgres(Path(sys.argv[1])): pass"
    maker = subprocess.Popen([sys.executable, "-c", program, str(data_dir)])
    wait_for(lambda: any((data_dir / "postgres").glob("data.new-*/PG_VERSION")), "the making to begin")
    maker.kill()
    maker.wait()
    assert not (data_dir / "postgres" / "data").exists()
    with embedded_postgres(data_dir) as database, connect(database) as connection:
        connection.execute("SELECT 1")


def test_a_start_that_fails_shows_the_end_of_the_servers_log(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_postgres(data_dir):
        pass
    (data_dir / "postgres" / "data" / "global" / "pg_control").unlink()
    with (
        refused(r"(?s)does not start.*not find the database system", UnreachableError),
        embedded_postgres(data_dir),
    ):
        pass


def test_a_lost_password_is_said_and_not_replaced(data_dir: Path) -> None:
    with embedded_postgres(data_dir) as database:
        pass
    database.passfile.unlink()
    with refused("pgpass is missing", UnreachableError), embedded_postgres(data_dir):
        pass


def test_four_at_once_find_one_server_and_leave_none(data_dir: Path) -> None:
    program = "import sys; from pathlib import Path; from bulkpoint.embedded.postgres import embedded_postgres\n"
    program += (
        "for _ in range(2):\n    with embedded_postgres(Path(sys.argv[1])) as database: pass\nprint(database.url)"
    )
    crowd = [
        subprocess.Popen([sys.executable, "-c", program, str(data_dir)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=60)[0] for process in crowd]
    assert len(set(answers)) == 1
    assert answers[0].startswith("postgresql://")
    assert embedded_server(data_dir) is None


def test_the_target_is_the_embedded_server_with_its_password_file_in_the_environment(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", "/before")
    settings = load_settings({"BULKPOINT_DATA_DIR": str(data_dir)})
    with connection_target(settings) as database, psycopg.connect(database.url):
        assert os.environ["PGPASSFILE"] == str(data_dir / "pgpass")
    assert os.environ["PGPASSFILE"] == "/before"


def test_the_target_is_the_database_that_the_settings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/mine")
    settings = load_settings({"BULKPOINT_DATABASE_URL": "postgresql://u@db.example.com/d"})
    with connection_target(settings) as database:
        assert database == Database("postgresql://u@db.example.com/d", Path("/mine"))


@needs_root
def test_root_runs_it_as_another_account_that_owns_its_folder(data_dir: Path) -> None:
    with embedded_postgres(data_dir):
        account = Path(f"/proc/{server_pid(data_dir)}").stat().st_uid
        assert account != 0
        assert (data_dir / "postgres").stat().st_uid == account


@needs_root
def test_root_with_a_folder_that_account_cannot_reach_puts_the_data_where_it_can(
    reachable_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accounts, "REACHABLE", reachable_tmp / "var")
    closed = reachable_tmp / "closed"
    closed.mkdir(mode=0o700)
    with embedded_postgres(closed / "data") as database, connect(database):
        assert (closed / "data" / "postgres").resolve().parent == reachable_tmp / "var"
    with embedded_postgres(closed / "data") as database, connect(database):
        pass
    assert closed.stat().st_mode & 0o777 == 0o700
    assert capsys.readouterr().err.count("PostgreSQL does not run as root") == 1


@needs_root
def test_root_with_programs_that_account_cannot_reach_copies_them(
    data_dir: Path, reachable_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = reachable_tmp / "cache"
    closed.mkdir(mode=0o700)
    shutil.copytree(PostgresPrograms().find(), closed / "postgres-18.6.0", symlinks=True)
    monkeypatch.setattr(files, "cache_folder", lambda: closed)
    monkeypatch.setattr(accounts, "REACHABLE", reachable_tmp / "lib")
    with embedded_postgres(data_dir) as database, connect(database):
        executable = Path(f"/proc/{server_pid(data_dir)}/exe").readlink()
        assert executable.is_relative_to(reachable_tmp / "lib")


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with refused("BULKPOINT_DATA_DIR is not UTF-8", UsageError), embedded_postgres(tmp_path / "x\udcff"):
        pass
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_a_folder_of_another_account_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_postgres(data_dir):
        pass
    nobody = pwd.getpwnam("nobody").pw_uid
    monkeypatch.setattr(os, "geteuid", lambda: nobody)
    with refused("belongs to another account", UnreachableError):
        postgres._ensure_running(data_dir)
