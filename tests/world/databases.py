"""Databases of the tests: one migrated template a server, and clones of it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bulkpoint.store.migrate import migrate

_TEMPLATE = "bulkpoint_template"


class TestServer:
    """A server whose databases come and go with the tests; it no longer waits for the disk."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self._connection = psycopg.connect(url, autocommit=True)
        # A database a test waits for the disk four times as long as for all else; here no power fails.
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            self._do("ALTER SYSTEM SET {} = off", name)
        self._do("SELECT pg_reload_conf()")
        self._do("CREATE DATABASE {}", _TEMPLATE)
        migrate(self._address(_TEMPLATE))

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """The address of a migrated database of its own, for the block."""
        name = f"test_{next(self._numbers)}"
        # Where the disk is not waited for, files are copied in half the time that the log of their pages takes.
        self._do("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, _TEMPLATE)
        yield self._address(name)
        self._do("DROP DATABASE {} WITH (FORCE)", name)

    def _do(self, statement: Any, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _address(self, database: str) -> str:
        return urlsplit(self._url)._replace(path=f"/{database}").geturl()
