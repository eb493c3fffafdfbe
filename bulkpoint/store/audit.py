"""The audit log: who did what and when; append-only, a hash chain that the database makes."""

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from psycopg.types.json import Jsonb

from bulkpoint.rules.member_names import Eyes
from bulkpoint.store.connect import Connection, connect, reachable
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

# What the first row is linked to, and the hash of a log without rows.
BEFORE_THE_FIRST = sha256(b"").digest()


class Reading(StrEnum):
    """What a reader may do with members, as the action of its audit row."""

    EXPORT = "export"  # took a campaign's payments out, as a file
    FIND = "find"  # looked one member up
    LIST = "list"  # looked through a campaign's payments
    PREVIEW = "preview"  # looked at a list before it is paid


@dataclass(frozen=True)
class AuditEvent:
    """One row of the log. `login` is what the database knows, `actor` what the caller claimed.

    run_no: within its campaign. detail: what the action is about, as it was written. hash: 32 bytes.
    """

    audit_no: int
    occurred_at: datetime
    login: str
    os_user: str
    host: str
    actor: str
    action: str
    campaign_id: int | None
    run_no: int | None
    detail: Any
    hash: bytes


@dataclass(frozen=True)
class Reader:
    """Who reads: the login, by the database's own word, and whether it sees member ids as they are."""

    login: str
    sees: bool

    @property
    def eyes(self) -> Eyes:
        """Through which every member that it is shown passes."""
        return Eyes(self.sees)


@dataclass(frozen=True)
class AuditChoice:
    """Which rows are wanted; None: all. `since` is included in the time, `until` is not.

    who: login or actor. search: what stands anywhere in a row, in any case. before_no: only rows of lower numbers, for
    page after page.
    """

    campaign_id: int | None = None
    action: str | None = None
    actor: str | None = None
    login: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    who: str | None = None
    search: str | None = None
    before_no: int | None = None


@dataclass(frozen=True)
class ReadingSum:
    """How often one login did one kind of reading; rows: members that it got, without_reason: how often it gave none.

    masked: how often it saw no id whole.
    """

    login: str
    action: Reading
    times: int
    rows: int
    without_reason: int
    masked: int
    first_at: datetime
    last_at: datetime


class BreakKind(StrEnum):
    """How the chain can be broken."""

    ALTERED = "ALTERED"  # a row's seal does not fit it and the row before
    MISSING = "MISSING"  # a number is left out
    CUT = "CUT"  # the head counts more rows than there are: the end was cut off
    UNSEALED = "UNSEALED"  # there are more rows than the head counts
    HEAD_ALTERED = "HEAD_ALTERED"  # head and last row have different hashes
    HEAD_GONE = "HEAD_GONE"
    REWRITTEN = "REWRITTEN"  # the chain is whole, but does not have the hash that a person kept


@dataclass(frozen=True)
class Break:
    """The first place where the chain is broken.

    audit_no, occurred_at: the row that does not fit, the first one that is missing (without a time), or the last row
    where the head is wrong. to_no: the last number of the missing range.
    """

    kind: BreakKind
    audit_no: int
    occurred_at: datetime | None
    to_no: int | None = None


@dataclass(frozen=True)
class KeptHash:
    """A row's number and hash (32 bytes), as a person has kept them elsewhere."""

    audit_no: int
    hash: bytes


@dataclass(frozen=True)
class Verification:
    """The result of checking the chain. last_hash: of the last row, 32 bytes; of empty input where there is none."""

    rows: int
    last_no: int
    last_at: datetime | None
    last_hash: bytes
    broken: Break | None


@dataclass(frozen=True)
class Look:
    """When somebody looked at a campaign's list before it was paid, and which list it was; None: not known."""

    at: datetime
    digest: str | None
    count: int | None


@dataclass(frozen=True)
class _Links:
    rows: int
    last_no: int | None
    last_at: datetime | None
    last_hash: bytes | None
    broken_no: int | None
    broken_at: datetime | None
    before_no: int
    head_no: int | None
    head_hash: bytes | None
    after_head_at: datetime | None
    kept_at: datetime | None
    kept_hash: bytes | None


_NOTE = Query("note_reading", Reader)
_AUDIT = Query("list_audit", AuditEvent)
_LAST_LOOK = Query("last_look", Look)
_READINGS = Query("sum_readings", ReadingSum)
_ACTIONS = Query("list_audit_actions", str)
_HISTORY = Query("list_history", AuditEvent)
_LINKS = Query("verify_audit", _Links)


def write_audit(
    connection: Connection,
    *,
    action: str,
    campaign_id: int | None,
    run_no: int | None,
    actor: str,
    detail: dict[str, Any],
) -> None:
    """Add one sealed row, inside the transaction of the action that it records.

    `actor` is the claimed name; operating-system user, host and database login are added to it.
    `run_no` is the number within its campaign.
    """
    connection.execute(
        sql("write_audit"),
        {
            "os_user": os_user(),
            "host": socket.gethostname(),
            "actor": actor,
            "action": action,
            "campaign_id": campaign_id,
            "run_no": run_no,
            "detail": Jsonb(detail),
        },
    )


