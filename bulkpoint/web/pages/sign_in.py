"""In and out: by the person's own database login, or on the embedded database by the address that was printed."""

from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bulkpoint.campaigns.run_request import asker
from bulkpoint.errors import BulkpointError, UsageError
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.connect import DatabaseAwayError, connect, reachable, was_asked_for_password
from bulkpoint.store.database_address import as_login
from bulkpoint.store.right import own_rights
from bulkpoint.store.version import refuse_empty_database, refuse_other_version
from bulkpoint.web.asked import Asked
from bulkpoint.web.cookies import cookie_of, drop_cookie, set_cookie
from bulkpoint.web.door import NAME, Session
from bulkpoint.web.form import Form
from bulkpoint.web.origin import is_same_origin, own_path
from bulkpoint.web.routes import error_page, form_of, in_thread, page_without_session, post, see_other
from bulkpoint.web.site import Site
from bulkpoint.web.words import LANGUAGES

# PostgreSQL's longest name, and a password that no person types.
NAME_BYTES_MAX = 63
PASSWORD_MAX = 1000


def _language_of(request: Request) -> str:
    site: Site = request.app.state.site
    asked = request.query_params.get("language")
    return asked if asked in LANGUAGES else site.host.settings.language


async def show(request: Request) -> Response:
    """The form; with the printed address's token, in at once."""
    site: Site = request.app.state.site
    token = request.query_params.get("token")
    if site.door.session_of(cookie_of(request), is_active=False) is not None:
        return RedirectResponse(own_path(request.query_params.get("next")), status_code=303)
    if token is not None and request.method == "GET" and site.door.take_token(token):
        host = site.host
        conninfo, actor = host.database_url, asker(host.settings)
        return _let_in(request, login=actor, conninfo=conninfo, actor=actor, language=_language_of(request))
    refusal = None
    if token is not None:
        refusal = Refusal("ADDRESS_USED", {}, ("use_new_address",))
    elif "ended" in request.query_params:
        refusal = Refusal("SESSION_OVER")
    if site.host.embedded:
        site.say_address()
    return _form(request, refusal=refusal, status=403 if token is not None else 200)


def _form(
    request: Request, *, refusal: Refusal | None, status: int, login: str = "", next_: str | None = None
) -> Response:
    next_ = own_path(next_ if next_ is not None else request.query_params.get("next"))
    language = _language_of(request)
    return page_without_session(
        request, "sign_in.html.j2", language=language, status=status, refusal=refusal, login=login, next=next_
    )


async def sign_in(request: Request) -> Response:
    """Try the name and the password at the database."""
    site: Site = request.app.state.site
    if not is_same_origin(request) or site.host.embedded:
        return error_page(request, Refusal("FORM_NOT_OURS", {}, ("open_page_again",)), status=403)
    form = await form_of(request, None)
    if isinstance(form, Response):
        return form
    return await in_thread(request, site.threads.sign_ins, partial(_try, request, form))


def _try(request: Request, form: Form) -> Response:
    site: Site = request.app.state.site
    language = _language_of(request)
    login, password, next_ = form.raw("login").strip(), form.raw("password"), form.raw("next")

    def again(refusal: Refusal, status: int) -> Response:
        return _form(request, refusal=refusal, status=status, login=login[:NAME_BYTES_MAX], next_=next_)

    is_possible = 0 < len(login.encode()) <= NAME_BYTES_MAX and 0 < len(password) <= PASSWORD_MAX
    if not is_possible or "\0" in login + password:
        return again(Refusal("SIGN_IN_REFUSED"), 403)
    address = request.client.host if request.client else ""
    wait_s = site.throttle.take(login, address)
    if wait_s:
        return again(Refusal("SIGN_IN_TOO_OFTEN", {"left_s": wait_s}), 429)
    conninfo = as_login(site.host.database_url, login, password)
    refused = _try_at_database(conninfo, login)
    if refused is not None:
        # What was typed as the name may be a password.
        site.host.log(f"a sign-in from {address} was refused: {refused[0].code}", event="sign_in_refused")
        return again(*refused)
    site.host.log(f"{login} signed in from {address}", event="signed_in")
    site.throttle.give_back(login, address)
    return _let_in(request, login=login, conninfo=conninfo, actor=login, language=language, next_=next_)


def _try_at_database(conninfo: str, login: str) -> tuple[Refusal, int] | None:
    """Why the login is not let in, and the status of the page that says so; None where it may enter and look."""
    try:
        with connect(conninfo, name=NAME) as connection, reachable(conninfo):
            if not was_asked_for_password(connection):
                return Refusal("SIGN_IN_WITHOUT_PASSWORD"), 403
            rights = own_rights(connection)
            if rights is None:
                refuse_empty_database(connection)
            else:
                refuse_other_version(connection)
    except DatabaseAwayError as error:
        if error.ruling.cause is Cause.LOGIN_REFUSED:
            return Refusal("SIGN_IN_REFUSED"), 403
        return error.refusal, 503
    except UsageError:
        return Refusal("SIGN_IN_REFUSED"), 403
    except BulkpointError as error:
        return error.refusal, 403
    return None if rights is not None else (Refusal("LOGIN_MAY_NOT_LOOK", {"login": login}, ("grant_group_role",)), 403)


def _let_in(
    request: Request, *, login: str, conninfo: str, actor: str, language: str, next_: str | None = None
) -> Response:
    """A new session; one that this browser had ends."""
    site: Site = request.app.state.site
    site.door.let_out(cookie_of(request))
    cookie, _ = site.door.let_in(login=login, conninfo=conninfo, actor=actor, language=language)
    response = RedirectResponse(own_path(next_), status_code=303)
    set_cookie(request, response, cookie)
    return response


def sign_out(asked: Asked) -> Response:
    """The session ends; what it kept goes."""
    site = asked.site
    site.door.let_out(cookie_of(asked.request))
    response = RedirectResponse("/sign-in", status_code=303)
    drop_cookie(asked.request, response)
    return response


def switch_language(asked: Asked) -> Response:
    """From now on in another language."""
    session: Session = asked.session
    session.language = asked.form.choice("language", LANGUAGES)
    return see_other(asked, own_path(asked.form.raw("back")))


routes = [
    Route("/sign-in", show, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    post("/sign-out", sign_out),
    post("/language", switch_language),
]
