"""The page of what needs a person: what `check` says, the button that mends it, and calm where there is nothing."""

import re
from pathlib import Path

import pytest

from bulkpoint.campaigns.tps import set_tps
from bulkpoint.errors import RefusedError
from bulkpoint.events.relay import Relayed
from bulkpoint.rules.troubles import TroubleKind
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import AuditChoice, list_audit
from bulkpoint.store.connect import Connection
from bulkpoint.web.pages import trouble
from bulkpoint.web.words import LANGUAGES, web_words
from tests.world.browser import Browser, WebPage, served
from tests.world.campaigns import World
from tests.world.logins import NewPerson


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes between two pages of a test is seen at once."""
    monkeypatch.setattr(trouble, "FOUND_S_MAX", -1.0)


@pytest.fixture
def browser(web: WebPage, person: NewPerson) -> Browser:
    kim = person("start", name="watcher")
    return web.signed_in(kim.login, kim.password)


def test_where_there_is_nothing_it_is_calm(browser: Browser, world: World) -> None:
    page = browser.get("/trouble")
    assert "Nothing needs a person" in page.text
    assert 'class="badge"' not in page.html


def test_every_kind_has_its_words_and_what_helps() -> None:
    assert trouble.MENDINGS.keys() == set(TroubleKind)
    for language in LANGUAGES:
        assert web_words(language)["trouble"]["kinds"].keys() == set(TroubleKind)
        pages = {mending.page for mending in trouble.MENDINGS.values() if mending.page}
        assert {"/campaigns" if page.startswith("/campaigns") else page for page in pages} == web_words(language)[
            "trouble"
        ]["go"].keys()


def test_a_failed_run_is_named_with_its_age_and_counted_on_every_page(browser: Browser, world: World) -> None:
    world.campaign(name="봄").begun().paid(1).halted().ended("FAILED", reason="UNAUTHORIZED: «m2» said no")
    page = browser.get("/trouble")
    assert "A run failed" in page.text
    assert "1 봄" in page.text
    assert "since 20" in page.text
    assert "m2" not in page.text, "everybody sees it, so no member is in it"
    assert re.search(r'class="badge"><span class="unseen">: </span>1</span>', browser.get("/limit").html)


def test_a_person_says_that_it_stays_so_by_typing_the_number_and_a_reason(
    browser: Browser, connection: Connection, world: World
) -> None:
    world.campaign().begun().paid(1).stopped()
    page = browser.get("/trouble")
    act = "/trouble/acknowledge"
    assert browser.submit(page, act, number="1", reason=" ").status == 422
    wrong = browser.submit(page, act, number="2", reason="old list")
    assert wrong.status == 422
    assert wrong.form(act).fields["reason"] == "old list", "what was typed is there"
    assert list_audit(connection, AuditChoice(action="acknowledge"), rows_max=1) == []
    done = browser.submit(page, act, number="1", reason="old list")
    assert "Nothing needs a person" in done.text
    (row,) = list_audit(connection, AuditChoice(action="acknowledge"), rows_max=2)
    assert (row.login, row.detail["reason"]) == ("watcher", "old list")
    assert "to stay as it is already" in browser.submit(page, act, number="1", reason="twice").text


def test_a_start_that_no_job_takes_is_called_back(browser: Browser, connection: Connection, world: World) -> None:
    campaign = world.campaign()
    connection.execute(
        "insert into run_request (request_id, campaign_id, kind, actor, requested_at, alive_until)"
        " values (gen_random_uuid(), %s, 'INITIAL', 'lee', now() - interval '1 h', now() - interval '1 h')",
        (campaign.id,),
    )
    page = browser.get("/trouble")
    assert "A start that no job takes" in page.text
    done = browser.submit(page, "/trouble/call-back", reason="tomorrow")
    assert "was called back" in done.text
    assert "Nothing needs a person" in done.text
    again = browser.submit(page, "/trouble/call-back", reason="tomorrow")
    assert "no start to call back" in again.text


def test_a_hold_leads_to_the_limit(browser: Browser, connection: Connection, world: World) -> None:
    set_tps(connection, tps=0, actor="lee", reason="money asked", until=None)
    world.limit_was_set(seconds_ago=100_000)
    page = browser.get("/trouble")
    assert "The limit is 0" in page.text
    assert 'href="/limit"' in page.html.partition("<main")[2]


def test_what_is_only_to_be_known_is_apart_and_not_counted(
    browser: Browser, connection: Connection, world: World
) -> None:
    world.campaign().begun().paid(1).stopped().was_finished(seconds_ago=400 * 86_400)
    page = browser.get("/trouble")
    assert "Good to know" in page.text
    assert "Nothing needs a person" in page.text
    assert 'class="badge"' not in page.html


def test_a_login_without_the_right_sees_it_and_has_no_button(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    world.campaign().begun().paid(1).stopped()
    lee = person(role="bulkpoint_reader")
    browser = web.signed_in(lee.login, lee.password)
    page = browser.get("/trouble")
    assert "Stopped before its end" in page.text
    assert not [form for form in page.forms if form.action.startswith("/trouble")]
    fields = {"token": page.form("/language").fields["token"], "campaign": "1", "number": "1", "reason": "r"}
    assert browser.post("/trouble/acknowledge", fields).status in (403, 409)
    assert list_audit(connection, AuditChoice(action="acknowledge"), rows_max=1) == []


def test_events_cannot_be_sent_where_there_is_no_kafka(browser: Browser, world: World) -> None:
    page = browser.get("/trouble")
    sent = browser.post("/trouble/publish", {"token": page.form("/language").fields["token"]})
    assert sent.status == 422
    assert "no Kafka" in sent.text or "Kafka" in sent.text


def test_events_that_wait_go_out_at_a_click_and_what_kafka_refuses_again_is_said(
    database_url: str, person: NewPerson, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"BULKPOINT_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    asked: list[bool] = []

    def relayed(*_: object, parked: bool) -> Relayed:
        asked.append(parked)
        return Relayed(3, 1 if parked else 0)

    monkeypatch.setattr("bulkpoint.events.relay.relay_once", relayed)
    world.campaign().begun().ended("COMPLETED")
    world.connection.execute("update outbox_event set occurred_at = occurred_at - interval '1 h'")
    kim = person("start")
    with served(database_url, tmp_path, settings=settings) as web:
        browser = web.signed_in(kim.login, kim.password)
        sent = browser.submit(browser.get("/trouble"), "/trouble/publish")
        assert "3 events went to Kafka" in sent.text
        world.connection.execute("update outbox_event set parked_at = now(), trouble = 'too large' where event_no = 1")
        again = browser.submit(browser.get("/trouble"), "/trouble/publish")
        assert "Kafka refused 1 again" in again.text
    assert asked == [False, True]


def test_it_says_the_same_as_check_and_in_korean(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    world.campaign().begun().failed(1, "UNKNOWN").ended("COMPLETED")
    lee = person(role="bulkpoint_reader")
    page = web.signed_in(lee.login, lee.password, language="ko").get("/trouble")
    assert "확인 필요(UNKNOWN)인 지급이 1건 있습니다" in page.text
    assert "<code>bulkpoint reconcile 1</code>" in page.html


def test_many_pages_are_one_question(
    web: WebPage, person: NewPerson, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "FOUND_S_MAX", 60.0)
    asked = 0
    find = trouble._find

    def counted(*given: object) -> object:
        nonlocal asked
        asked += 1
        return find(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(trouble, "_find", counted)
    lee = person(role="bulkpoint_reader")
    browser = web.signed_in(lee.login, lee.password)
    for _ in range(5):
        browser.get("/trouble")
    assert asked == 1


def test_a_check_that_fails_costs_no_other_page(
    browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RefusedError("NO_KAFKA", "name_brokers")

    monkeypatch.setattr(trouble, "find_troubles", broken)
    assert browser.get("/limit").status == 200
    assert browser.get("/trouble").status == 409


@pytest.mark.parametrize(
    ("language", "button"), [("en", "Ask to resume it on its page"), ("ko", "‘이어서 지급 요청’을")]
)
def test_who_has_no_command_line_reads_of_buttons(
    web: WebPage, person: NewPerson, world: World, language: str, button: str
) -> None:
    campaign = world.campaign().begun().paid(1).stopped()
    kim = person("start")
    browser = web.signed_in(kim.login, kim.password, language=language)
    for path in ("/trouble", f"/campaigns/{campaign.id}"):
        page = browser.get(path)
        assert button in page.text
        assert "bulkpoint campaign" not in page.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_that_a_button_mends_has_words_without_a_command(language: str) -> None:
    words = web_words(language)["alerts"]
    mended = {kind for kind, mending in trouble.MENDINGS.items() if mending.page or mending.act}
    assert mended - words.keys() == {TroubleKind.EVENTS_WAITING, TroubleKind.OVERDUE}, "the latter says why"
    for kind, said in words.items():
        assert "bulkpoint campaign" not in said, kind
        assert "bulkpoint tps" not in said, kind
