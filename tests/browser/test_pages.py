"""Every page in a real browser: nothing is refused by its own rules, nothing is too wide, nobody is kept out."""

import time
from uuid import UUID

import pytest
from playwright.sync_api import Browser

from bulkpoint.rules.rights import Right
from bulkpoint.store.payment import Attempt
from tests.world.browser import WebPage
from tests.world.campaigns import World
from tests.world.chromium import NARROW, WIDE, Scheme, Visit, visit
from tests.world.logins import NewPerson

REASONS = ["가을 감사 포인트", "생일 축하 포인트", '불편에 대한 사과, "1차"']
LOOKS: list[tuple[str, Scheme, tuple[int, int]]] = [
    ("ko", "light", WIDE),
    ("ko", "dark", NARROW),
    ("en", "dark", WIDE),
    ("en", "light", NARROW),
]
PAGES = [
    "/", "/campaigns/1", "/campaigns/1/payments", "/campaigns/1/payments/3", "/campaigns/2", "/campaigns/3",
    "/campaigns/4", "/new", "/approvals", "/limit", "/members", "/audit", "/trouble", "/campaigns/99",
]  # fmt: skip


@pytest.fixture
def busy(world: World) -> World:
    """1 ended with failures, 2 was stopped, 3 runs and is slowed down, 4 waits, 5 was withdrawn."""

    def rows(count: int) -> list[tuple[str, int, str]]:
        return [(f"member-{n:07}", 100 * (1 + n % 7), REASONS[n % 3]) for n in range(1, count + 1)]

    ended = world.campaign(rows(60), name="가을 감사 이벤트 / Thank-you points").begun().was_started(seconds_ago=500)
    ended.attempted(*attempts(60)).paid(50).failed(7).failed(3, "UNKNOWN").ended("COMPLETED")
    stopped = world.campaign(rows(40), name="겨울 쿠폰을 쓰지 못한 회원께 드리는 사과 포인트 2026년 11월 3차").begun()
    stopped.paid(12).stopped(reason="잘못된 명단")
    running = world.campaign(rows(500), name="생일 축하").begun().was_started(seconds_ago=95)
    running.share()
    for ago in range(90, -1, -5):
        running.paid(20).sampled(seconds_ago=ago)
    running.attempted(*attempts(80), *attempts(6, "THROTTLED", status=429, code="TOO_MANY"))
    world.campaign(rows(30), name="신규 가입 환영")
    world.campaign(rows(5), name="취소된 이벤트").withdrawn(reason="중복")
    return world


def attempts(count: int, outcome: str = "CREDITED", *, status: int = 200, code: str | None = None) -> list[Attempt]:
    at = time.time()
    numbers = range(1, count + 1)
    ids = [str(UUID(int=(int(at * 1_000) << 80) | (7 << 76) | (2 << 62) | (status << 20) | n)) for n in numbers]
    return [
        Attempt(each, "POST", n, at, at + 0.04 + n / 1_000, status, outcome, code, None)
        for n, each in zip(numbers, ids, strict=True)
    ]


@pytest.mark.parametrize(("language", "scheme", "size"), LOOKS, ids=str)
def test_every_page_is_whole_and_open_to_everyone(
    browser: Browser,
    web: WebPage,
    person: NewPerson,
    busy: World,
    language: str,
    scheme: Scheme,
    size: tuple[int, int],
) -> None:
    kim = person(*Right)
    wrong: list[str] = []
    with visit(browser, web.address, size=size, language=language, scheme=scheme) as seen:
        seen.go("/sign-in")
        look(seen, "sign-in", wrong)
        seen.sign_in(kim.login, kim.password)
        if language != "ko":
            seen.click("English")
        for path in PAGES:
            seen.go(path)
            look(seen, path, wrong)
        wrong += [trouble for trouble in seen.trouble if "404" not in trouble]
    assert wrong == []


def look(seen: Visit, path: str, wrong: list[str]) -> None:
    seen.picture(f"{path.strip('/').replace('/', '-') or 'campaigns'}-{seen.look}")
    if (pixels := seen.wider_than_the_window()) > 0:
        wrong.append(f"{path}: {pixels} pixels wider than the window")
    wrong += [f"{path}: {barrier}" for barrier in seen.barriers()]


def test_what_may_be_done_follows_the_run_on_a_page_that_stays_open(
    browser: Browser, web: WebPage, person: NewPerson, world: World
) -> None:
    campaign = world.campaign(3).begun().paid(1)
    kim = person(*Right)
    with visit(browser, web.address, size=WIDE, language="ko", scheme="light") as seen:
        seen.sign_in(kim.login, kim.password)
        seen.go(f"/campaigns/{campaign.id}")
        seen.page.locator("#act-STOP").wait_for()
        campaign.stopped(reason="잘못된 명단")
        seen.page.locator("#act-RESUME").wait_for()
