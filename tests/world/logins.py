"""A database login of a test's own, with what a DBA does to it while it is used."""

import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from psycopg.conninfo import make_conninfo

from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import make_roles

_NUMBERS = itertools.count(os.getpid() * 1_000)


class Login:
    """A superuser, until a test alters that. url: with its password; address: without."""

    def __init__(self, owner: Connection, database_url: str) -> None:
        self.name = f"payer_{next(_NUMBERS)}"
        self._owner = owner
        password = secrets.token_hex(8)
        self._do(f"create role {self.name} login superuser password '{password}'")
        at = urlsplit(database_url)
        self.passfile_line = f"{at.hostname}:{at.port}:*:{self.name}:{password}\n"
        self.address = make_conninfo(database_url, user=self.name)
        self.url = make_conninfo(self.address, password=password)

    def alter(self, what: str) -> None:
        """For its next sessions."""
        self._do(f"alter role {self.name} {what}")

    def only_what_is_granted(self) -> None:
        """No superuser, but it may use every table as it is now."""
        self.alter("nosuperuser")
        self._do(f"grant select, insert, update, delete on all tables in schema public to {self.name}")
        self._do(f"grant usage on all sequences in schema public to {self.name}")

    def revoke(self, what: str) -> None:
        self._do(f"revoke {what} from {self.name}")

    def grant(self, what: str) -> None:
        self._do(f"grant {what} to {self.name}")

    def cut(self) -> None:
        """End all its sessions, as a failover does."""
        self._owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (self.name,))

    def read_only(self, on: bool) -> None:
        """As a primary that is one no more."""
        self.alter(f"set default_transaction_read_only = {'on' if on else 'off'}")
        self.cut()

    def _do(self, statement: str) -> None:
        self._owner.execute(statement.encode())


@contextmanager
def new_login(owner: Connection, database_url: str) -> Iterator[Login]:
    """It goes with the block."""
    login = Login(owner, database_url)
    try:
        yield login
    finally:
        login.cut()
        owner.execute(f"drop owned by {login.name}; drop role {login.name}".encode())


@dataclass(frozen=True)
class Person:
    """Somebody with a login of the database and its password."""

    login: str
    password: str


NewPerson = Callable[..., Person]


@contextmanager
def people(owner: Connection, database_url: str) -> Iterator[NewPerson]:
    """Makes people with the rights that are named, members of the operators unless `role` names another group or none;
    they go with the block.
    """
    make_roles(database_url)
    made: list[str] = []

    def new_person(*rights: str, role: str | None = "bulkpoint_operator", name: str | None = None) -> Person:
        login, password = name or f"person_{next(_NUMBERS)}", secrets.token_hex(8)
        owner.execute(f"create role {login} login password '{password}'".encode())
        made.append(login)
        if role:
            owner.execute(f"grant {role} to {login}".encode())
        for right in rights:
            owner.execute("insert into operator_right (login, permission) values (%s, %s)", (login, right))
        return Person(login, password)

    try:
        yield new_person
    finally:
        for login in made:
            owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (login,))
            owner.execute(f"drop owned by {login}; drop role {login}".encode())


@contextmanager
def member_of(owner: Connection, database_url: str, *groups: str, name: str = "kim") -> Iterator[Connection]:
    """A connection of somebody who is a member of these group roles; the login goes with the block."""
    owner.execute(f"create role {name} login {'in role ' + ', '.join(groups) if groups else ''}".encode())
    try:
        with connect(database_url) as theirs:
            theirs.execute(f"set session authorization {name}".encode())
            yield theirs
    finally:
        owner.execute(f"drop owned by {name}".encode())
        owner.execute(f"drop role {name}".encode())
