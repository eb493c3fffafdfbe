"""The limit's page: what it shows, who may change it, and that nobody changes unseen what another has just set."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from bulkpoint.campaigns.tps import set_tps
from bulkpoint.store.audit import AuditChoice, list_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import get_limit
from tests.world.browser import WebPage
from tests.world.campaigns import World
from tests.world.logins import NewPerson


def test_it_shows_the_limit_who_set_it_why_and_how_much_is_in_use(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    set_tps(connection, tps=750, actor="park", reason="night batch", until=None)
    world.campaign(targets=2).begun().share()
    kim = person()
    page = web.signed_in(kim.login, kim.password).get("/limit")
    assert page.status == 200
    for shown in ("750 TPS", "park", "night batch", "375 TPS · 1 of 2 shares", "100 → 750"):
        assert shown in page.text
    assert not [form for form in page.forms if form.action.startswith("/limit")], "no right, so no button"
    assert "do not have the right" in page.text


def test_a_person_sets_it_with_a_reason_under_the_own_login(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("throttle")
    browser = web.signed_in(kim.login, kim.password)
    page = browser.submit(browser.get("/limit"), "/limit", tps="1,200", reason="money\nagreed")
    assert (page.path, page.status) == ("/limit", 200)
    assert "The limit is now 1,200 TPS." in page.text
    limit = get_limit(connection)
    assert (limit.tps, limit.reason, limit.set_by) == (1200, "money agreed", kim.login)
    (row,) = list_audit(connection, AuditChoice(action="tps.set"), rows_max=2)
    assert (row.login, row.actor) == (kim.login, kim.login)
    assert "is now 1,200" not in browser.get("/limit").text, "it is said once"


def test_a_temporary_limit_is_shown_as_the_plan(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("throttle")
    browser = web.signed_in(kim.login, kim.password)
    until = (datetime.now(UTC) + timedelta(hours=20)).replace(second=0, microsecond=0)
    seoul = until + timedelta(hours=9)
    page = browser.submit(browser.get("/limit"), "/limit", tps=40, reason="r", until=f"{seoul:%Y-%m-%dT%H:%M}")
    assert get_limit(connection).until == until
    assert f"back to 100 TPS at {seoul:%Y-%m-%d %H:%M:%S}" in page.text
    assert 'class="plan"' in page.html


def test_one_click_and_a_reason_holds_it_and_a_release_offers_what_it_was(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("throttle")
    browser = web.signed_in(kim.login, kim.password)
    held = browser.submit(browser.get("/limit"), "/limit/hold", reason="wrong amounts")
    assert "Within a second no call is made any more" in held.text
    assert (get_limit(connection).tps, get_limit(connection).reason) == (0, "wrong amounts")
    assert held.form("/limit/release").fields["tps"] == "100"
    released = browser.submit(held, "/limit/release", reason="it was nothing")
    assert (get_limit(connection).tps, released.status) == (100, 200)
    again = browser.submit(held, "/limit/release", reason="from the other tab", tps=5)
    assert (again.status, get_limit(connection).tps) == (409, 100)
    assert "was changed meanwhile" in again.text


def test_another_ones_change_is_not_overwritten_by_a_form_that_is_older(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("throttle")
    browser = web.signed_in(kim.login, kim.password)
    old = browser.get("/limit")
    set_tps(connection, tps=30, actor="lee", reason="money asked", until=None)
    page = browser.submit(old, "/limit", tps=900, reason="faster")
    assert (page.status, get_limit(connection).tps) == (409, 30)
    assert "lee set it to 30 TPS" in page.text
    form = page.form("/limit")
    assert (form.fields["tps"], form.fields["reason"], form.fields["seen"]) == ("900", "faster", "30")
    assert browser.submit(page, "/limit").status == 200
    assert get_limit(connection).tps == 900


def test_a_hold_holds_whatever_it_was(web: WebPage, person: NewPerson, connection: Connection, world: World) -> None:
    kim = person("throttle")
    browser = web.signed_in(kim.login, kim.password)
    old = browser.get("/limit")
    set_tps(connection, tps=5000, actor="lee", reason="faster", until=None)
    assert browser.submit(old, "/limit/hold", reason="stop").status == 200
    assert get_limit(connection).tps == 0


def test_impossible_values_keep_what_was_typed_and_change_nothing(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("throttle")
    browser = web.signed_in(kim.login, kim.password)
    wrong: list[dict[str, Any]] = [
        {"tps": "-1", "reason": "r"},
        {"tps": "1000001", "reason": "r"},
        {"tps": "many", "reason": "r"},
        {"tps": "5", "reason": ""},
        {"tps": "5", "reason": "x" * 501},
        {"tps": "5", "reason": "r", "until": "soon"},
        {"tps": "5", "reason": "r", "until": "2001-01-01T00:00"},
    ]
    for typed in wrong:
        page = browser.submit(browser.get("/limit"), "/limit", **typed)
        assert page.status == 422, typed
        assert page.form("/limit").fields["tps"] == typed["tps"]
    assert get_limit(connection).tps == 100


def test_who_lost_the_right_meanwhile_is_refused(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    kim = person("throttle")
    browser = web.signed_in(kim.login, kim.password)
    page = browser.get("/limit")
    connection.execute("delete from operator_right where login = %s", (kim.login,))
    refused = browser.submit(page, "/limit/hold", reason="r")
    assert (refused.status, get_limit(connection).tps) == (403, 100)


def test_the_changes_are_paged_by_their_numbers(
    web: WebPage, person: NewPerson, connection: Connection, world: World
) -> None:
    for tps in range(1, 46):
        set_tps(connection, tps=tps, actor="park", reason=f"no {tps}.", until=None)
    kim = person()
    browser = web.signed_in(kim.login, kim.password)
    seen: list[int] = []
    path: str | None = "/limit"
    while path is not None:
        page = browser.get(path)
        seen += [int(no) for no in re.findall(r"no (\d+)\.", page.html.partition('<table class="cards">')[2])]
        older = re.search(r'href="(/limit\?before=\d+)"', page.html)
        path = older and older[1]
    assert seen == list(range(45, 0, -1))
    for odd in ("x", "-1", "9" * 30, "٣"):
        assert browser.get(f"/limit?before={odd.encode().hex() if odd == '٣' else odd}").status == 200


def test_it_is_korean_too(web: WebPage, person: NewPerson, world: World) -> None:
    kim = person("throttle")
    page = web.signed_in(kim.login, kim.password, language="ko").get("/limit")
    assert "지금 보류" in page.text
    assert re.search(r"\bHold\b|\bLimit\b", page.text) is None
