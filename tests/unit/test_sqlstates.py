"""Every error that PostgreSQL knows has one decision and a cause; every cause has its words."""

import pytest
from psycopg import errors

from bulkpoint.rules.causes import Cause
from bulkpoint.rules.connections import connections_needed, readers, shares_possible
from bulkpoint.rules.sqlstates import RULINGS, Decision, ruling_of, ruling_of_refusal
from bulkpoint.views.languages import LANGUAGES, words

A, R, W, H, D = Decision.AGAIN, Decision.RECONNECT, Decision.WAIT, Decision.HALT, Decision.DEFECT


@pytest.mark.parametrize(
    ("sqlstate", "decision", "cause"),
    [
        (None, R, Cause.DATABASE_WENT_AWAY),
        ("08006", R, Cause.DATABASE_WENT_AWAY),
        ("25006", R, Cause.DATABASE_READ_ONLY),
        ("25P03", R, Cause.TRANSACTION_TIMEOUT),
        ("25P04", R, Cause.TRANSACTION_TIMEOUT),
        ("28P01", R, Cause.LOGIN_REFUSED),
        ("40001", A, Cause.TRANSACTION_CONFLICT),
        ("40P01", A, Cause.TRANSACTION_CONFLICT),
        ("42501", H, Cause.PERMISSION_DENIED),
        ("53100", W, Cause.DISK_FULL),
        ("53200", W, Cause.DATABASE_OUT_OF_MEMORY),
        ("53300", W, Cause.TOO_MANY_CONNECTIONS),
        ("53400", W, Cause.DATABASE_OVERLOADED),
        ("55P03", A, Cause.LOCK_TIMEOUT),
        ("57014", A, Cause.STATEMENT_TIMEOUT),
        ("57P01", R, Cause.DATABASE_SHUTTING_DOWN),
        ("57P02", R, Cause.DATABASE_SHUTTING_DOWN),
        ("57P03", R, Cause.DATABASE_SHUTTING_DOWN),
        ("57P05", R, Cause.DATABASE_WENT_AWAY),
        ("58030", R, Cause.DATABASE_FAULTY),
        ("XX000", R, Cause.DATABASE_FAULTY),
        ("XX001", H, Cause.DATABASE_FAULTY),
        ("22003", D, Cause.DATABASE_REFUSES_STATEMENT),
        ("23514", D, Cause.DATABASE_REFUSES_STATEMENT),
        ("42P01", D, Cause.DATABASE_REFUSES_STATEMENT),
    ],
)
def test_the_decision_for(sqlstate: str | None, decision: Decision, cause: Cause) -> None:
    assert ruling_of(sqlstate) == (decision, cause)


def test_a_lock_table_that_is_full_is_told_from_a_lack_of_memory_in_every_language_of_the_server() -> None:
    hint = "max_locks_per_transaction 값을 늘려야 할 수도 있습니다."
    assert ruling_of("53200", hint) == (W, Cause.LOCK_TABLE_FULL)
    assert ruling_of("53200", "Failed on request of size 64") == (W, Cause.DATABASE_OUT_OF_MEMORY)
    assert ruling_of("42P01", hint).decision is D


def test_no_error_that_means_an_absence_is_taken_for_a_defect() -> None:
    classes = [error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, errors.Error)]
    states = {error.sqlstate: error for error in classes if error.sqlstate is not None}
    assert len(states) > 200
    of_the_database = {state for state, error in states.items() if issubclass(error, errors.OperationalError)}
    defects = {state[:2] for state in of_the_database if ruling_of(state).decision is D}
    assert defects & {"08", "25", "28", "40", "53", "55", "57", "58"} == set()
    assert all(ruling_of(state).decision is D for state in states if state[:2] in ("22", "23"))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ('FATAL:  too many connections for role "pay"', Cause.TOO_MANY_CONNECTIONS),
        ('FATAL:  too many connections for database "x"', Cause.TOO_MANY_CONNECTIONS),
        ("FATAL:  sorry, too many clients already", Cause.TOO_MANY_CONNECTIONS),
        (
            "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
            Cause.TOO_MANY_CONNECTIONS,
        ),
        ("FATAL:  no more connections allowed (max_client_conn)", Cause.TOO_MANY_CONNECTIONS),
        ("FATAL:  out of shared memory", Cause.LOCK_TABLE_FULL),
        ("FATAL:  out of memory", Cause.DATABASE_OUT_OF_MEMORY),
        ("FATAL:  query_wait_timeout", Cause.TOO_MANY_CONNECTIONS),
        ('FATAL:  password authentication failed for user "pay"', Cause.LOGIN_REFUSED),
        ('FATAL:  role "pay" is not permitted to log in', Cause.LOGIN_REFUSED),
        ('FATAL:  database "x" does not exist', Cause.DATABASE_MISSING),
        ("FATAL:  the database system is starting up", Cause.DATABASE_SHUTTING_DOWN),
        ("FATAL:  the database system is in recovery mode", Cause.DATABASE_SHUTTING_DOWN),
        ("session is read-only", Cause.DATABASE_READ_ONLY),
        ("Connection refused\n\tIs the server running on that host?", Cause.DATABASE_UNREACHABLE),
        ("연결이 너무 많습니다", Cause.DATABASE_UNREACHABLE),
    ],
)
def test_a_connection_that_is_refused_is_tried_again_and_its_cause_is_named(said: str, cause: Cause) -> None:
    ruling = ruling_of_refusal(f'connection failed: connection to server at "127.0.0.1", port 5432 failed: {said}')
    assert ruling.cause is cause
    assert ruling.decision in (R, W)


def test_every_cause_has_words_in_both_languages() -> None:
    for language in LANGUAGES:
        assert set(Cause) <= words(language)["causes"].keys()


def test_every_cause_of_a_database_is_used() -> None:
    used = {ruling.cause for ruling in RULINGS.values()} | {ruling_of(None).cause, ruling_of("22000").cause}
    used |= {ruling_of_refusal("refused").cause, ruling_of_refusal("too many connections").cause}
    assert {cause for cause in Cause if cause.startswith("DATABASE")} <= used


def test_what_a_run_needs_is_counted_and_fewer_connections_mean_fewer_shares() -> None:
    assert connections_needed(1) == 6 + 3 * 2
    assert connections_needed(4) == 6 + 3 * 5
    assert connections_needed(4, slots=4) == 6 + 3 * 4
    assert connections_needed(4, slots=64) == 6 + 3 * 8, "of two waves"
    for shares in range(1, 30):
        assert shares_possible(connections_needed(shares)) == shares
        assert shares_possible(connections_needed(shares) - 1) == shares - 1
        assert readers(shares, 1_000_000) == min(shares, 4)
        assert readers(shares, 3) <= 3, "three payments are read in three ranges at most"
    assert shares_possible(0) == 0
