"""From a request to a handler and back: sessions, turns, threads, and errors as pages.

A handler is a plain function of Asked; it runs in a thread. See pages/ for how one looks.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from anyio import CapacityLimiter
from jinja2 import ChoiceLoader, Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bulkpoint.errors import BulkpointError, UnreachableError, UsageError
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.connect import DatabaseAwayError
from bulkpoint.views.templates import make_environment
from bulkpoint.web.asked import Asked, is_refresh
from bulkpoint.web.body import (
    UPLOAD_BYTES_MAX,
    BodyNotKeptError,
    BodyTooLargeError,
    BodyUnreadableError,
    read_body,
)
from bulkpoint.web.cookies import cookie_of, drop_cookie
from bulkpoint.web.defects import say_defect
from bulkpoint.web.door import Session
from bulkpoint.web.form import Form
from bulkpoint.web.origin import comes_from_elsewhere, here_of, is_same_origin, sign_in_first
from bulkpoint.web.site import Site
from bulkpoint.web.threads import BusyError
from bulkpoint.web.words import web_sentence, web_words

Handler = Callable[[Asked], Response]

# One question at a time in a session: a person who opens many pages at once waits, and blocks no one else.
TURN_S_MAX = 20.0
# Acts of one session at a time: a stop does not wait for an upload in another window.
ACTS_MAX = 4
# After so many seconds a page that could not be shown asks again by itself.
AGAIN_S = 5
# What is refused, and why a person may not: by code. All other refusals are of the present state.
_FORBIDDEN = {
    "RIGHT_MISSING", "RIGHTS_OF_THE_OWNER", "DATABASE_REFUSES_LOGIN", "LOGIN_MAY_NOT_LOOK", "FORM_NOT_OURS",
}  # fmt: skip


def get(path: str, handler: Handler) -> Route:
    """A page. The handler reads; a person who is not signed in signs in first, and comes back."""
    return Route(path, partial(_show, path, handler), methods=["GET"])


def post(path: str, handler: Handler, *, takes_file: bool = False, is_long: bool = False) -> Route:
    """An act: by a form of our own page, with its token. takes_file: whether the form may have a file.

    is_long: it reads, loads or writes out a list, as every act with a file does; few of those run at once.
    """
    return Route(path, partial(_act, path, handler, takes_file, is_long or takes_file), methods=["POST"])


def see_other(asked: Asked, path: str, said: str | None = None, /, **facts: Any) -> Response:
    """After an act: another page, which says once at its top what has happened, `[said]` of the words."""
    if said is not None:
        asked.session.say(said, facts)
    return RedirectResponse(path, status_code=303)


def render(
    asked: Asked,
    template: str,
    /,
    *,
    status: int = 200,
    refusal: Refusal | None = None,
    typed: Form | None = None,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """A page of a template, in the frame that all pages have.

    refusal: why the form that this page answers was not done; typed: that form, whose fields show what was typed.
    """
    frame = {name: ask(asked) for name, ask in asked.site.every_page.items()}
    said = [] if asked.is_refresh else asked.session.take_said()
    known = _known(asked.request, asked.session, asked.session.language) | {
        "rights": asked.rights,
        "said": [_said(asked, what, facts) for what, facts in said],
        "typed": typed or Form(),
        "refusal": refusal,
    }
    return _page(template, status=status, headers=headers, **known, **frame, **values)


def error_page(
    request: Request,
    refusal: Refusal,
    *,
    status: int,
    session: Session | None = None,
    language: str | None = None,
    frame: Mapping[str, Any] | None = None,
    again_s: int | None = None,
) -> Response:
    """A page that says why there is no other one. again_s: after so many seconds it asks again by itself."""
    site: Site = request.app.state.site
    language = language or (session.language if session else site.host.settings.language)
    again_at = request.url.include_query_params(auto=1).components._replace(scheme="", netloc="").geturl()
    return _page(
        "error.html.j2",
        status=status,
        headers={"Retry-After": str(again_s)} if again_s else None,
        **_known(request, session, language) | {"refusal": refusal, "again_s": again_s, "again_at": again_at},
        **(frame or dict.fromkeys(site.every_page)),
    )


def page_without_session(
    request: Request, template: str, *, language: str, status: int = 200, **values: Any
) -> Response:
    """A page for whoever is not signed in."""
    site: Site = request.app.state.site
    return _page(template, status=status, **_known(request, None, language) | dict.fromkeys(site.every_page) | values)


def _known(request: Request, session: Session | None, language: str) -> dict[str, Any]:
    """What every template may use, where nobody has said more."""
    site: Site = request.app.state.site
    return {
        "language": language,
        "timezone": site.host.settings.timezone,
        "path": request.url.path,
        "here": here_of(request),
        "is_answer": request.method == "POST",
        "who": session.login if session else None,
        "embedded": site.host.embedded,
        "rights": (session.rights if session else None) or frozenset(),
        "token": session.form_token if session else "",
        "said": [],
        "refusal": None,
        "typed": Form(),
    }


def _page(template: str, *, status: int, headers: Mapping[str, str] | None = None, **values: Any) -> Response:
    language = values["language"]
    text = _environment().get_template(template).render(say=web_words(language), status=status, **values)
    return HTMLResponse(text, status_code=status, headers=headers)


@cache
def _environment() -> Environment:
    """Our own templates, and the report's for its drawings."""
    environment = make_environment(
        ChoiceLoader([PackageLoader("bulkpoint.web", "templates"), PackageLoader("bulkpoint.views", "templates")])
    )
    environment.globals["sentence"] = web_sentence
    return environment


