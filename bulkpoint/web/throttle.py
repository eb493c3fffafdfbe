"""How often somebody may try to sign in: by the name that is tried, by where it comes from, and by both together."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from bulkpoint.addresses import ip_of

# Names and addresses that are remembered; the one that was not tried for the longest time is forgotten first.
KEPT_MAX = 10_000


class Allowance(NamedTuple):
    """So many tries at once, and one more each so many seconds."""

    tries: int
    again_s: float


# A person who mistypes has five tries; whoever tries many names, or many people's machines one name, has few more.
OF_BOTH = Allowance(5, 30.0)
OF_NAME = Allowance(20, 30.0)
OF_ADDRESS = Allowance(30, 10.0)


class Throttle:
    """Tries that are left. For many threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, kept_max: int = KEPT_MAX) -> None:
        self._clock = clock
        self._kept_max = kept_max
        self._lock = threading.Lock()
        self._left: OrderedDict[tuple[str, ...], tuple[float, float]] = OrderedDict()

    def take(self, name: str, address: str) -> int:
        """One try; 0, or after how many seconds there is one. A try that is refused here costs none."""
        now = self._clock()
        with self._lock:
            left = {key: self._now_left(key, allowance, now) for key, allowance in _keys(name, address)}
            waits = [(1 - left[key]) * allowance.again_s for key, allowance in _keys(name, address)]
            if (wait_s := max(waits)) > 0:
                return math.ceil(wait_s)
            for key, number in left.items():
                self._keep(key, number - 1, now)
        return 0

    def give_back(self, name: str, address: str) -> None:
        """It was the right password: the try was none, and the mistakes before it are forgotten."""
        now = self._clock()
        with self._lock:
            for key, allowance in _keys(name, address):
                is_both = len(key) > 2
                left = allowance.tries if is_both else min(allowance.tries, self._now_left(key, allowance, now) + 1)
                self._keep(key, left, now)

    def _now_left(self, key: tuple[str, ...], allowance: Allowance, now: float) -> float:
        left, at = self._left.get(key, (float(allowance.tries), now))
        return min(allowance.tries, left + (now - at) / allowance.again_s)

    def _keep(self, key: tuple[str, ...], left: float, now: float) -> None:
        self._left[key] = (left, now)
        self._left.move_to_end(key)
        while len(self._left) > self._kept_max:
            self._left.popitem(last=False)


def _keys(name: str, address: str) -> list[tuple[tuple[str, ...], Allowance]]:
    network = _network(address)
    return [
        (("both", name, network), OF_BOTH),
        (("name", name), OF_NAME),
        (("address", network), OF_ADDRESS),
    ]


def _network(address: str) -> str:
    """One person has a whole /64 of IPv6."""
    found = ip_of(address)
    if found is None:
        return address
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else str(found)
