"""The payments of a campaign on the page: walked by number, each look with its trace, masked where they must be."""

from typing import Any

import pytest

from bulkpoint.store.connect import Connection
from bulkpoint.web.pages import payments
from tests.world.browser import Browser, WebPage
from tests.world.campaigns import Campaign, World
from tests.world.logins import NewPerson


def signed_in(web: WebPage, person: NewPerson, *rights: str) -> Browser:
    """Somebody with these rights."""
    one = person(*rights)
    return web.signed_in(one.login, one.password)


def campaign_of(world: World, count: int = 8) -> Campaign:
    """Members member-001 ...: two paid, two rejected, one UNKNOWN, the others open."""
    members = [f"member-{n:03}" for n in range(1, count + 1)]
    campaign = world.campaign(members, name="Spring", amount=100).begun()
    campaign.paid(2).failed([3, 4], code="MEMBER_NOT_FOUND", failure_message="member-003 is not known")
    return campaign.failed([5], "UNKNOWN", code="TIMED_OUT")


def actions(connection: Connection) -> list[tuple[str, Any]]:
    """What was read, with its detail, oldest first."""
    return connection.execute(
        "select action, detail from audit_event where action in ('find', 'list', 'export') order by audit_no"
    ).fetchall()


def numbers(html: str, campaign: Campaign) -> list[int]:
    """Of the payments that a page shows."""
    parts = html.split(f'href="/campaigns/{campaign.id}/payments/')[1:]
    return [int(part.split('"')[0]) for part in parts]


def test_a_failed_payment_and_an_unknown_one_are_never_shown_as_one(
    web: WebPage, person: NewPerson, world: World
) -> None:
    campaign, browser = campaign_of(world), signed_in(web, person, "members")
    path = f"/campaigns/{campaign.id}/payments"
    assert numbers(browser.get(path).html, campaign) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert numbers(browser.get(f"{path}?show=FAILED").html, campaign) == [3, 4]
    assert numbers(browser.get(f"{path}?show=UNKNOWN").html, campaign) == [5]
    assert numbers(browser.get(f"{path}?show=REJECTED&code=MEMBER_NOT_FOUND").html, campaign) == [3, 4]
    assert numbers(browser.get(f"{path}?show=REJECTED&code=OTHER").html, campaign) == []
    assert numbers(browser.get(f"{path}?show=SUCCESS").html, campaign) == [1, 2]
    assert numbers(browser.get(f"{path}?show=PENDING").html, campaign) == [6, 7, 8]
    assert numbers(browser.get(f"{path}?show=x&after=-1").html, campaign) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert numbers(browser.get(f"{path}?after=6").html, campaign) == [7, 8]


def test_a_long_list_is_walked_a_part_at_a_time(
    web: WebPage, person: NewPerson, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "LOOKED_MAX", 3)
    campaign, browser = campaign_of(world), signed_in(web, person, "members")
    path = f"/campaigns/{campaign.id}/payments?show=UNKNOWN"
    first = browser.get(path)
    assert "Looked through numbers 1 to 3." in first.text
    assert "No payment in this part matches." in first.text
    assert "1 by now" in first.text, "by the counters"
    second = browser.get(f"{path}&after=3")
    assert numbers(second.html, campaign) == [5]
    assert "Go on from 7" in second.text
    last = browser.get(f"{path}&after=6")
    assert "Looked through numbers 7 to 8." in last.text
    assert "Go on" not in last.text


def test_more_than_a_screen_goes_on_behind_the_last_one_shown(
    web: WebPage, person: NewPerson, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "ROWS_SHOWN", 3)
    campaign, browser = campaign_of(world), signed_in(web, person, "members")
    page = browser.get(f"/campaigns/{campaign.id}/payments")
    assert numbers(page.html, campaign) == [1, 2, 3]
    assert f'href="/campaigns/{campaign.id}/payments?after=3"' in page.html


def test_each_look_leaves_its_row_before_anything_is_shown(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign, browser = campaign_of(world), signed_in(web, person, "members")
    browser.get(f"/campaigns/{campaign.id}/payments?show=FAILED")
    browser.get(f"/campaigns/{campaign.id}/payments/5")
    (listed, detail), (found, about) = actions(connection)
    assert (listed, detail["show"], detail["rows"]) == ("list", "FAILED", 2)
    assert (found, about["rows"]) == ("find", 1)
    assert "member" not in str(about).replace("member_sha256", "")


def test_a_login_without_the_right_sees_masked_ids_everywhere(web: WebPage, person: NewPerson, world: World) -> None:
    campaign, browser = campaign_of(world), signed_in(web, person, "start")
    for path in ("", "?show=FAILED", "/3"):
        page = browser.get(f"/campaigns/{campaign.id}/payments{path}")
        assert page.status == 200
        assert "member-00" not in page.html
        assert "Member ids are masked" in page.text


def test_a_member_is_found_without_the_id_in_an_address(
    web: WebPage, person: NewPerson, world: World, connection: Connection
) -> None:
    campaign, browser = campaign_of(world), signed_in(web, person, "members")
    page = browser.get(f"/campaigns/{campaign.id}/payments")
    action = f"/campaigns/{campaign.id}/payments/find"
    found = browser.submit(page, action, member="member-004", reason="ticket 7")
    assert found.path == f"/campaigns/{campaign.id}/payments/4"
    assert "Rejected" in found.text
    refused = browser.submit(page, action, member="member-999", reason="ticket 8")
    assert refused.status == 409
    assert "no payment of this member" in refused.text
    assert [detail.get("reason") for action, detail in actions(connection) if detail.get("reason")] == [
        "ticket 7", "ticket 8",
    ]  # fmt: skip
    for detail in actions(connection):
        assert "member-0" not in str(detail)
        assert "member-9" not in str(detail)


def test_a_payment_shows_its_calls_and_what_they_mean(web: WebPage, person: NewPerson, world: World) -> None:
    campaign, browser = campaign_of(world), signed_in(web, person, "members")
    page = browser.get(f"/campaigns/{campaign.id}/payments/5")
    assert "may have been credited" in page.text
    assert "Unknown" in page.text
    assert browser.get(f"/campaigns/{campaign.id}/payments/999").status == 404
    assert browser.get("/campaigns/99/payments").status == 404


def test_a_campaign_without_payments_says_so(web: WebPage, person: NewPerson, world: World) -> None:
    campaign = world.campaign(3)
    text = signed_in(web, person).get(f"/campaigns/{campaign.id}/payments").text
    assert "It has not started" in text
