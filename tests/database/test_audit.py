"""The audit log: how its rows read, and that a broken chain is found at its first broken link, whoever broke it."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.store.audit import (
    BEFORE_THE_FIRST,
    AuditChoice,
    AuditEvent,
    Break,
    BreakKind,
    KeptHash,
    list_audit,
    list_audit_actions,
    list_history,
    verify_audit,
    write_audit,
)
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.views.audit import AuditLogView, break_refusal
from bulkpoint.views.audit_words import ACTIONS, action_words, sentence, story_of, what
from bulkpoint.views.sentences import sentence as error_sentence
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World

ROWS = 7
# What a forger with all rights over the tables can do: a row sealed anew, as the database would have done it.
SEAL_ANEW = b"""
update audit_event e set hash = audit_hash(coalesce(b.hash, sha256(''::bytea)), e)
from (select 1) one left join audit_event b on b.audit_no = %(before)s where e.audit_no = %(no)s
"""


@pytest.fixture
def log(connection: Connection) -> Connection:
    """A log of seven rows, and a login that may do everything to it."""
    for number in range(1, ROWS + 1):
        write(connection, "stop", reason=f"reason {number}")
    connection.execute("alter table audit_event disable trigger all")
    return connection


def write(connection: Connection, action: str, *, actor: str = "kim", campaign_id: int = 1, **detail: object) -> None:
    write_audit(connection, action=action, campaign_id=campaign_id, run_no=None, actor=actor, detail=detail)


def broken(connection: Connection, kept: KeptHash | None = None) -> Break | None:
    """What the verification finds, once its sentence is seen to name the row."""
    found = verify_audit(connection, kept)
    if found.broken is not None:
        assert f"{found.broken.audit_no}" in error_sentence(break_refusal(found.broken, found))
    return found.broken


def event(action: str, detail: object, **changes: object) -> AuditEvent:
    at = datetime(2026, 1, 31, 9, tzinfo=UTC)
    values = {
        "audit_no": 1, "occurred_at": at, "login": "l", "os_user": "kim", "host": "h", "actor": "kim", "action": action,
        "campaign_id": 3, "run_no": 1, "detail": detail, "hash": b"",
    }  # fmt: skip
    return AuditEvent(**(values | changes))  # type: ignore[arg-type]


def test_an_untouched_log_is_unbroken_and_shows_its_last_hash(connection: Connection) -> None:
    empty = verify_audit(connection)
    assert (empty.rows, empty.last_no, empty.last_hash, empty.broken) == (0, 0, BEFORE_THE_FIRST, None)
    write(connection, "create")
    write(connection, "stop")
    found = verify_audit(connection)
    last = list_audit(connection, AuditChoice(), rows_max=1)[0]
    assert (found.rows, found.last_no, found.last_at, found.broken) == (2, 2, last.occurred_at, None)
    assert found.last_hash == last.hash != BEFORE_THE_FIRST


@pytest.mark.parametrize("no", [1, 4, ROWS])
def test_a_changed_row_is_named(log: Connection, no: int) -> None:
    for change in (
        b"actor = 'nobody'",
        b"login = 'nobody'",
        b"os_user = 'x'",
        b"host = 'x'",
        b"action = 'start'",
        b"campaign_id = null",
        b"run_no = 9",
        b"""detail = '{"reason": "none"}'""",
        b"occurred_at = occurred_at + interval '1 us'",
        b"hash = sha256('')",
    ):
        log.execute("begin")
        log.execute(b"update audit_event set " + change + b" where audit_no = %s", (no,))
        found = broken(log)
        assert found is not None, change
        assert (found.kind, found.audit_no) == (BreakKind.ALTERED, no), change
        assert (found.occurred_at,) == log.execute(
            "select occurred_at from audit_event where audit_no = %s", (no,)
        ).fetchone()
        log.execute("rollback")


def test_a_row_that_was_changed_and_sealed_anew_is_betrayed_by_the_next_one_and_at_the_end_by_the_head(
    log: Connection,
) -> None:
    log.execute("begin")
    log.execute("update audit_event set actor = 'nobody' where audit_no = 4")
    log.execute(SEAL_ANEW, {"no": 4, "before": 3})
    found = broken(log)
    assert found is not None
    assert (found.kind, found.audit_no) == (BreakKind.ALTERED, 5)
    log.execute("rollback")
    log.execute("update audit_event set actor = 'nobody' where audit_no = %s", (ROWS,))
    log.execute(SEAL_ANEW, {"no": ROWS, "before": ROWS - 1})
    found = broken(log)
    assert found is not None
    assert (found.kind, found.audit_no) == (BreakKind.HEAD_ALTERED, ROWS)


def test_rows_that_are_missing_are_named(log: Connection) -> None:
    for deleted, expected in (
        (b"audit_no = 1", Break(BreakKind.MISSING, 1, None, 1)),
        (b"audit_no = 4", Break(BreakKind.MISSING, 4, None, 4)),
        (b"audit_no in (3, 4, 6)", Break(BreakKind.MISSING, 3, None, 4)),
        (b"audit_no = 7", Break(BreakKind.CUT, 7, None, 7)),
        (b"audit_no > 4", Break(BreakKind.CUT, 5, None, 7)),
        (b"true", Break(BreakKind.CUT, 1, None, 7)),
    ):
        log.execute("begin")
        log.execute(b"delete from audit_event where " + deleted)
        assert broken(log) == expected
        log.execute("rollback")


def test_a_missing_row_is_named_though_those_after_it_were_sealed_anew_without_it(log: Connection) -> None:
    log.execute("delete from audit_event where audit_no = 4")
    for no in range(5, ROWS + 1):
        log.execute(SEAL_ANEW, {"no": no, "before": no - 1 if no > 5 else 3})
    log.execute("update audit_head h set hash = e.hash from audit_event e where e.audit_no = h.audit_no")
    assert broken(log) == Break(BreakKind.MISSING, 4, None, 4)


def test_a_row_that_was_put_in_is_named(log: Connection) -> None:
    copied = "occurred_at, login, os_user, host, 'nobody', action, campaign_id, run_no, detail, hash from audit_event"
    log.execute("begin")
    log.execute("update audit_event set audit_no = audit_no + 1000 where audit_no > 4")
    log.execute("update audit_event set audit_no = audit_no - 999 where audit_no > 1000")
    log.execute(f"insert into audit_event select 5, {copied} where audit_no = 4".encode())
    log.execute(SEAL_ANEW, {"no": 5, "before": 4})
    found = broken(log)
    assert found is not None
    assert (found.kind, found.audit_no) == (BreakKind.ALTERED, 6), "the first one that does not follow"
    log.execute("rollback")

    log.execute(f"insert into audit_event select 8, {copied} where audit_no = 7".encode())
    log.execute(SEAL_ANEW, {"no": 8, "before": 7})
    found = broken(log)
    assert found is not None
    assert (found.kind, found.audit_no) == (BreakKind.UNSEALED, 8)
    assert found.occurred_at is not None

    log.execute(f"insert into audit_event select 0, {copied} where audit_no = 7".encode())
    found = broken(log)
    assert found is not None
    assert (found.kind, found.audit_no) == (BreakKind.ALTERED, 0)


def test_rows_that_changed_places_are_found_at_the_first_of_them(log: Connection) -> None:
    log.execute("update audit_event set audit_no = -5 where audit_no = 5")
    log.execute("update audit_event set audit_no = 5 where audit_no = 3")
    log.execute("update audit_event set audit_no = 3 where audit_no = -5")
    found = broken(log)
    assert found is not None
    assert (found.kind, found.audit_no) == (BreakKind.ALTERED, 3)


def test_a_head_that_was_touched_is_found(log: Connection) -> None:
    for change, kind, no in (
        (b"update audit_head set hash = sha256('x')", BreakKind.HEAD_ALTERED, 7),
        (b"update audit_head set audit_no = 5", BreakKind.UNSEALED, 6),
        (b"update audit_head set audit_no = 9", BreakKind.CUT, 8),
        (b"delete from audit_head", BreakKind.HEAD_GONE, 7),
    ):
        log.execute("begin")
        log.execute(change)
        found = broken(log)
        assert found is not None
        assert (found.kind, found.audit_no) == (kind, no)
        log.execute("rollback")


def test_a_log_that_was_rewritten_whole_is_found_by_a_hash_kept_elsewhere(log: Connection) -> None:
    before = verify_audit(log)
    kept = KeptHash(before.last_no, before.last_hash)
    assert broken(log, kept) is None
    log.execute("update audit_event set actor = 'nobody' where audit_no = 2")
    for no in range(2, ROWS + 1):
        log.execute(SEAL_ANEW, {"no": no, "before": no - 1})
    log.execute("update audit_head h set hash = e.hash from audit_event e where e.audit_no = h.audit_no")
    assert broken(log) is None, "whoever owns the tables can write another log"
    found = broken(log, kept)
    assert found is not None
    assert (found.kind, found.audit_no) == (BreakKind.REWRITTEN, ROWS)
    assert found.occurred_at is not None
    assert broken(log, KeptHash(8, kept.hash)) == Break(BreakKind.REWRITTEN, 8, None)


def test_twenty_writers_at_once_make_one_unbroken_chain(connection: Connection, database_url: str) -> None:
    def write_some(actor: str) -> None:
        with connect(database_url) as mine:
            for number in range(10):
                with mine.transaction(force_rollback=number % 5 == 4):
                    write(mine, "stop", actor=actor)

    writers = [threading.Thread(target=write_some, args=(f"actor {number}",)) for number in range(20)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert verify_audit(connection).broken is None, "a look while others write"
    for writer in writers:
        writer.join()
    found = verify_audit(connection)
    assert (found.rows, found.last_no, found.broken) == (160, 160, None)


def test_the_log_is_listed_by_every_choice_the_latest_rows_last(connection: Connection) -> None:
    write(connection, "create", actor="kim", campaign_id=1)
    write(connection, "create", actor="lee", campaign_id=2)
    write(connection, "stop", actor="lee", campaign_id=1)

    def numbers(rows_max: int = 9, **choice: object) -> list[int]:
        chosen = AuditChoice(**choice)  # type: ignore[arg-type]
        return [one.audit_no for one in list_audit(connection, chosen, rows_max=rows_max)]

    assert numbers() == [1, 2, 3]
    assert numbers(rows_max=2) == [2, 3]
    assert numbers(campaign_id=1) == [1, 3]
    assert numbers(action="create") == [1, 2]
    assert numbers(actor="lee") == [2, 3]
    assert numbers(actor="lee", campaign_id=2) == [2]
    assert numbers(login="nobody") == []
    second = list_audit(connection, AuditChoice(), rows_max=2)[0]
    assert numbers(login=second.login) == [1, 2, 3]
    assert numbers(since=second.occurred_at) == [2, 3]
    assert numbers(until=second.occurred_at) == [1]
    assert numbers(before_no=3) == [1, 2]
    assert numbers(before_no=3, rows_max=1) == [2], "page after page, without counting from the beginning"
    assert numbers(who="lee") == [2, 3], "who claims the name"
    assert numbers(who=second.login) == [1, 2, 3], "whose login it is"
    assert numbers(search="LEE") == [2, 3]
    assert numbers(search="100%_") == [], "a text, not a pattern"
    assert list_audit_actions(connection) == ["create", "stop"]


@pytest.mark.parametrize(
    ("action", "detail", "words"),
    [
        (
            "create",
            {"name": "Spring", "expected_count": 1000, "expected_amount": 2500, "not_before": None, "targets": "m.csv"},
            '"Spring"; 1,000 targets, 2,500 points; from m.csv',
        ),
        (
            "create",
            {"name": "S", "expected_count": 3, "expected_amount": 6, "not_before": "2026-02-01T00:00:00+09:00",
             "targets": None, "same_as": 2, "reason": "second half"},
            '"S"; 3 targets, 6 points; targets loaded by others; not before 2026-02-01 00:00:00;'
            " repeats the list of campaign 2 on purpose; reason: second half",
        ),
        (
            "approve",
            {"count": 3, "amount": 60, "digest": "3f9a", "creator": "kim"},
            "3 targets, 60 points; digest 3f9a; created by kim",
        ),
        ("reject", {"reason": "of July", "creator": "kim"}, "created by kim; reason: of July"),
        ("withdraw", {"reason": "sent twice"}, "reason: sent twice"),
        ("start", {"kind": "INITIAL", "target_count": 3, "target_amount": 60}, "3 payments, 60 points"),
        (
            "retry",
            {"kind": "RETRY", "target_count": 9, "target_amount": 90, "retried": 2, "retried_amount": 20,
             "kinds": ["UNAVAILABLE", "UNKNOWN"], "code": None, "beyond_limit": True, "reason": "money is back"},
            "again 2 failed payments, 20 points; of 9 payments, 90 points; of kind UNAVAILABLE, UNKNOWN;"
            " also those that had all their retries; reason: money is back",
        ),
        (
            "fail",
            {"success": 1200, "failed": 3, "unknown": 1, "open": 5, "success_amount": 12000, "failed_amount": 30,
             "unknown_amount": 10, "reason": "UNAUTHORIZED: token"},
            "success 1,200 (12,000 points), failed 2 (20 points), unknown 1 (10 points), not processed 5;"
            " reason: UNAUTHORIZED: token",
        ),
        (
            "tps.set",
            {"tps": 0, "tps_before": 1000, "reason": "settlement", "until": "2026-01-31T09:00:00+00:00",
             "tps_afterwards": 1000},
            "from 1,000 to 0 TPS (on hold); until 2026-01-31 18:00:00, then 1,000 TPS; reason: settlement",
        ),
        (
            "reconcile",
            {"by": "look-up", "looked_up": 3, "credited": 2, "not_credited": 1, "unknown": 0, "finished": False},
            "by look-up; looked up 3; credited 2; not credited 1; still unknown 0; broken off before the end",
        ),
        (
            "reconcile",
            {"by": "settlement", "file": "s.csv", "payments": 9, "credits": 8, "credited": 1, "unknown": 0,
             "differences": {"AMOUNT": 2}},
            "by settlement; file s.csv; payments 9; money's credits 8; credited 1; still unknown 0;"
            " differences: AMOUNT 2",
        ),
        (
            "reconcile",
            {"by": "settlement", "payments": 9, "credits": 8, "credited": 0, "unknown": 1, "only_reported": True,
             "dry_run": True, "partial": False, "unnamed_lines": 0, "unnamed_points": 0, "reversed_lines": 1,
             "reversed_points": 100, "taken_back_payments": 1, "taken_back_points": 100, "differences": {}},
            "by settlement; payments 9; money's credits 8; credited 0; still unknown 1; reversed 1 line (100 points);"
            " taken back 1 payment (100 points); nothing changed; a dry run",
        ),
        ("right.grant", {"login": "kim", "right": "start"}, "kim start"),
        ("outbox.resend", {"event_no": 7, "why_not": ["a", "b"], "reason": "r"}, "event no 7; why not a, b; reason: r"),
        ("tps.set", {"tps": "a lot", "until": "soon"}, "to a lot TPS; until soon"),
        ("start", ["odd"], "detail odd"),
        ("start", {"a": {"b": {"c": {"d": [1]}, "e": [1, True, None]}}}, "a b c d ..., e 1, yes, -"),
        ("stop", {}, ""),
        ("stop", {"reason": "a\n\x1b[2Jb\u202e"}, "reason: a\\n\\x1b[2Jb<U+202E>"),
        ("new\x07", {"k\x07": {"x\x07": "y\x07"}}, "k\\x07 x\\x07 y\\x07"),
    ],
)  # fmt: skip
def test_a_detail_reads_as_words_whatever_the_action(action: str, detail: object, words: str) -> None:
    assert what(event(action, detail), "Asia/Seoul") == words


def test_a_row_reads_in_korean_with_the_same_figures() -> None:
    until = "2026-01-31T09:00:00+00:00"
    limit = {"tps": 0, "tps_before": 1000, "reason": "정산", "until": until, "tps_afterwards": 1000}
    assert sentence(event("tps.set", limit), "Asia/Seoul", "ko") == (
        "kim 님이 한도를 바꿨습니다: 1,000에서 0 TPS로 (보류); 2026-01-31 18:00:00까지, 그 뒤 1,000 TPS; 사유: 정산"
    )
    assert sentence(event("withdraw", {"reason": "두 번"}), "UTC", "ko") == "kim 님이 철회했습니다; 사유: 두 번"
    ended = {"success": 1, "failed": 3, "unknown": 3, "open": 0, "success_amount": 9}
    assert sentence(event("complete", ended), "UTC", "ko") == (
        "실행 1이(가) 완료되었습니다 (지급 완료, 확인 필요 75.0 %): 성공 1 (9포인트), 실패 0, 확인 필요 3, 미처리 0"
    )
    away = {"reason": "MONEY_UNAVAILABLE: it is down", "open": 2}
    assert "쓸 수 있는 응답이 없음" in sentence(event("fail", away), "UTC", "ko"), (
        "our own reason in the reader's language"
    )


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_action_has_its_name_and_an_unknown_one_is_itself(language: str) -> None:
    assert {action for action in ACTIONS if action_words(action, language) == action} == set()
    assert action_words("new\x07", language) == "new\\x07"


def test_the_claimed_name_stands_beside_user_and_host_where_it_is_another() -> None:
    claimed = event("stop", {}, actor="Kim\x1b", os_user="batch\x1b", host="h\x1b")
    lines = AuditLogView.of([event("stop", {}), claimed]).as_text(Screen("Asia/Seoul"))
    assert lines[1].split() == ["1", "2026-01-31", "18:00:00", "l", "kim", "stop", "3,", "run", "1"]
    assert lines[2].split()[4:6] == ["Kim\\x1b", "(batch\\x1b@h\\x1b)"]


def test_the_history_of_a_campaign_has_the_limit_while_it_ran_and_nothing_of_others(
    connection: Connection, world: World, tmp_path: Path
) -> None:
    def limit(tps: int) -> None:
        set_tps(connection, tps=tps, actor="park", reason="settlement", until=None)

    targets = tmp_path / "m.csv"
    targets.write_text("member_id,amount,reason\nm1,5,r\n")
    for new in (NewCampaign("first"), NewCampaign("second", same_as=1, reason="on purpose")):
        create_campaign(connection, new, actor="kim", limits=NO_LIMITS, targets=targets)
    limit(90)
    campaign = Campaign(world, 1).begun(actor="kim", reason="sorry", force=True)
    limit(0)
    write(connection, "right.grant", campaign_id=2, login="lee", right="start")
    campaign.stopped(actor="lee", reason="wrong list")
    limit(80)
    campaign.begun("RESUME", actor="kim")
    limit(70)
    campaign.driver_ends(in_s=0)

    story = story_of(get_campaign(connection, 1), list_history(connection, 1), "UTC")
    assert [told.sentence for told in story] == [
        'kim created it: "first"; 1 target, 5 points; from m.csv',
        "kim let it jump the queue; reason: sorry",
        "kim started it, run 1: 1 payment, 5 points; reason: sorry",
        "park changed the limit: from 90 to 0 TPS (on hold); reason: settlement",
        "lee stopped run 1: success 0 (0 points), failed 0 (0 points), not processed 1; reason: wrong list",
        "kim resumed it, run 2: goes on with 1 payment, 5 points; of 1 payment, 5 points",
        "park changed the limit: from 80 to 70 TPS; reason: settlement",
        "its job is gone and nothing is paid: `bulkpoint campaign resume 1` takes it over",
    ]
    assert [told.event is None for told in story] == [False] * 7 + [True]
    assert [told.at for told in story] == sorted(told.at for told in story)
    assert [one.action for one in list_history(connection, 2)] == ["create", "right.grant"]


def test_a_campaign_that_was_made_past_bulkpoint_has_a_story_that_says_so(connection: Connection, world: World) -> None:
    world.campaign(creator="x\x1b")
    (told,) = story_of(get_campaign(connection, 1), list_history(connection, 1), "UTC")
    assert told.sentence == "x\\x1b created it, past bulkpoint: no audit row"


def test_an_action_that_nobody_knows_yet_still_is_a_sentence() -> None:
    assert sentence(event("note{", {"text": "call money"}), "UTC") == "kim: note{: text call money"
    assert sentence(event("note", {}), "UTC") == "kim: note"


def test_a_reconciliation_that_changed_nothing_only_compared() -> None:
    detail = {"by": "settlement", "payments": 2, "dry_run": True}
    told = [sentence(event("reconcile", detail | {"only_reported": only}), "UTC") for only in (True, False)]
    assert [words.partition(":")[0] for words in told] == ["kim compared it with money", "kim reconciled it with money"]
