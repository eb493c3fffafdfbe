"""/metrics of the page: who may scrape it, and what a scrape is while the database is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from bulkpoint.web import metrics
from tests.world.browser import PageShown, WebPage, served
from tests.world.campaigns import World

TOKEN = "a-token-that-nobody-guesses"
FROM_ELSEWHERE = "192.0.2.7"


@contextmanager
def page(database_url: str, folder: Path, *, token: str | None = None, **host: Any) -> Iterator[WebPage]:
    environment = {}
    if token is not None:
        file = folder / "metrics-token"
        file.write_text(token + "\n")
        environment["BULKPOINT_WEB_METRICS_TOKEN_FILE"] = str(file)
    with served(database_url, folder, settings=load_settings(environment), **host) as shown:
        yield shown


def scrape(page: WebPage, **headers: str) -> PageShown:
    return page.browser().get("/metrics", headers=headers)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_program_of_this_machine_gets_the_figures_without_a_sign_in(web: WebPage, world: World) -> None:
    world.campaign(2).begun().paid(1)
    found = scrape(web)
    assert found.status == 200
    assert found.headers["content-type"].startswith("text/plain; version=")
    assert 'bulkpoint_campaigns{state="RUNNING"} 1.0\n' in found.html
    assert 'bulkpoint_campaign_payments{campaign_id="1",state="SUCCESS"} 1.0\n' in found.html
    assert "set-cookie" not in found.headers


def test_without_a_token_nobody_else_gets_them(web: WebPage, monkeypatch: pytest.MonkeyPatch) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "Via"):
        refused = scrape(web, **{header: "127.0.0.1"})
        assert refused.status == 403, f"by way of a proxy: {header}"
        assert "bulkpoint_" not in refused.html
    assert scrape(web, Host="rebound.example.com").status == 403, "a name that somebody has made point to us"
    monkeypatch.setattr(metrics, "_peer", lambda _: FROM_ELSEWHERE)
    assert scrape(web).status == 403
    assert scrape(web, **bearer("")).status == 403


def test_behind_a_proxy_loopback_is_no_proof(database_url: str, tmp_path: Path) -> None:
    with page(database_url, tmp_path, behind_proxy=True) as shown:
        assert scrape(shown).status == 403
    with page(database_url, tmp_path, behind_proxy=True, token=TOKEN) as shown:
        assert scrape(shown, **bearer(TOKEN)).status == 200


def test_with_a_token_only_who_shows_it_gets_them_from_anywhere(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with page(database_url, tmp_path, token=TOKEN) as shown:
        for headers in ({}, bearer("wrong"), bearer(""), {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}):
            refused = scrape(shown, **headers)
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in refused.html
        monkeypatch.setattr(metrics, "_peer", lambda _: FROM_ELSEWHERE)
        assert scrape(shown, **bearer(TOKEN)).status == 200
        assert scrape(shown, **bearer("ü")).status == 401
        (tmp_path / "metrics-token").write_text("the-next-token\n")
        assert scrape(shown, **bearer(TOKEN)).status == 401, "a token that was replaced"
        assert scrape(shown, **bearer("the-next-token")).status == 200
        (tmp_path / "metrics-token").unlink()
        assert scrape(shown, **bearer("the-next-token")).status == 503, "without its file nobody gets in"


def test_a_database_that_is_away_is_no_figure(tmp_path: Path) -> None:
    logged: list[str] = []
    with page("postgresql://nobody@127.0.0.1:1/none", tmp_path, log=lambda text, **_: logged.append(text)) as shown:
        found = scrape(shown)
        assert (found.status, "bulkpoint_" in found.html) == (503, False)
    assert [line for line in logged if line.startswith("/metrics: The database 127.0.0.1:1/none cannot")], logged


def test_many_scrapers_are_one_question(web: WebPage, world: World, connection: Connection) -> None:
    world.campaign(1)
    first = scrape(web)
    world.campaign(1)
    assert scrape(web).body == first.body, "within two seconds"
