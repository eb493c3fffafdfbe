"""A new campaign by the page: a list is sent and looked at, and exactly that list is created on a second click."""

import re
import socket
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bulkpoint.store.audit import AuditChoice, list_audit
from bulkpoint.store.campaign import get_campaign, list_campaigns
from bulkpoint.store.connect import Connection
from bulkpoint.store.target import digest_targets
from bulkpoint.web import waiting_list
from bulkpoint.web.pages.new import FIELDS
from bulkpoint.web.waiting_list import WaitingList
from tests.world.browser import Browser, File, PageShown, WebPage
from tests.world.logins import NewPerson, Person
from tests.world.waiting import wait_for

GOOD = "member_id,amount,reason\n" + "".join(f"member-{n:04},{n * 100},spring\n" for n in range(1, 41))
TOTAL = "member_id,amount,reason\nM1,1000,r\nM2,2000,r\n합계,3000,r\n"


@pytest.fixture
def kim(person: NewPerson) -> Person:
    """May create, as everybody may, and sees members."""
    return person("members")


@pytest.fixture
def browser(web: WebPage, kim: Person) -> Browser:
    return web.signed_in(kim.login, kim.password)


def csv(text: str, name: str = "list.csv") -> dict[str, File]:
    return {"file": File(name, text.encode())}


def send(browser: Browser, files: dict[str, File], **fields: Any) -> PageShown:
    """The first click, and what is shown once the file was read."""
    fields = {"name": "Spring"} | fields
    page = browser.submit(browser.get("/new"), "/new", files=files, **fields)
    return settled(browser, page)


def settled(browser: Browser, page: PageShown) -> PageShown:
    """The page once nothing is under way any more."""
    wait_for(lambda: "data-refresh" not in browser.get(page.path).html.partition('id="list"')[2][:20], "the list")
    return browser.get(page.path)


def waiting(web: WebPage) -> list[str]:
    """The files that wait on the server."""
    return sorted(each.name for folder in web.host.uploads.glob("*") for each in [folder, *folder.glob("*")])


def create(browser: Browser, page: PageShown, **fields: Any) -> PageShown:
    """The second click."""
    answer = browser.submit(page, f"{page.path}/create", **fields)
    if answer.path == page.path:
        return settled(browser, answer)
    return answer


def test_a_list_is_looked_at_and_created_by_a_second_click(
    connection: Connection, web: WebPage, browser: Browser, kim: Person
) -> None:
    page = send(browser, csv(GOOD), note="for April", expect_count="40", expect_amount="82,000")
    for said in ("40", "82,000 P", "100 – 4,000 P", "member-0040", "spring", "Nothing is created yet"):
        assert said in page.text, said
    assert "<svg" in page.html
    assert list_campaigns(connection) == [], "a look creates nothing"
    assert waiting(web) != []

    answer = create(browser, page)
    assert answer.path == "/campaigns/1"
    campaign = get_campaign(connection, 1)
    assert (campaign.name, campaign.note, campaign.creator_login) == ("Spring", "for April", kim.login)
    digest = digest_targets(connection, 1).hex()
    assert digest in page.html, "what was shown is what is created"
    assert waiting(web) == [], "the file is gone"
    [created] = list_audit(connection, AuditChoice(action="create"), rows_max=2)
    assert (created.detail["targets"], created.login) == ("list.csv", kim.login)


def test_after_a_creation_the_page_says_what_comes_next(browser: Browser) -> None:
    answer = create(browser, send(browser, csv(GOOD)))
    assert "Campaign 1 is created. It can be started now." in answer.text + browser.get("/approvals").text


