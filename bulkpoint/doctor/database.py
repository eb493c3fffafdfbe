"""What a job needs of its database: a server that suits, this version's tables, grants, rights, and connections."""

from collections.abc import Iterator, Sequence

from bulkpoint.doctor.questions import Question, problem
from bulkpoint.errors import BulkpointError, UnreachableError, UsageError
from bulkpoint.rules.checks import Check, ok, warning
from bulkpoint.rules.connections import connections_needed
from bulkpoint.rules.migrations import refusal
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.store.connect import Connection, connect, reachable
from bulkpoint.store.database_address import where
from bulkpoint.store.installation import (
    InspectedServer,
    ServerFacts,
    applied_migrations,
    inspect_server,
    missing_grants,
)
from bulkpoint.store.jdbc import check_jdbc_address
from bulkpoint.store.migrate import OLDEST_SERVER
from bulkpoint.store.right import require_right
from bulkpoint.store.version import shipped_migrations

# Times in rows are the database's, and so are `not_before` and a lease's end: people compare them with their own clock.
CLOCK_S_MAX = 5.0
GRANTS_SHOWN = 5


def questions(url: str, shares: int) -> list[Question]:
    """Everything about the database, on one connection. shares: the partitions that a run will have."""
    return [Question("database", lambda: _database(url, shares)), Question("jdbc-address", lambda: _jdbc_address(url))]


def _jdbc_address(url: str) -> Iterator[Check]:
    check_jdbc_address(url)
    yield ok("jdbc-address", Refusal("JDBC_ADDRESS_FITS"))


def _database(url: str, shares: int) -> Iterator[Check]:
    with connect(url, name="bulkpoint doctor") as connection, reachable(url):
        server = inspect_server(connection)
        yield ok("database", Refusal("DATABASE_CONNECTED", {"database": where(url), "login": server.facts.login}))
        yield from judge_server(server)
        yield judge_connections(server.facts, shares)
        missing = missing_grants(connection)
        if not {"select on migration", "select on operator_right"}.isdisjoint(missing):
            yield judge_grants(server.facts.login, missing)  # more cannot be read
            return
        applied = applied_migrations(connection)
        yield judge_schema(shipped_migrations(), applied)
        if applied is not None:
            yield judge_grants(server.facts.login, missing)
            yield _right(connection, server.facts.login)


def _right(connection: Connection, login: str) -> Check:
    try:
        require_right(connection, Right.START)
    except BulkpointError as error:
        return problem("right", error)
    return ok("right", Refusal("RIGHT_TO_START", {"login": login}))


def judge_server(server: InspectedServer) -> Iterator[Check]:
    """Its version, its encoding, whether it can be written to, and its clock."""
    facts = server.facts
    versions = {"version": facts.version // 10_000, "oldest": OLDEST_SERVER // 10_000}
    if facts.version < OLDEST_SERVER:
        yield problem("database-version", UsageError("SERVER_TOO_OLD", **versions))
    else:
        yield ok("database-version", Refusal("SERVER_VERSION", versions))
    if facts.encoding != "UTF8":
        yield problem(
            "database-encoding",
            UsageError("DATABASE_NOT_UTF8", "make_utf8_database", encoding=facts.encoding, name=facts.name),
        )
    else:
        yield ok("database-encoding", Refusal("DATABASE_UTF8"))
    if facts.read_only:
        yield problem("database-writable", UnreachableError("DATABASE_READ_ONLY", "name_primary"))
    else:
        yield ok("database-writable", Refusal("DATABASE_WRITABLE"))
    clock = {"ahead_s": server.ahead_s, "error_s": server.error_s}
    if abs(server.ahead_s) > CLOCK_S_MAX + server.error_s:
        yield warning("database-clock", Refusal("CLOCKS_DIFFER", clock, ("set_clocks",)))
    else:
        yield ok("database-clock", Refusal("CLOCKS_AGREE", clock))


def judge_schema(shipped: Sequence[str], applied: Sequence[str] | None) -> Check:
    """Whether the tables are those of this version; applied: None where there are none."""
    if applied is None:
        return problem("database-schema", UsageError("DATABASE_EMPTY", "migrate_database"))
    refused = refusal(shipped, applied)
    if refused is not None:
        return problem("database-schema", UsageError(refused))
    return ok("database-schema", Refusal("SCHEMA_FITS", {"migrations": len(applied)}))


def judge_grants(login: str, missing: Sequence[str]) -> Check:
    """missing: as `insert on campaign_run`."""
    if not missing:
        return ok("database-grants", Refusal("GRANTS_ALL_THERE", {"login": login}))
    shown = tuple(missing[:GRANTS_SHOWN])
    facts = {"login": login, "missing": shown, "count": len(missing)}
    return problem("database-grants", UsageError("GRANTS_MISSING", "grant_operator", **facts))


def judge_connections(facts: ServerFacts, shares: int) -> Check:
    """What a run needs next to what is free; with fewer, fewer partitions send at the same time."""
    limits = {
        "max_connections": facts.free_on_server,
        "CONNECTION LIMIT (role)": facts.free_for_login,
        "CONNECTION LIMIT (database)": facts.free_for_database,
    }
    limit, free = min(((name, free) for name, free in limits.items() if free is not None), key=lambda each: each[1])
    needed = connections_needed(shares)
    counts = {"needed": needed, "shares": shares, "free": free, "limit": limit}
    if free < connections_needed(1):
        least = connections_needed(1)
        return problem(
            "database-connections",
            UnreachableError("CONNECTIONS_EXHAUSTED", "free_connections", least=least, **counts),
        )
    if free < needed:
        return warning("database-connections", Refusal("CONNECTIONS_SCARCE", counts, ("free_connections",)))
    return ok("database-connections", Refusal("CONNECTIONS_FREE", counts))
