"""Debian's Chromium without a screen, and one person's visit in it: clicks, keys, and what it would show."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

# Nothing leaves this machine, and it runs as root.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = (1280, 900), (390, 844)
PATIENCE_MS = 20_000
# Where screenshots go, for people to look at; none are made where it is not set.
PICTURES = os.environ.get("TEST_PICTURES")

Scheme = Literal["light", "dark"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, for the block."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "Chromium is needed (Debian, Ubuntu: apt-get install chromium fonts-noto-cjk)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """One person at one page. look: language, colours and width.

    trouble: what the browser complained about: errors of scripts, what CSP forbids.
    """

    def __init__(self, page: Page, address: str, look: str = "") -> None:
        self.look = look
        self.page = page
        self.address = address
        self.trouble: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", lambda line: self.trouble.append(line.text) if line.type == "error" else None)

    def go(self, path: str) -> "Visit":
        """Open an address of the page."""
        self.page.goto(self.address + path)
        return self

    def sign_in(self, login: str, password: str) -> "Visit":
        """By a database login, in the form that there is."""
        self.go("/sign-in")
        self.page.locator('input[name="login"]').fill(login)
        self.page.locator('input[name="password"]').fill(password)
        self.page.locator('form[action^="/sign-in"] button').first.click()
        self.sees_no("input[name='password']")
        return self

    def click(self, name: str) -> "Visit":
        """A button, or else a link, by what it says."""
        buttons = self.page.get_by_role("button", name=name)
        target = buttons if buttons.count() else self.page.get_by_role("link", name=name)
        target.first.click()
        return self

    def fill(self, **fields: str) -> "Visit":
        """Fields by their names."""
        for name, value in fields.items():
            self.page.locator(f"[name='{name}']:visible").first.fill(value)
        return self

    def choose_file(self, name: str, file: Path) -> "Visit":
        """As if chosen in the dialog of files."""
        self.page.locator(f"input[type='file'][name='{name}']").set_input_files(file)
        return self

    def reads(self, *words: str) -> "Visit":
        """These words come to be on the page."""
        for each in words:
            expect(self.page.locator("body")).to_contain_text(each)
        return self

    def sees_no(self, selector: str) -> "Visit":
        expect(self.page.locator(selector)).to_have_count(0)
        return self

    @property
    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def picture(self, name: str) -> None:
        """For people to look at, where TEST_PICTURES names a folder."""
        if PICTURES is not None:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)

    def wider_than_the_window(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def barriers(self) -> list[str]:
        """What axe-core finds serious or critical, with where it is."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']} ({each['impact']}): {node['target']} {node['html'][:160]}"
            for each in found
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]


@contextmanager
def visit(
    browser: Browser,
    address: str,
    *,
    size: tuple[int, int] = WIDE,
    language: str = "ko",
    scheme: Scheme = "light",
    script: bool = True,
) -> Iterator[Visit]:
    """A person with a browser of their own. script: whether it runs scripts."""
    with browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale={"ko": "ko-KR", "en": "en-US"}[language],
        timezone_id="Asia/Seoul",
        color_scheme=scheme,
        java_script_enabled=script,
        accept_downloads=True,
    ) as context:
        yield Visit(context.new_page(), address, f"{language}-{scheme}-{size[0]}")
