"""Claims and records as PostgreSQL keeps them: whose row it is, what a late record changes, that sums hold."""

import pickle
import subprocess
import sys
from uuid import UUID, uuid4

import pytest

from bulkpoint.campaigns.runs import end_run
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import Attempt, Change, open_payments
from bulkpoint.store.run import halt_run
from bulkpoint.store.share import ShareToken, acquire_share, allocate_shares, release_share, renew_share
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

LEASE_S = 9.0


@pytest.fixture
def campaign(world: World) -> Campaign:
    """Targets of 10, 20, 30, 40 and 50 points; RUNNING with two shares of 100 TPS."""
    return world.campaign([(f"member-{n}", 10 * n, f"why {n}") for n in range(1, 6)]).begun()


def attempt(seq: int, outcome: str = "CREDITED", attempt_id: UUID | None = None) -> Attempt:
    return Attempt(str(attempt_id or uuid4()), "POST", seq, 1_700_000_000.0, 1_700_000_000.1, 201, outcome, None, None)


def success(seq: int, token: ShareToken, *, tries: int = 1) -> Change:
    return Change(seq, "SUCCESS", token, tries, False, transaction_id=f"t-{seq}")


def failed(seq: int, token: ShareToken, *, kind: str = "REJECTED", maybe_credited: bool = False) -> Change:
    return Change(seq, "FAILED", token, 1, maybe_credited, failure_kind=kind, failure_code="NO", failure_message="no")


def test_a_claim_takes_pending_rows_once(campaign: Campaign) -> None:
    first, second = campaign.share(), campaign.share()
    assert {claim.seq for claim in campaign.claim(first, [1, 2, 3])} == {1, 2, 3}
    assert {claim.seq for claim in campaign.claim(second, [2, 3, 4])} == {4}
    campaign.assert_sums_hold()


def test_a_claim_needs_a_live_share(campaign: Campaign) -> None:
    token = campaign.share()
    campaign.lose(token)
    assert campaign.claim(token, [1]) == []
    assert campaign.states()[1] == "PENDING"


def test_a_claim_needs_the_present_holder(campaign: Campaign) -> None:
    token = campaign.share()
    stranger = ShareToken(token.share, token.epoch, uuid4())
    assert campaign.claim(stranger, [1]) == []


def test_a_claim_needs_a_running_run(campaign: Campaign) -> None:
    token = campaign.share()
    campaign.stopped()
    assert campaign.claim(token, [1]) == []


def test_a_halted_run_claims_nothing_and_gives_no_share(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    halt_run(connection, campaign.run.token, "UNAUTHORIZED", "money said 401")
    halt_run(connection, campaign.run.token, "DEFECT", "a second trouble")
    assert connection.execute("select reason from campaign_run").fetchone() == ("UNAUTHORIZED: money said 401",)
    assert campaign.claim(token, [1]) == []
    assert acquire_share(connection, campaign.run.token, uuid4(), lease_s=LEASE_S) is None


def test_a_dead_holders_row_is_reclaimed_as_perhaps_credited(campaign: Campaign) -> None:
    dead, alive = campaign.share(), campaign.share()
    campaign.claim(dead, [1])
    assert campaign.claim(alive, [1]) == [], "the holder is alive"
    campaign.lose(dead)
    (claim,) = campaign.claim(alive, [1])
    assert claim.maybe_credited
    assert claim.since_last_sent_s is not None, "its last send may have been just now"
    assert claim.since_last_sent_s < 1
    campaign.assert_sums_hold()


def test_a_zombies_failure_and_unclaim_change_nothing_of_others(campaign: Campaign) -> None:
    zombie, alive = campaign.share(), campaign.share()
    campaign.claim(zombie, [1, 2])
    campaign.lose(zombie)
    campaign.claim(alive, [1, 2])
    unclaim = Change(2, "PENDING", zombie, 0, False, known_unsent=True)
    campaign.record(zombie, [failed(1, zombie), unclaim], [attempt(1, "REJECTED")])
    assert campaign.states()[1] == campaign.states()[2] == "PROCESSING"
    campaign.assert_sums_hold()


def test_a_zombies_success_counts(campaign: Campaign) -> None:
    zombie, alive = campaign.share(), campaign.share()
    campaign.claim(zombie, [1])
    campaign.lose(zombie)
    campaign.claim(alive, [1])
    campaign.record(alive, [failed(1, alive, kind="UNKNOWN")], [attempt(1)])
    campaign.record(zombie, [success(1, zombie)], [attempt(1)])
    assert campaign.states()[1] == "SUCCESS"
    campaign.assert_sums_hold()


def test_a_success_is_terminal(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1])
    campaign.record(token, [success(1, token)], [attempt(1)])
    campaign.record(token, [failed(1, token)])
    campaign.record(token, [Change(1, "PENDING", token, 0, False)])
    campaign.record(token, [success(1, token)._replace(transaction_id="another")])
    assert campaign.states()[1] == "SUCCESS"
    assert connection.execute("select transaction_id from payment where seq = 1").fetchone() == ("t-1",)
    assert campaign.claim(token, [1]) == []
    campaign.assert_sums_hold()


