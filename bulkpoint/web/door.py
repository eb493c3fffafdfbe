"""Who is in: sessions by a cookie, in this process's memory only.

A session is a person's own database login; its password is in memory, in the session's address of the database, and
nowhere else. The cookie is 32 random bytes, of which only the SHA-256 is kept here.
"""

import asyncio
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bulkpoint.rules.rights import Right
from bulkpoint.store.connect import Connection, connect

COOKIE_BYTES = 32
IDLE_S_MAX = 15 * 60.0
SESSION_S_MAX = 8 * 3600.0
# A person with three browsers and a phone; and all of them together, each with a connection.
SESSIONS_OF_A_LOGIN_MAX = 8
SESSIONS_MAX = 200
# A connection that nobody uses is given back: the server has few.
CONNECTION_IDLE_S_MAX = 60.0
SAID_MAX = 5
KEPT_MAX = 3
NAME = "bulkpoint web"


class Kept(Protocol):
    """What a session keeps for later requests, until it ends."""

    def remove(self) -> None:
        """It is there no more."""


@dataclass(eq=False)
class Session:
    """One person in one browser. conninfo: with the password, so it is never shown, logged or kept.

    rights: as they were read last; None: never, or they may have changed.
    """

    login: str
    conninfo: str = field(repr=False)
    actor: str
    language: str
    began_at: float
    seen_at: float
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rights: frozenset[Right] | None = None
    rights_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    kept: dict[str, Kept] = field(default_factory=dict)
    acts: int = 0
    _connection: Connection | None = field(default=None, repr=False)
    _used_at: float = 0.0

    def open(self) -> Connection:
        """The connection for reading, made where there is none. For whoever has the session's turn."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.conninfo, name=NAME)
        self._used_at = time.monotonic()
        return self._connection

    @property
    def is_open(self) -> bool:
        """Whether there is a connection already, which may have been lost without anybody noticing."""
        return self._connection is not None and not self._connection.closed

    def close(self) -> None:
        """The connection is given back; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def is_idle(self, now: float) -> bool:
        """Whether there is a connection that nobody has used for a while."""
        return self._connection is not None and now - self._used_at > CONNECTION_IDLE_S_MAX

    def say(self, what: str, facts: dict[str, Any]) -> None:
        """To be said once, at the top of the next page that this person sees."""
        self.said = [*self.said, (what, facts)][-SAID_MAX:]

    def keep(self, what: Kept) -> str:
        """Keep something for later requests; the oldest goes where there are too many. Returns its name here."""
        name = secrets.token_urlsafe(16)
        self.kept[name] = what
        while len(self.kept) > KEPT_MAX:
            self.kept.pop(next(iter(self.kept))).remove()
        return name

    def take_said(self) -> list[tuple[str, dict[str, Any]]]:
        """What is to be said now."""
        said, self.said = self.said, []
        return said


class Door:
    """The sessions. For many threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session] = {}
        self._token: bytes | None = None

    def new_token(self) -> str | None:
        """What lets one browser in, once; None where there is one that was not used yet."""
        token = secrets.token_urlsafe(COOKIE_BYTES)
        with self._lock:
            if self._token is not None:
                return None
            self._token = _digest(token)
        return token

    def take_token(self, token: str) -> bool:
        """Whether it is the present token, which is used up now."""
        with self._lock:
            is_right = self._token is not None and secrets.compare_digest(self._token, _digest(token))
            if is_right:
                self._token = None
        return is_right

    def let_in(self, *, login: str, conninfo: str, actor: str, language: str) -> tuple[str, Session]:
        """A new session, and what its cookie says. The oldest of a login's goes where it has too many."""
        cookie = secrets.token_urlsafe(COOKIE_BYTES)
        now = self._clock()
        session = Session(login, conninfo, actor, language, began_at=now, seen_at=now)
        gone: list[Session] = []
        with self._lock:
            gone += self._take_ended(now)
            theirs = [key for key, each in self._sessions.items() if each.login == login]
            gone += [self._sessions.pop(key) for key in theirs[: max(0, len(theirs) - SESSIONS_OF_A_LOGIN_MAX + 1)]]
            while len(self._sessions) >= SESSIONS_MAX:
                gone.append(self._sessions.pop(min(self._sessions, key=lambda key: self._sessions[key].seen_at)))
            self._sessions[_digest(cookie)] = session
        for each in gone:
            _end(each)
        return cookie, session

    def session_of(self, cookie: str | None, *, is_active: bool) -> Session | None:
        """Whose cookie this is; None where its session has ended. is_active: a person asks, not a page by itself."""
        if not cookie:
            return None
        now = self._clock()
        with self._lock:
            session = self._sessions.get(_digest(cookie))
            if session is None:
                return None
            if _has_ended(session, now):
                del self._sessions[_digest(cookie)]
            else:
                if is_active:
                    session.seen_at = now
                return session
        _end(session)
        return None

    def let_out(self, cookie: str | None) -> None:
        """Sign out."""
        with self._lock:
            session = self._sessions.pop(_digest(cookie), None) if cookie else None
        if session is not None:
            _end(session)

    def sweep(self) -> None:
        """End what has ended."""
        with self._lock:
            ended = self._take_ended(self._clock())
        for session in ended:
            _end(session)

    def idle_ones(self) -> list[Session]:
        """Sessions whose connection nobody uses."""
        now = time.monotonic()
        with self._lock:
            return [session for session in self._sessions.values() if session.is_idle(now)]

    def close(self) -> None:
        """Everybody is out."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            _end(session)

    def _take_ended(self, now: float) -> list[Session]:
        ended = [key for key, session in self._sessions.items() if _has_ended(session, now)]
        return [self._sessions.pop(key) for key in ended]


def _has_ended(session: Session, now: float) -> bool:
    return now - session.seen_at > IDLE_S_MAX or now - session.began_at > SESSION_S_MAX


def _end(session: Session) -> None:
    """What it kept goes, too."""
    for kept in session.kept.values():
        kept.remove()
    session.kept.clear()
    session.close()


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()
