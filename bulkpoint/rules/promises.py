"""What the money API promises, and how long a call to it may take: the deployment's values, and the safer of two.

Whether a payment may be sent again rests on them. So they are in the database, and a process that is set to another
value uses the safer one of the two.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

# A call that passed the gate at the last moment of the lease is answered, or given up, within timeout + 1 s.
GRACE_AFTER_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class MoneyPromises:
    """key_retention_h: hours that the money API remembers an idempotency key. settle_s: seconds after a call until
    "not found" proves that nothing was credited. connect_timeout_s, timeout_s: of a connection, of a whole call.
    """

    key_retention_h: float
    settle_s: float
    connect_timeout_s: float
    timeout_s: float

    @property
    def retention_s(self) -> float:
        """How long the money API remembers a key, in seconds."""
        return self.key_retention_h * 3600

    @property
    def send_again_s_max(self) -> float:
        """How many seconds after its first send a payment may be sent again: the call may take its whole timeout."""
        return self.retention_s - self.timeout_s - GRACE_AFTER_TIMEOUT_S

    def differences(self, other: "MoneyPromises") -> list[str]:
        """The names of the values that differ."""
        return [each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name)]


def safer(one: MoneyPromises, other: MoneyPromises) -> MoneyPromises:
    """Of each value the one that cannot pay twice if the other is true: the shorter memory, the longer waits."""
    values, others = asdict(one), asdict(other)
    return MoneyPromises(
        **{name: (min if name == "key_retention_h" else max)(value, others[name]) for name, value in values.items()}
    )


def changed(promises: MoneyPromises, values: Mapping[str, float | None]) -> MoneyPromises:
    """The same with these values; None: as it was."""
    return replace(promises, **{name: value for name, value in values.items() if value is not None})