def test_a_repeated_record_changes_nothing(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    attempts = [attempt(seq) for seq in (1, 2, 3)]
    changes = [success(1, token), failed(2, token), Change(3, "PENDING", token, 1, True, next_try_at=4e9)]
    for _ in range(3):
        campaign.record(token, changes, attempts)
    assert connection.execute("select count(*) from payment_attempt").fetchone() == (3,)
    assert campaign.states() == {1: "SUCCESS", 2: "FAILED", 3: "PENDING", 4: "PENDING", 5: "PENDING"}
    campaign.assert_sums_hold()


def test_perhaps_credited_never_ends_as_anything_but_unknown(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1])
    retry = Change(1, "PROCESSING", token, 1, True)
    campaign.record(token, [retry], [attempt(1, "TIMED_OUT")])
    campaign.record(token, [failed(1, token, kind="REJECTED")], [attempt(1, "REJECTED")])
    row = connection.execute("select state::text, failure_kind::text, maybe_credited from payment where seq = 1")
    assert row.fetchone() == ("FAILED", "UNKNOWN", True)
    campaign.assert_sums_hold()


def test_a_row_known_unsent_forgets_its_first_send_and_one_that_left_keeps_it(
    connection: Connection, campaign: Campaign
) -> None:
    token = campaign.share()
    claims = {claim.seq: claim for claim in campaign.claim(token, [1, 2])}
    assert claims[1].since_last_sent_s is None
    back = [
        Change(1, "PENDING", token, 0, False, known_unsent=True),
        Change(2, "PENDING", token, 1, True, last_sent_at=1_700_000_000.0),
    ]
    campaign.record(token, back, [attempt(2, "TIMED_OUT")])
    kept = connection.execute("select seq, first_sent_at is not null from payment where seq <= 2 order by seq")
    assert kept.fetchall() == [(1, False), (2, True)]
    again = {claim.seq: claim for claim in campaign.claim(token, [1, 2])}
    assert (again[1].since_last_sent_s, again[1].maybe_credited) == (None, False)
    assert again[2].since_last_sent_s is not None
    assert again[2].since_last_sent_s > 1_000_000
    assert again[2].maybe_credited


def test_a_deferred_row_waits_for_its_time(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3, 4, 5])
    later = connection.execute("select extract(epoch from clock_timestamp())::float8 + 30").fetchone()
    assert later is not None
    changes = [Change(1, "PENDING", token, 1, False, next_try_at=later[0])]
    changes += [success(seq, token) for seq in (2, 3, 4, 5)]
    campaign.record(token, changes)
    assert campaign.claim(token, [1]) == []
    left = open_payments(connection, campaign.run.token.campaign_id)
    assert left is not None
    assert (left.count, left.first, left.last) == (1, 1, 1)
    assert 25 < left.due_in_s <= 30


