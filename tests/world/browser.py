"""A browser without a screen: asks the page over a real socket, keeps its cookie, reads its forms and sends them."""

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import uvicorn

from bulkpoint.settings import Settings, load_settings
from bulkpoint.web.app import make_app
from bulkpoint.web.door import Door
from bulkpoint.web.server import configured
from bulkpoint.web.site import Host, Site
from tests.world.ports import free_port
from tests.world.waiting import wait_for


@dataclass
class FormShown:
    """One form of a page. fields: what it would send as it is."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[FormShown] = []
        self.words: list[str] = []
        self._form: FormShown | None = None
        self._select = ""
        self._area = ""
        self._hidden = 0
        self.refreshing: list[str] = []
        self.is_still = False

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        attributes = dict(given)
        name = attributes.get("name") or ""
        self.is_still = self.is_still or "data-still" in attributes
        if "data-refresh" in attributes and attributes["data-refresh"] != "frame":
            self.refreshing.append(attributes.get("id") or "?")
        if tag == "form":
            self._form = FormShown(attributes.get("action") or "", (attributes.get("method") or "get").lower())
            self.forms.append(self._form)
        elif tag in {"script", "style", "title"}:
            self._hidden += 1
        elif self._form is None or not name:
            if (
                tag == "option"
                and self._select
                and self._form
                and ("selected" in attributes or self._select not in self._form.fields)
            ):
                self._form.fields[self._select] = attributes.get("value") or ""
        elif tag == "input" and not (attributes.get("type") in {"checkbox", "radio"} and "checked" not in attributes):
            if attributes.get("type") != "file":
                self._form.fields[name] = attributes.get("value") or (
                    "on" if attributes.get("type") == "checkbox" else ""
                )
        elif tag == "select":
            self._select = name
        elif tag == "textarea":
            self._area = name
            self._form.fields[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""
        elif tag in {"script", "style", "title"}:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if self._area and self._form is not None:
            self._form.fields[self._area] += data
        if not self._hidden:
            self.words.append(data)


@dataclass(frozen=True)
class PageShown:
    """One answer. text: its words, one blank between them, as a person reads them; html: as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    path: str

    @property
    def html(self) -> str:
        return self.body.decode()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._read().words).split())

    @property
    def forms(self) -> list[FormShown]:
        return self._read().forms

    @property
    def refreshing(self) -> list[str]:
        """The parts for which the page asks itself again; none where it asks only for what every page shows."""
        reader = self._read()
        return [] if reader.is_still else reader.refreshing

    def form(self, action: str) -> FormShown:
        """The form that goes there."""
        found = [form for form in self.forms if form.action.partition("?")[0] == action]
        assert found, f"no form to {action} in {self.path}: {[form.action for form in self.forms]}"
        return found[0]

    def _read(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.html)
        return reader


@dataclass(frozen=True)
class File:
    """A file to be sent."""

    name: str
    content: bytes


class Browser:
    """One browser of one person. headers: more of them in each request, such as another Host."""

    def __init__(self, address: str, headers: Mapping[str, str] | None = None) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self.headers = dict(headers or {})

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, follow: bool = True) -> PageShown:
        """The page, after redirects."""
        return self._follow(self._ask("GET", path, None, headers or {}), follow)

    def refresh(self, path: str) -> PageShown:
        """As the page's script asks."""
        return self.get(path, headers={"X-Refresh": "1"}, follow=False)

    def post(
        self,
        path: str,
        fields: Mapping[str, str] | None = None,
        *,
        files: Mapping[str, File] | None = None,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> PageShown:
        """What follows on a form. It is as a browser's, from our own page; the token must be among the fields."""
        if files:
            body, kind = _multipart(fields or {}, files)
        else:
            body, kind = urlencode(fields or {}).encode(), "application/x-www-form-urlencoded"
        sent = {"Content-Type": kind, "Sec-Fetch-Site": "same-origin", "Origin": self.address} | dict(headers or {})
        return self._follow(self._ask("POST", path, body, sent), follow)

    def submit(
        self, page: PageShown, action: str, *, files: Mapping[str, File] | None = None, **fields: Any
    ) -> PageShown:
        """Fill in a form of a page, and send it. A field that is None is not sent."""
        form = page.form(action)
        typed = form.fields | {name: str(value) for name, value in fields.items() if value is not None}
        typed = {name: value for name, value in typed.items() if not (name in fields and fields[name] is None)}
        if form.method == "get":
            return self.get(f"{form.action}?{urlencode(typed)}")
        return self.post(form.action, typed, files=files)

    def sign_in(self, login: str, password: str, *, language: str = "en") -> PageShown:
        """By a database login."""
        page = self.get(f"/sign-in?language={language}")
        return self.submit(page, "/sign-in", login=login, password=password)

    def _follow(self, page: PageShown, follow: bool) -> PageShown:
        for _ in range(5):
            if not follow or page.status != 303:
                return page
            page = self._ask("GET", page.headers["location"], None, {})
        raise AssertionError(f"redirected again and again, at last to {page.path}")

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> PageShown:
        at = urlsplit(self.address)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
        try:
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            sent = ({"Cookie": cookie} if cookie else {}) | self.headers | dict(headers)
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    self._take_cookie(value)
            given = {name.lower(): value for name, value in answer.getheaders()}
            return PageShown(answer.status, given, answer.read(), path)
        finally:
            connection.close()

    def _take_cookie(self, value: str) -> None:
        name, _, rest = value.partition("=")
        content = rest.partition(";")[0].strip('"')
        if content and "max-age=0" not in rest.lower():
            self.cookies[name] = content
        else:
            self.cookies.pop(name, None)


def _multipart(fields: Mapping[str, str], files: Mapping[str, File]) -> tuple[bytes, str]:
    mark = "----------bulkpoint-test"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, file in files.items():
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{file.name}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + file.content + b"\r\n")
    return b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


@dataclass
class WebPage:
    """The page, served. signed_in(login, password) gives a browser of that person, in English."""

    address: str
    site: Site

    @property
    def door(self) -> Door:
        return self.site.door

    @property
    def host(self) -> Host:
        return self.site.host

    def browser(self, **headers: str) -> Browser:
        """One that is not signed in."""
        return Browser(self.address, headers)

    def signed_in(self, login: str, password: str, *, language: str = "en") -> Browser:
        """A person's, signed in."""
        browser = self.browser()
        page = browser.sign_in(login, password, language=language)
        assert browser.cookies, page.text
        return browser


@contextmanager
def served(database_url: str, uploads: Path, *, settings: Settings | None = None, **host: Any) -> Iterator[WebPage]:
    """The page on a port of this machine, in a thread of this process. host: of Host, such as embedded=True."""
    given = settings or load_settings({})
    at = Host(given, database_url, uploads)
    at = replace(at, **host)
    door = Door()
    port = free_port()
    app = make_app(at, door)
    config = configured(app, host="127.0.0.1", port=port)
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, name="page", daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, "the page")
        yield WebPage(f"http://127.0.0.1:{port}", app.state.site)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the page does not end"


@contextmanager
def _no_signals() -> Iterator[None]:
    yield
