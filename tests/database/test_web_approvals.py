"""Approvals by the page: what waits for a second person, what has changed since, and the yes or the no."""

from pathlib import Path

import pytest

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.rules.findings import FindingName
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.store.audit import AuditChoice, list_audit
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.target import digest_targets
from tests.world.browser import Browser, WebPage
from tests.world.campaigns import World
from tests.world.logins import NewPerson, Person

ROWS = [("customer-1", 1_000, "r"), ("customer-2", 2_000, "r")]


@pytest.fixture
def lee(person: NewPerson) -> Person:
    """May approve, and sees no members."""
    return person("approve")


@pytest.fixture
def browser(web: WebPage, lee: Person) -> Browser:
    return web.signed_in(lee.login, lee.password)


@pytest.fixture
def waits(world: World, tmp_path: Path) -> int:
    """A campaign that the owner of the tables created from a file."""
    return created(world, tmp_path)


def created(world: World, folder: Path, rows: list[tuple[str, int, str]] = ROWS, **fields: object) -> int:
    file = folder / "list.csv"
    file.write_text("member_id,amount,reason\n" + "".join(f"{m},{amount},{why}\n" for m, amount, why in rows))
    new = NewCampaign("Spring", "for April", **fields)  # type: ignore[arg-type]
    return create_campaign(world.connection, new, actor="kim", limits=NO_LIMITS, targets=file)


def swap_amounts(connection: Connection) -> None:
    """Past bulkpoint; number and sum stay."""
    connection.execute("update campaign_target set amount = 3000 - amount")


def test_what_waits_for_me_is_shown_and_approved_with_the_digest_that_was_shown(
    connection: Connection, browser: Browser, lee: Person, waits: int
) -> None:
    overview = browser.get("/approvals")
    assert "For you to decide" in overview.text
    for said in ("Spring", "kim", "2", "3,000"):
        assert said in overview.text, said
    page = browser.get(f"/approvals/{waits}")
    digest = digest_targets(connection, waits).hex()
    for said in (digest, "for April", "1,000 – 2,000 P", "3,000 P"):
        assert said in page.text, said
    assert "changed" not in page.text.replace("If a single letter of it has changed", "")
    answer = browser.submit(page, f"/approvals/{waits}/approve")
    assert "Campaign 1 is approved" in answer.text
    campaign = get_campaign(connection, waits)
    assert (campaign.approved_login, campaign.approved_digest) == (lee.login, bytes.fromhex(digest))
    assert "approved, waiting to be started" in answer.text.lower()


def test_a_list_that_changes_while_somebody_looks_is_not_approved_unseen(
    connection: Connection, browser: Browser, waits: int
) -> None:
    page = browser.get(f"/approvals/{waits}")
    swap_amounts(connection)
    refused = browser.submit(page, f"/approvals/{waits}/approve")
    assert refused.status == 409
    assert "digest" in refused.text
    assert get_campaign(connection, waits).approved_at is None

    again = browser.get(f"/approvals/{waits}")
    assert "The list was changed since the campaign was created" in again.text
    assert "This is not the list that you looked at" in again.text
    assert "LIST_CHANGED" in again.text
    assert browser.submit(again, f"/approvals/{waits}/approve").status == 422, "somebody says that it was seen"
    assert get_campaign(connection, waits).approved_at is None
    assert "Campaign 1 is approved" in browser.submit(again, f"/approvals/{waits}/approve", changed_seen="yes").text


