"""/metrics: the figures for Prometheus, to whoever shows the token, or asks from this very machine."""

import hmac
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bulkpoint.addresses import ip_of
from bulkpoint.campaigns.metrics import read_metrics
from bulkpoint.errors import BulkpointError
from bulkpoint.settings import read_secret
from bulkpoint.store.connect import answered_within, connect, reachable
from bulkpoint.store.metrics import STATEMENT_S_MAX
from bulkpoint.views.metrics import exposition, media_type
from bulkpoint.views.sentences import sentence
from bulkpoint.web.site import Host, Site
from bulkpoint.web.threads import BusyError

FRESH_S = 2.0
# All statements of a scrape: Prometheus waits 10 s unless it is told otherwise.
SCRAPE_S_MAX = 2 * STATEMENT_S_MAX
NAME = "bulkpoint metrics"
_OWN_NAMES = ("localhost", "127.0.0.1", "::1")
# A request that came by way of a proxy has one of these, whether we were told of the proxy or not.
_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")


async def metrics(request: Request) -> Response:
    """200; 401 or 403 for who may not look; 503 where the database does not answer, which Prometheus shows as down."""
    site: Site = request.app.state.site
    try:
        return await site.threads.run(site.threads.scrapes, partial(_answer, site, request))
    except BusyError:
        return PlainTextResponse("too many ask for the figures at once\n", 503)


def _answer(site: Site, request: Request) -> Response:
    try:
        refusal = _refusal(site.host, request)
        if refusal is not None:
            return refusal
        text = site.shared.get("metrics", FRESH_S, lambda: _scrape(site.host))
    except BulkpointError as error:
        site.host.log(f"/metrics: {sentence(error)}", event="metrics")
        return PlainTextResponse("the figures cannot be read now; the log of this program says why\n", 503)
    return Response(text, media_type=media_type())


def _refusal(host: Host, request: Request) -> Response | None:
    """Why this one may not look; None: may. The token's file is read each time, so it can be replaced.

    Raises UsageError where that file cannot be used: then nobody may.
    """
    file = host.settings.web_metrics_token_file
    if file is None:
        if _is_here(host, request):
            return None
        return PlainTextResponse("only for this machine, or with a token: BULKPOINT_WEB_METRICS_TOKEN_FILE\n", 403)
    token = read_secret(file, "BULKPOINT_WEB_METRICS_TOKEN_FILE")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return None
    return PlainTextResponse("a bearer token is needed\n", 401, {"WWW-Authenticate": "Bearer"})


def _is_here(host: Host, request: Request) -> bool:
    """Whether the asker is a program of this machine. Behind a proxy everybody seems to be one; and a browser asks for
    any page that has made a name of its own point to this machine (DNS rebinding), so the name must be ours.
    """
    if host.behind_proxy or any(name in request.headers for name in _OF_PROXIES):
        return False
    if request.url.hostname not in _OWN_NAMES:
        return False
    peer = ip_of(_peer(request))
    return peer is not None and peer.is_loopback


def _peer(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _scrape(host: Host) -> bytes:
    """Under the page's own login; a new connection each time, for nobody may ask for hours."""
    with (
        connect(host.database_url, name=NAME) as connection,
        reachable(host.database_url),
        answered_within(connection, SCRAPE_S_MAX),
    ):
        return exposition(read_metrics(connection, host.settings))
