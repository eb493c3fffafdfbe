"""An adapter to another money API is one class: what it must do, and how the settings name it."""

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from bulkpoint.errors import UsageError
from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.transport import HttpRequest, Reply
from bulkpoint.rules.answers import Answer

_METHODS = ("pay", "look_up", "read_pay", "read_look_up")


class Adapter(Protocol):
    """Builds the requests of one money API and reads its replies; contract.MoneyV1 is an example.

    Pure: equal calls give equal requests, byte by byte, because every try of a payment must be the same request. The
    signature of a request is made of the call alone: no clock, no random number. Made once in a worker; used by one
    thread at a time. It sends nothing itself: the engine's clients do, through the one rate limiter.

    A reply is read only when it is complete: `reply.status`, `reply.headers` (names in any case) and `reply.body`. For
    a call without a complete reply (not connected, timed out, cut off) the engine knows what to do without asking. The
    two methods that read return what one of the functions of money/answers.py makes, as `answers.credited("tx-1")`, or
    None where the reply is not the API's own, as a gateway's page: then nothing in it is believed, only that a 429
    means "slower". When in doubt, None: the payment is sent again with the same key, looked up, and in the end UNKNOWN,
    never lost. A method that raises counts as None.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """secrets: by name, the content of the files in BULKPOINT_MONEY_SECRET_FILES ("name=/path,name2=/path2"), and
        as `token` that of BULKPOINT_MONEY_TOKEN_FILE. Raise UsageError, or KeyError, for one that is missing.
        """

    def pay(self, call: PointsCall) -> HttpRequest:
        """The request that credits a member, under the call's idempotency key.

        The call has key (UUID), campaign_id, member_id, amount (points), reason. The request's path comes after
        BULKPOINT_MONEY_URL; body None makes a request without a body.
        """

    def look_up(self, call: PointsCall) -> HttpRequest:
        """The request that asks what became of this call. It must not credit anything. The reason may be empty."""

    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        """What the reply to pay(call) says."""

    def read_look_up(self, call: PointsCall, reply: Reply) -> Answer | None:
        """What the reply to look_up(call) says: credited, accepted, refused or not_found, or what pay may answer."""


def load_adapter(name: str | None, secrets: Mapping[str, str]) -> Adapter:
    """The adapter that BULKPOINT_MONEY_ADAPTER names as module:Class, or that of contract v1.

    Raises UsageError where there is no such class, or it lacks a method or a secret.
    """
    if name is None:
        return MoneyV1(secrets)
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError("ADAPTER_NOT_IMPORTABLE", adapter=name, module=module_name, why=str(error)) from error
    adapter_class = getattr(module, class_name, None)
    if not isinstance(adapter_class, type):
        raise UsageError("ADAPTER_CLASS_MISSING", adapter=name, module=module_name, class_name=class_name)
    missing = [method for method in _METHODS if not callable(getattr(adapter_class, method, None))]
    if missing:
        raise UsageError("ADAPTER_LACKS_METHODS", adapter=name, methods=tuple(missing))
    try:
        return cast("Adapter", adapter_class(secrets))
    except KeyError as error:
        raise UsageError("ADAPTER_LACKS_SECRET", adapter=name, secret=str(error.args[0])) from error