@pytest.mark.parametrize(
    ("name", "content", "said_en", "said_ko"),
    [
        ("list.csv", b"%PDF-1.7 ...", "PDF", "PDF"),
        ("list.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2_000), "save it as .xlsx", "xlsx"),
        ("list.csv", b"<html><body><table>", "HTML", "HTML"),
        ("list.csv", b"", "empty", "비어"),
        ("list.csv", "회원번호,금액,사유\nm1,1,r\n".encode("cp949"), "CP949", "CP949"),
    ],
)
def test_a_file_that_is_no_list_says_so_and_what_was_typed_stays(
    connection: Connection, web: WebPage, kim: Person, name: str, content: bytes, said_en: str, said_ko: str
) -> None:
    for language, said in (("en", said_en), ("ko", said_ko)):
        browser = web.signed_in(kim.login, kim.password, language=language)
        page = send(browser, {"file": File(name, content)}, name="설 이벤트", note="메모")
        assert said.lower() in page.text.lower()
        assert name in page.text
        form = page.form("/new")
        assert (form.fields["name"], form.fields["note"]) == ("설 이벤트", "메모")
    assert list_campaigns(connection) == []


def test_what_makes_a_file_readable_is_filled_in_and_it_need_not_be_sent_again(browser: Browser) -> None:
    page = send(browser, {"file": File("list.csv", "회원번호,금액,사유\nm1,1,설\nm2,2,설\n".encode("cp949"))})
    form = page.form("/new")
    assert (form.fields["encoding"], form.fields["columns"]) == ("cp949", "member_id=회원번호,amount=금액,reason=사유")
    again = settled(browser, browser.submit(page, "/new", files=csv("", "")))
    assert "This list can be created" in again.text
    assert create(browser, again).path == "/campaigns/1"


def test_rows_that_break_a_rule_are_named_and_nothing_can_be_created(browser: Browser) -> None:
    page = send(browser, csv("member_id,amount,reason\nm1,1,r\nm2,1.5,r\nm1,3,r\n"))
    assert "No campaign can be created" in page.text
    for said in ("row 3", "'1.5'", "row 4"):
        assert said in page.text, said
    assert "Create the campaign" not in page.text


def test_other_totals_than_expected_are_said_before_anything_is_created(browser: Browser) -> None:
    page = send(browser, csv(GOOD), expect_count="41")
    assert "41" in page.text
    assert "No campaign can be created" in page.text


def test_a_finding_is_accepted_by_its_own_box_under_the_persons_login(
    connection: Connection, browser: Browser, kim: Person
) -> None:
    page = send(browser, csv(TOTAL))
    assert "Rows that look like a total" in page.text
    assert "--accept" not in page.text, "no word for a command line"
    refused = create(browser, page)
    assert list_campaigns(connection) == []
    assert "TOTAL_ROW" in refused.text
    assert create(browser, refused, accept="TOTAL_ROW").path == "/campaigns/1"
    [created] = list_audit(connection, AuditChoice(action="create"), rows_max=2)
    assert (created.detail["accepted"], created.login) == (["TOTAL_ROW"], kim.login)


def test_a_list_that_was_created_in_another_tab_meanwhile_is_not_created_again(
    connection: Connection, browser: Browser
) -> None:
    one, other = send(browser, csv(GOOD)), send(browser, csv(GOOD), name="Once more")
    assert create(browser, one).path == "/campaigns/1"
    refused = create(browser, other)
    assert "same as that of campaign 1" in refused.text.lower()
    assert len(list_campaigns(connection)) == 1
    seen = browser.get(refused.path)
    meant = create(browser, seen, same_as="1", reason="both halves")
    assert meant.path == "/campaigns/2"
    assert get_campaign(connection, 2).same_as == 1


def test_a_second_click_made_twice_creates_one_campaign(connection: Connection, browser: Browser) -> None:
    page = send(browser, csv(GOOD))
    form = page.form(f"{page.path}/create")
    browser.post(form.action, form.fields, follow=False)
    browser.post(form.action, form.fields, follow=False)
    wait_for(lambda: len(list_campaigns(connection)) == 1, "the campaign")
    browser.get(page.path)
    assert len(list_campaigns(connection)) == 1


def test_two_tabs_are_independent_and_a_person_has_three_lists_at_most(web: WebPage, browser: Browser) -> None:
    pages = [send(browser, csv(GOOD, f"{number}.csv"), name=f"n{number}") for number in range(3)]
    assert [f"n{number}" in browser.get(page.path).text for number, page in enumerate(pages)] == [True] * 3
    fourth = browser.submit(browser.get("/new"), "/new", files=csv(GOOD), name="n4")
    assert fourth.status == 409
    assert "3" in fourth.text
    assert len(list(web.host.uploads.iterdir())) == 3
    browser.submit(pages[0], f"{pages[0].path}/give-up")
    assert browser.get(pages[0].path).status == 404
    assert "n1" in browser.get(pages[1].path).text
    assert "n5" in send(browser, csv(GOOD), name="n5").text


def test_a_list_goes_with_its_session(web: WebPage, browser: Browser, kim: Person) -> None:
    page = send(browser, csv(GOOD))
    other = web.signed_in(kim.login, kim.password)
    assert other.get(page.path).status == 404, "it is another session's"
    browser.submit(page, "/sign-out")
    assert waiting(web) == []


def test_a_list_that_waits_too_long_goes(web: WebPage, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_list, "FORGOTTEN_AFTER_S", 0.5)
    page = browser.submit(browser.get("/new"), "/new", files=csv(GOOD), name="n")
    wait_for(lambda: waiting(web) == [], "the list to go")
    gone = browser.get(page.path)
    assert gone.status == 404
    assert "Send the file again" in gone.text


def test_a_file_that_is_another_one_by_the_second_click_is_not_loaded(
    connection: Connection, web: WebPage, browser: Browser
) -> None:
    page = send(browser, csv(GOOD))
    [file] = web.host.uploads.glob("*/list.csv")
    file.write_text(GOOD.replace("member-0001,100", "member-0002x,100"))
    refused = create(browser, page)
    assert "changed" in refused.text
    assert list_campaigns(connection) == []


def test_a_file_that_is_cut_on_its_way_leaves_nothing(web: WebPage, browser: Browser) -> None:
    at = urlsplit(web.address)
    with socket.create_connection((at.hostname, at.port)) as link:
        head = (
            f"POST /new HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Length: 5000\r\nSec-Fetch-Site: same-origin\r\n"
            f"Origin: {web.address}\r\nCookie: {'; '.join(f'{k}={v}' for k, v in browser.cookies.items())}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nmember_id,amou'
        )
        link.sendall(head.encode())
    assert browser.get("/new").status == 200
    assert waiting(web) == []


def test_a_bomb_of_a_workbook_ends_only_its_own_process(browser: Browser) -> None:
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            for _ in range(1_100):
                part.write(bytes(2**20))
    page = send(browser, {"file": File("list.xlsx", bomb.getvalue())})
    assert "list.xlsx" in page.text
    assert "GB" in page.text or "MB" in page.text
    assert browser.get("/new").status == 200


def long_list(rows: int) -> str:
    return "member_id,amount,reason\n" + "".join(f"member-{n:07},{n % 900 + 1},spring\n" for n in range(rows))


def test_a_long_list_is_read_beside_other_pages_and_can_be_given_up(
    web: WebPage, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.web.pages.new.SHORT_S", 0.0)
    page = browser.submit(browser.get("/new"), "/new", files=csv(long_list(400_000)), name="long")
    assert "Reading the list" in page.text or "Waiting to read" in page.text
    assert re.search(r'<noscript><meta http-equiv="refresh" content="3', page.html), "it goes on without script"
    assert browser.get("/approvals").status == 200
    [session] = web.door._sessions.values()
    [held] = [each for each in session.kept.values() if isinstance(each, WaitingList)]
    wait_for(lambda: held.rows > 0, "rows to be read")
    assert "rows so far" in browser.refresh(page.path).text
    browser.submit(page, f"{page.path}/give-up")
    assert browser.get(page.path).status == 404
    wait_for(lambda: held._child is None and waiting(web) == [], "its process to end")


def test_more_lists_than_can_be_read_at_once_wait_for_their_turn(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.web.pages.new.SHORT_S", 0.0)
    with waiting_list._turns, waiting_list._turns:
        page = browser.submit(browser.get("/new"), "/new", files=csv(GOOD), name="n")
        assert "follows as soon as it is its turn" in page.text
    assert "This list can be created" in settled(browser, page).text


def test_members_are_masked_without_the_right_to_see_them_and_the_look_leaves_a_trace(
    connection: Connection, web: WebPage, person: NewPerson
) -> None:
    lee = person()
    browser = web.signed_in(lee.login, lee.password)
    page = send(browser, csv(TOTAL.replace("M1", "customer-77").replace("합계", "Total")))
    assert "customer-77" not in page.html
    assert "cus" in page.html, "enough to find the row by"
    bad = send(browser, csv("member_id,amount,reason\ncustomer-88,1,r\ncustomer-88,2,r\n"))
    assert "customer-88" not in bad.html
    looks = list_audit(connection, AuditChoice(action="preview"), rows_max=9)
    assert [(each.login, each.detail["file"]) for each in looks] == [(lee.login, "list.csv")] * 2


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_list_to_be_filled_in_is_given_out(browser: Browser, ending: str, tmp_path: Path) -> None:
    answer = browser.get(f"/new/template.{ending}")
    assert answer.headers["content-disposition"] == f'attachment; filename="bulkpoint-en.{ending}"'
    page = send(browser, {"file": File(f"list.{ending}", answer.body)})
    assert "no rows" in page.text.lower() or "has no row" in page.text.lower()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " "}, "Name"),
        ({"name": "x" * 201}, "200"),
        ({"note": "x" * 2_001}, "2,000"),
        ({"expect_count": "many"}, "not a whole number"),
        ({"expect_amount": "0"}, "Expected sum"),
        ({"not_before": "soon"}, "soon"),
        ({"delimiter": "abc"}, "abc"),
        ({"columns": "member=x"}, "member"),
        ({"encoding": "klingon"}, "klingon"),
    ],
)
def test_a_field_that_cannot_be_is_said_and_the_file_need_not_be_sent_again(
    browser: Browser, fields: dict[str, str], said: str
) -> None:
    typed: dict[str, Any] = {"name": "Spring"} | fields
    page = browser.submit(browser.get("/new"), "/new", files=csv(GOOD), **typed)
    assert page.status == 422
    assert said in page.text
    good: dict[str, Any] = dict.fromkeys(FIELDS, "") | {"name": "Spring"}
    assert "This list can be created" in settled(browser, browser.submit(page, "/new", files=csv("", ""), **good)).text


