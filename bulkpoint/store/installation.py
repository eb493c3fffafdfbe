"""What this database, and this login, allow a job: read in two questions, judged in doctor/database.py."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import psycopg

from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server as its client sees it. version: 150004 is 15.4. now_s: its clock, seconds since 1970.

    free: connections that this login may still open, by the server's limit, the login's and the database's; the last
    two are None where there is no such limit.
    """

    version: int
    name: str
    encoding: str
    read_only: bool
    login: str
    now_s: float
    free_on_server: int
    free_for_login: int | None
    free_for_database: int | None


class InspectedServer(NamedTuple):
    """ahead_s: how far the server's clock is before ours; off by at most error_s."""

    facts: ServerFacts
    ahead_s: float
    error_s: float


_SERVER = Query("inspect_server", ServerFacts)
_MISSING = Query("missing_grants", str)
_APPLIED = Query("list_migrations", str)


def inspect_server(connection: Connection) -> InspectedServer:
    """The server, and its clock next to ours."""
    began = time.time()
    facts = _SERVER.one(connection)
    ended = time.time()
    return InspectedServer(facts, facts.now_s - (began + ended) / 2, (ended - began) / 2)


def applied_migrations(connection: Connection) -> list[str] | None:
    """Their names; None where the database has no table of ours."""
    try:
        return _APPLIED.all(connection)
    except psycopg.errors.UndefinedTable:
        return None


def missing_grants(connection: Connection) -> list[str]:
    """What a job needs and this login may not, as `insert on campaign_run`."""
    return _MISSING.all(connection)
