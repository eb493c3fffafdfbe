"""`reconcile` as its users meet it: against a real server for money, whose ledger is the truth."""

import csv
import itertools
import json
import signal
import threading
import time
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.campaigns.tps import set_tps
from bulkpoint.reconcile import findings
from bulkpoint.reconcile import look_ups as reconcile
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import connect
from tests.world.campaigns import Campaign, World
from tests.world.counters import assert_sums_hold, recount
from tests.world.deployment import Deployment, environment_of
from tests.world.money import Money
from tests.world.promises import worst_second
from tests.world.refusals import refused


@pytest.fixture
def deployment(database_url: str, money: Money, tmp_path: Path) -> Deployment:
    return Deployment(environment_of(database_url, money, tmp_path), tmp_path, money=money, database_url=database_url)


class Settled:
    """A campaign that was stopped long ago, with a payment in each state that leaves a doubt."""

    def __init__(self, deployment: Deployment, count: int, *, sent_s_ago: float = 600) -> None:
        self.deployment = deployment
        rows = [(f"member-{n:06}", 100 + n % 900, f"적립 보상 {n % 7}") for n in range(count)]
        with connect(deployment.database_url) as connection:
            world = World(connection, tps=1_000, shares=1)
            campaign = world.campaign(rows).begun().failed(count, "UNKNOWN", code="TIMED_OUT", tries=4).stopped()
            campaign.was_finished(seconds_ago=sent_s_ago)
            sent_at = world.ago(sent_s_ago)
            campaign.times(range(1, count + 1), last_sent_at=sent_at, first_sent_at=sent_at - timedelta(minutes=1))
        self.id = str(campaign.id)
        self.namespace = campaign.run.key_namespace
        self.members = dict(enumerate(rows, start=1))

    def change(self, seq: int, state: str) -> None:
        """Make an UNKNOWN row an open one, with the counters: as a stop, or a worker's death, leaves it."""
        claim = "claim_share = 0, claim_epoch = 0," if state == "PROCESSING" else ""
        with connect(self.deployment.database_url) as connection, connection.transaction():
            connection.execute(
                f"update payment set {claim} state = '{state}', failure_kind = null, failure_code = null,"
                f" finished_at = null where seq = {seq}".encode()
            )
            recount(connection)

    def credit(self, seq: int, *, amount: int | None = None) -> str:
        """Money credits the payment without our knowing it; its transaction id."""
        member_id, ours, reason = self.members[seq]
        body = {"campaign_id": int(self.id), "member_id": member_id, "amount": amount or ours, "reason": reason}
        key = str(idempotency_key(self.namespace, member_id))
        request = urllib.request.Request(
            f"{self.deployment.money.url}/v1/points",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Idempotency-Key": key},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            return str(json.loads(response.read())["transaction_id"])

    def rows(self) -> dict[int, tuple[Any, ...]]:
        rows = self.deployment.query(
            b"select seq, state::text, coalesce(failure_kind::text, ''), maybe_credited, transaction_id from payment"
            b" where campaign_id = " + self.id.encode()
        )
        return {row[0]: row[1:] for row in rows}

    def attempts(self) -> list[tuple[Any, ...]]:
        return self.deployment.query(b"select seq, method, outcome, http_status from payment_attempt order by sent_at")

    def audit(self) -> dict[str, Any]:
        [(detail,)] = self.deployment.query(b"select detail from audit_event where action = 'reconcile'")
        return dict(detail)

    def assert_sums_hold(self) -> None:
        """The counters say what the rows say, and people see them."""
        with connect(self.deployment.database_url) as connection:
            assert_sums_hold(connection)
        shown = self.deployment.show(self.id)
        for name, by_rows in (
            ("counts", b"select state::text, count(*) from payment group by 1"),
            ("amounts", b"select state::text, sum(amount)::bigint from payment group by 1"),
            ("failure_kinds", b"select failure_kind::text, count(*) from payment where state = 'FAILED' group by 1"),
        ):
            assert {key: value for key, value in shown[name].items() if value} == dict(self.deployment.query(by_rows))


def test_every_doubt_is_settled_by_what_money_says(deployment: Deployment) -> None:
    campaign = Settled(deployment, 6)
    for seq, state in ((3, "PENDING"), (4, "PENDING"), (5, "PROCESSING"), (6, "PROCESSING")):
        campaign.change(seq, state)
    credited = {seq: campaign.credit(seq) for seq in (1, 3, 5)}
    done = deployment.run("reconcile", campaign.id)
    assert (done.returncode, done.stdout) == (
        0,
        f"campaign {campaign.id}: looked up 6, found credited 3 (now SUCCESS), not credited 3, still unknown 0;"
        " 0 differences\n",
    )
    rows = campaign.rows()
    for seq, transaction_id in credited.items():
        assert rows[seq] == ("SUCCESS", "", True, transaction_id)
    assert rows[2] == ("FAILED", "UNAVAILABLE", False, None)
    assert rows[4] == rows[6] == ("PENDING", "", False, None)
    campaign.assert_sums_hold()
    asked = {seq: rest for seq, *rest in campaign.attempts()}
    assert len(campaign.attempts()) == 6
    assert all(asked[seq] == ["GET", "FOUND", 200] for seq in (1, 3, 5))
    assert all(asked[seq] == ["GET", "NOT_FOUND", 404] for seq in (2, 4, 6))
    assert campaign.audit() == {
        "by": "look-up", "looked_up": 6, "credited": 3, "not_credited": 3, "unknown": 0, "finished": True,
    }  # fmt: skip
    again = deployment.run("reconcile", campaign.id, "--json")
    assert again.returncode == 0
    assert again.json == {
        "campaign_id": int(campaign.id), "settlement": None, "looked_up": 0, "credited": 0, "not_credited": 0,
        "unknown": 0, "difference_count": 0, "difference_kinds": {}, "differences": [],
    }  # fmt: skip


def test_what_was_sent_a_moment_ago_is_asked_for_once_more(deployment: Deployment) -> None:
    campaign = Settled(deployment, 2, sent_s_ago=0)
    campaign.credit(1)
    done = deployment.succeed("reconcile", campaign.id, BULKPOINT_MONEY_SETTLE_S="8")
    assert "1 payments were sent so lately" in done.stderr
    assert "not credited 1, still unknown 0" in done.stdout
    assert sorted(campaign.attempts()) == [
        (1, "GET", "FOUND", 200), (2, "GET", "NOT_FOUND", 404), (2, "GET", "NOT_FOUND_YET", 404),
    ]  # fmt: skip


def test_a_payment_that_a_worker_still_has_is_waited_for(deployment: Deployment) -> None:
    campaign = Settled(deployment, 1)
    campaign.change(1, "PROCESSING")
    with connect(deployment.database_url) as connection:
        connection.execute(
            "insert into money_share (share, epoch, leased_until) values (1, 7, clock_timestamp() + interval '6 s')"
        )
        connection.execute("update payment set claim_share = 1, claim_epoch = 7")
    done = deployment.run("reconcile", campaign.id, BULKPOINT_MONEY_SETTLE_S="0")
    assert done.returncode == 0, done.stdout
    assert "asking once more in" in done.stderr
    assert campaign.rows()[1] == ("PENDING", "", False, None)


def test_a_payment_that_a_worker_does_not_let_go_of_is_left_open(deployment: Deployment) -> None:
    campaign = Settled(deployment, 1)
    campaign.change(1, "PROCESSING")
    held = (
        "insert into money_share (share, epoch, leased_until) values (1, 7, clock_timestamp() + %s * interval '1 s')"
        " on conflict (share) do update set leased_until = excluded.leased_until"
    )
    with connect(deployment.database_url) as connection:
        connection.execute(held, (7,))
        connection.execute("update payment set claim_share = 1, claim_epoch = 7")
        with deployment.begin("reconcile", campaign.id) as process:
            assert process.stderr is not None
            assert "asking once more" in process.stderr.readline()
            connection.execute(held, (60,))
            stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "HELD        member-000000" in stdout
    assert campaign.attempts() == []
    assert campaign.rows()[1][0] == "PROCESSING"


def test_what_money_called_in_progress_to_the_last_is_not_absent(deployment: Deployment) -> None:
    campaign = Settled(deployment, 2)
    with connect(deployment.database_url) as connection:
        connection.execute("update payment set failure_code = 'IN_PROGRESS' where seq = 1")
    done = deployment.run("reconcile", campaign.id, "--json")
    assert done.returncode == 3
    fields = done.json
    assert (fields["difference_kinds"], fields["error"]["code"]) == ({"IN_PROGRESS": 1}, "DIFFERENCES")
    assert done.stderr.endswith(f"bulkpoint: {fields['error']['message']}\n")
    assert campaign.rows()[1] == ("FAILED", "UNKNOWN", True, None)


def test_what_money_may_have_forgotten_stays_unknown(deployment: Deployment) -> None:
    campaign = Settled(deployment, 2, sent_s_ago=7200)
    campaign.credit(1)
    done = deployment.run("reconcile", campaign.id, BULKPOINT_MONEY_KEY_RETENTION_H="1")
    assert done.returncode == 3
    assert campaign.rows()[1][0] == "SUCCESS"
    assert campaign.rows()[2] == ("FAILED", "UNKNOWN", True, None)
    assert done.stdout.splitlines()[:2] == [
        "DIFFERENCE  MEMBER         WITH US             AT MONEY",
        "FORGOTTEN   member-000001  FAILED UNKNOWN 101  -",
    ]
    assert done.stdout.endswith("not credited 0, still unknown 1; 1 difference\n")
    assert "member-" not in done.stderr


def test_another_credit_under_our_key_is_a_difference(deployment: Deployment) -> None:
    campaign = Settled(deployment, 1)
    transaction_id = campaign.credit(1, amount=999)
    done = deployment.run("reconcile", campaign.id, "--json")
    assert done.returncode == 3
    fields = done.json
    assert fields["differences"] == [
        {
            "difference": "OTHER_CREDIT",
            "member_id": "member-000000",
            "with_us": {"state": "FAILED", "failure_kind": "UNKNOWN", "amount": 100, "transaction_id": None},
            "at_money": {
                "campaign_id": int(campaign.id), "member_id": "member-000000", "amount": 999,
                "transaction_id": transaction_id, "credits": 1, "line": None,
            },
        }
    ]  # fmt: skip
    assert (fields["unknown"], fields["difference_kinds"]) == (1, {"OTHER_CREDIT": 1})
    assert campaign.rows()[1] == ("FAILED", "UNKNOWN", True, None)


def pauses(campaign: Settled) -> list[float]:
    """Seconds between the calls of a campaign."""
    sent = campaign.deployment.query(
        b"select extract(epoch from sent_at)::float8 from payment_attempt order by sent_at"
    )
    return [later - earlier for (earlier,), (later,) in itertools.pairwise(sent)]


def test_without_an_answer_it_asks_a_few_times_and_leaves_the_row(deployment: Deployment, money: Money) -> None:
    campaign = Settled(deployment, 1)
    money.change(latency_ms=3000)
    done = deployment.run(
        "reconcile", campaign.id, BULKPOINT_MONEY_TIMEOUT_S="0.3", BULKPOINT_MONEY_CONNECT_TIMEOUT_S="0.3"
    )
    assert done.returncode == 3
    assert "NO_ANSWER   member-000000" in done.stdout
    assert campaign.attempts() == [(1, "GET", "NO_ANSWER", None)] * 4
    assert min(pauses(campaign)) > 1.2, "a second lies between an answer and the next try"
    assert campaign.rows()[1] == ("FAILED", "UNKNOWN", True, None)


def test_it_waits_as_long_as_money_asks(deployment: Deployment, money: Money) -> None:
    campaign = Settled(deployment, 1)
    money.change(unavailable=1, retry_after="2")
    assert deployment.run("reconcile", campaign.id).returncode == 3
    assert campaign.attempts() == [(1, "GET", "NO_ANSWER", 503)] * 4
    assert min(pauses(campaign)) > 2


def test_throttled_it_goes_on_until_it_is_answered(deployment: Deployment, money: Money) -> None:
    campaign = Settled(deployment, 1)
    money.change(too_many=1)
    with deployment.begin("reconcile", campaign.id) as process:
        deployment.wait_for(b"select count(*) > 5 from payment_attempt", seconds=30)
        money.change(too_many=0)
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "looked up 1, found credited 0 (now SUCCESS), not credited 1" in stdout
    assert campaign.attempts()[-1] == (1, "GET", "NOT_FOUND", 404)
    assert {row[2:] for row in campaign.attempts()[:-1]} == {("THROTTLED", 429)}


def test_money_that_stays_away_is_exit_code_6_and_audited(deployment: Deployment, money: Money) -> None:
    campaign = Settled(deployment, 40)
    money.change(unavailable=1)
    done = deployment.run("reconcile", campaign.id, BULKPOINT_BREAKER_PATIENCE_S="1")
    assert (done.returncode, done.stdout) == (6, "")
    assert "Money has given no usable answer for 1 s (last: UNAVAILABLE). What" in done.stderr
    assert campaign.audit()["finished"] is False
    assert {row[2] for row in campaign.attempts()} == {"NO_ANSWER"}


def test_a_refused_token_ends_it_at_once(deployment: Deployment, money: Money) -> None:
    campaign = Settled(deployment, 3)
    money.change(unauthorized=1)
    done = deployment.run("reconcile", campaign.id)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Money refuses our token" in done.stderr
    assert len(campaign.attempts()) <= 3 * 3, "each three times at most: is it our token, or the payment?"


def test_look_ups_are_calls_to_the_limit_like_all_others(deployment: Deployment) -> None:
    deployment.run("tps", "set", "20")
    campaign = Settled(deployment, 60)
    began = time.monotonic()
    deployment.succeed("reconcile", campaign.id)
    assert time.monotonic() - began > 2
    sent = [at for (at,) in deployment.query(b"select extract(epoch from sent_at)::float8 from payment_attempt")]
    assert len(sent) == 60
    assert worst_second(sent) <= 20
    assert deployment.query(b"select holder, leased_until from money_share") == [(None, None)]


def test_it_waits_for_a_share_of_the_limit(deployment: Deployment) -> None:
    campaign = Settled(deployment, 1)
    with connect(deployment.database_url) as connection:
        World(connection).shares_end(in_s=4)
    done = deployment.run("reconcile", campaign.id)
    assert done.returncode == 0
    assert "Waiting up to 60 s for a share of the limit: a running campaign holds the whole limit" in done.stderr


def test_a_share_that_is_lost_on_the_way_is_taken_anew(deployment: Deployment) -> None:
    deployment.run("tps", "set", "20")
    campaign = Settled(deployment, 80)
    with deployment.begin("reconcile", campaign.id) as process:
        deployment.wait_for(b"select count(*) >= 20 from payment_attempt", seconds=30)
        with connect(deployment.database_url) as connection:
            connection.execute(
                "update money_share set epoch = epoch + 1, holder = gen_random_uuid(),"
                " leased_until = clock_timestamp() + interval '2 s'"
            )
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "looked up 80, found credited 0 (now SUCCESS), not credited 80, still unknown 0" in stdout
    assert "Waiting up to 60 s" in stderr
    assert len(campaign.attempts()) == 80


def test_a_limit_that_is_put_on_hold_on_the_way_is_not_waited_for_without_end(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.run("tps", "set", "20")
    campaign = Settled(deployment, 100)
    monkeypatch.setattr(reconcile, "STALLED_S_MAX", 2.0)
    monkeypatch.setattr(findings, "FLUSH_EVERY_S", 0.1)
    with connect(deployment.database_url) as connection, connect(deployment.database_url) as other:

        def hold() -> None:
            set_tps(other, tps=0, actor="bob", reason=None, until=None)

        threading.Timer(1.5, hold).start()
        with refused(r"No look-up has been let out for 2 s: the limit is 0 TPS \(on hold\)"):
            reconcile.look_up_in_doubt(
                connection,
                deployment.database_url,
                load_settings({"BULKPOINT_MONEY_URL": deployment.money.url}),
                int(campaign.id),
                actor="bob",
                say=print,
                report=print,
            )
    assert 0 < campaign.audit()["not_credited"] == len(campaign.attempts()) < 100


def test_an_end_by_hand_keeps_and_audits_what_was_learnt(deployment: Deployment, money: Money) -> None:
    deployment.run("tps", "set", "20")
    campaign = Settled(deployment, 200)
    money.change(latency_ms=1000)
    with deployment.begin("reconcile", campaign.id) as process:
        deployment.wait_for(b"select count(*) >= 20 from payment_attempt", seconds=30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGINT
    told = campaign.audit()
    assert told["finished"] is False
    assert 0 < told["not_credited"] < 200
    assert sum(row[1] == "UNAVAILABLE" for row in campaign.rows().values()) == told["not_credited"]
    assert len(campaign.attempts()) >= money.stats()["requests"], "calls under way are recorded too"
    assert {row[2] for row in campaign.attempts()} == {"NOT_FOUND", "NO_ANSWER"}
    campaign.assert_sums_hold()


def test_money_s_own_list_finds_and_repairs(deployment: Deployment, tmp_path: Path) -> None:
    campaign = Settled(deployment, 30)
    for seq in range(1, 6):
        campaign.credit(seq)
    path = tmp_path / "settlement.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["campaign_id", "member_id", "amount", "transaction_id", "credited_at"])
        for line in deployment.money.ledger():
            writer.writerow(
                [line[name] for name in ("campaign_id", "member_id", "amount", "transaction_id", "credited_at")]
            )
        writer.writerow([campaign.id, "nobody", 5, "t-x", "today"])
    compared = deployment.run("reconcile", campaign.id, "--settlement", str(path))
    assert compared.returncode == 3
    lines = compared.stdout.splitlines()
    assert lines[0].split() == ["DIFFERENCE", "MEMBER", "WITH", "US", "AT", "MONEY"]
    assert lines[1].split()[:4] == ["NO_TARGET", "nobody", "-", "5"]
    assert lines[2].split()[:5] == ["NOT_SUCCESS", "member-000000", "FAILED", "UNKNOWN", "100"]
    assert lines[21] == "... and 11 more: --json lists all of them"
    assert lines[-1] == (
        f"campaign {campaign.id}: compared 30 payments with 6 credits, found credited 5 (now SUCCESS),"
        " still unknown 25; 31 differences"
    )
    campaign.assert_sums_hold()
    looked_up = deployment.run("reconcile", campaign.id)
    assert looked_up.returncode == 0
    ledger = {line["transaction_id"] for line in deployment.money.ledger() if line["campaign_id"] == int(campaign.id)}
    assert {row[3] for row in campaign.rows().values() if row[0] == "SUCCESS"} == ledger

    shown = deployment.run("reconcile", campaign.id, "--settlement", str(path), "--json")
    assert shown.returncode == 3
    fields = shown.json
    assert fields["settlement"] == "settlement.csv"
    assert [one["difference"] for one in fields["differences"]] == ["NO_TARGET"]
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "nobody" not in line))
    assert deployment.run("reconcile", campaign.id, "--settlement", str(path)).returncode == 0


def test_refusals_have_their_exit_code_and_change_nothing(deployment: Deployment, tmp_path: Path) -> None:
    waiting = deployment.create(3)  # a list of its own
    bad = tmp_path / "bad.csv"
    bad.write_text("member_id,amount,transaction_id\nm,0,t\n")
    campaign = Settled(deployment, 1)
    running = deployment.create(2, "other")
    with connect(deployment.database_url) as connection:
        Campaign(World(connection, shares=1), int(running)).begun()
    for arguments, code, sentence in (
        ((waiting,), 3, f"Campaign {waiting} is WAITING and was never started"),
        ((running,), 3, f"Campaign {running} is RUNNING and cannot be reconciled"),
        ((running, "--settlement", str(bad)), 3, f"Campaign {running} is RUNNING"),
        (("99",), 3, "There is no campaign 99"),
        (
            (campaign.id, "--settlement", str(bad)),
            3,
            "bad.csv has 1 error. Nothing was changed.\n  row 2: amount is '0'",
        ),
        ((campaign.id, "--settlement", str(tmp_path / "none.csv")), 2, "does not exist"),
        (("x",), 2, "not a valid integer"),
    ):
        done = deployment.run("reconcile", *arguments)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
    assert campaign.rows()[1] == ("FAILED", "UNKNOWN", True, None)
