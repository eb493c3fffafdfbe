"""The adapters in conf/examples pay through money APIs of other contracts: once, with every kind of answer."""

from pathlib import Path

import pytest

from bulkpoint import files
from tests.world.payers import AcceptAndPollPayer, Payer, Raw, SignedFormPayer, serving
from tests.world.workers import crew

EXAMPLES = files.path_of("conf/examples/adapters")
SIGNED_FORM = ("signed_form:SignedForm", {"merchant": "M-1", "sign_key": SignedFormPayer.KEY})
ACCEPT_AND_POLL = ("accept_and_poll:AcceptAndPoll", {"token": AcceptAndPollPayer.KEY})

GATEWAY_PAGE: Raw = 404, {"Content-Type": "text/html"}, b"<html>404 Not Found</html>"
BROKEN: Raw = 502, {"Content-Type": "application/json"}, b'{"error": "UPSTREAM", "resultCode": null}'
EMPTY: Raw = 200, {}, b""


@pytest.fixture(autouse=True)
def _examples_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def secrets_in(folder: Path, secrets: dict[str, str]) -> dict[str, str]:
    for name, value in secrets.items():
        (folder / name).write_text(value + "\n")
    named = [f"{name}={folder / name}" for name in secrets if name != "token"]
    token = {"BULKPOINT_MONEY_TOKEN_FILE": str(folder / "token")} if "token" in secrets else {}
    return token | ({"BULKPOINT_MONEY_SECRET_FILES": ",".join(named)} if named else {})


@pytest.mark.parametrize(
    ("payer", "adapter"),
    [(SignedFormPayer(), SIGNED_FORM), (AcceptAndPollPayer(), ACCEPT_AND_POLL)],
    ids=["signed_form", "accept_and_poll"],
)
def test_an_example_pays_every_member_once(
    payer: Payer, adapter: tuple[str, dict[str, str]], database_url: str, tmp_path: Path
) -> None:
    payer.next_answers.extend([GATEWAY_PAGE, BROKEN, EMPTY])
    settings = {"BULKPOINT_MONEY_ADAPTER": adapter[0]} | secrets_in(tmp_path, adapter[1])
    with (
        serving(payer),
        crew(database_url, payer, tmp_path, members=40, tps=50, shares=1, **settings) as its,
    ):
        its.hire()
        its.finish()
        assert its.count("SUCCESS") == 36
        refused = its.query(
            b"select failure_kind::text, failure_code, count(*) from payment where state = 'FAILED' group by 1, 2"
        )
        assert refused in ([("REJECTED", "1002", 4)], [("REJECTED", "MEMBER_CLOSED", 4)])
        if isinstance(payer, AcceptAndPollPayer):
            sent = {order["put"] for order in payer.orders.values()}
            assert sent == {1}, "a payment that money works on is asked about, and not sent again"
