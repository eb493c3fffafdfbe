"""The page shows no member to a login without the right `members`, and notes who looked, before it shows anything."""

import re
from collections import deque

import pytest

from bulkpoint.rules.member_names import masked
from bulkpoint.store.connect import Connection
from tests.world.browser import Browser, File, PageShown, WebPage
from tests.world.campaigns import World
from tests.world.logins import NewPerson, Person
from tests.world.members import MEMBERS, a_list, members_everywhere, named_in, text_of
from tests.world.waiting import wait_for

PAGES_MAX = 120
LINK = re.compile(r'href="(/[^"#]*)')
ALL_BUT_MEMBERS = ("start", "force", "approve", "throttle", "reconcile", "archive")
# Addresses that no link of a page has, but a person may type.
TYPED = ("/campaigns/1/payments", "/campaigns/2/payments", "/members", "/audit", "/trouble", "/new", "/approvals")


def crawled(browser: Browser, after: Browser) -> dict[str, PageShown]:
    """Every page that a person comes to by links, and what the links give to keep; `after` another one has asked for
    it: what is shared between people is made by whoever comes first.
    """
    found: dict[str, PageShown] = {}
    waiting = deque(["/", *TYPED])
    while waiting:
        path = waiting.popleft()
        if path in found or path.startswith(("/assets", "/sign-out", "/metrics")) or "language=" in path:
            continue
        assert len(found) < PAGES_MAX, "links to pages without an end"
        after.get(path)
        page = found[path] = browser.get(path)
        if page.headers.get("content-type", "").startswith("text/html"):
            waiting.extend(link.replace("&amp;", "&") for link in LINK.findall(page.html))
    return found


@pytest.fixture
def kim(world: World, person: NewPerson) -> Person:
    """Who may do all but see members, where members are named everywhere."""
    members_everywhere(world)
    return person(*ALL_BUT_MEMBERS)


def readings(connection: Connection, login: str) -> set[tuple[str, int | None, bool]]:
    """What this login looked at: action, campaign, and whether ids were masked."""
    rows = connection.execute(
        "select action, campaign_id, detail ? 'masked' from audit_event"
        " where login = %s and action = any('{export,find,list,preview}')",
        (login,),
    ).fetchall()
    return {(action, campaign_id, is_masked) for action, campaign_id, is_masked in rows}


def test_no_page_shows_a_member_to_a_login_without_the_right(
    web: WebPage, kim: Person, person: NewPerson, connection: Connection
) -> None:
    lee = person(*ALL_BUT_MEMBERS, "members")
    pages = crawled(web.signed_in(kim.login, kim.password), after=web.signed_in(lee.login, lee.password))
    for path, page in pages.items():
        assert page.status < 500, (path, page.text)
        assert not named_in(text_of(page.body)), path
    assert len(pages) > len(TYPED) + 10, "it comes somewhere"
    assert {("list", 1, True), ("find", 1, True), ("preview", 3, True)} <= readings(connection, kim.login)
    assert all(is_masked for _, _, is_masked in readings(connection, kim.login))


def test_with_the_right_the_payments_name_their_members(web: WebPage, kim: Person, connection: Connection) -> None:
    connection.execute("insert into operator_right (login, permission) values (%s, 'members')", (kim.login,))
    page = web.signed_in(kim.login, kim.password).get("/campaigns/1/payments")
    assert named_in(page.html)
    assert readings(connection, kim.login) == {("list", 1, False)}


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_file_to_keep_has_the_ids_that_its_reader_may_see(
    web: WebPage, kim: Person, connection: Connection, kind: str
) -> None:
    browser = web.signed_in(kim.login, kim.password)
    page = browser.get("/campaigns/1")
    file = browser.submit(page, "/campaigns/1/report", format=kind, reason="books")
    assert file.headers["content-disposition"].startswith("attachment")
    assert masked(MEMBERS[0]) in text_of(file.body)
    assert not named_in(text_of(file.body))
    connection.execute("insert into operator_right (login, permission) values (%s, 'members')", (kim.login,))
    file = browser.submit(page, "/campaigns/1/report", format=kind, reason="books")
    assert set(named_in(text_of(file.body))) == set(MEMBERS)
    assert readings(connection, kim.login) == {("export", 1, True), ("export", 1, False)}


def test_a_member_who_is_looked_up_is_masked_but_for_what_was_typed(
    web: WebPage, kim: Person, connection: Connection
) -> None:
    browser = web.signed_in(kim.login, kim.password)
    page = browser.submit(browser.get("/members"), "/members", member=MEMBERS[0], reason="ticket 1")
    assert page.status == 200
    assert masked(MEMBERS[0]) in page.text
    assert MEMBERS[0] not in page.text, "only the field has what was typed"
    assert readings(connection, kim.login) == {("find", None, True)}


def test_nothing_is_shown_on_a_page_where_the_trace_cannot_be_written(
    web: WebPage, kim: Person, connection: Connection
) -> None:
    connection.execute("insert into operator_right (login, permission) values (%s, 'members')", (kim.login,))
    browser = web.signed_in(kim.login, kim.password)
    connection.execute("revoke execute on function note_reading from bulkpoint_reader")
    for path in ("/campaigns/1/payments", "/campaigns/1/payments/1"):
        page = browser.get(path)
        assert page.status in {403, 503}, (path, page.status, page.text)
        assert not named_in(page.html), path
    looked = browser.submit(browser.get("/members"), "/members", member=MEMBERS[0], reason="ticket 1")
    assert looked.status in {403, 503}
    assert "gift" not in looked.text
    assert readings(connection, kim.login) == set()


def test_a_list_that_is_sent_is_shown_without_its_members_and_leaves_a_trace(
    web: WebPage, kim: Person, connection: Connection
) -> None:
    browser = web.signed_in(kim.login, kim.password)
    sent = browser.submit(browser.get("/new"), "/new", name="Spring", files={"file": File("l.csv", a_list().encode())})
    wait_for(lambda: masked(MEMBERS[0]) in browser.get(sent.path).text, "the list, read")
    page = browser.get(sent.path)
    assert not named_in(page.html)
    assert readings(connection, kim.login) == {("preview", None, True)}
