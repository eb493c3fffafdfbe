"""/healthz: whether the page can reach its database, for load balancers and supervisors."""

from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bulkpoint.store.connect import answers
from bulkpoint.web.site import Site
from bulkpoint.web.threads import BusyError

FRESH_S = 2.0
ANSWER_S_MAX = 2  # libpq rounds 1 up to 2


async def healthz(request: Request) -> Response:
    """200, or 503 where the database does not answer in time."""
    site: Site = request.app.state.site
    try:
        is_there = await site.threads.run(site.threads.health, partial(_is_there, site))
    except BusyError:
        is_there = False
    return PlainTextResponse("ok\n") if is_there else PlainTextResponse("the database cannot be reached\n", 503)


def _is_there(site: Site) -> bool:
    return site.shared.get("healthz", FRESH_S, lambda: answers(site.host.database_url, seconds=ANSWER_S_MAX))