def test_a_list_that_is_too_long_for_a_page_is_read_by_the_approval(
    connection: Connection, browser: Browser, waits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.web.pages.approvals.READ_ROWS_MAX", 1)
    page = browser.get(f"/approvals/{waits}")
    assert "was not read for this page" in page.text
    assert digest_targets(connection, waits).hex() in page.text
    swap_amounts(connection)
    assert browser.submit(page, f"/approvals/{waits}/approve").status == 409, "it is another list by now"
    swap_amounts(connection)
    assert "Campaign 1 is approved" in browser.submit(page, f"/approvals/{waits}/approve").text


def test_a_list_that_changed_after_its_approval_says_so(connection: Connection, browser: Browser, waits: int) -> None:
    browser.submit(browser.get(f"/approvals/{waits}"), f"/approvals/{waits}/approve")
    swap_amounts(connection)
    assert "changed after" in browser.get(f"/approvals/{waits}").text


def test_a_no_has_a_reason_that_its_creator_reads(
    connection: Connection, web: WebPage, browser: Browser, person: NewPerson, waits: int
) -> None:
    page = browser.get(f"/approvals/{waits}")
    empty = browser.submit(page, f"/approvals/{waits}/reject", reason=" ")
    assert (empty.status, get_campaign(connection, waits).rejected_at) == (422, None)
    answer = browser.submit(page, f"/approvals/{waits}/reject", reason="the amounts of <b>July</b>")
    assert "Campaign 1 is rejected" in answer.text
    assert "the amounts of &lt;b&gt;July" in answer.html
    other = person()
    seen = web.signed_in(other.login, other.password).get("/approvals")
    assert "the amounts of <b>July</b>" in seen.text
    browser.submit(browser.get(f"/approvals/{waits}"), f"/approvals/{waits}/approve")
    assert get_campaign(connection, waits).rejected_at is None


def test_the_creator_and_whoever_has_no_right_only_look(
    connection: Connection, web: WebPage, person: NewPerson, waits: int
) -> None:
    kim, park = person("approve", name="kim_jisu"), person()
    connection.execute("update campaign set creator_login = 'kim_jisu'")
    for who, said in ((kim, "You created this campaign"), (park, "has not the right to approve")):
        browser = web.signed_in(who.login, who.password)
        page = browser.get(f"/approvals/{waits}")
        assert said in page.text
        assert not [form for form in page.forms if form.action.endswith(("/approve", "/reject"))]
        token = page.form("/sign-out").fields["token"]
        fields = {"token": token, "digest": digest_targets(connection, waits).hex(), "reason": "r"}
        for act in ("approve", "reject"):
            assert browser.post(f"/approvals/{waits}/{act}", fields).status in (403, 409)
    campaign = get_campaign(connection, waits)
    assert (campaign.approved_at, campaign.rejected_at) == (None, None)


def test_findings_are_shown_with_who_accepted_them_and_without_members(
    world: World, browser: Browser, tmp_path: Path
) -> None:
    rows = [*ROWS, ("합계", 3_000, "r"), ("customer-77", 900_000_000, "r")]
    campaign_id = created(world, tmp_path, rows, accept=(FindingName.TOTAL_ROW, FindingName.OUTLIER_AMOUNT))
    page = browser.get(f"/approvals/{campaign_id}")
    assert "kim has looked at it and accepted it" in page.text
    assert "customer-77" not in page.html


def test_a_look_leaves_a_trace_with_the_digest_that_was_seen(
    connection: Connection, browser: Browser, lee: Person, waits: int
) -> None:
    browser.get(f"/approvals/{waits}")
    [look] = list_audit(connection, AuditChoice(action="preview"), rows_max=2)
    assert (look.login, look.campaign_id) == (lee.login, waits)
    assert look.detail["digest"] == digest_targets(connection, waits).hex()


def test_what_waits_no_more_leads_to_the_campaign(browser: Browser, world: World) -> None:
    campaign = world.campaign().withdrawn()
    assert browser.get(f"/approvals/{campaign.id}", follow=False).headers["location"] == f"/campaigns/{campaign.id}"
    assert browser.get("/approvals/99").status == 404


def test_of_very_many_that_wait_the_oldest_are_shown_and_the_others_counted(
    web: WebPage, world: World, person: NewPerson
) -> None:
    world.connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator)"
        " select 'many-' || n, 1, 1, 'lee' from generate_series(1, 130) n"
    )
    kim = person("approve")
    page = web.signed_in(kim.login, kim.password).get("/approvals")
    assert page.html.count('href="/approvals/1"') == 2
    assert "many-100 " in page.text
    assert "many-101 " not in page.text
    assert "30 more wait" in page.text
