"""Makes the HTTP client that BULKPOINT_MONEY_TRANSPORT names; transport.py defines what a client is."""

from functools import partial
from typing import TYPE_CHECKING

from bulkpoint.money.transport import Calls, Transport
from bulkpoint.settings import Settings

if TYPE_CHECKING:
    from bulkpoint.money.curl_transport import CurlTransport


def make_transport(settings: Settings) -> Transport:
    """A new transport of the kind BULKPOINT_MONEY_TRANSPORT names. Raises UsageError for a CA file it cannot use."""
    if settings.money_transport == "curl":
        return _curl_transport(settings)
    from bulkpoint.money.requests_transport import RequestsTransport

    return RequestsTransport(settings.money_url, ca_file=settings.money_ca_file, **_limits(settings))


def make_calls(settings: Settings) -> Calls:
    """Calls by the client that BULKPOINT_MONEY_TRANSPORT names. Raises UsageError for a CA file it cannot use."""
    if settings.money_transport == "curl":
        from bulkpoint.money.curl_calls import CurlCalls

        return CurlCalls(partial(_curl_transport, settings))
    from bulkpoint.money.threaded_calls import ThreadedCalls

    return ThreadedCalls(partial(make_transport, settings))


def _curl_transport(settings: Settings) -> "CurlTransport":
    from bulkpoint.money.curl_transport import CurlTransport

    return CurlTransport(settings.money_url, ca_file=settings.money_ca_file, **_limits(settings))


def _limits(settings: Settings) -> dict[str, float]:
    return {"connect_timeout_s": settings.money_connect_timeout_s, "timeout_s": settings.money_timeout_s}
