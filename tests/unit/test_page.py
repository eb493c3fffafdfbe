"""A campaign's page: escaped whatever people wrote, without script or inline style, and in both languages."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import jinja2
import pytest
from markupsafe import escape

from bulkpoint.rules.lifecycle import CampaignState, FailureKind, RunKind, RunState
from bulkpoint.store.campaign import Campaign, Counts
from bulkpoint.store.export import AmountCount, Failures, ReportedRun, ReportedSample
from bulkpoint.store.settle import SettledByHand
from bulkpoint.store.sums import Sums
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.page import Figures, page_of
from bulkpoint.views.sums import CampaignSums
from bulkpoint.views.templates import _environment, stylesheet

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
BEGAN = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
VOID = {"meta", "link", "img", "br", "rect", "path"}
CAMPAIGN = Campaign(
    campaign_id=12,
    name=HOSTILE,
    note=f"first line\n{HOSTILE}",
    state=CampaignState.STOPPED,
    expected_count=1_000,
    expected_amount=500_000,
    target_count=1_000,
    target_amount=500_000,
    digest=bytes(32),
    creator=HOSTILE,
    creator_login="kim",
    created_at=BEGAN,
    not_before=None,
    approved_by=HOSTILE,
    approved_login="lee",
    approved_at=BEGAN,
    approved_digest=None,
    same_as=None,
    frozen_at=BEGAN,
    run_id=2,
    run_no=2,
    run_kind=RunKind.RESUME,
    run_reason=HOSTILE,
    run_started_at=BEGAN,
    run_finished_at=None,
    driver_until=None,
    driver_is_gone=False,
)
FIGURES = Figures(
    at=BEGAN + timedelta(hours=1),
    campaign=CAMPAIGN,
    by_hand=SettledByHand(7, 3_500),
    counts=Counts(
        pending=90,
        processing=10,
        success=860,
        failed=40,
        unknown=10,
        pending_amount=45_000,
        processing_amount=5_000,
        success_amount=430_000,
        failed_amount=20_000,
        unknown_amount=5_000,
        failure_kinds={**dict.fromkeys(FailureKind, 0), "REJECTED": 30, "UNKNOWN": 10},
    ),
    failures=[Failures(FailureKind.REJECTED, HOSTILE, 20, 10_000), Failures(FailureKind.UNKNOWN, None, 10, 5_000)],
    runs=[
        ReportedRun(
            1, RunKind.INITIAL, RunState.STOPPED, HOSTILE, HOSTILE, BEGAN, BEGAN + timedelta(seconds=60), 0, 600
        ),
        ReportedRun(2, RunKind.RESUME, RunState.RUNNING, None, "lee", BEGAN + timedelta(seconds=90), None, 600, None),
    ],
    samples=[ReportedSample(1, BEGAN + timedelta(seconds=5 * n), 50 * n, 10) for n in range(13)]
    + [ReportedSample(2, BEGAN + timedelta(seconds=90 + 5 * n), 600 + 50 * n, 10) for n in range(7)],
    edges=[100, 200, 500, 1_000],
    amounts=[AmountCount(0, 400, 15, 5, 50), AmountCount(2, 460, 15, 5, 50)],
    sums=CampaignSums(
        at=BEGAN,
        timezone="Asia/Seoul",
        campaign=CAMPAIGN,
        total=Sums(860, 430_000, 30, 15_000, 10, 5_000, 100, 50_000),
        kinds=(),
        reasons=((HOSTILE, Sums(860, 2**63 - 1)),),
        other_reasons=Sums(0, 0, 30, 15_000),
        days=((date(2026, 2, 1), Sums(860, 430_000)),),
        utc_days=((date(2026, 1, 31), Sums(860, 430_000)),),
        runs=(),
        by_hand=SettledByHand(7, 3_500),
    ),
)


class Page(HTMLParser):
    """What a browser finds in a page. Raises AssertionError where its elements are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data.strip())


@pytest.fixture(params=LANGUAGES)
def text(request: pytest.FixtureRequest) -> str:
    return page_of(FIGURES, language=request.param, timezone="Asia/Seoul")


def test_what_people_wrote_is_text_of_the_page_and_never_an_element_of_it(text: str) -> None:
    page = Page(text)
    assert {name for name, _ in page.elements} & {"img", "script", "iframe", "object", "embed", "a", "form"} == set()
    shown = [found for found in page.texts if HOSTILE in found]
    assert len(shown) == 9, "title, name, reason, actor, code, the payments' reason, note, creator, approver"
    assert "<img" not in text


def test_no_element_has_a_style_or_a_script_of_its_own(text: str) -> None:
    page = Page(text)
    names = {name for _, attributes in page.elements for name in attributes}
    assert "style" not in names
    assert {name for name in names if name.startswith("on") or name in ("src", "href", "xlink:href")} == set()
    assert [name for name, _ in page.elements].count("style") == 1
    assert "url(" not in text, "nothing is fetched"
    assert "@import" not in text


def test_the_policy_of_the_page_allows_its_own_stylesheet_and_nothing_else(text: str) -> None:
    [policy] = [
        attributes["content"]
        for name, attributes in Page(text).elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    [style] = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in policy


def test_a_server_may_link_the_stylesheet_in_the_place_of_the_block() -> None:
    link = '<link rel="stylesheet" href="/page.css">'
    served = _environment().from_string(
        '{% extends "page.html.j2" %}{% block policy %}{% endblock %}'
        "{% block style %}" + link + "{% endblock %}{% block body %}<p>{{ name }}</p>{% endblock %}"
    )
    page = served.render(language="ko", name=HOSTILE)
    assert link in page
    assert "<style" not in page
    assert HOSTILE in Page(page).texts


def test_a_name_that_a_template_does_not_have_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        _environment().from_string("{{ nothing }}").render()


def test_unknown_payments_are_shown_apart_from_the_failed_ones() -> None:
    texts = Page(page_of(FIGURES, language="ko", timezone="Asia/Seoul")).texts
    assert texts[texts.index("30건") - 1 :][:3] == ["실패", "30건", "15,000P"]
    assert texts[texts.index("10건") - 1 :][:3] == ["확인 필요", "10건", "5,000P"]
    assert not {"40건", "40", "20,000", "20,000P"} & set(texts), "no sum includes both"
    surely = replace(FIGURES.counts, failed=30, unknown=0, failed_amount=15_000, unknown_amount=0)
    sure = replace(FIGURES, counts=surely, failures=FIGURES.failures[:1], amounts=[])
    assert "확인 필요" not in Page(page_of(sure, language="ko", timezone="Asia/Seoul")).texts


def test_codes_beyond_those_that_are_listed_are_summed_up_in_one_line() -> None:
    texts = Page(page_of(FIGURES, language="en", timezone="UTC")).texts
    assert [found for found in texts[texts.index("other codes") :] if found][1:4] == ["10", "33.3 %", "5,000"]


def test_every_class_of_the_page_has_a_rule_in_the_stylesheet(text: str) -> None:
    used = {name for _, attributes in Page(text).elements for name in (attributes.get("class") or "").split()}
    states = set(CampaignState) | {"targets"}  # these keep the plain look
    assert {name for name in used - states if f".{name}" not in stylesheet()} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_sums_by_reason_and_by_day_are_exact(language: str) -> None:
    page = page_of(FIGURES, language=language, timezone="Asia/Seoul")
    for shown in ("9,223,372,036,854,775,807", "2026-02-01", "2026-01-31", escape(HOSTILE)):
        assert f">{shown}<" in page, shown
