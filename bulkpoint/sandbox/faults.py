"""What goes wrong on purpose: how often, to whom, and how to change it while the server runs."""

import random
import zlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from bulkpoint.sandbox.refusals import WrongValueError


class Fault(StrEnum):
    """One kind of trouble; the value is its public name."""

    # Instead of looking at the request, POST or GET: nothing is credited.
    UNAVAILABLE = "unavailable"  # 503 with Retry-After
    TOO_MANY = "too_many"  # 429 with Retry-After
    UNAUTHORIZED = "unauthorized"  # 401
    # On a POST, without a credit.
    CONFLICT = "conflict"  # 409
    MISMATCH = "mismatch"  # 422
    CLOSE_BEFORE_CREDIT = "close_before_credit"  # the connection is reset
    REJECTED = "rejected"  # 404 MEMBER_NOT_FOUND, always for the same members
    # On a POST that credits, or that replays an earlier credit.
    SLOW = "slow"  # credited in time, answered slow_s later; the key stays in progress until then
    CREDIT_THEN_CLOSE = "credit_then_close"  # the connection is closed without an answer
    CREDIT_THEN_500 = "credit_then_500"
    UNREADABLE = "unreadable"  # 200, and a body that is not JSON


DRAWN: Final = tuple(fault for fault in Fault if fault is not Fault.REJECTED)  # one request gets at most one of these

SLOW_S_MAX = 3_600  # an hour is longer than any HTTP timeout
LATENCY_MS_MAX = 600_000
TPS_LIMIT_MAX = 1_000_000
RETRY_AFTER_CHARACTERS_MAX = 200
OTHERS: Final = ("slow_s", "latency_ms", "tps_limit", "limit_burst", "limit_status", "retry_after", "seed")
SUM_SLACK = 1e-9  # 0.1 added ten times is not 1.0


def _ratio(name: str, value: object) -> float:
    return _number(name, value, 1)


def _number(name: str, value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise WrongValueError(f"{name} must be a number from 0 to {most}, not {value!r}")
    return value


def _whole(name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise WrongValueError(f"{name} must be a whole number from 0 to {most}, not {value!r}")
    return value


def _retry_after(value: object) -> str | None:
    if value is None:
        return None
    if (
        not isinstance(value, str)
        or len(value) > RETRY_AFTER_CHARACTERS_MAX
        or not (value.isascii() and value.isprintable())
    ):
        raise WrongValueError(f"retry_after must be null or a header value of printable ASCII, not {value!r}")
    return value


class Faults:
    """The settings in force, and the seeded random numbers.

    Ratios are 0 to 1. All but `rejected` exclude each other, so their sum is at most 1; `rejected` picks members by
    their id, so the same member meets it every time, at any seed. A `tps_limit` of 0 means no limit; what is above it
    gets the contract's 429, or with a `limit_status` of 503 a gateway's page without Retry-After. Calls are counted in
    a sliding second, or with a `limit_burst` as nginx's limit_req counts them. 0 is nginx's default, no burst at all: a
    call that comes sooner than 1 / tps_limit after the last one that was let in is too many.
    """

    def __init__(self, ratios: Mapping[str, float], *, latency_ms: int = 50, tps_limit: int = 0, seed: int) -> None:
        """Raises WrongValueError, naming the setting, for an unknown name or an impossible value."""
        self.slow_s: float = 8
        self.latency_ms = 50
        self.tps_limit = 0
        self.limit_burst: int | None = None
        self.limit_status = 429
        self.retry_after: str | None = "1"
        self._ratios: Mapping[Fault, float] = MappingProxyType(dict.fromkeys(Fault, 0.0))
        self.change({**ratios, "latency_ms": latency_ms, "tps_limit": tps_limit, "seed": seed})

    def change(self, wanted: Mapping[str, object]) -> None:
        """Change what is named and leave the rest; all or nothing. A `seed` restarts the random numbers.

        Raises WrongValueError, naming the setting, for an unknown name or an impossible value.
        """
        ratios = dict(self._ratios)
        others: dict[str, Any] = {}
        for name, value in wanted.items():
            match name:
                case "slow_s":
                    others[name] = _number(name, value, SLOW_S_MAX)
                case "latency_ms":
                    others[name] = _whole(name, value, LATENCY_MS_MAX)
                case "tps_limit" | "limit_burst":
                    counts_a_second = name == "limit_burst" and value is None
                    others[name] = None if counts_a_second else _whole(name, value, TPS_LIMIT_MAX)
                case "limit_status":
                    others[name] = _whole(name, value, 503)
                case "seed":
                    others[name] = _whole(name, value, 2**63 - 1)
                case "retry_after":
                    others[name] = _retry_after(value)
                case _ if name in set(Fault):
                    ratios[Fault(name)] = _ratio(name, value)
                case _:
                    known = ", ".join([*Fault, *OTHERS])
                    raise WrongValueError(f"there is no fault or setting named {name!r}; there are: {known}")
        total = sum(ratios[fault] for fault in DRAWN)
        if total > 1 + SUM_SLACK:
            raise WrongValueError(
                f"the ratios of all faults but rejected exclude each other: their sum {total:g} is above 1"
            )
        self._ratios = MappingProxyType(ratios)
        for name, value in others.items():
            setattr(self, name, value)
        if "seed" in others:
            self._dice = random.Random(self.seed)  # noqa: S311 (trouble that can be replayed, not a secret)
        self._steps = self._cumulated()

    seed: int

    def settings(self) -> dict[str, object]:
        """What is in force now, in the shape that change() takes."""
        return {
            **{fault.value: ratio for fault, ratio in self._ratios.items()},
            "slow_s": self.slow_s,
            "latency_ms": self.latency_ms,
            "tps_limit": self.tps_limit,
            "limit_burst": self.limit_burst,
            "limit_status": self.limit_status,
            "retry_after": self.retry_after,
            "seed": self.seed,
        }

    def draw(self) -> Fault | None:
        """The fault of one request, drawn at random."""
        if not self._steps:
            return None
        thrown = self._dice.random()
        return next((fault for step, fault in self._steps if thrown < step), None)

    def rejects(self, member_id: str) -> bool:
        """Whether the money API knows no such member: the same answer for the same member, whatever the seed."""
        ratio = self._ratios[Fault.REJECTED]
        return ratio > 0 and zlib.crc32(member_id.encode()) < ratio * 2**32

    def _cumulated(self) -> list[tuple[float, Fault]]:
        steps: list[tuple[float, Fault]] = []
        reached = 0.0
        for fault in DRAWN:
            if self._ratios[fault] > 0:
                reached += self._ratios[fault]
                steps.append((1.0 if reached > 1 - SUM_SLACK else reached, fault))
        return steps
