"""Amounts that other programs load into campaign_target: whole points as written, or refused in a sentence."""

import psycopg
import pytest

from bulkpoint.rules.targets import AMOUNT_MAX
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment_history import find_payments
from bulkpoint.store.target import digest_targets, load_targets, total_targets
from tests.world.campaigns import World
from tests.world.refusals import refused


@pytest.fixture
def loaded(world: World) -> int:
    """A campaign that waits for its targets."""
    return world.campaign([], expected=(1, 1000)).id


@pytest.mark.parametrize(
    "amount", ["1000.5", "0.4", "999999999999.9999", "1e-1", "1000.5::float8", "'NaN'", "'Infinity'", "'-Infinity'",
               "'NaN'::float8", "0", "-1", "1e13", "1000000000001"]
)  # fmt: skip
def test_what_is_no_whole_number_of_points_is_refused_and_not_rounded(
    connection: Connection, loaded: int, amount: str
) -> None:
    statement = f"insert into campaign_target values ({loaded}, '회원1', {amount}, 'r')"
    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        connection.execute(statement.encode())
    assert f"member 회원1: amount {_value(connection, amount)} is not a whole number of points" in str(refusal.value)
    assert refusal.value.diag.constraint_name == "amount_range"
    connection.execute(f"insert into campaign_target values ({loaded}, 'm', 5, 'r')".encode())
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"update campaign_target set amount = {amount}".encode())
    assert total_targets(connection, loaded) == (1, 5, 5)


@pytest.mark.parametrize("amount", ["1000.5", "NaN", "Infinity", "1.0005e3", "1e-3", "1,000", "1000p", ""])
def test_a_copy_is_refused_with_the_line_and_leaves_nothing(connection: Connection, loaded: int, amount: str) -> None:
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.DataError)) as refusal:
        _copy(connection, f"{loaded}\tm1\t5\tr\n{loaded}\tm2\t{amount}\tr\n")
    assert "line 2" in (refusal.value.diag.context or "")
    assert total_targets(connection, loaded) == (0, 0, 0)


def test_a_refused_row_of_ours_says_the_member_the_amount_and_the_line(connection: Connection, loaded: int) -> None:
    rows = [("m1", 5, "r"), ("m2", AMOUNT_MAX + 1, "r")]
    with refused("member m2: amount 1000000000001 is not a whole number of points"), connection.transaction():
        load_targets(connection, loaded, rows)


def test_every_way_to_write_the_same_whole_number_is_the_same_list(connection: Connection, loaded: int) -> None:
    digests = set()
    for amount in ("1000", "1000::bigint", "1000.00", "1e3", "1000::float8", "'1000'", f"{AMOUNT_MAX} / 1000000000"):
        connection.execute("delete from campaign_target")
        connection.execute(f"insert into campaign_target values ({loaded}, 'm', {amount}, 'r')".encode())
        digests.add(digest_targets(connection, loaded))
        assert total_targets(connection, loaded) == (1, 1000, 1000)
        [found] = find_payments(connection, "m")
        assert (str(found.amount), type(found.amount)) == ("1000", int)
    assert len(digests) == 1
    connection.execute("delete from campaign_target")
    _copy(connection, f"{loaded}\tm\t1000.0\tr\n")
    assert digest_targets(connection, loaded) in digests


def _copy(connection: Connection, text: str) -> None:
    with connection.cursor() as cursor, cursor.copy("copy campaign_target from stdin") as copy:
        copy.write(text)


def _value(connection: Connection, amount: str) -> object:
    """How PostgreSQL writes it as a numeric."""
    [value] = connection.execute(f"select ({amount})::numeric::text".encode()).fetchone() or ("?",)
    return value
