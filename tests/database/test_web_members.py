"""The members' page: what is said of each payment, who may see the id, and the trace of who looked."""

import re
from hashlib import sha256
from typing import Any

from bulkpoint.store.audit import AuditChoice, AuditEvent, list_audit
from bulkpoint.store.connect import Connection
from tests.world.browser import Browser, PageShown, WebPage
from tests.world.campaigns import World
from tests.world.logins import NewPerson

MEMBER = "member-secret-77"


def look_up(browser: Browser, member: str = MEMBER, **typed: Any) -> PageShown:
    return browser.submit(browser.get("/members"), "/members", member=member, **typed)


def finds(connection: Connection) -> list[AuditEvent]:
    return list_audit(connection, AuditChoice(action="find"), rows_max=9)


def test_every_payment_of_a_member_has_the_sentence_to_say_in_both_languages(
    web: WebPage, person: NewPerson, world: World
) -> None:
    rows = [(MEMBER, 1500, "봄맞이 감사 적립"), ("other", 7, "r")]
    world.campaign(rows, name="spring").begun().paid(2).ended("COMPLETED")
    world.campaign([(MEMBER, 900, "구매 보상")], name="summer").begun().failed(1, "UNKNOWN").ended("COMPLETED")
    world.campaign([(MEMBER, 30, "출석")], name="autumn")
    kim = person("members")
    page = look_up(web.signed_in(kim.login, kim.password))
    assert page.status == 200
    assert "Found: 3" in page.text
    for said in (
        "‘봄맞이 감사 적립’ 사유로 1,500포인트를 지급해 드렸습니다",
        "credited 1,500 points to you",
        "‘구매 보상’ 사유의 900포인트가 지급되었는지 확인 중입니다",
        "We are checking whether 900 points",
        "‘출석’ 사유의 30포인트는 곧 지급될 예정입니다",
    ):
        assert said in page.text
    assert page.text.index("autumn") < page.text.index("summer") < page.text.index("spring"), "newest first"


def test_a_look_up_is_in_the_audit_log_with_login_and_reason_and_without_the_member(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    world.campaign([MEMBER])
    kim = person("members")
    browser = web.signed_in(kim.login, kim.password)
    look_up(browser, purpose="complaint", reason="ticket 4711")
    (row,) = finds(connection)
    assert (row.login, row.actor) == (kim.login, kim.login)
    assert row.detail["reason"] == "A complaint: ticket 4711"
    assert row.detail["member_sha256"] == sha256(MEMBER.encode()).hexdigest()
    assert MEMBER not in str(row)


def test_without_a_reason_nothing_is_looked_up(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    world.campaign([MEMBER])
    kim = person("members")
    browser = web.signed_in(kim.login, kim.password)
    wrong: list[dict[str, Any]] = [{"purpose": "other", "reason": " "}, {"purpose": "nosiness"}, {"member": ""}]
    for typed in wrong:
        page = browser.submit(browser.get("/members"), "/members", **({"member": MEMBER} | typed))
        assert page.status == 422, typed
        assert "Found" not in page.text
    assert finds(connection) == []


def test_the_member_is_in_no_address_no_title_and_no_log(web: WebPage, person: NewPerson, world: World) -> None:
    world.campaign([MEMBER])
    kim = person("members")
    browser = web.signed_in(kim.login, kim.password)
    assert browser.get("/members").form("/members").method == "post"
    page = look_up(browser)
    assert (page.path, page.headers.get("cache-control")) == ("/members", "no-store")
    (title,) = re.findall("<title>(.*?)</title>", page.html)
    assert MEMBER not in title
    assert [address for address in re.findall(r'(?:href|action|src)="([^"]*)"', page.html) if MEMBER in address] == []
    assert page.refreshing == [], "a page that asks again by itself would look the member up again"
    world.campaign().begun()
    for still in ("/members", "/audit"):
        assert browser.get(still).refreshing == [], "nor for the campaign that runs now"
    assert MEMBER not in browser.get("/members").text, "another page knows nothing of it"


def test_a_login_without_the_right_gets_the_payments_with_masked_ids(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    world.campaign([MEMBER]).begun().failed(1, failure_message=f"member {MEMBER} is closed").ended("COMPLETED")
    kim = person()
    page = look_up(web.signed_in(kim.login, kim.password))
    assert "Found: 1" in page.text
    outside_the_form = page.html.partition("</form>\n\n<section")[2]
    assert outside_the_form
    assert MEMBER not in outside_the_form
    assert len(finds(connection)) == 1


def test_an_unknown_payment_names_the_commands_that_settle_it(web: WebPage, person: NewPerson, world: World) -> None:
    odd = "it's; $(rm)"
    world.campaign([odd]).begun().failed(1, "UNKNOWN").ended("COMPLETED")
    kim = person("members")
    page = look_up(web.signed_in(kim.login, kim.password), odd)
    assert "bulkpoint reconcile 1" in page.text
    assert """--member 'it'"'"'s; $(rm)' --transaction""" in page.text, "as a shell takes it"
    assert "money API is asked first" in page.text
    paid = world.campaign(["someone"]).begun().paid(1).ended("COMPLETED")
    assert paid.id == 2
    assert "bulkpoint payment settle" not in look_up(web.signed_in(kim.login, kim.password), "someone").text


def test_a_member_without_payments_has_a_sentence_too_and_leaves_a_trace(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("members")
    page = look_up(web.signed_in(kim.login, kim.password), "nobody")
    assert page.status == 200
    assert "포인트를 찾지 못했습니다" in page.text
    assert len(finds(connection)) == 1


def test_ids_of_every_kind_are_taken_as_text(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("members")
    browser = web.signed_in(kim.login, kim.password)
    for odd in ("<script>alert(1)</script>", '"><b>', "회원-1", "=1+1", "x" * 128):
        world.campaign([odd])
        page = look_up(browser, odd)
        assert "Found: 1" in page.text, odd
        assert "<script>alert" not in page.html
    assert look_up(browser, "x" * 129).status == 422
    assert look_up(browser, campaign="99").status == 404
    assert look_up(browser, campaign="9" * 30).status == 422
