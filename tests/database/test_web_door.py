"""The page's door: who comes in, by which login, for how long, and who does not."""

from tests.world.browser import WebPage
from tests.world.logins import NewPerson


def test_a_person_comes_in_by_the_login_and_password_of_the_database(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.browser()
    refused = browser.sign_in(kim.login, "wrong")
    assert (refused.status, browser.cookies) == (403, {})
    assert "do not fit" in refused.text
    assert kim.login in browser.sign_in(kim.login, kim.password).text


def test_the_page_that_was_asked_for_is_shown_after_the_sign_in(web: WebPage, person: NewPerson) -> None:
    kim = person()
    browser = web.browser()
    form = browser.get("/sign-in?next=/trouble%3Fx%3D1")
    assert browser.submit(form, "/sign-in", login=kim.login, password=kim.password).path == "/trouble?x=1"
