"""An adapter to another money API is one class: what it must do, and how the settings name it."""

import importlib
from datetime import datetime
from typing import Protocol, cast
from uuid import UUID

from bulkpoint.errors import UsageError
from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.transport import HttpRequest, Reply
from bulkpoint.rules.answers import CallResult

_METHODS = ("pay", "look_up", "read_pay", "read_look_up")


class Adapter(Protocol):
    """Builds the requests of one money API and reads its answers; contract.MoneyV1 is an example.

    Pure: equal calls give equal requests, and no answer at all makes it raise. Made once in a worker, with the token;
    used by many threads.
    """

    def pay(self, call: PointsCall) -> HttpRequest:
        """The request that credits a member, under the call's idempotency key."""

    def look_up(self, key: UUID) -> HttpRequest:
        """The request that asks what the money API has under a key."""

    def read_pay(self, reply: Reply, now: datetime) -> CallResult:
        """What the answer to pay() says."""

    def read_look_up(self, reply: Reply, now: datetime) -> CallResult:
        """What the answer to look_up() says."""


def load_adapter(name: str | None, token: str | None) -> Adapter:
    """The adapter that BULKPOINT_MONEY_ADAPTER names as module:Class, or that of contract v1.

    Raises UsageError where there is no such class, or it lacks a method.
    """
    if name is None:
        return MoneyV1(token)
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
    return cast("Adapter", adapter_class(token))