def _said(asked: Asked, what: str, facts: Mapping[str, Any]) -> str:
    said: str = asked.words["said"][what]
    return said.format_map(facts)


async def _show(path: str, handler: Handler, request: Request) -> Response:
    site: Site = request.app.state.site
    request.scope["bulkpoint.route"] = path
    request.scope["bulkpoint.is_refresh"] = is_refresh(request)
    cookie = cookie_of(request)
    session = site.door.session_of(cookie, is_active=not is_refresh(request))
    if session is None:
        if cookie is None and comes_from_elsewhere(request):
            return page_without_session(request, "come_in.html.j2", language=site.host.settings.language)
        return sign_in_first(request, has_ended=cookie is not None)
    try:
        await asyncio.wait_for(session.turn.acquire(), TURN_S_MAX)
    except TimeoutError:
        return error_page(request, Refusal("SESSION_BUSY"), status=503, session=session, again_s=AGAIN_S)
    try:
        work = partial(_answer, site, session, request, Form(session.language), handler)
        return await in_thread(request, site.threads.pages, work)
    finally:
        session.turn.release()


async def _act(path: str, handler: Handler, takes_file: bool, is_long: bool, request: Request) -> Response:
    site: Site = request.app.state.site
    request.scope["bulkpoint.route"] = path
    session = site.door.session_of(cookie_of(request), is_active=True)
    if not is_same_origin(request):
        return error_page(request, Refusal("FORM_NOT_OURS", {}, ("open_page_again",)), status=403, session=session)
    if session is None:
        return error_page(request, Refusal("SESSION_ENDED", {}, ("sign_in_again",)), status=403)
    if session.acts >= ACTS_MAX:
        return error_page(request, Refusal("SESSION_BUSY"), status=503, session=session)
    session.acts += 1
    try:
        return await _act_once(site, session, request, handler, takes_file=takes_file, is_long=is_long)
    finally:
        session.acts -= 1


async def _act_once(
    site: Site, session: Session, request: Request, handler: Handler, *, takes_file: bool, is_long: bool
) -> Response:
    form = await form_of(request, session, upload_bytes_max=UPLOAD_BYTES_MAX if takes_file else 0)
    if isinstance(form, Response):
        return form
    try:
        if not form.has_token(session.form_token):
            refusal = Refusal("FORM_NOT_OURS", {}, ("open_page_again",))
            return error_page(request, refusal, status=403, session=session)
        work = partial(_answer, site, session, request, form, handler, is_act=True, is_long=is_long)
        return await in_thread(request, site.threads.long_acts if is_long else site.threads.acts, work)
    finally:
        form.remove_files(but=session.kept.values())


