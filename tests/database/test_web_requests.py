"""What the page does with requests as they come: bad, cut, huge, many, at a database that is slow or away."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from bulkpoint.errors import RefusedError
from bulkpoint.rules.rights import Right
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from bulkpoint.web import app
from bulkpoint.web.asked import Asked
from bulkpoint.web.routes import get, post, see_other
from tests.world.browser import Browser, File, PageShown, WebPage, served
from tests.world.logins import NewPerson
from tests.world.stalling_proxy import StallingProxy
from tests.world.waiting import wait_for


def slow(asked: Asked) -> Response:
    asked.connection.execute("select pg_sleep(%s)", (float(asked.query("s") or 0),))
    return PlainTextResponse("slept")


def write(asked: Asked) -> Response:
    asked.connection.execute("create table was_written (x int)")
    return PlainTextResponse("written")


QUESTIONS: list[object] = []


def shared(asked: Asked) -> Response:
    def count() -> int:
        QUESTIONS.append(asked.connection.execute("select pg_sleep(0.3)"))
        return len(QUESTIONS)

    return PlainTextResponse(str(asked.shared.get("count", 60.0, count)))


def say(asked: Asked) -> Response:
    said = asked.form.text("said", most=10, least=1)
    number = asked.form.number("tps", least=0, most=100)
    return PlainTextResponse(f"{said} {number}")


def take(asked: Asked) -> Response:
    sent = asked.form.file("list")
    return PlainTextResponse(f"{sent.name} {sent.path.suffix} {sent.bytes} {sent.path.read_bytes()[:9]!r}")


def refuse(asked: Asked) -> Response:
    raise RefusedError(asked.query("code") or "", campaign_id=7, login="kim", right=Right.FORCE)


def broken(asked: Asked) -> Response:
    raise ValueError(f"member {asked.query('member')} is not a number")


def go(asked: Asked) -> Response:
    return see_other(asked, "/probe/rights", None)


def rights(asked: Asked) -> Response:
    return PlainTextResponse(" ".join(sorted(asked.rights)) + " ")


PROBES: list[BaseRoute] = [
    get("/probe/slow", slow),
    get("/probe/write", write),
    get("/probe/shared", shared),
    get("/probe/refuse", refuse),
    get("/probe/rights", rights),
    get("/probe/broken", broken),
    post("/probe/say", say),
    post("/probe/go", go),
    post("/probe/slow", slow),
    post("/probe/write", write),
    post("/probe/take", take, takes_file=True),
]


@pytest.fixture(autouse=True)
def _probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of this test's own beside those of the program."""
    every = app.all_routes
    monkeypatch.setattr(app, "all_routes", lambda: [*every(), *PROBES])


@pytest.fixture
def kim(web: WebPage, person: NewPerson) -> Browser:
    made = person("start")
    return web.signed_in(made.login, made.password)


def token(browser: Browser) -> str:
    return browser.get("/nothing-here").form("/language").fields["token"]


def test_a_page_can_change_nothing_whoever_asks(web: WebPage, person: NewPerson, connection: Connection) -> None:
    made = person()
    connection.execute(f"alter role {made.login} superuser".encode())
    assert web.signed_in(made.login, made.password).get("/probe/write").status == 503
    assert connection.execute("select to_regclass('was_written')").fetchone() == (None,)


def test_an_act_may_change_what_its_login_may(web: WebPage, person: NewPerson, connection: Connection) -> None:
    made = person()
    connection.execute(f"alter role {made.login} superuser".encode())
    browser = web.signed_in(made.login, made.password)
    assert browser.post("/probe/write", {"token": token(browser)}).text == "written"
    connection.execute("drop table was_written")


