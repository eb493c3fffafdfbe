"""Makes the HTTP client that BULKPOINT_MONEY_TRANSPORT names; transport.py defines what a client is."""

from functools import partial
from typing import TYPE_CHECKING

from bulkpoint.money.idle import IdleLimit
from bulkpoint.money.transport import Calls, Transport
from bulkpoint.money.trust import Trust
from bulkpoint.settings import Settings

if TYPE_CHECKING:
    from bulkpoint.money.curl_transport import CurlTransport


def make_transport(settings: Settings) -> Transport:
    """A new transport of the kind BULKPOINT_MONEY_TRANSPORT names. Raises UsageError for a CA file it cannot use."""
    trust, idle_limit = Trust(settings.money_ca_file), IdleLimit()
    if settings.money_transport == "curl":
        return _curl_transport(settings, trust, idle_limit)
    return _requests_transport(settings, trust, idle_limit)


def make_calls(settings: Settings) -> Calls:
    """Calls by the client that BULKPOINT_MONEY_TRANSPORT names. Raises UsageError for a CA file it cannot use."""
    trust, idle_limit = Trust(settings.money_ca_file), IdleLimit()
    if settings.money_transport == "curl":
        from bulkpoint.money.curl_calls import CurlCalls

        return CurlCalls(partial(_curl_transport, settings, trust, idle_limit), trust)
    from bulkpoint.money.threaded_calls import ThreadedCalls

    return ThreadedCalls(partial(_requests_transport, settings, trust, idle_limit), trust)


def _curl_transport(settings: Settings, trust: Trust, idle_limit: IdleLimit) -> "CurlTransport":
    from bulkpoint.money.curl_transport import CurlTransport

    return CurlTransport(settings.money_url, trust, idle_limit, **_limits(settings))


def _requests_transport(settings: Settings, trust: Trust, idle_limit: IdleLimit) -> Transport:
    from bulkpoint.money.requests_transport import RequestsTransport

    return RequestsTransport(settings.money_url, trust, idle_limit, **_limits(settings))


def _limits(settings: Settings) -> dict[str, float]:
    return {"connect_timeout_s": settings.money_connect_timeout_s, "timeout_s": settings.money_timeout_s}
