"""Secrets and connections are renewed during a run, and a file that is missing at that moment ends nothing."""

from pathlib import Path

import pytest

from bulkpoint.errors import UsageError
from bulkpoint.money.contract import MoneyV1
from bulkpoint.money.transport import Calls
from bulkpoint.pay.access import FAILURES_IN_A_ROW, RENEW_AGAIN_S, RENEW_EVERY_S, Access, Renewal
from bulkpoint.settings import read_secret


class NoCalls:
    """A client of which only `renew` is asked."""

    wrong: UsageError | None = None

    def renew(self) -> UsageError | None:
        return self.wrong


def access_by(file: Path) -> Access:
    return Access(lambda: {"token": read_secret(file, "BULKPOINT_MONEY_TOKEN_FILE")}, MoneyV1)


def test_a_token_that_was_exchanged_is_in_the_next_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    access = access_by(file)
    before = access.adapter
    access.renew_secrets()
    assert access.adapter is before, "nothing has changed"
    file.write_text("new\n")
    access.renew_secrets()
    assert access.adapter is not before


def test_a_token_file_that_is_gone_or_empty_changes_nothing_and_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    access = access_by(file)
    before = access.adapter
    file.unlink()
    for _ in range(3):
        access.renew_secrets()
    said = capsys.readouterr().err
    assert said.startswith("bulkpoint: the secrets that were read before stay in use: ")
    assert said.count("\n") == 1
    file.write_text("")
    access.renew_secrets()
    assert "empty" in capsys.readouterr().err, "that is something else"
    assert access.adapter is before
    file.write_text("old\n")
    access.renew_secrets()
    file.unlink()
    access.renew_secrets()
    assert capsys.readouterr().err == said, "it was there in between"


def test_a_ca_file_that_is_gone_is_said_once_too(capsys: pytest.CaptureFixture[str]) -> None:
    calls = NoCalls()
    calls.wrong = UsageError("MONEY_CA_FILE_UNREADABLE", file="ca.pem", why="No such file or directory")
    access = Access(dict, MoneyV1)
    for _ in range(3):
        access.renew(_calls(calls))
    assert capsys.readouterr().err.count("ca.pem") == 1


def test_it_is_renewed_now_and_then_and_soon_where_calls_fail_in_a_row() -> None:
    renewal = Renewal(100.0)
    assert renewal.due_at == 100.0 + RENEW_EVERY_S
    for _ in range(FAILURES_IN_A_ROW - 1):
        renewal.heard(failing=True)
    renewal.heard(failing=False)
    renewal.heard(failing=True)
    assert renewal.due_at == 100.0 + RENEW_EVERY_S, "single failures are no reason"
    for _ in range(FAILURES_IN_A_ROW):
        renewal.heard(failing=True)
    assert renewal.due_at == 100.0 + RENEW_AGAIN_S
    renewal.done(110.0)
    assert renewal.due_at == 110.0 + RENEW_EVERY_S
    renewal.heard(failing=True)
    assert renewal.due_at == 110.0 + RENEW_AGAIN_S, "they still fail"


def _calls(calls: NoCalls) -> Calls:
    return calls  # type: ignore[return-value]
