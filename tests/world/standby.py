"""A primary and its streaming standby, both real: one address names them, and a test lets the standby take over."""

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from bulkpoint.embedded.machine import HOST
from bulkpoint.embedded.postgres_home import PostgresHome, find_home
from bulkpoint.embedded.postgres_programs import PostgresPrograms
from bulkpoint.embedded.postgres_server import DATABASE, USER, PostgresServer
from tests.world.waiting import wait_for


@dataclass(frozen=True)
class Pair:
    """passfile: a line for each of both. A commit waits for the standby, as where no payment's record may be lost.

    password: of both, for a line about a way that leads to them.
    """

    primary: PostgresServer
    standby: PostgresServer
    passfile: Path
    password: str

    @property
    def url(self) -> str:
        """Of the one that takes writes, whichever it is."""
        both = f"{address_of(self.primary)},{address_of(self.standby)}"
        return f"postgresql://{USER}@{both}/{DATABASE}?target_session_attrs=read-write"

    def url_by(self, port: int, database: str) -> str:
        """Of a new database, by way of a port of this machine that leads to one of both."""
        with psycopg.connect(self.url, passfile=str(self.passfile), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
        with self.passfile.open("a") as lines:
            lines.write(f"{HOST}:{port}:*:{USER}:{self.password}\n")
        return f"postgresql://{USER}@{HOST}:{port}/{database}"

    def kill_primary(self) -> None:
        """Every connection is cut; its data stays, nobody starts it again."""
        running = self.primary.running()
        assert running is not None
        os.kill(running.pid, signal.SIGQUIT)
        wait_for(lambda: self.primary.running() is None, "the primary's end")

    def promote_standby(self) -> None:
        """Returns when it takes writes."""
        with psycopg.connect(_url_of(self.standby), passfile=str(self.passfile), autocommit=True) as connection:
            connection.execute("select pg_promote()")


def address_of(server: PostgresServer) -> str:
    """Host and port of a server that runs."""
    running = server.running()
    assert running is not None
    return f"{HOST}:{running.port}"


@contextmanager
def primary_and_standby(folder: Path) -> Iterator[Pair]:
    """Both in a new folder, which their account can reach; they are stopped at the end."""
    folder.mkdir()
    folder.chmod(0o711)
    homes = [_home(folder / name) for name in ("primary", "standby")]
    primary, standby = (PostgresServer(home) for home in homes)
    password, passfile = secrets.token_urlsafe(), folder / "pgpass"
    primary.create(password)
    _copy(homes[0], homes[1])
    try:
        primary.ensure_running()
        _follow(homes[1], primary, password)
        standby.ensure_running()
        lines = (f"{address_of(server)}:*:{USER}:{password}\n" for server in (primary, standby))
        passfile.write_text("".join(lines))
        passfile.chmod(0o600)
        with psycopg.connect(_url_of(primary), passfile=str(passfile), autocommit=True) as connection:
            connection.execute("alter system set synchronous_standby_names = '*'")
            connection.execute("select pg_reload_conf()")
        yield Pair(primary, standby, passfile, password)
    finally:
        standby.stop()
        primary.stop()


def _home(folder: Path) -> PostgresHome:
    folder.mkdir()
    folder.chmod(0o711)
    return find_home(folder, PostgresPrograms())


def _copy(one: PostgresHome, other: PostgresHome) -> None:
    """The data of a server that does not run: what pg_basebackup makes of one that does."""
    shutil.copytree(one.data, other.data, symlinks=True)
    for path in (other.data, *other.data.rglob("*")):
        other.own(path)


def _follow(home: PostgresHome, primary: PostgresServer, password: str) -> None:
    running = primary.running()
    assert running is not None
    source = f"host={HOST} port={running.port} user={USER} password={password}"
    with (home.data / "postgresql.conf").open("a") as configuration:
        configuration.write(f"\nprimary_conninfo = '{source}'\nwal_retrieve_retry_interval = '200ms'\n")
    signal_file = home.data / "standby.signal"
    signal_file.touch()
    home.own(signal_file)


def _url_of(server: PostgresServer) -> str:
    return f"postgresql://{USER}@{address_of(server)}/{DATABASE}"