def test_a_question_that_takes_too_long_is_a_page_that_says_so(
    database_url: str, tmp_path: Path, person: NewPerson
) -> None:
    settings = load_settings({"BULKPOINT_WEB_STATEMENT_TIMEOUT_S": "0.3"})
    made = person()
    with served(database_url, tmp_path, settings=settings) as web:
        page = web.signed_in(made.login, made.password).get("/probe/slow?s=20")
    assert page.status == 503
    assert "statement timeout" in page.text
    assert "tries again by itself" in page.text


@pytest.mark.parametrize(
    ("code", "status"),
    [("CAMPAIGN_UNKNOWN", 404), ("RIGHT_MISSING", 403), ("SESSION_BUSY", 409)],
)
def test_a_refusal_is_a_page_with_its_sentence_and_status(kim: Browser, code: str, status: int) -> None:
    assert kim.get(f"/probe/refuse?code={code}").status == status


def test_a_right_that_was_given_or_taken_is_noticed(
    kim: Browser, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kim.get("/probe/rights").text == "start"
    monkeypatch.setattr("bulkpoint.web.asked.RIGHTS_S_MAX", -1.0)
    connection.execute(
        "update operator_right set permission = 'throttle' where permission = 'start' and login <> current_user"
    )
    assert kim.get("/probe/rights").text == "throttle"


def test_a_login_that_may_look_no_longer_is_told_so(
    web: WebPage, person: NewPerson, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = person()
    browser = web.signed_in(made.login, made.password)
    monkeypatch.setattr("bulkpoint.web.asked.RIGHTS_S_MAX", -1.0)
    connection.execute(f"revoke bulkpoint_operator from {made.login}".encode())
    page = browser.get("/probe/rights")
    assert page.status == 403
    assert "may not look" in page.text


def test_a_password_that_was_changed_meanwhile_ends_the_session_with_a_clear_page(
    web: WebPage, person: NewPerson, connection: Connection
) -> None:
    made = person()
    browser = web.signed_in(made.login, made.password)
    browser.get("/probe/rights")
    connection.execute(f"alter role {made.login} password 'another'".encode())
    connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (made.login,))
    refused = browser.get("/probe/slow")
    assert (refused.status, browser.cookies) == (403, {})
    assert "does not accept this login any more" in refused.text


def test_a_connection_that_was_lost_meanwhile_is_made_again_unseen(kim: Browser, connection: Connection) -> None:
    kim.get("/probe/slow")
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bulkpoint web'"
    )
    assert kim.get("/probe/slow").text == "slept"


def test_a_database_that_goes_away_and_returns_is_a_page_that_says_so_until_then(
    database_url: str, tmp_path: Path, person: NewPerson
) -> None:
    made = person()
    with StallingProxy(database_url) as proxy, served(proxy.url, tmp_path) as web:
        browser = web.signed_in(made.login, made.password)
        assert browser.get("/probe/slow").text == "slept"
        proxy.cut(refuse=True)
        away = browser.get("/probe/slow")
        health = web.browser().get("/healthz").status
        refused = web.browser().sign_in(made.login, made.password)
        proxy.accept()
        wait_for(lambda: browser.get("/probe/slow").text == "slept", "the page after the database's return")
        wait_for(lambda: web.browser().get("/healthz").status == 200, "health after the database's return")
    assert (away.status, away.headers["retry-after"], health, refused.status) == (503, "5", 503, 503)
    assert "The database cannot be reached" in away.text
    assert 'http-equiv="refresh"' in away.html
    assert "127.0.0.1" not in refused.text, "whoever is not in learns no address"


def test_fifty_open_pages_are_one_question(web: WebPage, person: NewPerson) -> None:
    QUESTIONS.clear()
    made = person()
    browsers = [web.signed_in(made.login, made.password) for _ in range(5)]
    with ThreadPoolExecutor(50) as pages:
        answers = [pages.submit(browsers[n % 5].get, "/probe/shared") for n in range(50)]
        assert {answer.result().text for answer in answers} == {"1"}


