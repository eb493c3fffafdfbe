"""Whether a request comes from our own page, and where a browser may be sent."""

from urllib.parse import urlencode

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


def comes_from_elsewhere(request: Request) -> bool:
    """Whether a link in another place led here, such as a message: then the browser keeps our cookie to itself, until
    a page of ours asks for the same address (SameSite=Strict).
    """
    return request.headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not is_refresh(request)


def sign_in_first(request: Request, *, has_ended: bool) -> Response:
    """To the sign-in, and from there back to this page; a page that refreshes itself learns it by the status."""
    if "x-refresh" in request.headers:
        return Response(status_code=401)
    asked = {"next": here} if (here := here_of(request)) != "/" else {}
    if has_ended:
        asked["ended"] = "1"
    return RedirectResponse(f"/sign-in?{urlencode(asked)}" if asked else "/sign-in", status_code=303)


def here_of(request: Request) -> str:
    """The address of this page, to come back to."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "auto"]
    return own_path(request.url.path + (f"?{urlencode(kept)}" if kept else ""))