def test_the_page_says_what_is_wrong_with_a_list_in_korean(web: WebPage, kim: Person) -> None:
    browser = web.signed_in(kim.login, kim.password, language="ko")
    page = send(browser, csv("member_id,amount,reason\nm1,0,r\n, 5,r\n"))
    assert "이 명단으로는 만들 수 없습니다" in page.text
    assert "2행" in page.text


def test_files_that_cannot_be_read_make_way_for_the_next_one(web: WebPage, browser: Browser) -> None:
    for n in range(5):
        page = send(browser, {"file": File(f"list-{n}.pdf", b"%PDF-1.7\n")})
        assert f"list-{n}.pdf" in page.text
        assert "PDF" in page.text
    assert len([name for name in waiting(web) if name.endswith(".pdf")]) == waiting_list.LISTS_OF_A_SESSION_MAX


def test_one_list_too_many_is_said_above_the_lists_one_of_which_has_to_go(browser: Browser) -> None:
    for n in range(waiting_list.LISTS_OF_A_SESSION_MAX):
        send(browser, csv(GOOD.replace("spring", f"spring {n}"), f"list-{n}.csv"))
    page = browser.submit(browser.get("/new"), "/new", files=csv(GOOD), name="Summer")
    assert page.status == 409
    assert "Remove one of them first" in page.text
    assert "list-0.csv" in page.text
    assert page.form("/new").fields["name"] == "Summer"


def test_a_corrected_file_is_sent_from_the_page_that_says_what_is_wrong(web: WebPage, browser: Browser) -> None:
    page = send(browser, csv("member_id,amount,reason\nM1,-5,r\n"), note="for April")
    assert "Nothing is created" not in page.text
    page = settled(browser, browser.submit(page, "/new", files=csv(GOOD, "right.csv")))
    for said in ("right.csv", "Spring", "for April", "82,000 P"):
        assert said in page.text, said
    assert [name for name in waiting(web) if name.endswith(".csv")] == ["right.csv"], "it took the other's place"


def test_the_columns_that_were_named_are_shown_with_what_they_are_read_as(browser: Browser) -> None:
    page = send(browser, csv("회원번호,금액,사유\nM1,5,r\n"), columns="member_id=회원번호,amount=금액,reason=사유")
    assert "회원번호 → Member" in page.text


def test_who_may_only_look_reads_so_before_a_list_is_sent(web: WebPage, person: NewPerson, browser: Browser) -> None:
    park = person(role="bulkpoint_reader")
    assert "may only look" in web.signed_in(park.login, park.password).get("/new").text
    assert "may only look" not in browser.get("/new").text