def test_a_stop_does_not_wait_for_a_page_that_is_slow(kim: Browser) -> None:
    sent = {"token": token(kim)}
    with ThreadPoolExecutor(1) as other_window:
        slept = other_window.submit(kim.get, "/probe/slow?s=4")
        time.sleep(0.3)
        began = time.monotonic()
        assert kim.post("/probe/go", sent, follow=False).status == 303
        took_s = time.monotonic() - began
        is_still_slow = not slept.done()
        assert slept.result().text == "slept"
    assert is_still_slow, f"the act took {took_s} s"


def test_an_act_whose_connection_breaks_says_that_nobody_knows_whether_it_was_done(
    kim: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.web.asked.ACT_S_MAX", 0.3)
    page = kim.post("/probe/slow?s=5", {"token": token(kim)})
    assert page.status == 503
    assert "Look first whether what you did was done" in page.text
    assert 'http-equiv="refresh"' not in page.html, "it is not done a second time"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"said": "x" * 11, "tps": "5"}, "11 characters are too many"),
        ({"said": " ", "tps": "5"}, "this is needed"),
        ({"said": "a\x00b", "tps": "5"}, "control characters"),
        ({"said": "a", "tps": "five"}, "is not a whole number"),
        ({"said": "a", "tps": "101"}, "a number from 0 to 100"),
        ({"said": "a", "tps": "9" * 5000}, "is not a whole number"),
        ({"said": "a", "tps": ""}, "this is needed"),
    ],
)
def test_a_field_that_cannot_be_is_refused_in_words(kim: Browser, fields: dict[str, str], said: str) -> None:
    page = kim.post("/probe/say", {"token": token(kim), **fields})
    assert page.status == 422
    assert said in page.text


def test_a_number_may_have_commas_and_a_text_blanks_around_it(kim: Browser) -> None:
    page = kim.post("/probe/say", {"token": token(kim), "said": "  은행 나무 ", "tps": " 1,00 "})
    assert page.text == "은행 나무 100"


def test_a_file_comes_whole_under_a_name_of_ours_and_is_gone_after(kim: Browser, web: WebPage) -> None:
    content = b"a,b\n" * 300_000
    page = kim.post("/probe/take", {"token": token(kim)}, files={"list": File("../../etc/회원.CSV", content)})
    assert page.text == f"회원.CSV .csv {len(content)} b'a,b\\na,b\\na'"
    assert list(web.host.uploads.iterdir()) == []


def test_a_form_without_the_file_it_needs_says_so(kim: Browser) -> None:
    page = kim.post("/probe/take", {"token": token(kim)}, files={"list": File("", b"")})
    assert page.status == 422


def test_a_file_that_is_too_large_is_a_page_that_says_so_and_leaves_nothing(
    kim: Browser, web: WebPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.web.routes.UPLOAD_BYTES_MAX", 3 * 2**20)
    sent = {"token": token(kim)}
    pages = [
        kim.post("/probe/take", sent, files={"list": File("a.csv", b"x" * size)}) for size in (3_500_000, 30_000_000)
    ]
    assert [page.status for page in pages] == [413, 413]
    assert "MB are the most. Nothing was changed." in pages[0].text
    assert list(web.host.uploads.iterdir()) == []


def test_a_file_for_which_there_is_no_room_is_refused_in_words(
    kim: Browser, web: WebPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.web.uploads.BYTES_MAX", 10)
    page = kim.post("/probe/take", {"token": token(kim)}, files={"list": File("a.csv", b"x")})
    assert page.status == 503
    assert "too many files are being kept" in page.text


def test_an_upload_that_is_cut_leaves_nothing(kim: Browser, web: WebPage) -> None:
    at = urlsplit(kim.address)
    cookie = "; ".join(f"{name}={value}" for name, value in kim.cookies.items())
    head = (
        f"POST /probe/take HTTP/1.1\r\nHost: {at.netloc}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 90000000\r\n\r\n"
        '--B\r\nContent-Disposition: form-data; name="list"; filename="a.csv"\r\n\r\n'
    )
    with socket.create_connection((at.hostname or "", at.port or 0)) as line:
        line.sendall(head.encode() + b"x" * 5_000_000)
        wait_for(lambda: list(web.host.uploads.iterdir()), "the beginning of the file")
    wait_for(lambda: not list(web.host.uploads.iterdir()), "its end")
    assert kim.get("/probe/rights").status == 200


PARTS = "multipart/form-data; boundary=B"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/plain", b"token=x"),
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded", b"a=%FF"),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(101))),
        ("multipart/form-data", b"x"),
        (PARTS, b"--B\r\nnot a part"),
        (PARTS, b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'),
        (PARTS, b"--B\r\n" + b"X: " + b"y" * 5_000 + b"\r\n\r\nx\r\n--B--\r\n"),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--B--\r\n',
        ),
        (
            "multipart/form-data; boundary=B",
            b"--B\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nx\r\n--B--",
        ),
    ],
)
def test_a_body_that_is_no_form_of_ours_is_refused(kim: Browser, kind: str, content: bytes) -> None:
    page = ask_raw(kim, kind, content)
    assert page.status == 400
    assert "ended early, or is no form" in page.text