def test_completed_needs_every_row_final(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1])
    with pytest.raises(AssertionError, match="rows are open"):
        end_run(connection, campaign.run, RunState.COMPLETED)
    campaign.claim(token, [2, 3, 4, 5])
    campaign.record(token, [success(seq, token) for seq in (1, 2, 3, 4, 5)])
    ended = end_run(connection, campaign.run, RunState.COMPLETED)
    assert ended is not None
    assert (ended.state, ended.success, ended.success_amount) == ("COMPLETED", 5, 150)


COMPLETES_TOO_EARLY = """
import pickle, sys
from bulkpoint.campaigns.runs import end_run
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.connect import connect

assert False, "asserts are off here"
with connect(sys.argv[1]) as connection:
    end_run(connection, pickle.loads(bytes.fromhex(sys.argv[2])), RunState.COMPLETED)
"""


def test_completed_needs_every_row_final_also_where_asserts_are_off(
    database_url: str, connection: Connection, campaign: Campaign
) -> None:
    command = [sys.executable, "-O", "-c", COMPLETES_TOO_EARLY, database_url, pickle.dumps(campaign.run).hex()]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "DefectError: COMPLETED while rows are open" in ended.stderr
    assert get_campaign(connection, campaign.id).state == "RUNNING"
    assert connection.execute("select action from audit_event where action = 'complete'").fetchall() == []


def test_answers_after_a_stop_are_recorded(campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1])
    campaign.stopped()
    campaign.record(token, [success(1, token)], [attempt(1)])
    assert campaign.states()[1] == "SUCCESS"
    campaign.assert_sums_hold()


def test_a_share_without_permits_cannot_be_taken(connection: Connection, campaign: Campaign) -> None:
    set_tps(connection, tps=1, actor="tester", reason=None, until=None)
    campaign.share()
    assert acquire_share(connection, campaign.run.token, uuid4(), lease_s=LEASE_S) is None


def test_a_share_has_one_holder_and_each_holder_a_new_epoch(connection: Connection, campaign: Campaign) -> None:
    first, second = campaign.share(), campaign.share()
    assert first.share != second.share
    assert acquire_share(connection, campaign.run.token, uuid4(), lease_s=LEASE_S) is None
    campaign.lose(first)
    third = campaign.share()
    assert (third.share, third.epoch) == (first.share, first.epoch + 1)
    assert not renew_share(connection, campaign.run.token, first, lease_s=LEASE_S).held
    assert renew_share(connection, campaign.run.token, third, lease_s=LEASE_S).held


def test_a_released_share_hands_its_sends_over(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    release_share(connection, token, [1.5, 2.5])
    acquired = acquire_share(connection, campaign.run.token, uuid4(), lease_s=LEASE_S)
    assert acquired is not None
    assert acquired.token.share == token.share
    assert acquired.sent_at == [1.5, 2.5]


def test_a_stale_holder_releases_nothing(connection: Connection, campaign: Campaign) -> None:
    stale = campaign.share()
    campaign.lose(stale)
    present = campaign.share()
    release_share(connection, stale, [])
    assert renew_share(connection, campaign.run.token, present, lease_s=LEASE_S).held


def test_a_claim_whose_reply_was_lost_is_asked_again_and_counted_once(campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2])
    again = campaign.claim(token, [1, 2])
    assert [(claim.seq, claim.maybe_credited, claim.since_last_sent_s) for claim in again] == [
        (1, False, None),
        (2, False, None),
    ]
    assert campaign.counts().processing == 2
    campaign.assert_sums_hold()


def test_what_money_said_is_not_credited_may_end_failed_of_any_kind(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1])
    perhaps = Change(1, "PROCESSING", token, 4, True, failure_code="TIMED_OUT")
    campaign.record(token, [perhaps], [attempt(1, "TIMED_OUT")])
    absent = failed(1, token, kind="UNAVAILABLE")._replace(not_credited=True)
    campaign.record(token, [absent], [attempt(1, "NOT_FOUND")])
    row = connection.execute("select state::text, failure_kind::text, maybe_credited from payment where seq = 1")
    assert row.fetchone() == ("FAILED", "UNAVAILABLE", False)
    campaign.assert_sums_hold()