def note_reading(
    connection: Connection, *, action: Reading, campaign_id: int | None, actor: str, detail: Mapping[str, object]
) -> Reader:
    """Add the sealed row of one who looks at members, or takes them out; before they are given, and for every login.

    detail: what of it, how much, and the reason; what is None is left out. Never a member id: `member_sha256`. Whether
    ids were masked is added by the database.
    """
    return _NOTE.one(
        connection,
        action=action,
        campaign_id=campaign_id,
        os_user=os_user(),
        host=socket.gethostname(),
        actor=actor,
        detail=Jsonb({name: value for name, value in detail.items() if value is not None}),
    )


def note_reading_apart(
    conninfo: str, *, action: Reading, campaign_id: int | None, actor: str, detail: Mapping[str, object]
) -> Reader:
    """The same on a short connection of its own, for whoever reads in a transaction that may not write, as a page does.

    Call it before anything is shown: where the row cannot be written, it raises what `connect` and `reachable` raise.
    """
    with connect(conninfo, name="bulkpoint trace") as connection, reachable(conninfo):
        return note_reading(connection, action=action, campaign_id=campaign_id, actor=actor, detail=detail)


def last_look(connection: Connection, campaign_id: int) -> Look | None:
    """When this session's login looked at a campaign's list last; None where it never did."""
    return _LAST_LOOK.first(connection, campaign_id=campaign_id)


def member_hash(member_id: str) -> str:
    """How an audit row says of which member it is: SHA-256, hexadecimal. Rows are kept for ever, members are not."""
    return sha256(member_id.encode("utf-8", "surrogatepass")).hexdigest()


def os_user() -> str:
    """The operating system's name of the user that runs this; the default actor."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no entry in the password file
        return str(os.getuid())


def list_audit(connection: Connection, choice: AuditChoice, *, rows_max: int) -> list[AuditEvent]:
    """The latest rows of the choice, at most `rows_max`, oldest first."""
    return _AUDIT.all(connection, **asdict(choice), rows_max=rows_max)[::-1]


def sum_readings(
    connection: Connection, *, login: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> list[ReadingSum]:
    """Who looked at members, by login and action, the most rows first. One scan of the log."""
    actions = [str(action) for action in Reading]
    return _READINGS.all(connection, actions=actions, login=login, since=since, until=until)


def list_audit_actions(connection: Connection) -> list[str]:
    """The actions that occur, by name. One scan of the log."""
    return _ACTIONS.all(connection)


def list_history(connection: Connection, campaign_id: int) -> list[AuditEvent]:
    """What happened to one campaign, oldest first; with the changes of the limit while it ran. One scan of the log."""
    return _HISTORY.all(connection, campaign_id=campaign_id)


def verify_audit(connection: Connection, kept: KeptHash | None = None) -> Verification:
    """Compute every seal again and compare; also with a hash that a person kept. One pass, changes nothing."""
    links = _LINKS.one(connection, kept_no=kept and kept.audit_no)
    last_no, last_hash = links.last_no or 0, links.last_hash or BEFORE_THE_FIRST
    return Verification(links.rows, last_no, links.last_at, last_hash, _find_break(links, last_no, last_hash, kept))


def _find_break(links: _Links, last_no: int, last_hash: bytes, kept: KeptHash | None) -> Break | None:
    """Check the rows first, then the head, then the kept hash, which proves something only for a whole chain."""
    if links.broken_no is not None:
        if links.broken_no > links.before_no + 1:
            return Break(BreakKind.MISSING, links.before_no + 1, None, links.broken_no - 1)
        return Break(BreakKind.ALTERED, links.broken_no, links.broken_at)
    return _find_break_of_head(links, last_no, last_hash) or _find_break_of_kept(links, kept)


def _find_break_of_head(links: _Links, last_no: int, last_hash: bytes) -> Break | None:
    if links.head_no is None:
        return Break(BreakKind.HEAD_GONE, last_no, links.last_at)
    if links.head_no > last_no:
        return Break(BreakKind.CUT, last_no + 1, None, links.head_no)
    if links.head_no < last_no:
        return Break(BreakKind.UNSEALED, links.head_no + 1, links.after_head_at)
    if links.head_hash != last_hash:
        return Break(BreakKind.HEAD_ALTERED, last_no, links.last_at)
    return None


def _find_break_of_kept(links: _Links, kept: KeptHash | None) -> Break | None:
    if kept is None or kept.hash == links.kept_hash:
        return None
    return Break(BreakKind.REWRITTEN, kept.audit_no, links.kept_at)
