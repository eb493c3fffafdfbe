"""What must hold whatever happened, looked at with code of the tests' own: money's ledger beside our rows."""

from bulkpoint.store.connect import Connection
from tests.world.counters import assert_sums_hold
from tests.world.money import Judge


def worst_second(stamps: list[float]) -> int:
    """The largest number of sends in any half-open sliding second."""
    stamps = sorted(stamps)
    worst = first = 0
    for last, at in enumerate(stamps):
        while stamps[first] <= at - 1.0:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


def sends_of(connection: Connection) -> list[float]:
    """When calls left by their sender's stamp, seconds since 1970."""
    rows = connection.execute("select extract(epoch from sent_at)::float8 from payment_attempt").fetchall()
    return [at for (at,) in rows]


def assert_paid_once(connection: Connection, money: Judge, *, killed: bool = False) -> None:
    """Each member at most once, with the frozen amount, and nothing of it unknown to us.

    killed: a worker was, so its last calls are not recorded, and its rows are held until the next one takes them.
    """
    ledger, stats = money.ledger(), money.stats()
    rows = connection.execute("select member_id, amount, state::text, transaction_id, maybe_credited from payment")
    payments = rows.fetchall()
    frozen = {member: amount for member, amount, *_ in payments}
    credited = {row["member_id"]: row["amount"] for row in ledger}
    assert len(ledger) == len(credited), "a member was credited twice"
    assert stats["paid_twice"] == 0
    assert credited.items() <= frozen.items(), "a credit that nobody asked for, or of another amount"
    transactions = {row["member_id"]: row["transaction_id"] for row in ledger}
    paid = {member: transaction for member, _, state, transaction, _ in payments if state == "SUCCESS"}
    assert paid.items() <= transactions.items(), "SUCCESS without money's credit"
    perhaps = {member for member, *_, maybe_credited in payments if maybe_credited}
    held = {member for member, _, state, *_ in payments if state == "PROCESSING"}
    assert credited.keys() - paid.keys() <= perhaps | held, "a credit that we do not know of"
    recorded = len(sends_of(connection))
    if killed:
        assert recorded <= stats["requests"]
    else:
        assert recorded == stats["requests"], "one recorded attempt a wire send"


def assert_promises_kept(connection: Connection, money: Judge, *, tps: int, killed: bool = False) -> None:
    """Paid once, never over the limit, nothing lost, sums hold."""
    assert_paid_once(connection, money, killed=killed)
    assert worst_second(sends_of(connection)) <= tps
    assert_sums_hold(connection)
