"""The one cookie: who a browser belongs to."""

from starlette.requests import Request
from starlette.responses import Response


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy before us."""
    return request.url.scheme == "https"


def _name(request: Request) -> str:
    """With our port in it, because cookies do not tell two servers of one machine apart."""
    server = request.scope.get("server") or ("", 0)
    return f"{'__Host-' if is_secure(request) else ''}bulkpoint-{server[1]}"


def cookie_of(request: Request) -> str | None:
    """What the browser's cookie says."""
    return request.cookies.get(_name(request))


def set_cookie(request: Request, response: Response, value: str) -> None:
    """For as long as the browser runs; how long the session lasts is decided here, not there."""
    response.set_cookie(_name(request), value, path="/", secure=is_secure(request), httponly=True, samesite="strict")


def drop_cookie(request: Request, response: Response) -> None:
    """The browser forgets it."""
    response.delete_cookie(_name(request), path="/", secure=is_secure(request), httponly=True, samesite="strict")
