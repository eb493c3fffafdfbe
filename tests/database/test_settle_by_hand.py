"""One payment settled by a person's word: what the money API says comes first, and the word is shown for what it is."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest

from bulkpoint.campaigns.correction import correct_end
from bulkpoint.errors import RefusedError, UnreachableError, UsageError
from bulkpoint.reconcile import by_hand
from bulkpoint.reconcile.by_hand import Settled, Word, settle_payment
from bulkpoint.reconcile.settlement import compare_with_settlement
from bulkpoint.rules.by_hand import MoneySays
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import list_history
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.export import stream_payments
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.payment_history import FoundPayment, find_payments
from bulkpoint.store.reconcile import Difference, keep_from_starting
from bulkpoint.store.settle import SettledByHand, count_settled_by_hand
from bulkpoint.views.audit_words import sentence as words_of
from bulkpoint.views.payment import explain
from tests.world.campaigns import Campaign, World
from tests.world.logins import member_of
from tests.world.money import Money, sandbox
from tests.world.refusals import refused

PAID, REJECTED, MISMATCH, UNAVAILABLE, UNKNOWN, OPEN = range(1, 7)
Settle = Callable[..., Settled]


@pytest.fixture(scope="module")
def money() -> Iterator[Money]:
    with sandbox("--latency-ms", "1") as money:
        yield money


@pytest.fixture
def campaign(world: World) -> Campaign:
    """Members m-1 to m-6 of 10 to 60 points, as the constants name them; stopped ten minutes ago."""
    campaign = world.campaign([(f"m-{n}", 10 * n, "why") for n in range(1, 7)]).begun().paid([PAID])
    for seq, kind in ((REJECTED, "REJECTED"), (MISMATCH, "MISMATCH"), (UNAVAILABLE, "UNAVAILABLE")):
        campaign.failed([seq], kind)
    campaign.failed([UNKNOWN], "UNKNOWN", code="LOST").stopped().was_finished(seconds_ago=600)
    sent_at = world.ago(600)
    return campaign.times([PAID, REJECTED, MISMATCH, UNAVAILABLE, UNKNOWN], first_sent_at=sent_at, last_sent_at=sent_at)


@pytest.fixture
def settle(connection: Connection, database_url: str, campaign: Campaign, money: Money) -> Settle:
    """Says that member number `seq` was paid under `transaction`."""

    def settle(seq: int, transaction: str = "hand-1", *, said: list[str] | None = None, **settings: str) -> Settled:
        environ = {"BULKPOINT_MONEY_URL": money.url, "BULKPOINT_MONEY_SETTLE_S": "2", **settings}
        word = Word(campaign.id, f"m-{seq}", transaction, "ticket 4711", "kim")
        say = (lambda _: None) if said is None else said.append
        return settle_payment(connection, database_url, load_settings(environ), word, say=say)

    return settle


def credit(campaign: Campaign, money: Money, seq: int, *, amount: int | None = None) -> str:
    """The money API credits the payment under our key, and we do not hear of it; its transaction id."""
    member_id = f"m-{seq}"
    body = {"campaign_id": campaign.id, "member_id": member_id, "amount": amount or 10 * seq, "reason": "why"}
    key = str(idempotency_key(campaign.run.key_namespace, member_id))
    request = urllib.request.Request(
        f"{money.url}/v1/points",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": key},
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        return str(json.loads(response.read())["transaction_id"])


def row(connection: Connection, seq: int) -> tuple[Any, ...] | None:
    return connection.execute(
        "select state::text, failure_kind::text, transaction_id from payment where campaign_id = 1 and seq = %s", (seq,)
    ).fetchone()


def audited(connection: Connection) -> list[dict[str, Any]]:
    rows = connection.execute("select detail from audit_event where action = 'payment.settle' order by audit_no")
    return [detail for (detail,) in rows.fetchall()]


def looked_up(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("select seq, method, outcome from payment_attempt order by sent_at").fetchall()


# The word is taken


@pytest.mark.parametrize("seq", [REJECTED, MISMATCH, UNAVAILABLE, UNKNOWN, OPEN])
def test_what_money_never_credited_is_success_by_hand(
    connection: Connection, campaign: Campaign, settle: Settle, seq: int
) -> None:
    assert settle(seq) == Settled(1, f"m-{seq}", 10 * seq, "hand-1", MoneySays.NOT_CREDITED, True)
    assert row(connection, seq) == ("SUCCESS", None, "hand-1")
    assert looked_up(connection) == [(seq, "GET", "NOT_FOUND")], "a call like any other, on record"
    campaign.assert_sums_hold()
    assert count_settled_by_hand(connection, 1) == SettledByHand(1, 10 * seq)


def test_the_word_is_shown_in_find_report_history_audit_and_a_new_event(
    connection: Connection, campaign: Campaign, settle: Settle
) -> None:
    settle(UNKNOWN)
    [found] = find_payments(connection, f"m-{UNKNOWN}")
    assert isinstance(found, FoundPayment)
    assert (found.settled_by, found.money_said, found.settled_reason) == ("kim", "NOT_CREDITED", "ticket 4711")
    assert "by hand" in explain(found)
    assert "kim" in explain(found)
    assert "수기" in explain(found, "ko")
    with connection.transaction():
        rows = [each for batch in stream_payments(connection, 1, failed_only=False) for each in batch]
    assert [each.settled_by_hand for each in rows] == [None] * 4 + ["kim", None]
    assert audited(connection) == [
        {
            "payment": UNKNOWN, "amount": 50, "transaction_id": "hand-1", "was": "UNKNOWN",
            "money_says": "NOT_CREDITED", "by_hand": True, "reason": "ticket 4711",
        }
    ]  # fmt: skip
    story = [words_of(event, "UTC") for event in list_history(connection, 1)]
    [said] = [words for words in story if "kim asked to settle a payment" in words]
    assert "settled by hand; payment 5, 50 points; transaction hand-1; was UNKNOWN" in said
    assert "m-5" not in said
    events = connection.execute(
        "select actor, (data->>'success')::int, (data->>'unknown')::int from outbox_event"
        " where type = 'campaign.corrected'"
    ).fetchall()
    assert events == [("kim", 2, 0)]


def test_neither_a_resume_nor_a_retry_sends_what_was_settled(
    connection: Connection, campaign: Campaign, settle: Settle
) -> None:
    settle(OPEN)
    settle(UNAVAILABLE, "hand-2")
    campaign.begun("RESUME").ended("COMPLETED")
    campaign.begun("RETRY")
    assert campaign.states() == {1: "SUCCESS", 2: "FAILED", 3: "FAILED", 4: "SUCCESS", 5: "PENDING", 6: "SUCCESS"}
    assert campaign.claim(campaign.share(), [UNAVAILABLE, OPEN]) == []
    campaign.assert_sums_hold()


def test_the_same_word_again_changes_nothing(connection: Connection, settle: Settle) -> None:
    settle(REJECTED)
    again = settle(REJECTED)
    assert (again.money_says, again.by_hand) == (None, True)
    assert len(audited(connection)) == 1
    assert len(looked_up(connection)) == 1, "nothing was asked"
    assert settle(PAID, "t-1").by_hand is False


def test_a_credit_under_our_key_is_recorded_as_moneys_own_word(
    connection: Connection, campaign: Campaign, settle: Settle, money: Money
) -> None:
    transaction_id = credit(campaign, money, UNKNOWN)
    settled = settle(UNKNOWN, transaction_id)
    assert (settled.money_says, settled.by_hand) == (MoneySays.CREDITED, False)
    assert row(connection, UNKNOWN) == ("SUCCESS", None, transaction_id)
    assert count_settled_by_hand(connection, 1) == SettledByHand(0, 0)
    campaign.assert_sums_hold()


def test_what_money_has_forgotten_is_settled_by_the_word_alone_and_says_so(
    connection: Connection, settle: Settle
) -> None:
    settled = settle(UNKNOWN, BULKPOINT_MONEY_KEY_RETENTION_H="0.1")
    assert (settled.money_says, settled.by_hand) == (MoneySays.FORGOTTEN, True)
    assert connection.execute("select money_said from settled_by_hand").fetchone() == ("FORGOTTEN",)


def test_what_was_sent_a_moment_ago_is_asked_for_once_more(
    connection: Connection, campaign: Campaign, settle: Settle, world: World
) -> None:
    campaign.times([REJECTED], last_sent_at=world.ago(0))
    said: list[str] = []
    assert settle(REJECTED, said=said).money_says is MoneySays.NOT_CREDITED
    assert len(said) == 1
    assert "asking once more in" in said[0]
    assert [outcome for *_, outcome in looked_up(connection)] == ["NOT_FOUND_YET", "NOT_FOUND"]


def test_the_payment_of_a_dead_worker_is_settled_and_that_of_a_live_one_is_not(
    connection: Connection, campaign: Campaign, settle: Settle
) -> None:
    campaign.begun("RESUME").claimed([OPEN]).stopped()
    with refused("still has the payment of 'm-6'"):
        settle(OPEN)
    campaign.lose(campaign.token)  # type: ignore[arg-type]
    campaign.was_finished(seconds_ago=300)
    assert settle(OPEN).by_hand
    assert row(connection, OPEN) == ("SUCCESS", None, "hand-1")
    campaign.assert_sums_hold()


# The word is refused


def unchanged(connection: Connection) -> list[tuple[Any, ...]]:
    rows = connection.execute("select payment::text from payment order by seq").fetchall()
    rows += connection.execute("select campaign_counter::text from campaign_counter order by 1").fetchall()
    return rows + connection.execute("select settled_by_hand::text from settled_by_hand").fetchall()


def test_another_credit_under_our_key_is_shown_and_not_overruled(
    connection: Connection, campaign: Campaign, settle: Settle, money: Money
) -> None:
    before = unchanged(connection)
    transaction_id = credit(campaign, money, UNAVAILABLE)
    with refused(f"with the transaction {transaction_id}; you named hand-1"):
        settle(UNAVAILABLE)
    transaction_id = credit(campaign, money, REJECTED, amount=999)
    with refused(f"another credit: 999 points to m-2, campaign 1, transaction {transaction_id}"):
        settle(REJECTED, transaction_id)
    assert unchanged(connection) == before
    assert [detail["refused"] for detail in audited(connection)] == ["SETTLE_OTHER_TRANSACTION", "SETTLE_OTHER_CREDIT"]


def test_a_transaction_of_another_payment_is_refused_before_anything_is_asked(
    connection: Connection, settle: Settle, world: World
) -> None:
    world.campaign([("m-2", 20, "other")], name="other").begun().paid(1, transaction="other-").ended("COMPLETED")
    before = unchanged(connection)
    with refused("The transaction t-1 is that of the payment of 'm-1' in campaign 1"):
        settle(REJECTED, "t-1")
    with refused("The transaction other-1 is that of the payment of 'm-2' in campaign 2"):
        settle(REJECTED, "other-1")
    settle(UNKNOWN, "hand-5")
    with refused("The transaction hand-5 is that of the payment of 'm-5'"):
        settle(REJECTED, "hand-5")
    assert unchanged(connection)[1] == before[1]
    assert len(looked_up(connection)) == 1


def test_a_success_never_changes_its_transaction(connection: Connection, settle: Settle) -> None:
    with refused("is SUCCESS with the transaction t-1; you named hand-1"):
        settle(PAID)
    settle(REJECTED)
    with refused("is SUCCESS with the transaction hand-1; you named hand-2"):
        settle(REJECTED, "hand-2")
    assert row(connection, REJECTED) == ("SUCCESS", None, "hand-1")


def test_without_an_answer_no_word_is_taken(
    connection: Connection, settle: Settle, money: Money, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "AGAIN_AFTER_S", 0.05)
    money.change(unavailable=1)
    before = unchanged(connection)
    try:
        with refused("gave no usable answer about 'm-2'", UnreachableError):
            settle(REJECTED)
    finally:
        money.change(unavailable=0)
    assert unchanged(connection) == before
    assert len(looked_up(connection)) == by_hand.TRIES_MAX


def test_a_refused_token_and_a_payment_in_progress_are_no_proof(
    connection: Connection, settle: Settle, money: Money
) -> None:
    money.change(unauthorized=1)
    try:
        with refused("Money refuses our token"):
            settle(REJECTED)
    finally:
        money.change(unauthorized=0)
    connection.execute("update payment set failure_code = 'IN_PROGRESS' where seq = %s", (UNKNOWN,))
    with refused("is in progress: it may still credit it"):
        settle(UNKNOWN)
    assert row(connection, UNKNOWN) == ("FAILED", "UNKNOWN", None)


def test_a_run_that_comes_between_question_and_answer_has_its_way(
    connection: Connection, database_url: str, campaign: Campaign, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = keep_from_starting

    def begin_first(theirs: Connection, campaign_id: int) -> None:
        with connect(database_url) as other:
            begun = campaign.on(other).begun("RESUME")
            if ended:
                begun.failed([OPEN], "REJECTED").stopped()
        keep(theirs, campaign_id)

    monkeypatch.setattr(by_hand, "keep_from_starting", begin_first)
    ended = False
    with refused("Campaign 1 is RUNNING and cannot be reconciled"):
        settle(OPEN)
    campaign.stopped()
    ended = True
    with refused("changed while the money API was asked"):
        settle(OPEN)
    assert row(connection, OPEN) == ("FAILED", "REJECTED", None)


def test_a_payment_that_changed_meanwhile_is_not_settled_by_an_old_answer(
    connection: Connection, database_url: str, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = keep_from_starting

    def call_comes_in(theirs: Connection, campaign_id: int) -> None:
        with connect(database_url) as other:
            other.execute("update payment set last_sent_at = clock_timestamp() where seq = %s", (UNKNOWN,))
        keep(theirs, campaign_id)

    monkeypatch.setattr(by_hand, "keep_from_starting", call_comes_in)
    with refused("changed while the money API was asked"):
        settle(UNKNOWN)
    assert row(connection, UNKNOWN) == ("FAILED", "UNKNOWN", None)


def test_a_late_success_comes_before_the_word(
    connection: Connection, database_url: str, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = keep_from_starting

    def pay_first(theirs: Connection, campaign_id: int) -> None:
        with connect(database_url) as other:
            other.execute(
                "update payment set state = 'SUCCESS', transaction_id = 'late', failure_kind = null where seq = %s",
                (UNKNOWN,),
            )
        keep(theirs, campaign_id)

    monkeypatch.setattr(by_hand, "keep_from_starting", pay_first)
    with refused("is SUCCESS with the transaction late; you named hand-1"):
        settle(UNKNOWN)


def test_two_words_for_one_transaction_cannot_both_be_taken(
    connection: Connection, database_url: str, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = keep_from_starting

    def take_it_first(theirs: Connection, campaign_id: int) -> None:
        with connect(database_url) as other:
            other.execute("insert into money_transaction values ('hand-1', 1, %s)", (REJECTED,))
        keep(theirs, campaign_id)

    monkeypatch.setattr(by_hand, "keep_from_starting", take_it_first)
    with refused("The transaction hand-1 is that of the payment of 'm-2'"):
        settle(UNKNOWN)
    assert row(connection, UNKNOWN) == ("FAILED", "UNKNOWN", None)


@pytest.mark.parametrize(
    ("known", "named"),
    [
        ("ty-000001", "TY-000001"),
        ("TY-1", "ty-1"),
        ("Ty-aB", "tY-Ab"),
        ("ty-1", "\uff34\uff39-1"),
        ("\uff34y-1", "ty-1"),
    ],
)
def test_the_transaction_of_another_payment_in_another_case_or_form_is_not_taken(
    connection: Connection, settle: Settle, known: str, named: str
) -> None:
    connection.execute("insert into money_transaction values (%s, 1, %s)", (known, UNKNOWN))
    with refused(f"The transaction {named} is that of the payment of 'm-5' in campaign 1"):
        settle(REJECTED, named)
    assert row(connection, REJECTED) == ("FAILED", "REJECTED", None)


@pytest.mark.parametrize("transaction", ["", " ", "null", "a\x00b", "t" * 201, " tx", "tx\n"])
def test_what_can_be_no_transaction_is_wrong_usage(settle: Settle, transaction: str) -> None:
    with refused("must have 1 to 200 printable characters", UsageError):
        settle(REJECTED, transaction)


def test_a_campaign_without_that_member_or_without_a_run_is_refused(
    connection: Connection, database_url: str, settle: Settle, world: World
) -> None:
    with refused("Campaign 1 has no payment of the member 'm-9'"):
        settle(9)
    waiting = world.campaign()
    with refused(f"Campaign {waiting.id} is WAITING and was never started"):
        word = Word(waiting.id, "m1", "hand-1", "why", "kim")
        settle_payment(connection, database_url, load_settings({}), word, say=print)
    with refused("--reason is empty", UsageError):
        settle_payment(connection, database_url, load_settings({}), Word(1, "m", "t", " ", "k"), say=print)


def test_of_two_words_at_once_one_is_taken(database_url: str, campaign: Campaign, money: Money) -> None:
    ends: dict[str, str] = {}

    def say_it(transaction: str) -> None:
        word = Word(1, f"m-{REJECTED}", transaction, "r", "kim")
        settings = load_settings({"BULKPOINT_MONEY_URL": money.url, "BULKPOINT_MONEY_SETTLE_S": "2"})
        with connect(database_url) as mine:
            try:
                ends[transaction] = settle_payment(
                    mine, database_url, settings, word, say=lambda _: None
                ).transaction_id
            except RefusedError as error:
                ends[transaction] = error.refusal.code

    both = [Thread(target=say_it, args=(transaction,)) for transaction in ("hand-1", "hand-2")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert "PAYMENT_PAID_ALREADY" in ends.values()
    assert {transaction for transaction, end in ends.items() if end == transaction} == {
        found[2] for found in [row(campaign.world.connection, REJECTED)] if found
    }
    campaign.assert_sums_hold()


def test_a_retry_that_waits_for_the_word_does_not_send_what_it_settles(
    database_url: str, campaign: Campaign, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.begun("RESUME").ended("COMPLETED")
    note = correct_end
    begun: list[Thread] = []

    def retry_meanwhile(theirs: Connection, campaign_id: int, run_id: int, *, actor: str) -> bool:
        def retry() -> None:
            with connect(database_url) as other:
                campaign.on(other).begun("RETRY")

        begun.append(Thread(target=retry))
        begun[0].start()
        begun[0].join(0.5)
        assert begun[0].is_alive(), "it waits for the campaign's row"
        return note(theirs, campaign_id, run_id, actor=actor)

    monkeypatch.setattr(by_hand, "correct_end", retry_meanwhile)
    settle(UNAVAILABLE)
    begun[0].join()
    assert campaign.states() == {1: "SUCCESS", 2: "FAILED", 3: "FAILED", 4: "SUCCESS", 5: "PENDING", 6: "SUCCESS"}
    campaign.assert_sums_hold()


# Who may


def test_an_operator_with_the_right_settles_and_no_other(
    connection: Connection, database_url: str, campaign: Campaign, money: Money
) -> None:
    make_roles(database_url)
    word = Word(1, f"m-{REJECTED}", "hand-1", "r", "Kim")
    settings = load_settings({"BULKPOINT_MONEY_URL": money.url, "BULKPOINT_MONEY_SETTLE_S": "2"})
    with member_of(connection, database_url, "bulkpoint_operator") as kim:
        with refused("login kim may not settle a payment by hand: it has not the right `reconcile`"):
            settle_payment(kim, database_url, settings, word, say=lambda _: None)
        connection.execute("insert into operator_right values ('kim', 'reconcile')")
        assert settle_payment(kim, database_url, settings, word, say=lambda _: None).by_hand
        noted = connection.execute("select settled_by, settled_login::text from settled_by_hand").fetchall()
        assert noted == [("Kim", "kim")]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            kim.execute("insert into settled_by_hand (campaign_id, seq, settled_login) values (1, 1, 'lee')")


def test_the_right_is_asked_for_by_the_command_and_by_the_database(connection: Connection, settle: Settle) -> None:
    connection.execute("delete from operator_right where permission = 'reconcile'")
    with refused("it has not the right `reconcile`"):
        settle(REJECTED)
    insert = (
        "insert into settled_by_hand (campaign_id, seq, amount, transaction_id, money_said, reason, settled_by"
        "{}) values (1, 2, 20, 'x', 'NOT_CREDITED', 'r', 'kim'{})"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(insert.format("", "").encode())
    connection.execute("insert into operator_right values (session_user, 'reconcile')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="in the name of lee"):
        connection.execute(insert.format(", settled_login", ", 'lee'").encode())
    settle(REJECTED)
    for change in (b"update settled_by_hand set reason = 'another'", b"delete from settled_by_hand"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(change)


# The money API's list afterwards


def test_a_settlement_that_lacks_the_payment_by_hand_says_so_and_one_that_has_it_agrees(
    connection: Connection, settle: Settle, tmp_path: Path
) -> None:
    settle(REJECTED)

    def differences(lines: str) -> list[tuple[str, str]]:
        path, found = tmp_path / "day.csv", list[Difference]()
        path.write_text(f"campaign_id,member_id,amount,transaction_id\n1,m-1,10,t-1\n{lines}")
        compare_with_settlement(connection, 1, path, actor="kim", say=lambda _: None, report=found.append)
        return [(each.kind.value, each.member_id) for each in found if each.kind != "OPEN"]

    assert differences("") == [("SETTLED_BY_HAND", "m-2")]
    assert differences("1,m-2,20,hand-1\n") == []
    assert differences("1,m-2,20,x-9\n") == [("OTHER_TRANSACTION", "m-2")]
    assert differences("1,m-2,20,hand-1\n1,m-2,20,x-9\n") == [("PAID_TWICE", "m-2")]
