"""The page of all campaigns: what runs, what waits and why, what ended; and the stop that every page has."""

from datetime import UTC, datetime, timedelta

from bulkpoint.campaigns.left_request import leave_request
from bulkpoint.campaigns.reject import reject_campaign
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.rules.findings import Example, Finding, FindingName
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import load_settings
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.finding import keep_judgement, latest_judged
from bulkpoint.store.sql import sql
from tests.world.browser import Browser, WebPage
from tests.world.campaigns import World
from tests.world.logins import NewPerson


def signed_in(web: WebPage, person: NewPerson, *rights: str, role: str | None = "bulkpoint_operator") -> Browser:
    """Somebody with these rights."""
    one = person(*rights, role=role)
    return web.signed_in(one.login, one.password)


def test_the_queue_is_in_order_with_what_stands_in_each_ones_way(web: WebPage, person: NewPerson, world: World) -> None:
    world.campaign(3, name="Early", not_before=datetime.now(UTC) + timedelta(days=1))
    world.campaign(2, name="Half loaded", expected=(9, 9))
    world.campaign(4, name="Ready")
    world.campaign(5, name="After it")
    text = signed_in(web, person).get("/").text
    places = [text.index(name) for name in ("Early", "Half loaded", "Ready", "After it")]
    assert places == sorted(places)
    assert "it is not to start before" in text
    assert "it expects 9 targets and 9 points, but 2 and 2 are loaded" in text
    assert text.count("It is next, and may start.") == 1
    assert text.index("Ready") < text.index("It is next") < text.index("After it")
    assert "May start after the ones before it." in text


def test_a_no_stands_in_the_way_with_its_reason_also_of_a_list_that_nobody_judged(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(3, name="Refused")
    reject_campaign(connection, campaign.id, actor="lee", reason="wrong amounts")
    browser = signed_in(web, person)
    assert "wrong amounts" in browser.get("/").text
    assert "It is next" not in browser.get("/").text
    assert "lee" in browser.get(f"/campaigns/{campaign.id}").text


def test_a_finding_in_the_way_is_named_without_a_value_of_the_list(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(3, name="Look-alikes").approved()
    example = Example(None, "'member-1l1'", Refusal("NOT_SHOWN"))
    digest = latest_judged(connection, campaign.id)
    assert digest is not None
    keep_judgement(connection, campaign.id, digest, [Finding.of(FindingName.LOOK_ALIKE_IDS, 1, [example])])
    browser = signed_in(web, person, "start", "members")
    for path in ("/", f"/campaigns/{campaign.id}"):
        page = browser.get(path)
        assert "LOOK_ALIKE_IDS" in page.text
        assert "member-1l1" not in page.html


def test_the_list_of_a_campaign_that_was_judged_is_not_read_again(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(10, name="Judged").approved()
    world.campaign(10, name="Never judged", expected=(20, 20))
    connection.execute("delete from campaign_target where campaign_id = %s", (campaign.id,))
    text = signed_in(web, person).get("/").text
    assert "It is next, and may start." in text, "by what is remembered of it; its start reads it"
    assert "Never judged" in text


def test_what_runs_is_on_top_with_unknown_payments_apart(web: WebPage, person: NewPerson, world: World) -> None:
    campaign = world.campaign(10, name="Runs").begun()
    campaign.paid(4).failed(2).failed(1, "UNKNOWN")
    text = signed_in(web, person).get("/").text
    assert "7 of 10 (70.0 %)" in text
    assert "Not paid 2" in text
    assert "Unknown 1" in text


def test_campaigns_are_found_by_name_number_and_state_a_part_at_a_time(
    web: WebPage, person: NewPerson, world: World
) -> None:
    ended = [world.campaign(1, name=f"Past {n}").begun().ended("COMPLETED").id for n in range(55)]
    world.campaign(1, name="100 % sure_thing").withdrawn()
    browser = signed_in(web, person)
    first = browser.get("/")
    assert first.text.count("Past ") == 49, "50 with the one that was withdrawn"
    [older] = [part.split('"')[0] for part in first.html.split('href="') if part.startswith("/?before=")]
    second = browser.get(older)
    assert second.text.count("Past ") == 6
    assert "Older campaigns" not in second.text
    assert "To the newest" in second.text
    assert browser.get("/?q=past+7").text.count("Past ") == 1
    assert "Past 3" in browser.get(f"/?q={ended[3]}").text
    assert "sure_thing" in browser.get("/?q=0+%25+S").text, "a percent sign is a percent sign"
    assert "No campaign matches." in browser.get("/?q=Past__").text
    assert "No campaign matches." in browser.get("/?state=FAILED").text
    assert "sure_thing" in browser.get("/?state=WITHDRAWN").text
    assert browser.get("/?state=NONSENSE&before=x&q=").text.count("Past ") == 49
    assert browser.get("/?before=99999999999999999999999&q=" + "x" * 5000).status == 200


def test_a_page_of_ten_thousand_campaigns_reads_few_of_them(connection: Connection, world: World) -> None:
    for _ in range(3):
        world.campaign(1).begun().ended("COMPLETED")
    connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator, withdrawn_at, withdrawn_by)"
        " select 'old ' || n, 1, 1, 'x', now(), 'x' from generate_series(1, 10000) n"
    )
    connection.execute("vacuum analyze")
    row = connection.execute(
        b"explain (analyze, format json) " + sql("page_of_campaigns"),
        {"before": 2**63 - 1, "states": ["WITHDRAWN", "COMPLETED"], "text": None, "number": None, "rows_max": 51},
    ).fetchone()
    assert row is not None

    def scanned(plan: dict) -> int:  # type: ignore[type-arg]
        own = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0) * plan["Actual Loops"]
        return int(own if "Relation Name" in plan else 0) + sum(map(scanned, plan.get("Plans", [])))

    assert scanned(row[0][0]["Plan"]) < 500


