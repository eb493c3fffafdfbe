"""`bulkpoint doctor --adapter`: adapters that are right pass, and each mistake that costs money is named."""

import itertools
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from bulkpoint import files
from bulkpoint.doctor import adapter as tried
from bulkpoint.doctor.adapter import foreign_replies, try_adapter
from bulkpoint.money import answers
from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.transport import HttpRequest, Reply
from bulkpoint.rules.answers import Answer, Outcome
from bulkpoint.rules.checks import Check, Verdict
from bulkpoint.settings import load_settings
from bulkpoint.views.doctor import DoctorView
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.sentences import sentence

COUNTER = itertools.count()


class Right(MoneyV1):
    """The contract's own, which each class below spoils in one way."""


class NoKey(Right):
    def pay(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("POST", "/pay", {}, f"{call.member_id} {call.amount}".encode())


class NoMember(Right):
    def pay(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("POST", "/pay", {}, f"{call.key} {call.amount}".encode())


class Clock(Right):
    def pay(self, call: PointsCall) -> HttpRequest:
        return super().pay(call)._replace(path=f"/pay?at={int(time.time())}")


class ClockInHeader(Right):
    def pay(self, call: PointsCall) -> HttpRequest:
        request = super().pay(call)
        return request._replace(headers={**request.headers, "X-Time": str(int(time.time()))})


class Counted(Right):
    """Made anew in each worker."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        super().__init__(secrets)
        self._number = next(COUNTER)

    def pay(self, call: PointsCall) -> HttpRequest:
        return super().pay(call)._replace(path=f"/pay/{self._number}")


class LooksUpByPaying(Right):
    def look_up(self, call: PointsCall) -> HttpRequest:
        return self.pay(call)


class Unencoded(Right):
    def look_up(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("GET", f"/points/{call.key}/{call.member_id}", {}, None)


class TextBody(Right):
    def pay(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("POST", "/pay", {}, f"{call.key} {call.member_id} {call.amount}")  # type: ignore[arg-type]


class Latin(Right):
    def pay(self, call: PointsCall) -> HttpRequest:
        return super().pay(call)._replace(body=call.member_id.encode("latin-1"))


class Typo(Right):
    def pay(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("POST", "/pay", {}, call.member.encode())  # type: ignore[attr-defined]


class RefusesByStatus(Right):
    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        if reply.status == 404:
            return answers.refused("NO_SUCH_MEMBER")
        return super().read_pay(call, reply)


class AbsentByStatus(Right):
    def read_look_up(self, call: PointsCall, reply: Reply) -> Answer | None:
        return answers.not_found() if reply.status == 404 else super().read_look_up(call, reply)


class CreditsByStatus(Right):
    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:  # noqa: ARG002
        return answers.credited("tx") if reply.status == 200 else None


class RaisesOnPages(Right):
    """As docs/money-adapter.md allows."""

    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:  # noqa: ARG002
        raise ValueError(reply.body.decode("ascii", "replace")[:10])


class MisspeltInReading(Right):
    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:  # noqa: ARG002
        found: Answer = anwsers.credited("tx")  # type: ignore[name-defined] # noqa: F821
        return found


class TakesNoCall(Right):
    def read_look_up(self, reply: Reply) -> Answer | None:  # type: ignore[override] # noqa: ARG002
        return None


class GivesOutcome(Right):
    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:  # noqa: ARG002
        return Outcome.SERVER_ERROR  # type: ignore[return-value]


class HaltsByStatus(Right):
    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        return answers.not_authorized() if reply.status == 401 else super().read_pay(call, reply)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(files.path_of("conf/examples/adapters")))
    monkeypatch.chdir(tmp_path)


def checks_of(name: str, **settings: str) -> list[Check]:
    named = {} if not name else {"BULKPOINT_MONEY_ADAPTER": name if ":" in name else f"{__name__}:{name}"}
    checks = list(try_adapter(load_settings({**named, **settings})))
    for check in checks:
        for language in LANGUAGES:
            assert sentence(check.found, language=language)
    return checks


def verdicts(checks: list[Check]) -> list[tuple[str, Verdict]]:
    return [(check.name, check.verdict) for check in checks]


def test_the_contracts_own_adapter_and_both_examples_pass(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    secrets = f"merchant={tmp_path}/secret,sign_key={tmp_path}/secret"
    both = {"BULKPOINT_MONEY_SECRET_FILES": secrets, "BULKPOINT_MONEY_TOKEN_FILE": str(tmp_path / "secret")}
    for name in ("", "signed_form:SignedForm", "accept_and_poll:AcceptAndPoll"):
        checks = checks_of(name, **both)
        assert verdicts(checks) == [("adapter-requests", Verdict.OK), ("adapter-replies", Verdict.OK)], (
            name,
            DoctorView.of(checks),
        )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NoKey", "REQUEST_LACKS"),
        ("NoMember", "REQUEST_LACKS"),
        ("Clock", "REQUEST_CHANGES"),
        ("Counted", "REQUEST_CHANGES"),
        ("LooksUpByPaying", "LOOK_UP_PAYS"),
        ("Unencoded", "REQUEST_UNUSABLE"),
        ("TextBody", "REQUEST_UNUSABLE"),
        ("Latin", "REQUEST_RAISES"),
        ("Typo", "REQUEST_RAISES"),
        ("RefusesByStatus", "SETTLED_BY_PAGE"),
        ("AbsentByStatus", "SETTLED_BY_PAGE"),
        ("CreditsByStatus", "SETTLED_BY_PAGE"),
        ("MisspeltInReading", "READING_RAISES"),
        ("TakesNoCall", "READING_RAISES"),
        ("GivesOutcome", "READING_GIVES_OTHER"),
    ],
)
def test_each_mistake_is_named(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name != "Clock":
        monkeypatch.setattr(tried, "CLOCK_STEP_S", 0.0)
    found = {check.found.code for check in checks_of(name) if check.verdict is Verdict.PROBLEM}
    assert found == {code}


def test_a_method_that_raises_for_a_page_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tried, "CLOCK_STEP_S", 0.0)
    *_, replies = checks_of("RaisesOnPages")
    assert replies.verdict is Verdict.OK
    assert any(text.startswith("raised x ") for text in replies.found.facts["outcomes"])


def test_a_time_in_a_header_is_a_warning() -> None:
    """docs/money-adapter.md allows it where the money API insists."""
    first, *_ = checks_of("ClockInHeader")
    assert (first.verdict, first.found.code) == (Verdict.WARNING, "HEADERS_CHANGE")


def test_what_ends_a_run_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tried, "CLOCK_STEP_S", 0.0)
    checks = checks_of("HaltsByStatus")
    assert {check.found.code for check in checks if check.verdict is Verdict.WARNING} == {"BOLD_ABOUT_PAGE"}
    assert all(check.verdict is not Verdict.PROBLEM for check in checks)


def test_an_adapter_that_cannot_be_made_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "theirs_that_exits.py").write_text("import sys\nsys.exit(0)\n")
    assert [check.found.code for check in checks_of("theirs_that_exits:Api")] == ["ADAPTER_RAISES"]
    sys.modules.pop("theirs_that_exits", None)


def test_replies_of_every_kind_are_among_the_samples() -> None:
    names = [foreign.name for foreign in foreign_replies()]
    assert len(names) == len(set(names)) > 30
    assert max(len(foreign.reply.body) for foreign in foreign_replies()) == 65_536
