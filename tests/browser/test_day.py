"""The day of a campaign by clicks: real processes, two people with their own logins, and nobody at a command line."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from bulkpoint.store.connect import Connection
from tests.world.chromium import Visit, visit
from tests.world.deployment import Deployment, deployment
from tests.world.logins import NewPerson
from tests.world.waiting import wait_for

ROWS = [(f"member-{n:04}", 100 * (1 + n % 5), ["가을 감사 포인트", '사과, "1차"'][n % 2]) for n in range(1, 61)]


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Deployment]:
    """Money answers in 20 ms; a campaign needs a second person's approval."""
    with deployment(
        tmp_path, "--latency-ms", "20", database_url=database_url, BULKPOINT_REQUIRE_APPROVAL="true", BULKPOINT_TPS=200
    ) as here:
        yield here


@contextmanager
def running(place: Deployment, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """A program of the deployment; it ends in order at the end of the block."""
    program = place.begin(*command)
    try:
        yield program
    finally:
        program.send_signal(signal.SIGTERM)
        said = program.communicate(timeout=60)
        assert program.returncode in {0, 128 + signal.SIGTERM}, said


@pytest.fixture
def page(place: Deployment) -> Iterator[str]:
    """The address of the page, as `bulkpoint web` prints it; an agent runs what is asked for."""
    with ExitStack() as stack:
        web = stack.enter_context(running(place, "web", "--port", "0"))
        stack.enter_context(running(place, "agent"))
        assert web.stdout is not None
        yield web.stdout.readline().strip().rstrip("/")


def a_list(folder: Path, rows: list[tuple[str, int, str]] = ROWS, name: str = "명단.csv") -> Path:
    quoted = "".join(f'{member},{points},"{reason.replace(chr(34), chr(34) * 2)}"\n' for member, points, reason in rows)
    (folder / name).write_text(f"회원번호,금액,사유\n{quoted}", encoding="utf-8-sig")
    return folder / name


def send_list(seen: Visit, name: str, file: Path) -> None:
    """Its header is our own words: the page proposes what they mean, and is asked again."""
    seen.click("새 캠페인").fill(name=name).choose_file("file", file).click("명단 확인")
    seen.reads("아래 칸에 채워 두었습니다").click("명단 확인")


def create(seen: Visit) -> None:
    """A short list is there at once; a longer one is loaded on a page that leads to the campaign."""
    seen.reads("만들 수 있는 명단입니다").click("캠페인 만들기").reads("만들었습니다").go("/campaigns/1").reads(
        "시작 요청"
    )


def open_act(seen: Visit, name: str) -> Visit:
    """One of the things that can be done with a campaign."""
    seen.page.locator("summary", has_text=re.compile(f"^{name}")).first.click()
    return seen


def test_the_day_of_a_campaign_by_two_people(
    browser: Browser, place: Deployment, page: str, person: NewPerson, connection: Connection, tmp_path: Path
) -> None:
    maker, approver = person("start", "members"), person("approve")
    with visit(browser, page) as kim, visit(browser, page) as lee:
        kim.sign_in(maker.login, maker.password).reads("캠페인")
        send_list(kim, "가을 감사", a_list(tmp_path))
        kim.reads("만들 수 있는 명단입니다", "18,000")
        kim.picture("day-1-preview")
        assert connection.execute("select count(*) from campaign").fetchone() == (0,), "nothing is created by a look"
        create(kim)

        kim.click("승인").sees_no("form[action='/approvals/1/approve']")
        lee.sign_in(approver.login, approver.password).click("승인").click("명단 보기").reads("가을 감사")
        lee.picture("day-2-approval")
        assert "member-0001" not in lee.text, "lee may not see members"
        lee.page.locator("form[action='/approvals/1/approve'] button").click()
        lee.reads("캠페인 1을(를) 승인했습니다.")
        lee.go("/campaigns/1").sees_no("form[action='/campaigns/1/start']")

        kim.go("/campaigns/1")
        open_act(kim, "시작")
        form = kim.page.locator("form[action='/campaigns/1/start']")
        form.locator("[name='number']").fill("1")
        form.locator("[name='reason']").fill("오늘 지급")
        form.locator("button").click()
        kim.reads("캠페인 1의 시작을 요청했습니다.")
        wait_for(lambda: "60 / 60건 · 100.0 %" in kim.text, "the bar to be full, by itself", seconds=120)
        kim.picture("day-3-done")

        open_act(kim, "보고서 받기")
        with kim.page.expect_download() as download:
            kim.page.locator("form[action='/campaigns/1/report'] [name='format']").select_option("csv")
            kim.page.locator("form[action='/campaigns/1/report'] [name='reason']").fill("정산")
            kim.page.locator("form[action='/campaigns/1/report'] button").click()
        report = Path(download.value.path()).read_text(encoding="utf-8-sig")
        assert report.count("SUCCESS") == len(ROWS)
        assert "member-0060" in report

        kim.click("회원").fill(member="member-0007")
        kim.page.locator("[name='purpose']").select_option(index=1)
        kim.page.locator("form[action='/members'] button").click()
        kim.reads("300", "가을 감사")
        kim.picture("day-4-member")
        kim.click("감사").reads(maker.login, approver.login)
        kim.picture("day-5-audit")
        assert kim.trouble == []
        assert lee.trouble == []
    assert len(place.money.ledger()) == len(ROWS)
    assert connection.execute("select requested_by::text, state from run_request where campaign_id = 1").fetchall() == [
        (maker.login, "DONE")
    ]


def test_a_live_run_is_stopped_from_any_page_by_who_has_no_right(
    browser: Browser, place: Deployment, page: str, person: NewPerson, connection: Connection, tmp_path: Path
) -> None:
    maker, approver = person("start"), person("approve")
    many = [(f"m-{n}", 100, "보상") for n in range(1, 9_001)]
    with visit(browser, page) as kim, visit(browser, page, script=False) as lee:
        kim.sign_in(maker.login, maker.password)
        send_list(kim, "긴 명단", a_list(tmp_path, many))
        create(kim)
        lee.sign_in(approver.login, approver.password).go("/approvals/1")
        lee.page.locator("form[action='/approvals/1/approve'] button").click()
        lee.reads("캠페인 1을(를) 승인했습니다.")
        kim.go("/campaigns/1")
        open_act(kim, "시작")
        form = kim.page.locator("form[action='/campaigns/1/start']")
        form.locator("[name='number']").fill("1")
        form.locator("[name='reason']").fill("오늘")
        form.locator("button").click()
        wait_for(lambda: "진행 중" in kim.text, "the run, on the page as it is", seconds=120)
        wait_for(lambda: len(place.money.ledger()) > 100, "payments")
        kim.picture("stop-1-runs")
        stop = lee.page.locator(".stop-bar button.danger")
        wait_for(lambda: lee.go("/audit") and stop.count(), "the stop on a page without script")
        stop.click()
        lee.reads("캠페인 1을(를) 중단했습니다.")
        state = b"select state = 'STOPPED' from campaign_overview where campaign_id = 1"
        place.wait_for(state)
        wait_for(lambda: "중단" in kim.page.locator("main .state").first.inner_text(), "the stop, on the other's page")
        kim.picture("stop-2-stopped")
        assert kim.trouble == []
    credited = len(place.money.ledger())
    assert 100 < credited < len(many)
    place.assert_promises_kept("1", tps=200)
    assert connection.execute(
        "select count(*) from audit_event where action = 'stop.ask' and login = %s", (approver.login,)
    ).fetchone() == (1,)


def test_a_list_that_is_wrong_is_refused_with_its_rows_and_nothing_is_created(
    browser: Browser, place: Deployment, page: str, person: NewPerson, connection: Connection, tmp_path: Path
) -> None:
    kim_ = person("start", "members")
    wrong = a_list(tmp_path, [*ROWS[:3], ("member-0004", -5, "음수"), ROWS[0]])
    with visit(browser, page) as kim:
        kim.sign_in(kim_.login, kim_.password)
        send_list(kim, "틀린 명단", wrong)
        kim.reads("-5", "member-0001")
        kim.picture("refused")
        kim.sees_no("form[action$='/create'] button.main")
    assert connection.execute("select count(*) from campaign").fetchone() == (0,)