def test_every_page_stops_what_runs_at_once(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign = world.campaign(10, name="Wrong list").begun().paid(2)
    browser = signed_in(web, person)
    page = browser.get("/nothing-here")
    assert page.status == 404
    page = browser.get("/")
    after = browser.submit(page, f"/campaigns/{campaign.id}/stop", reason="wrong list")
    assert after.status == 200
    assert f"Campaign {campaign.id} is stopped" in after.text
    stopping = get_campaign(connection, campaign.id)
    assert stopping.stopping
    row = connection.execute("select stop_reason, stop_actor from campaign_run").fetchone()
    assert row is not None
    assert row[0] == "wrong list"
    again = browser.get("/")
    assert "the answers to calls under way still come in" in again.text
    assert not [form for form in again.forms if form.action.endswith("/stop")], "once is enough"


def test_a_reader_sees_what_runs_and_has_no_button(web: WebPage, person: NewPerson, world: World) -> None:
    campaign = world.campaign(10).begun()
    browser = signed_in(web, person, role="bulkpoint_reader")
    page = browser.get("/")
    assert "running" in page.text
    assert not [form for form in page.forms if form.action.endswith("/stop")]
    token = page.form("/sign-out").fields["token"]
    refused = browser.post(f"/campaigns/{campaign.id}/stop", {"token": token})
    assert refused.status == 403, "the database refuses it anyway"
    assert "stopping" not in browser.get("/").text


def test_a_start_on_its_way_is_shown_and_called_back(
    web: WebPage, person: NewPerson, world: World, connection: Connection, database_url: str
) -> None:
    campaign = world.campaign(3, name="Asked for")
    leave_request(connection, load_settings({}), RunRequest(campaign=campaign.id, actor="choi"))
    browser = signed_in(web, person)
    page = browser.get("/")
    assert "asked for by choi" in page.text
    after = browser.submit(page, f"/campaigns/{campaign.id}/stop")
    assert "called back" in after.text
    row = connection.execute("select state from run_request").fetchone()
    assert row == ("REFUSED",)


def test_a_page_whose_every_look_leaves_a_trace_does_not_ask_by_itself(
    web: WebPage, person: NewPerson, world: World
) -> None:
    campaign = world.campaign(3).begun()
    browser = signed_in(web, person)
    assert browser.get(f"/campaigns/{campaign.id}").refreshing != []
    assert browser.get(f"/campaigns/{campaign.id}/payments").refreshing == []
