"""One question of a page: who asks, under which login, with which connection."""

import time
from contextlib import ExitStack
from functools import cached_property
from typing import Any

from starlette.requests import Request

from bulkpoint.errors import RefusedError
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store.connect import Connection, answered_within, connect, reachable
from bulkpoint.store.right import own_rights
from bulkpoint.store.snapshot import reading
from bulkpoint.web.door import NAME, Kept, Session
from bulkpoint.web.form import Form
from bulkpoint.web.shared import Shared
from bulkpoint.web.site import Site
from bulkpoint.web.words import web_words

# A right that was taken is noticed by a page after this long; an act asks the database itself.
RIGHTS_S_MAX = 3.0
# A page asks a few questions, none longer than the statement timeout.
STATEMENTS_OF_A_PAGE = 4
# An act may wait for a lock; one that is long may load a list of millions. Then the connection is broken.
ACT_S_MAX = 60.0
LONG_ACT_S_MAX = 3600.0


class Asked:
    """What a handler gets. For one thread; `connection` and `rights` ask the database only when they are used.

    is_act: a POST: its connection is new, and may change things, under the person's own login. Else it reads one
    snapshot, in which no statement may take longer than the setting says. is_long: of an act that takes its time.
    """

    def __init__(
        self, site: Site, session: Session, request: Request, form: Form, *, is_act: bool, is_long: bool = False
    ) -> None:
        self.site = site
        self.session = session
        self.request = request
        self.form = form
        self.is_act = is_act
        self._act_s_max = LONG_ACT_S_MAX if is_long else ACT_S_MAX
        self._open = ExitStack()

    @property
    def settings(self) -> Settings:
        return self.site.host.settings

    @property
    def shared(self) -> Shared:
        return self.site.shared

    @property
    def conninfo(self) -> str:
        """The person's address of the database, with the password: not to be shown or handed to another process."""
        return self.session.conninfo

    @property
    def actor(self) -> str:
        """On whose behalf, as the audit log has it beside the login."""
        return self.session.actor

    @property
    def words(self) -> dict[str, Any]:
        """Of the person's language: `asked.words["limit"]["title"]`."""
        return web_words(self.session.language)

    @cached_property
    def connection(self) -> Connection:
        """Under the person's own login.

        Raises DatabaseAwayError; RefusedError where the login has gone, or may not look any more.
        """
        return self._act() if self.is_act else self._read()

    @cached_property
    def rights(self) -> frozenset[Right]:
        """What the login may do; the database refuses anyway what it may not."""
        session = self.session
        if self.is_act or session.rights is None or time.monotonic() - session.rights_at > RIGHTS_S_MAX:
            found = own_rights(self.connection)
            if found is None:
                raise RefusedError("LOGIN_MAY_NOT_LOOK", "grant_group_role", login=session.login)
            session.rights, session.rights_at = found, time.monotonic()
        return session.rights

    def may(self, right: Right | str) -> bool:
        """Whether the login has the right."""
        return right in self.rights

    def query(self, name: str) -> str | None:
        """A parameter of the address; None where it is missing or empty. At most 1,000 characters of it."""
        return (self.request.query_params.get(name) or "")[:1000].replace("\0", "") or None

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def path_number(self, name: str) -> int:
        """A part of the path that is a number, as an id; one that no id can be is 0, which no row has."""
        number = int(self.request.path_params[name])
        return number if number <= BIGINT_MAX else 0

    @property
    def is_refresh(self) -> bool:
        """Whether the page asks by itself, to show what is new."""
        return is_refresh(self.request)

    def keep(self, what: Kept) -> str:
        """Keep something for the session's later requests; returns the name by which `kept` finds it."""
        return self.session.keep(what)

    def kept(self, name: str) -> Kept | None:
        """What was kept; None where it has gone: the session keeps a few, the latest ones."""
        return self.session.kept.get(name)

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._open.__exit__(kind, error, trace)

    def _read(self) -> Connection:
        timeout_s = self.settings.web_statement_timeout_s
        connection = self.session.open()
        self._open.enter_context(reachable(self.conninfo))
        self._open.enter_context(answered_within(connection, STATEMENTS_OF_A_PAGE * timeout_s))
        self._open.enter_context(reading(connection, statement_s_max=timeout_s))
        return connection

    def _act(self) -> Connection:
        connection = self._open.enter_context(connect(self.conninfo, name=NAME))
        self._open.enter_context(reachable(self.conninfo))
        self._open.enter_context(answered_within(connection, self._act_s_max))
        return connection


def is_refresh(request: Request) -> bool:
    """Whether a page asks by itself: by its script, or without one by its head."""
    return "x-refresh" in request.headers or "auto" in request.query_params
