"""Every page in a real browser: nothing is refused by its own rules, nothing is too wide, nobody is kept out."""

import pytest
from playwright.sync_api import Browser

from bulkpoint.rules.rights import Right
from tests.world.browser import WebPage
from tests.world.chromium import NARROW, WIDE, Scheme, Visit, visit
from tests.world.logins import NewPerson

PAGES = ["/", "/new", "/approvals", "/limit", "/members", "/audit", "/trouble"]

LOOKS: list[tuple[str, Scheme, tuple[int, int]]] = [
    ("ko", "light", WIDE),
    ("ko", "dark", NARROW),
    ("en", "dark", WIDE),
    ("en", "light", NARROW),
]


@pytest.mark.parametrize(("language", "scheme", "size"), LOOKS, ids=str)
def test_every_page_is_whole_and_open_to_everyone(
    browser: Browser, web: WebPage, person: NewPerson, language: str, scheme: Scheme, size: tuple[int, int]
) -> None:
    kim = person(*Right)
    wrong: list[str] = []
    with visit(browser, web.address, size=size, language=language, scheme=scheme) as seen:
        seen.go("/sign-in")
        look(seen, "sign-in", wrong)
        seen.sign_in(kim.login, kim.password)
        for path in PAGES:
            seen.go(path)
            look(seen, path, wrong)
        wrong += seen.trouble
    assert wrong == []


def look(seen: Visit, path: str, wrong: list[str]) -> None:
    seen.picture(f"{path.strip('/').replace('/', '-') or 'campaigns'}-{seen.look}")
    if (pixels := seen.wider_than_the_window()) > 0:
        wrong.append(f"{path}: {pixels} pixels wider than the window")
    wrong += [f"{path}: {barrier}" for barrier in seen.barriers()]
