"""`bulkpoint doctor --money`: what a run relies on is proven by calls, and each thing that is not kept is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.doctor.contract import try_contract
from bulkpoint.rules.checks import Check, Verdict
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from tests.world.command_line import CommandLine
from tests.world.contract_payer import Payer, payer
from tests.world.money import sandbox

Try = Callable[..., list[Check]]
KEPT = [
    "contract-unknown-key",
    "contract-credit",
    "contract-look-up",
    "contract-same-key",
    "contract-other-body",
    "contract-wrong-token",
    "contract-content-type",
]


@pytest.fixture
def token(tmp_path: Path, connection: Connection) -> Path:
    connection.execute("insert into operator_right select session_user, 'start' on conflict do nothing")
    file = tmp_path / "token"
    file.write_text("t0ken\n")
    return file


@pytest.fixture
def try_it(connection: Connection, database_url: str, token: Path) -> Try:
    def try_contract_of(its: Payer, **settings: str) -> list[Check]:
        environ = {
            "BULKPOINT_MONEY_URL": its.url,
            "BULKPOINT_MONEY_TOKEN_FILE": str(token),
            "BULKPOINT_DATABASE_URL": database_url,
            **settings,
        }
        checks = try_contract(connection, database_url, load_settings(environ), member_id="m-test", actor="kim")
        return list(checks)

    return try_contract_of


def found(checks: list[Check]) -> dict[str, str]:
    """By name, but for what is as it should be."""
    return {check.name: check.found.code for check in checks if check.verdict is not Verdict.OK}


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_a_contract_that_is_kept_is_proven_with_one_credit_and_ten_calls_at_most(
    try_it: Try, connection: Connection, transport: str
) -> None:
    with payer("t0ken") as its:
        checks = try_it(its, BULKPOINT_MONEY_TRANSPORT=transport)
    assert [(check.name, check.verdict) for check in checks] == [(name, Verdict.OK) for name in KEPT]
    ((order, _, _),) = its.credits.values()
    assert (its.credited, order["member_id"], order["amount"]) == (1, "m-test", 1)
    assert len(its.calls) <= 10, its.calls
    ((action, detail),) = connection.execute(
        "select action, detail from audit_event where action = 'doctor.money'"
    ).fetchall()
    assert (action, detail["member_id"], list(its.credits)) == ("doctor.money", "m-test", [detail["key"]])
    shares = connection.execute("select count(*), count(leased_until) from money_share").fetchall()
    assert shares[0][1] == 0, "the share is free again"


@pytest.mark.parametrize(
    ("changes", "name", "code"),
    [
        ({"deduplicates": False}, "contract-same-key", "ANOTHER_TRANSACTION_ID"),
        ({"compares_bodies": False}, "contract-other-body", "CONTRACT_NOT_KEPT"),
        ({"checks_token": False}, "contract-wrong-token", "WRONG_TOKEN_NOT_REFUSED"),
        ({"not_found": (404, "<html>Not Found</html>")}, "contract-unknown-key", "CONTRACT_NOT_ANSWERED"),
        ({"not_found": (404, '{"code": "NO_SUCH_PATH"}')}, "contract-unknown-key", "CONTRACT_NOT_ANSWERED"),
        ({"content_type": "text/html"}, "contract-content-type", "CONTENT_TYPE_NOT_JSON"),
        ({"refuses": (404, '{"code": "MEMBER_NOT_FOUND"}')}, "contract-credit", "CONTRACT_NOT_KEPT"),
        ({"refuses": (503, "<html>busy</html>")}, "contract-credit", "CONTRACT_NOT_ANSWERED"),
        ({"refuses": (200, '{"transaction_id": "null"}')}, "contract-credit", "CONTRACT_NOT_ANSWERED"),
        ({"refuses": (200, "")}, "contract-credit", "CONTRACT_NOT_ANSWERED"),
    ],
)
def test_each_thing_that_is_not_kept_is_named(try_it: Try, changes: dict[str, Any], name: str, code: str) -> None:
    with payer("t0ken", **changes) as its:
        checks = try_it(its)
    assert found(checks)[name] == code, found(checks)


def test_how_soon_a_look_up_sees_a_credit_is_measured_against_the_settle_time(
    try_it: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    with payer("t0ken", shows_after_s=60) as its:
        assert found(try_it(its, BULKPOINT_MONEY_SETTLE_S="0.1")) == {"contract-look-up": "CREDIT_NOT_SEEN"}
    longer = {"BULKPOINT_MONEY_SETTLE_S": "60"}  # the safer one of what is stored and what is set counts
    with payer("t0ken", shows_after_s=0.3) as its:
        (seen,) = [check for check in try_it(its, **longer) if check.name == "contract-look-up"]
    assert (seen.verdict, seen.found.code) == (Verdict.OK, "CREDIT_SEEN")
    assert seen.found.facts["seconds"] > 0.3
    monkeypatch.setattr("bulkpoint.doctor.contract.LOOKS_AFTER_S", (0.1,))
    with payer("t0ken", shows_after_s=60) as its:
        assert found(try_it(its, **longer)) == {"contract-look-up": "CREDIT_NOT_SEEN_YET"}


def test_nothing_is_credited_where_the_limit_is_paused_or_the_right_is_missing(
    try_it: Try, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.pay.one_by_one.SHARE_WAIT_S_MAX", 0.1)
    with payer("t0ken") as its:
        assert found(try_it(its, BULKPOINT_TPS="0")) == {"contract": "NO_SHARE_FREE"}
        connection.execute("delete from operator_right")
        assert found(try_it(its)) == {"contract": "RIGHT_MISSING"}
    assert its.calls == []


def test_the_command_asks_names_the_address_and_has_no_member_for_another_machine(
    bulkpoint: CommandLine, token: Path
) -> None:
    bulkpoint.environment["BULKPOINT_MONEY_TOKEN_FILE"] = str(token)
    with sandbox("--token-file", str(token)) as money:
        bulkpoint.environment["BULKPOINT_MONEY_URL"] = money.url
        nobody_asked = bulkpoint("doctor", "--money")
        assert (nobody_asked.returncode, "Add --yes" in nobody_asked.stderr) == (2, True)
        code, seen = bulkpoint.at_a_terminal("doctor", "--money", answer="n")
        assert code == 3
        assert f"1 point to member bulkpoint-doctor at {money.url}, for real" in seen
        assert money.ledger() == []
        proven = bulkpoint("doctor", "--money", "--yes", "--json")
        assert (proven.returncode, proven.json["ok"]) == (0, True), proven.stdout
        assert {check["name"] for check in proven.json["checks"]} >= set(KEPT)
        (credit,) = money.ledger()
        assert (credit["member_id"], credit["amount"]) == ("bulkpoint-doctor", 1)
    log = bulkpoint("audit", "log").stdout
    assert f"1 point to member bulkpoint-doctor; at {money.url}; under the key" in log


def test_the_contract_is_not_tried_before_other_problems_are_solved(bulkpoint: CommandLine, token: Path) -> None:
    with payer("t0ken") as its:
        ended = bulkpoint(
            "doctor",
            "--money",
            "--yes",
            BULKPOINT_MONEY_URL=its.url,
            BULKPOINT_MONEY_TOKEN_FILE=str(token),
            BULKPOINT_JDBC_JAR="/nowhere.jar",
        )
    assert ended.returncode == 2
    assert "contract is not tried" in ended.stderr
    assert its.calls == []
    assert bulkpoint("doctor", "--yes").returncode == 2