def test_a_refusal_is_known_to_the_next_worker_and_its_message_stays(
    connection: Connection, campaign: Campaign
) -> None:
    token = campaign.share()
    campaign.claim(token, [1])
    refusal = Change(1, "PENDING", token, 1, True, refused=True, failure_code="NO", failure_message="no")
    campaign.record(token, [refusal], [attempt(1, "REJECTED")])
    (claim,) = campaign.claim(token, [1])
    assert (claim.refused, claim.failure_code) == (True, "NO")
    absent = failed(1, token)._replace(not_credited=True, refused=True, failure_message=None)
    campaign.record(token, [absent], [attempt(1, "NOT_FOUND")])
    row = connection.execute("select failure_kind::text, failure_code, failure_message from payment where seq = 1")
    assert row.fetchone() == ("REJECTED", "NO", "no")
    campaign.assert_sums_hold()


def test_a_share_is_held_without_a_run_for_look_ups(connection: Connection, campaign: Campaign) -> None:
    campaign.stopped()
    assert acquire_share(connection, campaign.run.token, uuid4(), lease_s=LEASE_S) is None, "this run is over"
    acquired = acquire_share(connection, None, uuid4(), lease_s=LEASE_S)
    assert acquired is not None
    renewal = renew_share(connection, None, acquired.token, lease_s=LEASE_S)
    assert (renewal.held, renewal.run_live) == (True, True)
    assert campaign.claim(acquired.token, [1]) == [], "it pays nothing"


def test_how_money_held_a_share_back_outlives_its_holder(connection: Connection, campaign: Campaign) -> None:
    told = {"rate": 12.5, "ceiling": 13.0, "open_since": None}
    token = campaign.share()
    renew_share(connection, campaign.run.token, token, lease_s=LEASE_S, pressure=told)
    campaign.lose(token)
    after_a_crash = acquire_share(connection, campaign.run.token, uuid4(), lease_s=LEASE_S)
    assert after_a_crash is not None
    assert (after_a_crash.token.share, after_a_crash.pressure) == (token.share, told)
    release_share(connection, after_a_crash.token, [], None)
    after_a_release = acquire_share(connection, campaign.run.token, uuid4(), lease_s=LEASE_S)
    assert after_a_release is not None
    assert after_a_release.pressure is None


def test_shares_at_work_read_what_the_others_wrote_as_soon_as_one_is_slowed(
    connection: Connection, campaign: Campaign
) -> None:
    first, second = campaign.share(), campaign.share()
    run, told = campaign.run.token, {"rate": 3.0}
    assert renew_share(connection, run, first, lease_s=LEASE_S).others is None
    renew_share(connection, run, second, lease_s=LEASE_S, turns=told)
    assert renew_share(connection, run, first, lease_s=LEASE_S).others == [{"share": second.share, "turns": told}]
    assert renew_share(connection, run, second, lease_s=LEASE_S, turns=told).others == [
        {"share": first.share, "turns": None}
    ]
    connection.execute(
        "update money_share set leased_until = leased_until - interval '2 s' where share = %s", [second.share]
    )
    assert renew_share(connection, run, first, lease_s=LEASE_S, turns=told).others == [], "it was not renewed lately"
    release_share(connection, first, [])
    third = campaign.share()
    assert third.share == first.share
    assert renew_share(connection, run, second, lease_s=LEASE_S).others is None, "a new holder was slowed by nobody yet"


def test_the_number_of_shares_changes_only_while_none_is_held(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    token = campaign.share()
    allocate_shares(connection, 2)
    with refused("from 2 to 3"):
        allocate_shares(connection, 3)
    release_share(connection, token, [])
    with refused("still leased"):
        allocate_shares(connection, 3)
    world.shares_were_released(seconds_ago=2)
    allocate_shares(connection, 3)
    assert connection.execute("select count(*), max(share) from money_share").fetchone() == (3, 2)
