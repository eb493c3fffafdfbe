"""The page as one application: its table of routes, what holds for every answer, and its errors as pages."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bulkpoint.rules.refusals import Refusal
from bulkpoint.streams import say_traceback
from bulkpoint.web import assets, health, stop_bar
from bulkpoint.web.cookies import cookie_of
from bulkpoint.web.door import Door
from bulkpoint.web.pages import (
    approvals,
    audit,
    campaign,
    campaigns,
    limit,
    members,
    new,
    payments,
    sign_in,
    trouble,
)
from bulkpoint.web.routes import THREADS_MAX, error_page
from bulkpoint.web.site import Host, Site

# What the frame of every page shows, beside what is always known (routes.render).
EVERY_PAGE = {"stop_bar": stop_bar.running, "trouble_count": trouble.count_of}
SWEEP_EVERY_S = 5.0

# Nothing but our own files, forms that go to us, no frame around us (https://www.w3.org/TR/CSP3/).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def all_routes() -> list[BaseRoute]:
    """Every address of the page."""
    return [
        *campaigns.routes,
        *campaign.routes,
        *payments.routes,
        *new.routes,
        *approvals.routes,
        *limit.routes,
        *members.routes,
        *audit.routes,
        *trouble.routes,
        *sign_in.routes,
        *assets.routes,
        Route("/healthz", health.healthz, methods=["GET"]),
    ]


def make_app(host: Host, door: Door | None = None) -> Starlette:
    """The application; door: one whose sessions the caller wants to know."""
    site = Site(host, door or Door(), every_page=EVERY_PAGE)
    app = Starlette(
        routes=all_routes(),
        middleware=[Middleware(_SetHeaders)],
        exception_handlers={HTTPException: _not_there, Exception: _defect},
        lifespan=_lifespan,
    )
    app.state.site = site
    app.state.threads = CapacityLimiter(THREADS_MAX)
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    site: Site = app.state.site
    sweeper = asyncio.create_task(_sweep(site.door))
    try:
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await anyio.to_thread.run_sync(site.door.close)


async def _sweep(door: Door) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        await anyio.to_thread.run_sync(door.sweep)


class _SetHeaders:
    """What every answer says, whatever made it. Pages are not kept by the browser or anything on the way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                headers += HEADERS
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


async def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    site: Site = request.app.state.site
    session = site.door.session_of(cookie_of(request), is_active=False)
    code = "PAGE_METHOD_NOT_KNOWN" if status == 405 else "PAGE_UNKNOWN"
    return error_page(request, Refusal(code), status=status, session=session)


async def _defect(_request: Request, error: Exception) -> Response:
    """Ours: where it is goes to the log, without anything of the request's."""
    say_traceback(error)
    return PlainTextResponse("bulkpoint: an error of this program; its log has the place.\n", status_code=500)
