"""Rights, by the database login of the session: no command-line option can claim one."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg

from bulkpoint.errors import RefusedError
from bulkpoint.rules.rights import Right
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.run_request import asker_has_right
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class GrantedRight:
    """One right of one login."""

    login: str
    permission: str
    granted_at: datetime


class _Holding(NamedTuple):
    login: str
    has_it: bool


_HAS_RIGHT = Query("has_right", _Holding)
_SEES = Query("sees_members", bool)
_RIGHTS = Query("list_rights", GrantedRight)
_LOGIN_EXISTS = Query("login_exists", bool)
_MAY_LOOK = Query("may_look", bool)
_OWN_RIGHTS = Query("own_rights", Right)


def require_right(connection: Connection, right: Right, *, asked: UUID | None = None) -> None:
    """Raises RefusedError where the login of this connection does not have the right.

    asked: a run's request: then the login that wrote it needs the right, whoever makes the run.
    """
    if asked is None:
        login, has_it = _HAS_RIGHT.one(connection, permission=right)
    else:
        login, has_it = asker_has_right(connection, asked, right)
    if not has_it:
        raise RefusedError("RIGHT_MISSING", "grant_right", login=login, right=right)


def own_rights(connection: Connection) -> frozenset[Right] | None:
    """Of the login that opened the session; None where it may not look at our tables at all."""
    if not _MAY_LOOK.one(connection):
        return None
    return frozenset(_OWN_RIGHTS.all(connection))


def sees_members(connection: Connection) -> bool:
    """Whether the login of this connection sees member ids as they are; others see them masked (member_names.masked).

    The one place that decides it, for the command line and the page. The login that made the tables has the right, as
    every other one: so whoever works with the embedded database sees all.
    """
    return _SEES.one(connection)


def list_rights(connection: Connection) -> list[GrantedRight]:
    """All rights, by login."""
    return _RIGHTS.all(connection)


def login_exists(connection: Connection, login: str) -> bool:
    """Whether the database has a role of that name that may log in."""
    return _LOGIN_EXISTS.one(connection, login=login)


def grant_right(connection: Connection, login: str, right: Right) -> bool:
    """Give a login a right; false where it had it. Raises RefusedError where this login does not own the rights."""
    return _change(connection, "grant_right", login, right)


def revoke_right(connection: Connection, login: str, right: Right) -> bool:
    """Take a right from a login; false where it did not have it. Raises RefusedError as grant_right does."""
    return _change(connection, "revoke_right", login, right)


def _change(connection: Connection, statement: str, login: str, right: Right) -> bool:
    try:
        return connection.execute(sql(statement), {"login": login, "permission": right}).rowcount > 0
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError("RIGHTS_OF_THE_OWNER", "ask_owner") from error
