"""Give and take rights, by database login; each change with its audit row."""

from bulkpoint.errors import RefusedError
from bulkpoint.rules.rights import Right
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.right import grant_right, login_exists, revoke_right


def change_rights(connection: Connection, login: str, rights: list[Right], *, granted: bool, actor: str) -> int:
    """Give rights to a login, or take them; returns how many changed. All of them, or none.

    Raises RefusedError for a login that does not exist, and where the asking login does not own the rights.
    """
    if granted and not login_exists(connection, login):
        raise RefusedError("LOGIN_UNKNOWN", "make_login", login=login)
    change, action = (grant_right, "right.grant") if granted else (revoke_right, "right.revoke")
    changed = 0
    with connection.transaction():
        for right in rights:
            if change(connection, login, right):
                changed += 1
                detail = {"login": login, "right": right}
                write_audit(connection, action=action, campaign_id=None, run_no=None, actor=actor, detail=detail)
    return changed
