"""What holds for every request before a page sees it, and for every answer after: by whom, under which name, how safe.

One class around the whole application. It believes what a proxy says only where there is one (`--behind-proxy`) and the
request comes from this machine or a private network; then nobody else is served at all.
"""

import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bulkpoint.addresses import ip_of
from bulkpoint.web.defects import say_defect
from bulkpoint.web.site import Host

# Nothing but our own files, forms that go to us, no frame around us (https://www.w3.org/TR/CSP3/).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
]
# Of those who use TLS: a browser comes back by TLS only, for half a year (RFC 6797).
STRICT = (b"strict-transport-security", b"max-age=15552000")
# Asked without a name of ours, and without TLS: by supervisors and Prometheus, which do not go through a proxy.
FOR_MACHINES = ("/healthz", "/metrics")
# No page has an address so long; a number of thousands of digits in one is more than Python makes a number of.
PATH_CHARACTERS_MAX = 1_000


class Guard:
    """Around the application, whatever is in it."""

    def __init__(self, app: ASGIApp, host: Host) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at, status = time.monotonic(), 0

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                headers += [*HEADERS, STRICT] if scope["scheme"] == "https" else HEADERS
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, send_with_headers)
        else:
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:  # noqa: BLE001 (a server's log would have its words)
                say_defect(error)
                if not status:
                    said = PlainTextResponse("bulkpoint: an error of this program; its log has the place.\n", 500)
                    await said(scope, receive, send_with_headers)
        self._log(scope, status, time.monotonic() - began_at)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        """Why it is not answered; None where it is, its scope then being that of the browser before the proxy."""
        headers = Headers(scope=scope)
        if len(scope["path"]) > PATH_CHARACTERS_MAX:
            return PlainTextResponse("bulkpoint: no page has an address so long.\n", 404)
        is_for_machines = scope["path"] in FOR_MACHINES
        if self._host.behind_proxy:
            if not is_near((scope.get("client") or ("",))[0]):
                return PlainTextResponse("bulkpoint: this page is asked through its proxy only.\n", 403)
            _take_forwarded(scope, headers)
            if scope["scheme"] != "https" and not is_for_machines:
                said = "bulkpoint: the proxy must speak TLS, and say so: X-Forwarded-Proto: https (docs/page.md).\n"
                return PlainTextResponse(said, 403)
        if self._host.hosts and not is_for_machines and _name_in(headers.get("host", "")) not in self._host.hosts:
            return PlainTextResponse("bulkpoint: this page is not asked by that name (docs/page.md).\n", 421)
        return None

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        """One line a request of a person: the route and its campaign; nothing else of the address, and no name."""
        route = scope.get("bulkpoint.route")
        if route is None or (scope.get("bulkpoint.is_refresh") and status < 500):
            return
        campaign_id = scope.get("path_params", {}).get("campaign_id")
        where = route.replace("{campaign_id:int}", str(campaign_id))
        said = f"{scope['method']} {where} {status} {1000 * seconds:.0f} ms"
        self._host.log(said, event="request", campaign=campaign_id)


def is_near(address: str) -> bool:
    """Whether a proxy may be there: on this machine, or in a private network."""
    found = ip_of(address)
    return found is not None and (found.is_loopback or found.is_private)


def _take_forwarded(scope: Scope, headers: Headers) -> None:
    """What the proxy says of the browser: the last value of each, which is the proxy's own."""
    scope["scheme"] = _last(headers, "x-forwarded-proto").lower() or "http"
    address = _last(headers, "x-forwarded-for")
    if address:
        scope["client"] = (address[:100], 0)


def _last(headers: Headers, name: str) -> str:
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _name_in(host: str) -> str:
    """`localhost` of `localhost:8484`, `[::1]` of `[::1]:8484`."""
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return name.lower().rstrip(".")