def test_fields_without_end_are_refused(kim: Browser) -> None:
    assert kim.post("/probe/say", {"token": "x" * 2_000_000}).status == 413


def ask_raw(browser: Browser, kind: str, content: bytes) -> PageShown:
    headers = {"Content-Type": kind, "Sec-Fetch-Site": "same-origin"}
    return browser._ask("POST", "/probe/say", content, headers)


def test_every_answer_says_what_a_browser_may_do_with_it(kim: Browser, web: WebPage) -> None:
    for page in (kim.get("/probe/rights"), kim.get("/nothing-here"), web.browser().get("/assets/style.css"),
                 web.browser().get("/healthz"), kim.post("/probe/say")):  # fmt: skip
        assert page.headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'; style-src 'self'"
        )
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] in {"no-store", "no-cache"}


def test_no_page_has_a_style_or_script_of_its_own(kim: Browser, web: WebPage) -> None:
    for page in (kim.get("/nothing-here"), web.browser().get("/sign-in")):
        assert " style=" not in page.html
        assert "<style" not in page.html
        assert page.html.count("<script") == page.html.count('<script src="/assets/refresh.js" defer>')


def test_what_every_page_shows_can_be_asked_for_alone(kim: Browser) -> None:
    page = kim.refresh("/frame")
    assert page.status == 200
    assert 'id="trouble-count" data-refresh="frame"' in page.html


def test_an_asset_that_the_browser_has_is_not_sent_again(web: WebPage) -> None:
    first = web.browser().get("/assets/refresh.js")
    again = web.browser().get("/assets/refresh.js", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status, again.status, again.body) == (200, 304, b"")


def test_a_name_that_is_not_ours_is_not_answered(database_url: str, tmp_path: Path) -> None:
    with served(database_url, tmp_path, hosts=frozenset({"localhost", "127.0.0.1", "[::1]"})) as web:
        asked = {name: web.browser(Host=name).get("/sign-in").status for name in (
            "127.0.0.1:1", "LOCALHOST", "[::1]:8484",
            "evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "",
        )}  # fmt: skip
        assert web.browser(Host="10.1.2.3").get("/healthz").status == 200, "of a load balancer"
    assert list(asked.values()) == [200, 200, 200, 421, 421, 421, 421]


def test_behind_a_proxy_the_cookie_is_for_tls_only_and_the_browser_is_the_one_that_is_throttled(
    database_url: str, tmp_path: Path, person: NewPerson
) -> None:
    made = person()
    with served(database_url, tmp_path, behind_proxy=True) as web:
        tls = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
        given = (
            web.browser(**tls)
            .post("/sign-in", {"login": made.login, "password": made.password}, follow=False)
            .headers["set-cookie"]
        )
        assert web.browser().get("/sign-in").status == 403, "the proxy does not say that it speaks TLS"
        assert web.browser(**{"X-Forwarded-Proto": "https, http"}).get("/sign-in").status == 403
        (tried_from,) = [key[1] for key in web.site.throttle._left if key[0] == "address"]
    assert given.startswith("__Host-bulkpoint-")
    assert "Secure" in given
    assert tried_from == "198.51.100.7", "what the proxy adds is last; what a browser claims comes before it"