async def form_of(request: Request, session: Session | None, *, upload_bytes_max: int = 0) -> Form | Response:
    """The form of a request, or the page that says why it cannot be read."""
    site: Site = request.app.state.site
    language = session.language if session else site.host.settings.language
    try:
        fields, files = await read_body(request, site.host.uploads, upload_bytes_max=upload_bytes_max)
    except BodyTooLargeError as error:
        refusal, status = Refusal("FORM_TOO_LARGE", {"megabytes_max": error.bytes_max // 2**20}), 413
    except BodyUnreadableError:
        refusal, status = Refusal("FORM_UNREADABLE", {}, ("open_page_again",)), 400
    except BodyNotKeptError as error:
        refusal, status = Refusal("UPLOAD_NOT_KEPT", {"why": error.why or Refusal("TOO_MANY_UPLOADS")}), 503
    else:
        return Form(language, fields, files)
    return error_page(request, refusal, status=status, session=session)


async def in_thread(request: Request, kind: CapacityLimiter, work: Callable[[], Response]) -> Response:
    """Work that may wait for the database, in a thread of its kind; a page that says so where none is free."""
    site: Site = request.app.state.site
    try:
        return await site.threads.run(kind, work)
    except BusyError:
        session = site.door.session_of(cookie_of(request), is_active=False)
        again_s = AGAIN_S if request.method == "GET" else None
        return error_page(request, Refusal("PAGE_BUSY"), status=503, session=session, again_s=again_s)


def _answer(
    site: Site,
    session: Session,
    request: Request,
    form: Form,
    handler: Handler,
    *,
    is_act: bool = False,
    is_long: bool = False,
) -> Response:
    """What the handler answers; for a page whose connection was lost since the last one, on another connection."""
    was_open = session.is_open
    try:
        try:
            with Asked(site, session, request, form, is_act=is_act, is_long=is_long) as asked:
                return _ask(asked, handler)
        except DatabaseAwayError as error:
            if is_act or not was_open or error.ruling.cause is Cause.STATEMENT_TIMEOUT:
                raise
        session.close()
        with Asked(site, session, request, form, is_act=False) as asked:
            return _ask(asked, handler)
    except BulkpointError as error:
        return _refused(site, session, request, error)
    except Exception as error:  # noqa: BLE001 (a defect is a page, too; the log has its place)
        say_defect(error)
        session.close()
        return error_page(request, Refusal("PAGE_BROKE"), status=500, session=session)


def _ask(asked: Asked, handler: Handler) -> Response:
    try:
        return handler(asked)
    finally:
        if asked.is_act:
            asked.session.rights = None
            asked.shared.forget()


def status_of(error: BulkpointError) -> int:
    """The HTTP status of a refusal: 404, 403, 409, 422 or 503."""
    if isinstance(error, UnreachableError):
        return 503
    if isinstance(error, UsageError):
        return 422
    if error.refusal.code in _FORBIDDEN:
        return 403
    return 404 if error.refusal.code.endswith("_UNKNOWN") else 409


def _refused(site: Site, session: Session, request: Request, error: BulkpointError) -> Response:
    if isinstance(error, DatabaseAwayError):
        if error.ruling.cause is Cause.LOGIN_REFUSED:
            return _out(site, session, request)
        session.close()
    status = status_of(error)
    again_s = AGAIN_S if status == 503 and request.method == "GET" else None
    frame = None
    if status != 503:
        try:
            with Asked(site, session, request, Form(), is_act=request.method == "POST") as asked:
                frame = {name: ask(asked) for name, ask in site.every_page.items()}
        except BulkpointError:
            session.close()
    return error_page(request, _told(request, error), status=status, session=session, frame=frame, again_s=again_s)


def _told(request: Request, error: BulkpointError) -> Refusal:
    """The refusal; of an act whose connection broke, it is not known whether it was done."""
    refusal = error.refusal
    if request.method == "POST" and isinstance(error, DatabaseAwayError) and refusal.code != "DATABASE_UNREACHABLE":
        return Refusal(refusal.code, refusal.facts, (*refusal.remedies, "look_whether_done"))
    return refusal


def _out(site: Site, session: Session, request: Request) -> Response:
    """The login or its password was changed: this session cannot be used any more."""
    language = session.language
    site.door.let_out(cookie_of(request))
    refusal = Refusal("LOGIN_NOT_ACCEPTED_ANY_MORE", {}, ("sign_in_again",))
    response = error_page(request, refusal, status=403, language=language)
    drop_cookie(request, response)
    return response
