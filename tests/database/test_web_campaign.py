"""One campaign on the page: its figures, and each act that its state allows, under the person's own login."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bulkpoint.settings import load_settings
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import Attempt
from bulkpoint.store.rows import Query
from bulkpoint.web.pages import campaign as campaign_page
from tests.world.browser import Browser, PageShown, WebPage, served
from tests.world.campaigns import Campaign, World
from tests.world.logins import NewPerson


def signed_in(web: WebPage, person: NewPerson, *rights: str) -> Browser:
    """Somebody with these rights."""
    one = person(*rights)
    return web.signed_in(one.login, one.password)


def acts(page: PageShown, campaign: Campaign) -> set[str]:
    """What the page offers, by the last part of the address."""
    begins = f"/campaigns/{campaign.id}/"
    return {form.action.removeprefix(begins) for form in page.forms if form.action.startswith(begins)}


def audited(connection: Connection, action: str) -> tuple[str, str, dict[str, Any]] | None:
    """Login, actor and detail of the latest row of this action."""
    return connection.execute(
        "select login, actor, detail from audit_event where action = %s order by audit_no desc limit 1", (action,)
    ).fetchone()


def test_counts_and_points_stand_apart_by_state(web: WebPage, person: NewPerson, world: World) -> None:
    campaign = world.campaign(20, amount=100, name="Spring").begun()
    campaign.paid(9).failed(4).failed(2, "UNKNOWN").claimed(1)
    text = signed_in(web, person).get(f"/campaigns/{campaign.id}").text
    for figure in (
        "Targets 20 2,000 points", "Paid 9 900 points", "Not paid 4 400 points", "Unknown 2 200 points",
        "Perhaps sent 1 100 points", "Not processed 4 400 points", "15 of 20 · 75.0 %",
    ):  # fmt: skip
        assert figure in text


def test_rate_time_left_and_deadline_follow_from_the_samples(web: WebPage, person: NewPerson, world: World) -> None:
    campaign = world.campaign(1_000).begun().was_started(seconds_ago=32)
    for ago in range(30, -1, -5):
        campaign.paid(50).sampled(seconds_ago=ago)
    browser = signed_in(web, person)
    page = browser.get(f"/campaigns/{campaign.id}")
    assert "10 a second" in page.text
    assert "about 1 min" in page.text
    assert 'class="rate"' in page.html
    by = browser.get(f"/campaigns/{campaign.id}?deadline=2099-01-01T00:00")
    assert "It will be done by 2099-01-01 00:00:00." in by.text
    late = browser.get(f"/campaigns/{campaign.id}?deadline=2020-01-01T00:00")
    assert "after 2020-01-01 00:00:00." in late.text
    wrong = browser.get(f"/campaigns/{campaign.id}?deadline=tea+time")
    assert wrong.status == 422
    assert "tea time" in wrong.text
    assert "10 a second" in wrong.text


def attempts(count: int, outcome: str, *, first: int = 1, ms: int | None = 80, **more: Any) -> list[Attempt]:
    """Calls that left just now."""
    at = time.time()
    return [
        Attempt(
            str(UUID(int=int(at * 1_000) << 80 | 7 << 76 | 2 << 62 | (first + n))), "POST", first + n, at,
            None if ms is None else at + ms / 1_000, more.get("status"), outcome, more.get("code"), None,
        )
        for n in range(count)
    ]  # fmt: skip


def test_answers_are_counted_by_outcome_and_code_with_their_latency(
    web: WebPage, person: NewPerson, world: World
) -> None:
    campaign = world.campaign(100).begun()
    campaign.attempted(*attempts(90, "CREDITED", status=200))
    campaign.attempted(*attempts(8, "THROTTLED", first=100, ms=20, status=429, code="TOO_MANY"))
    campaign.attempted(*attempts(2, "TIMED_OUT", first=200, ms=None))
    text = signed_in(web, person).get(f"/campaigns/{campaign.id}").text
    assert "credited 90 90.0 %" in text
    assert "too many calls (429) 429 TOO_MANY 8" in text
    assert "The latest 100 calls" in text
    assert "half" in text
    assert "ms" in text


def test_what_slows_a_run_is_said_of_each_share(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(10).begun()
    campaign.share()
    connection.execute("""update money_share set pressure = '{"rate": 12.5}' where share = 0""")
    text = signed_in(web, person).get(f"/campaigns/{campaign.id}").text
    assert "Partitions use 1 of 2 shares." in text
    assert "slowed down to 12.5 TPS" in text
    assert "no partition uses it" in text


def test_a_page_offers_what_the_state_and_the_rights_allow(web: WebPage, person: NewPerson, world: World) -> None:
    waiting, stopped = world.campaign(3), world.campaign(3).begun().paid(1).stopped()
    done = world.campaign(3).begun().failed(1).ended("COMPLETED")
    running = world.campaign(3).begun()
    everything = signed_in(web, person, "start", "force", "approve", "throttle")
    nothing = signed_in(web, person)
    expected = [
        (waiting, {"start", "withdraw"}, set()),
        (stopped, {"resume", "acknowledge", "report"}, {"report"}),
        (done, {"retry", "report"}, {"report"}),
        (running, {"stop", "hold", "report"}, {"stop", "report"}),
    ]
    for campaign, all_acts, some in expected:
        path = f"/campaigns/{campaign.id}"
        assert acts(everything.get(path), campaign) - {"stop"} == all_acts - {"stop"}
        assert acts(nothing.get(path), campaign) - {"stop"} == some - {"stop"}


def test_a_dangerous_act_asks_for_the_number_and_a_reason(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(3)
    browser = signed_in(web, person, "start")
    action = f"/campaigns/{campaign.id}/withdraw"
    page = browser.get(f"/campaigns/{campaign.id}")
    for typed in (
        {"number": campaign.id + 1, "reason": "twice"},
        {"number": campaign.id, "reason": " "},
        {"number": ""},
    ):
        refused = browser.submit(page, action, **typed)
        assert refused.status == 422
        assert get_campaign(connection, campaign.id).state == "WAITING"
    kept = browser.submit(page, action, number=7, reason="made twice")
    assert 'value="made twice"' in kept.html, "what was typed is still there"
    assert kept.refreshing == [], "the answer to a form cannot be asked for again"
    assert browser.get(action).path == f"/campaigns/{campaign.id}", "a reload is back on the page"
    after = browser.submit(page, action, number=campaign.id, reason="made twice")
    assert f"Campaign {campaign.id} is withdrawn." in after.text
    assert get_campaign(connection, campaign.id).state == "WITHDRAWN"


def test_a_start_is_asked_for_and_waits_for_an_agent(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(3)
    browser = signed_in(web, person, "start")
    page = browser.get(f"/campaigns/{campaign.id}")
    after = browser.submit(page, f"/campaigns/{campaign.id}/start", number=campaign.id, reason="today")
    assert "is asked for" in after.text
    assert "agent" in after.text
    assert connection.execute("select state, reason from run_request").fetchone() == ("WAITING", "today")
    assert "start" not in acts(after, campaign), "it is asked for once"
    gone = browser.submit(after, f"/campaigns/{campaign.id}/stop")
    assert "called back" in gone.text
    assert "start" in acts(gone, campaign)


def test_a_start_without_the_right_is_refused_also_past_the_page(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(3)
    browser = signed_in(web, person)
    token = browser.get("/").form("/sign-out").fields["token"]
    typed = {"token": token, "number": str(campaign.id), "reason": "r"}
    for act in ("start", "withdraw", "acknowledge", "hold"):
        assert browser.post(f"/campaigns/{campaign.id}/{act}", typed).status in (403, 409)
    assert connection.execute("select count(*) from run_request").fetchone() == (0,)
    assert get_campaign(connection, campaign.id).state == "WAITING"


def test_resume_and_retry_are_asked_for_with_what_was_chosen(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    stopped = world.campaign(5).begun().paid(1).stopped()
    done = world.campaign(5).begun().failed(2).failed(1, "UNAVAILABLE").ended("COMPLETED")
    browser = signed_in(web, person, "start")
    page = browser.get(f"/campaigns/{stopped.id}")
    assert "4 payments that are not processed" in page.text
    browser.submit(page, f"/campaigns/{stopped.id}/resume", number=stopped.id, reason="list is right")
    page = browser.get(f"/campaigns/{done.id}")
    action = f"/campaigns/{done.id}/retry"
    none = browser.submit(page, action, number=done.id, reason="r", kind=None, code="NO", beyond_limit="on")
    assert none.status == 422
    again = none.form(action).fields
    assert (again.get("kind"), again["code"], again["beyond_limit"]) == (None, "NO", "on"), "as it was filled in"
    browser.submit(page, action, number=done.id, reason="members exist now", kind="REJECTED", code="NO")
    rows = connection.execute("select kind::text, options from run_request order by requested_at").fetchall()
    assert [kind for kind, _ in rows] == ["RESUME", "RETRY"]
    assert rows[1][1]["selection"]["kinds"] == ["REJECTED"]
    assert rows[1][1]["selection"]["code"] == "NO"


def test_a_hold_is_at_once_and_says_who(web: WebPage, person: NewPerson, world: World, connection: Connection) -> None:
    campaign = world.campaign(3).begun()
    one = person("throttle")
    browser = web.signed_in(one.login, one.password)
    after = browser.submit(browser.get(f"/campaigns/{campaign.id}"), f"/campaigns/{campaign.id}/hold", reason="look")
    assert "The limit is 0 now" in after.text
    assert "Raise the limit again" in after.text
    row = audited(connection, "tps.set")
    assert row is not None
    assert (row[0], row[2]["tps"], row[2]["reason"]) == (one.login, 0, "look")


def test_what_an_end_left_is_on_the_page_as_soon_as_the_end_is(
    web: WebPage, person: NewPerson, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_page, "LIVE_S_MAX", -1.0)
    campaign = world.campaign(3).begun()
    browser = signed_in(web, person, "start")
    address = f"/campaigns/{campaign.id}"
    assert "acknowledge" not in acts(browser.get(address), campaign)
    campaign.stopped()
    assert "acknowledge" in acts(browser.get(address), campaign)


def test_what_a_stopped_run_left_is_acknowledged(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(3).begun().paid(1).stopped()
    browser = signed_in(web, person, "start")
    page = browser.get(f"/campaigns/{campaign.id}")
    assert "acknowledge" in acts(page, campaign)
    after = browser.submit(page, f"/campaigns/{campaign.id}/acknowledge", reason="final")
    assert "stays as it is" in after.text
    assert "acknowledge" not in acts(after, campaign)
    assert audited(connection, "acknowledge") is not None


@pytest.mark.parametrize(("kind", "begins"), [("xlsx", b"PK"), ("csv", b"\xef\xbb\xbf"), ("html", b"<!DOCTYPE html>")])
def test_a_report_is_downloaded_with_its_trace(
    web: WebPage, person: NewPerson, world: World, connection: Connection, kind: str, begins: bytes
) -> None:
    campaign = world.campaign(["member-001", "member-002"]).begun().ended("COMPLETED")
    browser = signed_in(web, person, "members")
    page = browser.get(f"/campaigns/{campaign.id}")
    file = browser.submit(page, f"/campaigns/{campaign.id}/report", format=kind, reason="closing")
    assert file.status == 200
    assert file.body.startswith(begins)
    assert f"campaign-{campaign.id}.{kind}" in file.headers["content-disposition"]
    row = audited(connection, "export")
    if kind == "html":
        assert row is None, "no member is in it"
        assert b"member-001" not in file.body
    else:
        assert row is not None
        assert (row[2]["format"], row[2]["reason"]) == (kind, "closing")
    assert len(file.body) == int(file.headers["content-length"])
    assert not list(web.host.uploads.iterdir()), "nothing stays behind"


def test_a_campaign_that_is_not_there_is_a_page_that_says_so(web: WebPage, person: NewPerson, world: World) -> None:
    world.campaign(1)
    browser = signed_in(web, person)
    for path in ("/campaigns/99", "/campaigns/99999999999999999999999"):
        page = browser.get(path)
        assert page.status == 404
        assert "campaign" in page.text


def test_what_people_wrote_is_text_and_no_markup(web: WebPage, person: NewPerson, world: World) -> None:
    campaign = world.campaign(3, name="<script>alert(1)</script>", note="<b>x</b>").begun(reason="<i>y</i>")
    page = signed_in(web, person).get(f"/campaigns/{campaign.id}")
    assert "<script>alert" not in page.html
    assert "<b>x</b>" not in page.html
    assert "<script>alert(1)</script>" in page.text


def test_fifty_open_pages_are_one_question_to_the_database(
    web: WebPage, person: NewPerson, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = world.campaign(50).begun().paid(10).sampled()
    people = [person() for _ in range(10)]
    browsers = [web.signed_in(one.login, one.password) for one in people for _ in range(5)]
    path = f"/campaigns/{campaign.id}"
    asked: list[str] = []
    lock, execute = threading.Lock(), Query._execute

    def count(query: Query[Any], connection: Connection, parameters: dict[str, Any]) -> psycopg.Cursor[Any]:
        with lock:
            asked.append(query.name)
        return execute(query, connection, parameters)

    monkeypatch.setattr(Query, "_execute", count)
    with ThreadPoolExecutor(50) as pool:
        pages = list(pool.map(lambda browser: browser.refresh(path), browsers))
    assert {page.status for page in pages} == {200}
    often = {name: asked.count(name) for name in set(asked)}
    each = {"may_look", "own_rights", "limit_statements"}  # of a login, which no other answers for
    assert {name: count for name, count in often.items() if name not in each and count > 4} == {}, (
        "a question that every page asks"
    )


def test_what_the_first_run_brings_appears_on_a_page_that_is_open_already(
    web: WebPage, person: NewPerson, world: World
) -> None:
    campaign = world.campaign(3)
    browser = signed_in(web, person)
    before = browser.get(f"/campaigns/{campaign.id}").refreshing
    campaign.begun().share()
    during = browser.get(f"/campaigns/{campaign.id}").refreshing
    assert {"chart", "calls", "shares", "deadline-form", "payments-link"} <= set(during)
    assert set(during) == set(before), "a part that is not there is never swapped in"


def test_why_a_start_is_refused_names_a_page_and_no_command(
    database_url: str, person: NewPerson, world: World, tmp_path: Path
) -> None:
    campaign = world.campaign(3)
    kim = person("start")
    with served(database_url, tmp_path, settings=load_settings({"BULKPOINT_REQUIRE_APPROVAL": "true"})) as web:
        browser = web.signed_in(kim.login, kim.password)
        page = browser.get(f"/campaigns/{campaign.id}")
        answer = browser.submit(page, f"/campaigns/{campaign.id}/start", number=campaign.id, reason="spring")
    assert answer.status == 409
    assert "page of approvals" in answer.text
    assert "bulkpoint campaign" not in answer.text


def test_the_story_is_in_the_persons_language(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(3)
    connection.execute(
        "insert into run_request (request_id, campaign_id, kind, actor, requested_at, alive_until)"
        " values (gen_random_uuid(), %s, 'INITIAL', 'lee', now(), now() + interval '1 h')",
        (campaign.id,),
    )
    kim = person("start")
    browser = web.signed_in(kim.login, kim.password, language="ko")
    page = browser.get(f"/campaigns/{campaign.id}")
    called_back = browser.submit(page, f"/campaigns/{campaign.id}/stop", reason="tomorrow")
    assert "최초 지급 실행" in called_back.text
    assert "INITIAL" not in called_back.text
