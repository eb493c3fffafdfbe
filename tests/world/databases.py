"""Databases of the tests: one migrated template a server, and clones of it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bulkpoint.store.migrate import migrate

_TEMPLATE = sql.Identifier("bulkpoint_template")
_numbers = itertools.count(1)


def make_template(server_url: str) -> None:
    """A migrated database for `clone`; the server no longer waits for the disk."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        # A database a test waits for the disk four times as long as for all else; here no power fails.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(_TEMPLATE))
    migrate(_address(server_url, _TEMPLATE))


@contextmanager
def clone(server_url: str) -> Iterator[str]:
    """The address of a migrated database of its own, for the block."""
    name = sql.Identifier(f"test_{next(_numbers)}")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, _TEMPLATE))
        yield _address(server_url, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _address(server_url: str, database: sql.Identifier) -> str:
    return urlsplit(server_url)._replace(path=f"/{database.as_string().strip(chr(34))}").geturl()
