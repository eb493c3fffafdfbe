"""Rights, by the database login that asks: no word on the command line can claim one."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from bulkpoint.errors import RefusedError
from bulkpoint.rules.rights import ALLOWS, Right
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class GrantedRight:
    """One right of one login."""

    login: str
    permission: str
    granted_at: datetime


def require_right(connection: Connection, right: Right) -> None:
    """Raises RefusedError where the login of this connection has not the right."""
    row = connection.execute(sql("has_right"), {"permission": right}).fetchone()
    assert row is not None
    login, has_it = row
    if not has_it:
        raise RefusedError(
            f"The database login {login} may not {ALLOWS[right]}: it has not the right `{right}`."
            f" Whoever owns the database gives it: `bulkpoint right grant {login} {right}`."
        )


def list_rights(connection: Connection) -> list[GrantedRight]:
    """All rights, by login."""
    with connection.cursor(row_factory=class_row(GrantedRight)) as cursor:
        return cursor.execute(sql("list_rights")).fetchall()


def change_rights(connection: Connection, login: str, rights: list[Right], *, granted: bool, actor: str) -> int:
    """Give rights to a login, or take them; returns how many changed. Each change has its audit row.

    Raises RefusedError for a login that there is not, and where the asking login does not own the rights.
    """
    if granted and connection.execute(sql("login_exists"), {"login": login}).fetchone() == (False,):
        raise RefusedError(
            f"The database has no login {login}. Its administrator makes one (CREATE ROLE ... LOGIN); names are"
            " taken as they are, capital letters count."
        )
    changed = 0
    try:
        with connection.transaction():
            for right in rights:
                statement = sql("grant_right" if granted else "revoke_right")
                if connection.execute(statement, {"login": login, "permission": right}).rowcount == 0:
                    continue
                changed += 1
                action = "right.grant" if granted else "right.revoke"
                detail = {"login": login, "right": right}
                write_audit(connection, action=action, campaign_id=None, run=None, actor=actor, detail=detail)
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(
            "Rights are given and taken by whoever owns the database's tables: ask them, or connect as that login."
        ) from error
    return changed
