"""What a worker must survive (docs of the design: faults 1, 6, 11 to 19, 21), without Spark but with all else real.

When a `crew` block ends, every test has looked at the promises: paid once, never over the limit, nothing lost, sums.
"""

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NamedTuple, Self

import pytest

from bulkpoint.store.connect import Connection
from tests.world.logins import Login, new_login
from tests.world.money import Money
from tests.world.stalling_proxy import StallingProxy
from tests.world.waiting import sleep_until
from tests.world.workers import Crew, crew

# What a claim, a record and a renewal look like on the wire.
CLAIM = b"claimed as ("
RECORD = b"insert into payment_attempt"
RENEWAL = b"update money_share set leased_until"
# Until a secret's store has put a new password into the file that we read.
PASSWORD_LATE_S = 2.0
SESSIONS_OF_WORKERS = (
    b"select pid from pg_stat_activity where datname = current_database() and application_name like 'bulkpoint worker%'"
)


@pytest.fixture
def link(database_url: str) -> Iterator[StallingProxy]:
    """A way to the database that can be told to stall, break or lose."""
    with StallingProxy(database_url) as link:
        yield link


# Workers that die or sleep


def test_workers_killed_at_random_moments_leave_everybody_paid_once(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed of the kills: {seed}")
    dice = random.Random(seed)
    money.change(latency_ms=100)  # so that a kill is always in mid-call
    with crew(database_url, money, tmp_path, members=900, tps=300, shares=3) as its:
        its.hire_each(None, None, None)
        its.wait_for_sends(1)
        for _ in range(3):
            time.sleep(dice.uniform(0.1, 0.6))
            victim = dice.choice([worker for worker in its.workers if not worker.killed])
            victim.kill()
            its.hire(victim.rows)
        its.finish()
        assert its.count("SUCCESS") == 900
        assert its.query(b"select count(*) > 10 from payment where maybe_credited") == [(True,)], "nothing was killed"


def test_a_row_that_comes_twice_ends_the_run_as_a_defect_and_pays_nobody_twice(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    money.change(latency_ms=600)  # so that the first of the two is still in hand
    with crew(database_url, money, tmp_path, members=150, tps=100, shares=1) as its:
        rows = its.open_rows()
        worker = its.hire([*rows[:100], *rows[50:]])
        with pytest.raises(AssertionError, match="a payment is in hand twice"):
            worker.assert_ends_well()
        its.workers.remove(worker)  # it failed its task, as it should
        assert its.halt() == "DEFECT"
        assert its.count("PROCESSING") == 0, "what it had is given back"
        assert its.count("PENDING") > 50


def test_a_worker_that_slept_through_its_lease_changes_nothing_that_others_claimed(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    """Asleep it holds refusals not yet written and rows not yet sent; by then all of them are another's."""
    with (
        StallingProxy(money.url) as its_money,
        crew(database_url, money, tmp_path, members=350, tps=200, shares=1) as its,
    ):
        sleeper = its.hire(money=its_money.url)
        its.wait_for_sends(40)
        money.change(rejected=1)
        # It writes every quarter of a second: now some refusals are written, a moment later more are not yet.
        its.wait_for(b"select count(*) > 0 from payment where state = 'FAILED'")
        time.sleep(0.15)
        sleeper.freeze()
        money.change(rejected=0, latency_ms=600)  # what the other sends now stays in flight for a while
        refused_in_time = its.count("FAILED")
        known = its.query(b"select count(*) from payment_attempt")[0][0]
        gone_out = its_money.passed_to_server(b"POST ")
        assert gone_out > known + 10, "nothing is waiting to be written"

        other = its.hire()
        its.wait_for(b"select count(*) > 100 from payment where state = 'PROCESSING' and claim_epoch = 2")
        others = [row[0] for row in its.query(b"select seq from payment where claim_epoch = 2")]
        sleeper.thaw()
        woken_at = time.monotonic()
        while time.monotonic() < woken_at + 1.0:
            states = its.query(b"select distinct state::text from payment where seq = any(%s)", others)
            assert {state for (state,) in states} <= {"PROCESSING", "SUCCESS"}, "a row of the other was touched"
            time.sleep(0.01)
        # One thread sends: at most one call had passed the gate and not left.
        assert its_money.passed_to_server(b"POST ") <= gone_out + 1
        its.wait_for(b"select count(*) > %d from payment_attempt where outcome = 'REJECTED'" % refused_in_time)
        money.change(latency_ms=20)
        other.assert_ends_well()
        sleeper.assert_ends_well()
        assert its_money.passed_to_server(b"POST ") <= gone_out + 1
        its.finish()
        assert its.count("FAILED") == refused_in_time
        assert its.count("SUCCESS") == 350 - refused_in_time


def test_two_workers_over_the_same_rows_send_each_row_once(database_url: str, money: Money, tmp_path: Path) -> None:
    """A task that was given to a second worker though the first is alive."""
    with crew(database_url, money, tmp_path, members=400, tps=300, shares=2) as its:
        rows = its.open_rows()
        its.hire(rows)
        its.hire(rows)
        its.finish()
        assert its.count("SUCCESS") == money.stats()["requests"] == 400
        assert its.query(b"select count(*) from payment where maybe_credited") == [(0,)]


# The database, and the way to it


def test_workers_whose_sessions_are_terminated_again_and_again_go_on_and_pay_everything(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=800, tps=200, shares=2) as its:
        first_two = its.hire_each(None, None)
        its.wait_for_sends(1)
        terminated: set[int] = set()
        for _ in range(12):
            for pid in sorted({pid for (pid,) in its.query(SESSIONS_OF_WORKERS)} - terminated)[:1]:
                its.query(b"select pg_terminate_backend(%s)", pid)
                terminated.add(pid)
            time.sleep(0.15)
        assert len(terminated) >= 6, "claims, records and renewals of two workers"
        for worker in first_two:
            worker.assert_ends_well()
        assert its.count("SUCCESS") > 400, "they went on by themselves"
        its.finish()
        assert its.count("SUCCESS") == 800


def test_a_stop_while_a_workers_link_hangs_lets_no_call_out_later_than_a_second(
    database_url: str, money: Money, link: StallingProxy, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=2_000, tps=300, shares=2) as its:
        its.hire_each(None, link.url)
        leave_seconds_of_claimed_rows(its, tps=60)
        stall_after_a_renewal(link)
        stopped_at = its.stop()
        sleep_until(stopped_at + 1.5)
        requests = money.stats()["requests"]
        assert stopped_at < money.last_arrival().timestamp() <= stopped_at + 1.0 + stalled_s(money)
        sleep_until(stopped_at + 2.5)
        assert money.stats()["requests"] == requests
        link.pass_on()
        its.wait_for_workers()
        assert max(its.sends()) <= stopped_at + 1.0
        assert its.count("PROCESSING") == 0
        assert its.count("PENDING") > 500


@pytest.mark.parametrize("tps", [10, 0])
def test_a_throttle_while_a_workers_link_hangs_is_kept_within_a_second(
    tps: int, database_url: str, money: Money, link: StallingProxy, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=2_200, tps=1_000, shares=2) as its:
        its.hire_each(None, link.url)
        leave_seconds_of_claimed_rows(its, tps=60)
        stall_after_a_renewal(link)
        set_at = its.set_tps(tps)
        sleep_until(set_at + 1.0)
        after_a_second = money.stats()["requests"]
        sleep_until(set_at + 2.5)
        assert money.stats()["requests"] - after_a_second <= tps * 1.5 + 1
        link.pass_on()
        its.set_tps(1_000)
        its.finish()
        assert its.count("SUCCESS") == 2_200


@pytest.mark.parametrize("statement", [pytest.param(RECORD, id="record"), pytest.param(CLAIM, id="claim")])
def test_a_lost_reply_to_a_commit_costs_nothing_and_doubles_nothing(
    statement: bytes, database_url: str, money: Money, link: StallingProxy, tmp_path: Path
) -> None:
    """The promises have it that counters are exact; here, that every row is paid, and no worker failed."""
    with crew(database_url, money, tmp_path, members=500, tps=300, shares=2) as its:
        link.lose_answers_to(statement, times=3)
        its.hire_each(None, link.url)
        its.finish()
        assert link.lost == 3
        assert its.count("SUCCESS") == 500


def test_while_the_database_stays_away_nothing_is_sent_and_when_it_is_back_the_workers_go_on(
    database_url: str, money: Money, link: StallingProxy, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=900, tps=300, shares=2) as its:
        first_two = its.hire_each(link.url, link.url)
        wait_for_both(its)
        link.cut(refuse=True)
        away_at = time.time()
        sleep_until(away_at + 4.0)  # longer than a share is owned
        assert money.last_arrival().timestamp() <= away_at + 1.0 + stalled_s(money)
        link.accept()
        for worker in first_two:
            worker.assert_ends_well()
        assert its.count("SUCCESS") > 600, "they went on by themselves"
        its.finish()
        assert its.count("SUCCESS") == 900


@pytest.fixture
def login(connection: Connection, database_url: str) -> Iterator[Login]:
    """What the workers connect as."""
    with new_login(connection, database_url) as login:
        login.only_what_is_granted()
        yield login


def test_while_the_database_is_read_only_nothing_is_sent_and_then_the_workers_go_on(
    database_url: str, money: Money, login: Login, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=900, tps=300, shares=2) as its:
        first_two = its.hire_each(login.url, login.url)
        wait_for_both(its)
        login.read_only(True)
        away_at = time.time()
        sleep_until(away_at + 4.0)  # longer than a share is owned
        assert money.last_arrival().timestamp() <= away_at + 1.0 + stalled_s(money)
        login.read_only(False)
        for worker in first_two:
            worker.assert_ends_well()
        assert its.count("SUCCESS") > 600, "they went on by themselves"
        its.finish()
        assert its.count("SUCCESS") == 900


def test_a_permission_revoked_in_mid_run_halts_it_with_the_sentence_and_loses_no_result(
    database_url: str, money: Money, login: Login, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=900, tps=300, shares=2) as its:
        its.hire_each(login.url, login.url)
        wait_for_both(its)
        login.revoke("insert on payment_attempt")
        revoked_at = time.time()
        its.wait_for(b"select halt = 'DATABASE_REFUSED' from campaign_run", seconds=4)
        ((reason,),) = its.query(b"select reason from campaign_run")
        assert "permission denied for table payment_attempt" in reason
        assert "docs/access.md" in reason, "what to do"
        sleep_until(revoked_at + 3.0)
        assert money.last_arrival().timestamp() <= revoked_at + 1.5 + stalled_s(money)
        login.grant("insert on payment_attempt")
        its.wait_for_workers()  # and the promises: each call that money saw is recorded
        assert its.count("PROCESSING") == 0
        assert its.count("PENDING") > 300


@pytest.mark.parametrize("table", ["money_share", "payment"])
def test_a_permission_that_renewals_or_claims_need_halts_the_run_in_the_same_way(
    table: str, database_url: str, money: Money, login: Login, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=900, tps=300, shares=1) as its:
        its.hire(database=login.url)
        its.wait_for_sends(1)
        login.revoke(f"update on {table}")
        its.wait_for(b"select halt = 'DATABASE_REFUSED' from campaign_run", seconds=4)
        login.grant(f"update on {table}")
        its.wait_for_workers()
        assert f"permission denied for table {table}" in its.query(b"select reason from campaign_run")[0][0]
        assert its.count("PENDING") > 300


def test_with_connections_for_one_worker_two_of_them_pay_one_after_the_other(
    database_url: str, money: Money, login: Login, tmp_path: Path
) -> None:
    login.alter("connection limit 4")
    with crew(database_url, money, tmp_path, members=400, tps=300, shares=2) as its:
        both = its.hire_each(login.url, login.url)
        for worker in both:
            worker.assert_ends_well()
        assert its.count("SUCCESS") == 400, "the other one waited, and then paid its rows"
        its.finish()
        said = "".join(log.read_text() for log in tmp_path.glob("worker-*.log"))
        assert "a partition waits for its 3 connections" in said
        assert "Traceback" not in said


# Money


def test_replies_lost_after_the_credit_end_as_one_credit_each(database_url: str, money: Money, tmp_path: Path) -> None:
    money.change(credit_then_close=0.3)
    with crew(database_url, money, tmp_path, members=400, tps=300, shares=2, BULKPOINT_RETRIES="10") as its:
        its.hire_each(None, None)
        its.finish()
        assert its.count("SUCCESS") == 400
        assert outcomes(its)["LOST"] > 80


def test_an_answer_slower_than_the_timeout_is_asked_for_again_until_it_is_there(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    """While the first call is under way at money the same key gets a 409."""
    money.change(slow=0.1, slow_s=1.5)
    with crew(database_url, money, tmp_path, members=200, tps=200, shares=2, BULKPOINT_RETRIES="10") as its:
        its.hire_each(None, None)
        its.finish()
        assert its.count("SUCCESS") == 200
        assert outcomes(its)["TIMED_OUT"] > 5
        assert outcomes(its)["IN_PROGRESS"] > 5


def test_409_for_ever_ends_in_bounded_time_as_unknown(database_url: str, money: Money, tmp_path: Path) -> None:
    money.change(conflict=1)
    with crew(database_url, money, tmp_path, members=60, tps=200, shares=2, BULKPOINT_RETRIES="2") as its:
        its.hire_each(None, None)
        its.finish(seconds=15)
        assert its.query(b"select distinct state::text, failure_kind::text from payment") == [("FAILED", "UNKNOWN")]
        assert outcomes(its)["IN_PROGRESS"] == 60 * 3
        assert money.ledger() == []


def test_a_401_in_the_middle_halts_the_run_at_once_and_the_rows_go_back(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=1_000, tps=300, shares=2) as its:
        its.hire_each(None, None)
        wait_for_both(its)
        money.change(unauthorized=1)
        refused_at = time.time()
        its.wait_for_workers()
        assert time.time() < refused_at + 3.0
        assert its.halt() == "UNAUTHORIZED"
        assert max(its.sends()) < refused_at + 1.0
        assert its.count("FAILED") == its.count("PROCESSING") == 0
        assert its.count("PENDING") > 300


def test_a_mismatch_fails_its_row_and_halts_the_run(database_url: str, money: Money, tmp_path: Path) -> None:
    with crew(database_url, money, tmp_path, members=1_000, tps=300, shares=2) as its:
        its.hire_each(None, None)
        wait_for_both(its)
        money.change(mismatch=1)
        mismatched_at = time.time()
        its.wait_for_workers()
        assert time.time() < mismatched_at + 3.0
        assert its.halt() == "MISMATCH"
        assert max(its.sends()) < mismatched_at + 1.0
        assert outcomes(its)["MISMATCH"] == its.count("FAILED") > 0
        assert its.count("PROCESSING") == 0
        assert its.count("PENDING") > 300


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [
        pytest.param("2", 2.0, id="seconds"),
        pytest.param("-5", 1.0, id="negative"),
        pytest.param(None, 1.0, id="absent"),
    ],
)
def test_a_429_is_waited_out_as_money_asks_and_costs_no_try(
    retry_after: str | None, wait_s: float, database_url: str, money: Money, tmp_path: Path
) -> None:
    throttle(money, 0.2, retry_after)
    with crew(database_url, money, tmp_path, members=150, tps=300, shares=1, BULKPOINT_RETRIES="0") as its:
        its.hire()
        its.wait_for_sends(150)
        throttle(money, 0.0, None)
        its.finish(seconds=15)
        assert its.count("SUCCESS") == 150
        assert outcomes(its)["THROTTLED"] > 10
        assert its.query(b"select max(tries) from payment") == [(1,)]
        assert min(next_at - at for at, next_at in calls_after(its, "THROTTLED")) >= wait_s


def test_a_429_that_names_a_date_is_not_asked_again_before_it(database_url: str, money: Money, tmp_path: Path) -> None:
    date = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    throttle(money, 0.2, format_datetime(date, usegmt=True))
    with crew(database_url, money, tmp_path, members=150, tps=300, shares=1, BULKPOINT_RETRIES="0") as its:
        its.hire()
        its.wait_for_sends(150)
        throttle(money, 0.0, None)
        its.finish(seconds=15)
        assert its.count("SUCCESS") == 150
        assert min(next_at for _, next_at in calls_after(its, "THROTTLED")) >= date.timestamp()


def test_a_429_that_names_an_absurd_time_holds_its_row_for_a_minute_at_most_and_no_other(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    throttle(money, 0.1, "99999999999")
    with crew(database_url, money, tmp_path, members=300, tps=300, shares=1) as its:
        its.hire().assert_ends_well(15)
        throttled = outcomes(its)["THROTTLED"]
        assert throttled > 10
        assert (its.count("SUCCESS"), its.count("PENDING")) == (300 - throttled, throttled)
        ((soonest, latest),) = its.query(
            b"select extract(epoch from min(next_try_at) - clock_timestamp())::float8,"
            b" extract(epoch from max(next_try_at) - clock_timestamp())::float8"
            b" from payment where state = 'PENDING'"
        )
        assert soonest > 0
        assert latest <= 60


class Odd(NamedTuple):
    """An answer no contract knows, and what the row it is given to must end as."""

    ends: str
    status: int
    body: bytes
    location: str | None = None


ODD_ANSWERS = {
    "odd-large": Odd("UNKNOWN", 200, b'{"transaction_id": "t", "note": "' + b"x" * 11_000_000 + b'"}'),
    "odd-html": Odd("UNKNOWN", 200, b"<!doctype html><title>Maintenance</title>"),
    "odd-redirect": Odd("UNKNOWN", 307, b"", location="/v1/points"),
    "odd-nul-transaction": Odd("UNKNOWN", 201, rb'{"transaction_id": "t\u0000"}'),
    "odd-surrogate-transaction": Odd("UNKNOWN", 201, rb'{"transaction_id": "\ud800"}'),
    "odd-nul": Odd("REJECTED", 404, rb'{"code": "NO\u0000BODY", "message": "a\u0000b"}'),
    "odd-surrogate": Odd("REJECTED", 400, rb'{"code": "\ud800", "message": "\udfff!"}'),
    # No whole answer, and a gateway's: they refuse nothing.
    "odd-large-refusal": Odd("UNKNOWN", 404, b'{"code": "' + b"x" * 11_000_000 + b'"}'),
    "odd-page": Odd("UNKNOWN", 404, b"<html>nginx</html>"),
    "odd-page-forbidden": Odd("UNKNOWN", 403, b"<html>nginx</html>"),
    "odd-other-member": Odd("UNKNOWN", 200, b'{"transaction_id": "t-other", "member_id": "member-001"}'),
    # Refused alone, while others are let in: of a right, and not of ours.
    "member-040-closed": Odd("REJECTED", 403, b'{"code": "ACCOUNT_CLOSED", "message": "closed"}'),
}


def test_an_answer_that_no_contract_knows_costs_its_own_row_only(database_url: str, tmp_path: Path) -> None:
    members = [f"member-{number:03}" for number in range(80)] + list(ODD_ANSWERS)
    with (
        StandIn() as stand_in,
        crew(database_url, stand_in, tmp_path, members=members, tps=200, shares=1, BULKPOINT_RETRIES="1") as its,
    ):
        its.hire()
        its.finish()
        ended = dict(its.query(b"select member_id, failure_kind::text from payment where state = 'FAILED'"))
        assert ended == {member: odd.ends for member, odd in ODD_ANSWERS.items()}
        assert its.count("SUCCESS") == 80
        redirects = its.query(
            b"select a.http_status, count(*) from payment_attempt a join payment p using (campaign_id, seq)"
            b" where p.member_id = 'odd-redirect' group by 1"
        )
        assert redirects == [(307, stand_in.asked["odd-redirect"])], "a redirect was followed"


# The limit


def test_the_limit_is_changed_up_and_down_to_nothing_and_back_while_paying(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    with crew(database_url, money, tmp_path, members=1_000, tps=400, shares=3) as its:
        its.hire_each(None, None, None)
        its.wait_for_sends(200)
        slowed_at = its.set_tps(40)
        sleep_until(slowed_at + 2.5)
        held_at = its.set_tps(0)
        sleep_until(held_at + 2.0)
        assert money.last_arrival().timestamp() <= held_at + 1.0 + stalled_s(money)
        assert its.count("SUCCESS") < 1_000
        its.set_tps(400)
        its.finish()
        assert its.count("SUCCESS") == 1_000
        ((slow, least),) = its.query(
            b"select count(*), min(sent_at) from payment_attempt where extract(epoch from sent_at) between %s and %s",
            its.tps_set[1][0] + 1.0,
            held_at,
        )
        assert slow > 30, f"40 a second were allowed from {least} on"


def test_with_fewer_calls_a_second_than_workers_the_limit_is_kept_and_nobody_starves(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    """The third share has no permits any more: its holder must hand it back, with its rows, and wait for another."""
    with crew(database_url, money, tmp_path, members=9, tps=3, shares=3) as its:
        its.hire_each(None, None, None)
        its.wait_for(b"select count(*) > 0 from payment where state = 'PROCESSING' and claim_share = 2")
        its.set_tps(2)
        its.finish(seconds=25)
        assert its.count("SUCCESS") == 9
        assert its.query(b"select max(epoch) > 1 from money_share where share < 2") == [(True,)], "nobody moved there"


def test_counted_from_the_answer_the_limit_holds_at_moneys_clock_though_money_stands_still(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    """Calls that wait in its buffers arrive all at once when it wakes."""
    settings = {"BULKPOINT_LIMIT_COUNTS_FROM": "answer", "BULKPOINT_MONEY_TIMEOUT_S": "3"}
    with crew(database_url, money, tmp_path, members=700, tps=200, shares=2, **settings) as its:
        its.hire_each(None, None)
        its.wait_for_sends(200)
        money.send(signal.SIGSTOP)
        time.sleep(1.0)
        money.send(signal.SIGCONT)
        its.finish()
        stats = money.stats()
        assert stats["stall_ms_max"] > 900
        assert stats["max_per_second"] <= 200
        assert its.count("SUCCESS") == 700


# What the tests need


def wait_for_both(its: Crew) -> None:
    """Until both workers hold a share and their calls are recorded."""
    its.wait_for(b"select count(distinct share) = 2 from campaign_counter where state = 'SUCCESS'")


def leave_seconds_of_claimed_rows(its: Crew, *, tps: int) -> None:
    """Both workers pay, and slow down now: what they had claimed ahead for a second lasts for many.

    A worker whose link hangs then has enough to send: it is its gate that must hold it back.
    """
    wait_for_both(its)
    its.set_tps(tps)
    time.sleep(0.7)  # by now both know
    assert its.count("PROCESSING") > 3 * tps


def stall_after_a_renewal(link: StallingProxy) -> None:
    """When the worker at the other end knows as much as ever, and may go on for as long as ever."""
    renewals = link.passed_to_server(RENEWAL)
    while link.passed_to_server(RENEWAL) == renewals:  # closer than wait_for looks
        time.sleep(0.002)
    time.sleep(0.02)  # its answer has passed, too
    link.stall()


def stalled_s(money: Money) -> float:
    """How long money's own clock may have been late."""
    return float(money.stats()["stall_ms_max"]) / 1000


def outcomes(its: Crew) -> Counter[str]:
    return Counter(row[0] for row in its.query(b"select outcome from payment_attempt"))


def calls_after(its: Crew, outcome: str) -> list[tuple[Any, ...]]:
    """Of each call with this outcome: when it left, and when the same payment's next one did."""
    return its.query(
        b"select extract(epoch from sent_at)::float8, extract(epoch from next_at)::float8 from ("
        b" select outcome, sent_at, lead(sent_at) over (partition by seq order by sent_at) as next_at"
        b" from payment_attempt) as call where outcome = %s and next_at is not null",
        outcome,
    )


def throttle(money: Money, ratio: float, retry_after: str | None) -> None:
    # The sandbox takes a header's text here, or null; all its other settings are numbers.
    money.change(too_many=ratio, retry_after=retry_after)


class StandIn(ThreadingHTTPServer):
    """Money as the contract has it, but for the members in ODD_ANSWERS: theirs come to look-ups, too."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _StandInHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: Counter[str] = Counter()
        self.requests = 0
        self._credits: dict[str, dict[str, Any]] = {}
        self._members: dict[str, str] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def ledger(self) -> list[dict[str, Any]]:
        return list(self._credits.values())

    def stats(self) -> dict[str, Any]:
        return {"requests": self.requests, "paid_twice": 0}

    def take(self, key: str, order: dict[str, Any]) -> Odd:
        """The answer to one POST."""
        with self._lock:
            self._members[key] = order["member_id"]
            if order["member_id"] in ODD_ANSWERS:
                return self._odd(key)
            credit = self._credits.setdefault(key, order | {"transaction_id": f"t-{len(self._credits)}"})
            self.requests += 1
        return Odd("SUCCESS", 200, json.dumps({"transaction_id": credit["transaction_id"]}).encode())

    def find(self, key: str) -> Odd:
        """The answer to one GET: of the odd ones only, the others have had theirs."""
        with self._lock:
            return self._odd(key)

    def _odd(self, key: str) -> Odd:
        self.requests += 1
        self.asked[self._members[key]] += 1
        return ODD_ANSWERS[self._members[key]]

    def handle_error(self, *_: object) -> None:
        """A client that has read enough hangs up: that is what is tested."""


class _StandInHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.server.take(self.headers["Idempotency-Key"], order))

    def do_GET(self) -> None:
        self._answer(self.server.find(self.path.rpartition("/")[2]))

    def _answer(self, answer: Odd) -> None:
        self.send_response(answer.status)
        if answer.location is not None:
            self.send_header("Location", answer.location)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test tells."""


# A password that changes


def write_passfile(file: Path, login: Login, password: str) -> None:
    """As a store of secrets does it: whole, in one step."""
    unfinished = file.with_suffix(".new")
    unfinished.write_text(f"*:*:*:{login.name}:{password}\n")
    unfinished.chmod(0o600)
    unfinished.replace(file)


def test_workers_wait_for_the_new_password_and_go_on(
    connection: Connection, database_url: str, money: Money, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    with new_login(connection, database_url) as login:
        login.alter("password 'the old one'")
        write_passfile(passfile, login, "the old one")
        theirs = f"{login.address} passfile={passfile}"
        with crew(database_url, money, tmp_path, members=800, tps=100, shares=2) as its:
            its.hire_each(theirs, theirs)
            its.wait_for_sends(100)
            login.alter("password 'the new one'")
            login.cut()
            time.sleep(PASSWORD_LATE_S)
            paid = its.count("SUCCESS")
            write_passfile(passfile, login, "the new one")
            its.wait_for(b"select count(*) > 0 from pg_stat_activity where usename = '%s'" % login.name.encode())
            its.wait_for(b"select count(*) > %d from payment where state = 'SUCCESS'" % (paid + 50))
            its.finish()
            assert its.count("SUCCESS") == len(money.ledger()) == 800
