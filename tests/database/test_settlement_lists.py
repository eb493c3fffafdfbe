"""Settlement files as they come, each with what it must give (tests/lists/settlements): one campaign, many files."""

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.errors import RefusedError
from bulkpoint.intake.settlement_form import SettlementForm
from bulkpoint.reconcile.settlement import Compared, compare_with_settlement
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.reconcile import Difference, Kind
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import Campaign, World

FOLDER = Path(__file__).parents[1] / "lists" / "settlements"
CASES: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "cases.toml").read_text())


@pytest.fixture(scope="module")
def campaign(database_url_of_module: str) -> Iterator[Campaign]:
    """As the head of cases.toml says."""
    with connect(database_url_of_module) as connection:
        world = World(connection)
        campaign = world.campaign([(f"m-{n}", 10 * n, "why") for n in range(1, 9)]).begun()
        campaign.claimed([1, 2, 3, 4, 5, 6, 8]).paid([1, 2]).failed([3]).failed([4, 8], "UNKNOWN", code="LOST")
        campaign.called([5], maybe_credited=True, failure_code="LOST").stopped().released()
        other = world.campaign([("m-3", 30, "other")], name="other").begun()
        other.claimed([1])
        connection.execute("insert into money_transaction values ('tx-48', %s, 1)", (other.id,))
        connection.execute(
            "update payment set state = 'SUCCESS', transaction_id = 'tx-48', claim_share = null, claim_epoch = null"
            " where campaign_id = %s",
            (other.id,),
        )
        yield campaign


def states(connection: Connection) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute("select member_id, state::text, transaction_id from payment where campaign_id = 1")
    return {row[0]: row[1:] for row in rows.fetchall()}


def test_every_file_has_what_it_must_give_and_every_case_its_file() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".csv", ".tsv")}
    assert files == {name.partition(" ")[0] for name in CASES}


def compare(campaign: Campaign, name: str, *, folder: Path, found: list[Difference], said: list[str]) -> Compared:
    """As `reconcile` does it with the case's options."""
    path = FOLDER / name.partition(" ")[0]
    if saved_as := CASES[name].get("saved_as"):
        text = path.read_text(encoding="utf-8")
        path = folder / path.name
        path.write_text(text, encoding=saved_as)
    options = {"columns": None, "ignored": [], "statuses": []} | CASES[name].get("options", {})
    compared, _ = compare_with_settlement(
        campaign.world.connection,
        campaign.id,
        path,
        actor="bob",
        form=SettlementForm.of_options(**options),
        say=said.append,
        report=found.append,
    )
    return compared


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "refused" in case])
def test_a_settlement_is_refused_with_the_words_of_its_case(campaign: Campaign, tmp_path: Path, name: str) -> None:
    before = states(campaign.world.connection)
    with pytest.raises(RefusedError) as caught:
        compare(campaign, name, folder=tmp_path, found=[], said=[])
    assert CASES[name]["refused"] in sentence(caught.value)
    assert states(campaign.world.connection) == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "refused" not in case])
def test_a_settlement_gives_what_its_case_says(campaign: Campaign, tmp_path: Path, name: str) -> None:
    case, connection = CASES[name], campaign.world.connection
    before = states(connection)
    found: list[Difference] = []
    said: list[str] = []
    with connection.transaction(force_rollback=True):
        compared = compare(campaign, name, folder=tmp_path, found=found, said=said)
        after = states(connection)
    assert [member for member in after if after[member] != before[member]] == case.get("success", [])
    kinds = Counter(each.kind.value for each in found if each.kind != Kind.OPEN)
    assert kinds == case.get("differences", {})
    figures = case.get("figures", {})
    assert {figure: getattr(compared, figure) for figure in figures} == figures
    words = "\n".join(said)
    assert [part for part in case.get("said", []) if part not in words] == []
