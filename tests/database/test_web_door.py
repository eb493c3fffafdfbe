"""The page's door: who comes in, by which login, for how long, and who does not."""

from pathlib import Path

import pytest

from bulkpoint.store.connect import Connection
from bulkpoint.web import door
from bulkpoint.web.door import Door
from bulkpoint.web.throttle import OF_BOTH
from tests.world.browser import Browser, WebPage, served
from tests.world.logins import NewPerson
from tests.world.waiting import wait_for


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The sessions' clock."""
    clock = Clock()
    monkeypatch.setattr("tests.world.browser.Door", lambda: Door(clock=clock))
    return clock


def is_in(browser: Browser) -> bool:
    return browser.get("/nothing-here", follow=False).forms != []


def test_a_person_comes_in_by_the_login_and_password_of_the_database(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.browser()
    refused = browser.sign_in(kim.login, "wrong")
    assert (refused.status, browser.cookies) == (403, {})
    assert kim.login in browser.sign_in(kim.login, kim.password).text


def test_a_wrong_password_and_an_unknown_login_are_refused_in_the_same_words(web: WebPage, person: NewPerson) -> None:
    kim = person()
    said = [web.browser().sign_in(*tried).text for tried in ((kim.login, "x"), ("nobody", kim.password), ("", ""))]
    assert len(set(said)) == 1
    assert "The login and the password do not fit" in said[0]


def test_a_login_that_may_not_look_is_not_let_in(web: WebPage, person: NewPerson) -> None:
    for kim in (person(role=None), person(role="bulkpoint_loader")):
        page = web.browser().sign_in(kim.login, kim.password)
        assert page.status == 403
        assert f"The login {kim.login} may not look" in page.text


def test_where_the_tables_are_missing_the_sign_in_says_how_to_make_them(
    web: WebPage, person: NewPerson, connection: Connection
) -> None:
    kim = person(role=None)
    connection.execute("drop schema public cascade")
    page = web.browser().sign_in(kim.login, kim.password)
    assert page.status == 403
    assert "The database has no tables of bulkpoint's yet. Ask those who run the database" in page.text


def test_the_page_that_was_asked_for_is_shown_after_the_sign_in(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.browser()
    form = browser.get("/sign-in?next=/trouble%3Fx%3D1")
    assert browser.submit(form, "/sign-in", login=kim.login, password=kim.password).path == "/trouble?x=1"


@pytest.mark.parametrize("elsewhere", ["//evil.example", "/\\evil.example", "https://evil.example/", "/a\nb", ""])
def test_no_address_leads_from_the_sign_in_to_another_site(web: WebPage, person: NewPerson, elsewhere: str) -> None:
    kim = person()
    fields = {"login": kim.login, "password": kim.password, "next": elsewhere}
    assert web.browser().post("/sign-in", fields, follow=False).headers["location"] == "/"


def test_the_cookie_is_random_strict_and_not_for_scripts(web: WebPage, person: NewPerson) -> None:
    kim = person()
    fields = {"login": kim.login, "password": kim.password}
    given = [web.browser().post("/sign-in", fields, follow=False).headers["set-cookie"] for _ in range(2)]
    assert all("HttpOnly" in each and "SameSite=strict" in each and "Path=/" in each for each in given)
    assert "Secure" not in given[0], "there is no TLS here"
    values = [each.partition("=")[2].partition(";")[0] for each in given]
    assert values[0] != values[1]
    assert len(values[0]) >= 43, "32 bytes"
    assert values[0].encode() not in repr([vars(web.door), vars(Door)]).encode(), "only its digest is kept"


def test_after_fifteen_idle_minutes_a_person_signs_in_again(clock: Clock, web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.signed_in(kim.login, kim.password)
    for _ in range(3):
        clock.now += door.IDLE_S_MAX - 1
        assert is_in(browser), "something was done meanwhile"
    clock.now += door.IDLE_S_MAX + 1
    assert not is_in(browser)


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(clock: Clock, web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.signed_in(kim.login, kim.password)
    clock.now += door.IDLE_S_MAX - 1
    for path in ("/trouble", "/trouble?auto=1"):
        browser.get(path, headers={"X-Refresh": "1"} if "auto" not in path else {})
    clock.now += 2
    assert not is_in(browser)


def test_after_eight_hours_a_person_signs_in_again_whatever_was_done(
    clock: Clock, web: WebPage, person: NewPerson
) -> None:
    kim = person()
    browser = web.signed_in(kim.login, kim.password)
    began = clock.now
    while clock.now < began + door.SESSION_S_MAX - 700:
        clock.now += 600
        assert is_in(browser)
    clock.now += 701
    assert not is_in(browser)


def test_whoever_signs_out_is_out_and_the_connection_is_closed(
    web: WebPage, person: NewPerson, connection: Connection
) -> None:
    kim = person()
    browser = web.signed_in(kim.login, kim.password)
    copied = dict(browser.cookies)
    browser.submit(browser.get("/nothing-here"), "/sign-out")
    assert browser.cookies == {}
    browser.cookies = copied
    assert not is_in(browser), "nor does a copied cookie help"
    theirs = "select count(*) from pg_stat_activity where usename = %s"
    wait_for(lambda: connection.execute(theirs, (kim.login,)).fetchone() == (0,), "the end of the connection")


def test_a_login_has_so_many_sessions_and_the_oldest_goes_first(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browsers = [web.signed_in(kim.login, kim.password) for _ in range(door.SESSIONS_OF_A_LOGIN_MAX + 1)]
    assert [is_in(browser) for browser in browsers] == [False] + [True] * door.SESSIONS_OF_A_LOGIN_MAX


def test_too_many_mistakes_are_answered_without_asking_the_database(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.browser()
    tried = [browser.sign_in(kim.login, "wrong").status for _ in range(OF_BOTH.tries)]
    refused = browser.sign_in(kim.login, kim.password)
    assert tried == [403] * OF_BOTH.tries
    assert refused.status == 429
    assert "too many tries" in refused.text


def test_the_password_is_in_no_page_no_log_and_no_representation(
    database_url: str, tmp_path: Path, person: NewPerson, capfd: pytest.CaptureFixture[str]
) -> None:
    kim = person()
    logged: list[str] = []
    with served(database_url, tmp_path, log=lambda line, **_: logged.append(line)) as web:
        browser = web.signed_in(kim.login, kim.password)
        page = browser.get("/nothing-here")
        (session,) = web.door._sessions.values()
        assert kim.password in session.conninfo
        seen = [page.html, repr(session), *logged, *capfd.readouterr(), *map(str, browser.cookies.items())]
    assert [text for text in seen if kim.password in text] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_form_of_another_site_is_refused(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.signed_in(kim.login, kim.password)
    token = browser.get("/nothing-here").form("/language").fields["token"]
    fields = {"token": token, "language": "ko", "back": "/"}
    for sent in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
        assert browser.post("/language", fields, headers=sent).status == 403
    (session,) = web.door._sessions.values()
    assert session.language == "en"


def test_a_form_without_its_token_or_with_anothers_is_refused(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser, other = (web.signed_in(kim.login, kim.password) for _ in range(2))
    theirs = other.get("/nothing-here").form("/language").fields["token"]
    for token in ("", "x", theirs):
        refused = browser.post("/language", {"token": token, "language": "ko", "back": "/"})
        assert refused.status == 403
        assert "does not come from a form of this page" in refused.text


def test_a_form_after_the_session_has_ended_changes_nothing_and_says_so(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.signed_in(kim.login, kim.password)
    page = browser.get("/nothing-here")
    web.door.close()
    refused = browser.submit(page, "/language", language="ko")
    assert refused.status == 403
    assert "Nothing was changed" in refused.text or "바뀌지 않았습니다" in refused.text


def test_the_embedded_database_lets_one_browser_in_once(database_url: str, tmp_path: Path) -> None:
    said: list[str] = []
    with served(database_url, tmp_path, embedded=True, say=said.append, address="http://x/") as web:
        web.browser().get("/sign-in")
        way_in = said[-1].removeprefix("http://x")
        signed = web.browser()
        assert not is_in(signed)
        signed.get(way_in)
        assert is_in(signed)
        late = web.browser()
        assert late.get(way_in).status == 403
        assert not is_in(late)
        assert len(said) == 2, "a new address for whoever came late"
        assert signed.get(way_in, follow=False).headers["location"] == "/", "who is in already stays in"
        assert web.browser().post("/sign-in", {"login": "postgres", "password": "x"}).status == 403


def test_a_login_whose_server_asks_no_password_is_not_let_in(
    web: WebPage, monkeypatch: pytest.MonkeyPatch, person: NewPerson
) -> None:
    kim = person()
    monkeypatch.setattr("bulkpoint.web.pages.sign_in.was_asked_for_password", lambda _: False)
    page = web.browser().sign_in(kim.login, kim.password)
    assert page.status == 403
    assert "nobody can be told apart" in page.text
