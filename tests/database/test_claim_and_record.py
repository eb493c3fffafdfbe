"""Claims and records as PostgreSQL keeps them: whose row it is, what a late record changes, that sums hold."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from bulkpoint.campaigns.runs import begin_run, end_run, stop_run
from bulkpoint.errors import RefusedError
from bulkpoint.store.campaign import Counts, get_campaign, get_counts
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit, set_tps
from bulkpoint.store.payment import Attempt, Change, claim_payments, open_payments, record_results
from bulkpoint.store.run import Run, halt_run
from bulkpoint.store.share import ShareToken, acquire_share, allocate_shares, release_share, renew_share

TARGETS = 5
LEASE_S = 9.0


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        yield connection


@pytest.fixture
def run(connection: Connection) -> Run:
    """Campaign 1 with targets of 10, 20, 30, 40 and 50 points, RUNNING with two shares of 100 TPS."""
    row = connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values ('five', 5, 150, 'tester')"
        " returning campaign_id"
    ).fetchone()
    assert row is not None
    connection.execute(
        "insert into campaign_target select %s, 'member-' || i, 10 * i, 'why ' || i from generate_series(1, 5) i", row
    )
    ensure_limit(connection, tps=100, shares=2, actor="tester")
    return begin_run(connection, row[0], kind="INITIAL", actor="tester", reason=None, shares=2)


def take(connection: Connection, run: Run) -> ShareToken:
    acquired = acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S)
    assert acquired is not None
    return acquired.token


def expire(connection: Connection, token: ShareToken) -> None:
    """Time passes for one share."""
    connection.execute(
        "update money_share set leased_until = clock_timestamp() - interval '1 ms' where share = %s", (token.share,)
    )


def attempt(seq: int, outcome: str = "CREDITED", attempt_id: UUID | None = None) -> Attempt:
    return Attempt(str(attempt_id or uuid4()), "POST", seq, 1_700_000_000.0, 1_700_000_000.1, 201, outcome, None, None)


def success(seq: int, token: ShareToken, *, tries: int = 1) -> Change:
    return Change(seq, "SUCCESS", token, tries, False, transaction_id=f"t-{seq}")


def failed(seq: int, token: ShareToken, *, kind: str = "REJECTED", maybe_credited: bool = False) -> Change:
    return Change(seq, "FAILED", token, 1, maybe_credited, failure_kind=kind, failure_code="NO", failure_message="no")


def counts(connection: Connection, run: Run) -> Counts:
    return get_counts(connection, get_campaign(connection, run.token.campaign_id))


def states(connection: Connection) -> dict[int, str]:
    return dict(connection.execute("select seq, state::text from payment order by seq").fetchall())


def assert_sums_hold(connection: Connection, run: Run) -> None:
    """The counters say what the rows say, in number and in points."""
    by_rows = {
        state: (count, amount)
        for state, count, amount in connection.execute(
            "select state::text, count(*), sum(amount)::bigint from payment group by state"
        )
    }
    said = counts(connection, run)
    for state in ("PENDING", "PROCESSING", "SUCCESS", "FAILED"):
        counted = (getattr(said, state.lower()), getattr(said, f"{state.lower()}_amount"))
        assert counted == by_rows.get(state, (0, 0)), state
    assert said.pending + said.processing + said.success + said.failed == TARGETS
    kinds = said.failed_rejected + said.failed_mismatch + said.failed_unavailable + said.failed_unknown
    assert kinds == said.failed


def test_a_claim_takes_pending_rows_once(connection: Connection, run: Run) -> None:
    first, second = take(connection, run), take(connection, run)
    assert {claim.seq for claim in claim_payments(connection, run.token, first, [1, 2, 3])} == {1, 2, 3}
    assert {claim.seq for claim in claim_payments(connection, run.token, second, [2, 3, 4])} == {4}
    assert_sums_hold(connection, run)


def test_a_claim_needs_a_live_share(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    expire(connection, token)
    assert claim_payments(connection, run.token, token, [1]) == []
    assert states(connection)[1] == "PENDING"


def test_a_claim_needs_the_present_holder(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    stranger = ShareToken(token.share, token.epoch, uuid4())
    assert claim_payments(connection, run.token, stranger, [1]) == []


def test_a_claim_needs_a_running_run(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    stop_run(connection, run.token.campaign_id, actor="tester")
    assert claim_payments(connection, run.token, token, [1]) == []


def test_a_halted_run_claims_nothing_and_gives_no_share(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    halt_run(connection, run.token, "UNAUTHORIZED", "money said 401")
    halt_run(connection, run.token, "DEFECT", "a second trouble")
    assert connection.execute("select reason from campaign_run").fetchone() == ("UNAUTHORIZED: money said 401",)
    assert claim_payments(connection, run.token, token, [1]) == []
    assert acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S) is None


def test_a_dead_holders_row_is_reclaimed_as_perhaps_credited(connection: Connection, run: Run) -> None:
    dead, alive = take(connection, run), take(connection, run)
    claim_payments(connection, run.token, dead, [1])
    assert claim_payments(connection, run.token, alive, [1]) == [], "the holder is alive"
    expire(connection, dead)
    (claim,) = claim_payments(connection, run.token, alive, [1])
    assert claim.maybe_credited
    assert claim.since_last_sent_s is not None, "its last send may have been just now"
    assert claim.since_last_sent_s < 1
    assert_sums_hold(connection, run)


def test_a_zombies_failure_and_unclaim_change_nothing_of_others(connection: Connection, run: Run) -> None:
    zombie, alive = take(connection, run), take(connection, run)
    claim_payments(connection, run.token, zombie, [1, 2])
    expire(connection, zombie)
    claim_payments(connection, run.token, alive, [1, 2])
    unclaim = Change(2, "PENDING", zombie, 0, False, known_unsent=True)
    record_results(connection, run.token, zombie.share, [attempt(1, "REJECTED")], [failed(1, zombie), unclaim])
    assert states(connection)[1] == states(connection)[2] == "PROCESSING"
    assert_sums_hold(connection, run)


def test_a_zombies_success_counts(connection: Connection, run: Run) -> None:
    zombie, alive = take(connection, run), take(connection, run)
    claim_payments(connection, run.token, zombie, [1])
    expire(connection, zombie)
    claim_payments(connection, run.token, alive, [1])
    record_results(connection, run.token, alive.share, [attempt(1)], [failed(1, alive, kind="UNKNOWN")])
    record_results(connection, run.token, zombie.share, [attempt(1)], [success(1, zombie)])
    assert states(connection)[1] == "SUCCESS"
    assert_sums_hold(connection, run)


def test_a_success_is_terminal(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1])
    record_results(connection, run.token, token.share, [attempt(1)], [success(1, token)])
    record_results(connection, run.token, token.share, [], [failed(1, token)])
    record_results(connection, run.token, token.share, [], [Change(1, "PENDING", token, 0, False)])
    record_results(connection, run.token, token.share, [], [success(1, token)._replace(transaction_id="another")])
    assert states(connection)[1] == "SUCCESS"
    assert connection.execute("select transaction_id from payment where seq = 1").fetchone() == ("t-1",)
    assert claim_payments(connection, run.token, token, [1]) == []
    assert_sums_hold(connection, run)


def test_a_repeated_record_changes_nothing(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1, 2, 3])
    attempts = [attempt(seq) for seq in (1, 2, 3)]
    changes = [success(1, token), failed(2, token), Change(3, "PENDING", token, 1, True, next_try_at=4e9)]
    for _ in range(3):
        record_results(connection, run.token, token.share, attempts, changes)
    assert connection.execute("select count(*) from payment_attempt").fetchone() == (3,)
    assert states(connection) == {1: "SUCCESS", 2: "FAILED", 3: "PENDING", 4: "PENDING", 5: "PENDING"}
    assert_sums_hold(connection, run)


def test_perhaps_credited_never_ends_as_anything_but_unknown(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1])
    retry = Change(1, "PROCESSING", token, 1, True)
    record_results(connection, run.token, token.share, [attempt(1, "TIMED_OUT")], [retry])
    record_results(connection, run.token, token.share, [attempt(1, "REJECTED")], [failed(1, token, kind="REJECTED")])
    row = connection.execute("select state::text, failure_kind::text, maybe_credited from payment where seq = 1")
    assert row.fetchone() == ("FAILED", "UNKNOWN", True)
    assert_sums_hold(connection, run)


def test_a_row_known_unsent_forgets_its_first_send_and_one_that_left_keeps_it(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claims = {claim.seq: claim for claim in claim_payments(connection, run.token, token, [1, 2])}
    assert claims[1].since_last_sent_s is None
    back = [
        Change(1, "PENDING", token, 0, False, known_unsent=True),
        Change(2, "PENDING", token, 1, True, last_sent_at=1_700_000_000.0),
    ]
    record_results(connection, run.token, token.share, [attempt(2, "TIMED_OUT")], back)
    kept = connection.execute("select seq, first_sent_at is not null from payment where seq <= 2 order by seq")
    assert kept.fetchall() == [(1, False), (2, True)]
    again = {claim.seq: claim for claim in claim_payments(connection, run.token, token, [1, 2])}
    assert (again[1].since_last_sent_s, again[1].maybe_credited) == (None, False)
    assert again[2].since_last_sent_s is not None
    assert again[2].since_last_sent_s > 1_000_000
    assert again[2].maybe_credited


def test_a_deferred_row_waits_for_its_time(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1, 2, 3, 4, 5])
    later = connection.execute("select extract(epoch from clock_timestamp())::float8 + 30").fetchone()
    assert later is not None
    changes = [Change(1, "PENDING", token, 1, False, next_try_at=later[0])]
    changes += [success(seq, token) for seq in (2, 3, 4, 5)]
    record_results(connection, run.token, token.share, [], changes)
    assert claim_payments(connection, run.token, token, [1]) == []
    left = open_payments(connection, run.token.campaign_id)
    assert left is not None
    assert (left.count, left.first, left.last) == (1, 1, 1)
    assert 25 < left.due_in_s <= 30


def test_completed_needs_every_row_final(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1])
    with pytest.raises(AssertionError, match="rows are open"):
        end_run(connection, run, "COMPLETED")
    claim_payments(connection, run.token, token, [2, 3, 4, 5])
    record_results(connection, run.token, token.share, [], [success(seq, token) for seq in (1, 2, 3, 4, 5)])
    ended = end_run(connection, run, "COMPLETED")
    assert ended is not None
    assert (ended.state, ended.success, ended.success_amount) == ("COMPLETED", 5, 150)


COMPLETES_TOO_EARLY = """
import pickle, sys
from bulkpoint.campaigns.runs import end_run
from bulkpoint.store.connect import connect

