"""The page as one application: its table of routes, what holds for every answer, and its errors as pages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bulkpoint.rules.refusals import Refusal
from bulkpoint.web import assets, health, metrics, stop_bar
from bulkpoint.web.asked import Asked, is_refresh
from bulkpoint.web.cookies import cookie_of
from bulkpoint.web.door import Door
from bulkpoint.web.guard import Guard
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
from bulkpoint.web.routes import error_page, get, render
from bulkpoint.web.site import Host, Site

# What the frame of every page shows, beside what is always known (routes.render).
EVERY_PAGE = {"stop_bar": stop_bar.running, "trouble_count": trouble.count_of}
SWEEP_EVERY_S = 5.0


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
        get("/frame", _frame),
        Route("/healthz", health.healthz, methods=["GET"]),
        Route("/metrics", metrics.metrics, methods=["GET"]),
    ]


def make_app(host: Host, door: Door | None = None) -> Starlette:
    """The application; door: one whose sessions the caller wants to know."""
    site = Site(host, door or Door(), every_page=EVERY_PAGE)
    app = Starlette(
        routes=all_routes(),
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={HTTPException: _not_there},
        lifespan=_lifespan,
    )
    app.state.site = site
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
    """Sessions end, and connections are given back, also where nobody asks any more."""
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        await anyio.to_thread.run_sync(door.sweep)
        for session in door.idle_ones():
            async with session.turn:
                session.close()


def _frame(asked: Asked) -> Response:
    """What every page shows, for a page that has nothing of its own to refresh."""
    return render(asked, "base.html.j2")


async def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    site: Site = request.app.state.site
    session = site.door.session_of(cookie_of(request), is_active=not is_refresh(request))
    code = "PAGE_METHOD_NOT_KNOWN" if status == 405 else "PAGE_UNKNOWN"
    return error_page(request, Refusal(code), status=status, session=session)
