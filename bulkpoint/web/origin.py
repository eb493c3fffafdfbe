"""Whether a request comes from our own page, and where a browser may be sent."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bulkpoint.web.asked import is_refresh


def is_same_origin(request: Request) -> bool:
    """Whether a form was sent by a page of ours: by the browser's fetch metadata, else by its Origin.

    Every browser since 2023 sends the first (https://www.w3.org/TR/fetch-metadata/); one that sends neither is refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and origin == f"{request.url.scheme}://{request.headers.get('host', '')}"


def own_path(given: str | None) -> str:
    """A path of ours that a browser named, to come back to; `/` where it is none."""
    if not given or not given.startswith("/") or given.startswith(("//", "/\\")) or len(given) > 1000:
        return "/"
    return given if given.isprintable() and "\\" not in given else "/"


def may_go_to(request: Request, path: str) -> Response:
    """To the sign-in, and from there back to this page; a page that refreshes itself learns it by the status."""
    if is_refresh(request):
        return Response(status_code=401)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{path}?next={quote(own_path(here))}" if here != "/" else path, status_code=303)