def test_without_a_proxy_nobody_is_believed_who_claims_to_be_one(database_url: str, tmp_path: Path) -> None:
    with served(database_url, tmp_path) as web:
        web.browser(**{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}).sign_in("a", "b")
        assert [key[1] for key in web.site.throttle._left if key[0] == "address"] == ["127.0.0.1"]


def test_a_number_of_thousands_of_digits_in_an_address_is_no_page_and_no_defect(web: WebPage) -> None:
    for path in ("/campaigns/{}", "/campaigns/{}/payments", "/approvals/{}", "/campaigns/1/payments/{}"):
        assert web.browser().get(path.format("9" * 5_000)).status == 404, path


def test_a_link_in_a_message_leads_to_the_page_also_where_the_browser_keeps_the_cookie(web: WebPage) -> None:
    from_elsewhere = web.browser().get("/probe/rights", headers={"Sec-Fetch-Site": "cross-site"}, follow=False)
    assert from_elsewhere.status == 200
    assert '<meta http-equiv="refresh" content="0">' in from_elsewhere.html
    asked_again = web.browser().get("/probe/rights", headers={"Sec-Fetch-Site": "same-origin"}, follow=False)
    assert asked_again.headers["location"] == "/sign-in?next=%2Fprobe%2Frights"


def test_a_page_that_refreshes_itself_learns_that_the_session_has_ended(web: WebPage) -> None:
    assert web.browser().refresh("/probe/rights").status == 401


def test_the_log_has_the_way_and_the_outcome_and_nothing_that_was_asked(
    database_url: str, tmp_path: Path, person: NewPerson
) -> None:
    logged: list[str] = []
    made = person()
    with served(database_url, tmp_path, log=lambda line, **_: logged.append(line)) as web:
        web.browser().sign_in("hunter2", "x")
        browser = web.signed_in(made.login, made.password)
        browser.get("/probe/rights?member=m-123")
        browser.get("/members/m-123")
        browser.post("/probe/say", {"token": token(browser), "said": "m-123", "tps": "x"})
        browser.refresh("/probe/rights")
    assert logged[:2] == [
        "a sign-in from 127.0.0.1 was refused: SIGN_IN_REFUSED",
        f"{made.login} signed in from 127.0.0.1",
    ]
    told = [line.rpartition(" ")[0].rpartition(" ")[0] for line in logged[2:]]
    assert told == ["GET / 200", "GET /probe/rights 200", "POST /probe/say 422"]


def test_a_defect_is_a_page_and_its_place_in_the_log_without_any_value(
    kim: Browser, capfd: pytest.CaptureFixture[str]
) -> None:
    page = kim.get("/probe/broken?member=m-123")
    said = capfd.readouterr().err
    assert (page.status, "m-123" in page.text) == (500, False)
    assert "An error of this program" in page.text
    assert "in broken" in said
    assert "ValueError" in said
    assert "m-123" not in said
    assert kim.get("/probe/rights").status == 200


def test_whoever_asks_when_everything_is_busy_is_told_so_and_a_stop_still_goes_through(
    kim: Browser, web: WebPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.web.threads.WAIT_S_MAX", 0.2)
    sent = {"token": token(kim)}
    web.site.threads.pages.total_tokens = 0
    assert (page := kim.get("/probe/rights")).status == 503
    assert "Too much is being done at once" in page.text
    assert kim.post("/probe/go", sent, follow=False).status == 303
    assert web.browser().get("/healthz").status == 200
