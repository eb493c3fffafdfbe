"""The stylesheet, the script and the icon, with an ETag: a browser asks each time, and gets them once."""

import hashlib
from functools import cache, partial
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_KINDS = {"style.css": "text/css", "refresh.js": "text/javascript", "icon.svg": "image/svg+xml"}


async def _show(name: str, request: Request) -> Response:
    content, etag = _asset(name)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=f"{_KINDS[name]}; charset=utf-8")


@cache
def _asset(name: str) -> tuple[bytes, str]:
    content = resources.files(__name__).joinpath(name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


routes: list[BaseRoute] = [Route(f"/assets/{name}", partial(_show, name)) for name in _KINDS]