assert False, "asserts are off here"
with connect(sys.argv[1]) as connection:
    end_run(connection, pickle.loads(bytes.fromhex(sys.argv[2])), "COMPLETED")
"""


def test_completed_needs_every_row_final_also_where_asserts_are_off(
    database_url: str, connection: Connection, run: Run
) -> None:
    command = [sys.executable, "-O", "-c", COMPLETES_TOO_EARLY, database_url, pickle.dumps(run).hex()]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "DefectError: COMPLETED while rows are open" in ended.stderr
    assert get_campaign(connection, run.token.campaign_id).state == "RUNNING"
    assert connection.execute("select action from audit_event where action = 'complete'").fetchall() == []


def test_answers_after_a_stop_are_recorded(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1])
    stop_run(connection, run.token.campaign_id, actor="tester")
    record_results(connection, run.token, token.share, [attempt(1)], [success(1, token)])
    assert states(connection)[1] == "SUCCESS"
    assert_sums_hold(connection, run)


def test_a_share_without_permits_cannot_be_taken(connection: Connection, run: Run) -> None:
    set_tps(connection, tps=1, actor="tester", reason=None, until=None)
    take(connection, run)
    assert acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S) is None


def test_a_share_has_one_holder_and_each_holder_a_new_epoch(connection: Connection, run: Run) -> None:
    first, second = take(connection, run), take(connection, run)
    assert first.share != second.share
    assert acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S) is None
    expire(connection, first)
    third = take(connection, run)
    assert (third.share, third.epoch) == (first.share, first.epoch + 1)
    assert not renew_share(connection, run.token, first, lease_s=LEASE_S).held
    assert renew_share(connection, run.token, third, lease_s=LEASE_S).held


def test_a_released_share_hands_its_sends_over(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    release_share(connection, token, [1.5, 2.5])
    acquired = acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S)
    assert acquired is not None
    assert acquired.token.share == token.share
    assert acquired.sent_at == [1.5, 2.5]


def test_a_stale_holder_releases_nothing(connection: Connection, run: Run) -> None:
    stale = take(connection, run)
    expire(connection, stale)
    present = take(connection, run)
    release_share(connection, stale, [])
    assert renew_share(connection, run.token, present, lease_s=LEASE_S).held


def test_a_claim_whose_reply_was_lost_is_asked_again_and_counted_once(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1, 2])
    again = claim_payments(connection, run.token, token, [1, 2])
    assert [(claim.seq, claim.maybe_credited, claim.since_last_sent_s) for claim in again] == [
        (1, False, None),
        (2, False, None),
    ]
    assert counts(connection, run).processing == 2
    assert_sums_hold(connection, run)


def test_what_money_said_is_not_credited_may_end_failed_of_any_kind(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    claim_payments(connection, run.token, token, [1])
    perhaps = Change(1, "PROCESSING", token, 4, True, failure_code="TIMED_OUT")
    record_results(connection, run.token, token.share, [attempt(1, "TIMED_OUT")], [perhaps])
    absent = failed(1, token, kind="UNAVAILABLE")._replace(not_credited=True)
    record_results(connection, run.token, token.share, [attempt(1, "NOT_FOUND")], [absent])
    row = connection.execute("select state::text, failure_kind::text, maybe_credited from payment where seq = 1")
    assert row.fetchone() == ("FAILED", "UNAVAILABLE", False)
    assert_sums_hold(connection, run)


def test_a_share_is_held_without_a_run_for_look_ups(connection: Connection, run: Run) -> None:
    stop_run(connection, run.token.campaign_id, actor="tester")
    assert acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S) is None, "this run is over"
    acquired = acquire_share(connection, None, uuid4(), lease_s=LEASE_S)
    assert acquired is not None
    renewal = renew_share(connection, None, acquired.token, lease_s=LEASE_S)
    assert (renewal.held, renewal.run_live) == (True, True)
    assert claim_payments(connection, run.token, acquired.token, [1]) == [], "it pays nothing"


def test_how_money_held_a_share_back_outlives_its_holder(connection: Connection, run: Run) -> None:
    told = {"rate": 12.5, "ceiling": 13.0, "open_since": None}
    token = take(connection, run)
    renew_share(connection, run.token, token, lease_s=LEASE_S, pressure=told)
    expire(connection, token)
    after_a_crash = acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S)
    assert after_a_crash is not None
    assert (after_a_crash.token.share, after_a_crash.pressure) == (token.share, told)
    release_share(connection, after_a_crash.token, [], None)
    after_a_release = acquire_share(connection, run.token, uuid4(), lease_s=LEASE_S)
    assert after_a_release is not None
    assert after_a_release.pressure is None


def test_the_number_of_shares_changes_only_while_none_is_held(connection: Connection, run: Run) -> None:
    token = take(connection, run)
    allocate_shares(connection, 2)
    with pytest.raises(RefusedError, match="from 2 to 3"):
        allocate_shares(connection, 3)
    release_share(connection, token, [])
    with pytest.raises(RefusedError, match="still leased"):
        allocate_shares(connection, 3)
    connection.execute("update money_share set released_at = released_at - interval '2 s'")
    allocate_shares(connection, 3)
    assert connection.execute("select count(*), max(share) from money_share").fetchone() == (3, 2)
