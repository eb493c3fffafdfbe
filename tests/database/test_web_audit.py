"""The audit log's page: newest first, filters, pages by number, a copy to take away, and whether a row was changed."""

import csv
import io
import re
from typing import Any

import pytest

from bulkpoint.store.audit import AuditChoice, list_audit, write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.web.pages import audit as page_of
from tests.world.browser import Browser, PageShown, WebPage
from tests.world.logins import NewPerson


def write(
    connection: Connection, action: str = "stop", *, actor: str = "kim", campaign_id: int = 1, **detail: object
) -> None:
    write_audit(connection, action=action, campaign_id=campaign_id, run_no=2, actor=actor, detail=detail)


def numbers(page: PageShown) -> list[int]:
    return [int(no) for no in re.findall(r'<tr id="row-(\d+)">', page.html)]


@pytest.fixture
def browser(web: WebPage, person: NewPerson) -> Browser:
    kim = person(name="auditor")
    return web.signed_in(kim.login, kim.password)


def test_the_newest_is_first_in_words_with_the_detail_folded(browser: Browser, connection: Connection) -> None:
    write(connection, "create", name="Spring", expected_count=3)
    write(connection, "tps.set", tps=0, tps_before=90, reason="<b>settlement</b>")
    page = browser.get("/audit")
    assert numbers(page) == [2, 1]
    assert "from 90 to 0 TPS (on hold); reason: <b>settlement</b>" in page.text
    assert "<b>settlement" not in page.html
    assert page.html.count("<details><summary>") == 2
    assert list_audit(connection, AuditChoice(), rows_max=1)[0].hash.hex() in page.text


def test_it_is_korean_too(web: WebPage, person: NewPerson, connection: Connection) -> None:
    write(connection, "tps.set", tps=0, tps_before=90)
    kim = person()
    page = web.signed_in(kim.login, kim.password, language="ko").get("/audit")
    assert "90에서 0 TPS로 (보류)" in page.text
    assert "한도 변경" in page.text


def test_every_row_is_on_one_page_and_a_row_that_comes_meanwhile_moves_none(
    browser: Browser, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of, "ROWS_SHOWN", 4)
    for _ in range(10):
        write(connection)
    seen, path = [], "/audit?action=stop"
    while path:
        page = browser.get(path)
        seen += numbers(page)
        write(connection)
        older = re.search(r'href="(/audit\?[^"]*before=\d+)"', page.html)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == list(range(10, 0, -1))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("action=create", [1]),
        ("campaign=2", [3]),
        ("who=lee", [2]),
        ("search=TICKET+7", [2]),
        ("search=%25", []),
        ("since=2001-01-01T00%3A00", [3, 2, 1]),
        ("until=2001-01-01T00%3A00", []),
        ("action=stop&campaign=1", [2]),
        ("action=nothing", []),
        ("before=3", [2, 1]),
    ],
)
def test_each_filter_chooses(browser: Browser, connection: Connection, filters: str, found: list[int]) -> None:
    write(connection, "create")
    write(connection, actor="lee", reason="ticket 7")
    write(connection, campaign_id=2)
    page = browser.get(f"/audit?{filters}")
    assert (page.status, numbers(page)) == (200, found)


@pytest.mark.parametrize("odd", ["campaign=x", "since=soon", "until=0000-00-00", "since=0001-01-01T00:00"])
def test_a_filter_that_cannot_be_meant_is_named(browser: Browser, connection: Connection, odd: str) -> None:
    write(connection)
    page = browser.get(f"/audit?{odd}")
    assert page.status == 422
    assert "cannot be used" in page.text


def test_an_export_has_what_the_filters_chose_and_leaves_its_own_row(browser: Browser, connection: Connection) -> None:
    write(connection, "create", name="=cmd()")
    write(connection, actor="lee", reason="r")
    listed = browser.get("/audit?action=create")
    refused = browser.submit(listed, "/audit/export")
    assert (refused.status, numbers(refused)) == (422, [1])
    assert len(list_audit(connection, AuditChoice(), rows_max=9)) == 2, "without a reason nothing is taken out"
    file = browser.submit(listed, "/audit/export", reason="yearly audit")
    assert file.headers["content-type"].startswith("text/csv")
    assert "attachment" in file.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(file.body.decode("utf-8-sig"))))
    assert [(row["audit_no"], row["action"], row["what"]) for row in rows] == [
        ("1", "create", '"=cmd()"; targets loaded by others')
    ]
    (export,) = list_audit(connection, AuditChoice(action="export"), rows_max=2)
    assert export.login == "auditor"
    assert export.detail["reason"] == "yearly audit"
    assert (export.detail["rows"], export.detail["action"]) == (1, "create")
    assert "the audit log; 1 row; as csv" in browser.get("/audit").text


def test_an_export_that_is_too_long_is_refused(
    browser: Browser, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of, "EXPORTED_MAX", 2)
    for _ in range(3):
        write(connection)
    page = browser.submit(browser.get("/audit"), "/audit/export", reason="r")
    assert page.status == 409
    assert list_audit(connection, AuditChoice(action="export"), rows_max=2) == []


def test_an_untouched_log_is_said_to_be_whole_with_the_hash_to_keep(browser: Browser, connection: Connection) -> None:
    write(connection)
    page = browser.submit(browser.get("/audit/verify"), "/audit/verify")
    assert "No row was changed" in page.text
    last = list_audit(connection, AuditChoice(), rows_max=1)[0]
    assert last.hash.hex() in page.text
    kept = browser.submit(page, "/audit/verify", kept_no="1", kept_hash=last.hash.hex().upper())
    assert "nothing up to that row was rewritten" in kept.text
    other = browser.submit(page, "/audit/verify", kept_no="1", kept_hash="0" * 64)
    assert "is broken" in other.text
    wrong: list[dict[str, Any]] = [
        {"kept_no": "1"},
        {"kept_hash": "0" * 64},
        {"kept_no": "x", "kept_hash": "0"},
        {"kept_no": "1", "kept_hash": "g" * 64},
    ]
    for odd in wrong:
        assert browser.submit(browser.get("/audit/verify"), "/audit/verify", **odd).status == 422


def test_a_changed_row_is_named(browser: Browser, connection: Connection) -> None:
    write(connection)
    write(connection)
    connection.execute("alter table audit_event disable trigger all")
    connection.execute("update audit_event set actor = 'nobody' where audit_no = 1")
    page = browser.submit(browser.get("/audit/verify"), "/audit/verify")
    assert "The log is broken" in page.text
    assert "row 1" in page.text


def test_a_log_that_takes_too_long_is_said_to_and_blocks_nobody(
    browser: Browser, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(300):
        write(connection)
    monkeypatch.setattr(page_of, "VERIFY_S_MAX", 0.001)
    page = browser.submit(browser.get("/audit/verify"), "/audit/verify")
    assert page.status == 409
    assert "bulkpoint audit verify" in page.text
