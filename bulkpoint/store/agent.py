"""Agents: programs that take start requests and run their jobs, each with its sign of life."""

from dataclasses import dataclass
from datetime import datetime

from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

# How long an agent counts as alive without a sign of life; it gives one every few seconds.
ALIVE_S = 30.0


@dataclass(frozen=True, slots=True)
class Agent:
    """One that is alive. login: by which it is known to the database."""

    host: str
    pid: int
    login: str
    started_at: datetime
    alive_until: datetime


_AGENTS = Query("list_agents", Agent)


def agent_lives(connection: Connection, *, host: str, pid: int) -> None:
    """A sign of life, also the first."""
    connection.execute(sql("agent_lives"), {"host": host, "pid": pid, "alive_s": ALIVE_S})


def agent_ends(connection: Connection, *, host: str, pid: int) -> None:
    """It ends in order."""
    connection.execute(sql("agent_ends"), {"host": host, "pid": pid})


def list_agents(connection: Connection) -> list[Agent]:
    """Those that are alive, by host."""
    return _AGENTS.all(connection)
