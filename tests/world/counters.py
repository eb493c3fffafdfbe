"""The counters of a test's campaign: made from its rows, or set by hand, and compared with the rows."""

from typing import Any

from bulkpoint.store.connect import Connection

BY_ROWS = b"""
    select campaign_id, state::text, failure_kind::text, count(*), sum(amount)::bigint
    from payment group by 1, 2, 3 order by 1, 2, 3
"""
BY_COUNTERS = b"""
    select campaign_id, state::text, failure_kind::text, sum(count)::bigint, sum(amount)::bigint
    from campaign_counter group by 1, 2, 3 having sum(count) <> 0 or sum(amount) <> 0 order by 1, 2, 3
"""
CALLS_BY_ROWS = b"""
    select run_id, method, outcome, count(*), count(answered_at) from payment_attempt group by 1, 2, 3 order by 1, 2, 3
"""
CALLS_BY_TALLIES = b"""
    select run_id, method, outcome, sum(calls)::bigint,
           sum((select sum(answered) from unnest(buckets) as answered))::bigint
    from call_tally join campaign_run using (run_id)
    where campaign_id not in (select campaign_id from removed_attempts union select campaign_id from campaign_archive)
    group by 1, 2, 3 order by 1, 2, 3
"""


def assert_sums_hold(connection: Connection) -> None:
    """The counters say what the rows say: by state and kind of failure, in number and in points; and so do the tallies
    of calls, by run, method and outcome, of campaigns whose attempts are still there.
    """
    assert connection.execute(BY_COUNTERS).fetchall() == connection.execute(BY_ROWS).fetchall()
    assert connection.execute(CALLS_BY_TALLIES).fetchall() == connection.execute(CALLS_BY_ROWS).fetchall()


def recount(connection: Connection) -> None:
    """Make the counters what the rows are, after a test has changed these by hand."""
    connection.execute("delete from campaign_counter")
    connection.execute(
        "insert into campaign_counter (campaign_id, share, state, failure_kind, count, amount)"
        " select campaign_id, -1, state, failure_kind, count(*), sum(amount) from payment group by 1, 3, 4"
    )


def set_counts(connection: Connection, campaign_id: int = 1, **counts: int | tuple[int, int]) -> None:
    """Make the counters say what no row says: `set_counts(connection, PENDING=3, SUCCESS=(2, 500), REJECTED=1)`.

    A number is payments without points; of a pair the second are the points. A kind of failure counts as FAILED.
    """
    rows: list[dict[str, Any]] = []
    for name, value in counts.items():
        count, amount = value if isinstance(value, tuple) else (value, 0)
        state, kind = (name, None) if name in ("PENDING", "PROCESSING", "SUCCESS") else ("FAILED", name)
        rows.append({"id": campaign_id, "state": state, "kind": kind, "count": count, "amount": amount})
    with connection.cursor() as cursor, connection.transaction():
        cursor.execute("delete from campaign_counter where campaign_id = %s", (campaign_id,))
        cursor.executemany(
            "insert into campaign_counter (campaign_id, share, state, failure_kind, count, amount)"
            " values (%(id)s, -1, %(state)s, %(kind)s, %(count)s, %(amount)s)",
            rows,
        )
