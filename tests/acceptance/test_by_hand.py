"""Finance's day at the command line: a statement from a bank's program, and a payment that was made by hand."""

from pathlib import Path

import pytest

from bulkpoint.store.connect import connect
from tests.world.campaigns import World
from tests.world.deployment import Deployment, environment_of
from tests.world.money import Money

STATEMENT = """# part 1 of 1
이벤트,회원번호,금액,거래번호,상태
{id},m-1,"1,000",t-1,지급
{id},m-2,"2,000",bank-2,지급
{id},m-1,"(1,000)",r-1,지급
99,x-9,"9,000",x-9,지급
,합계,"11,000",,
"""
OPTIONS = (
    "--columns", "campaign_id=이벤트,member_id=회원번호,amount=금액,transaction_id=거래번호,status=상태",
    "--status", "지급=credited", "--amounts", "1,000", "--encoding", "cp949",
)  # fmt: skip


@pytest.fixture
def deployment(database_url: str, money: Money, tmp_path: Path) -> Deployment:
    return Deployment(environment_of(database_url, money, tmp_path), tmp_path, money=money, database_url=database_url)


def test_a_statement_and_a_payment_by_hand_end_in_the_report(deployment: Deployment, tmp_path: Path) -> None:
    with connect(deployment.database_url) as connection:
        world = World(connection, tps=1_000, shares=1)
        campaign = world.campaign([(f"m-{n}", 1_000 * n, "why") for n in range(1, 5)]).begun().paid([1])
        campaign.failed([2], "UNKNOWN", code="LOST").failed([3], "REJECTED").stopped().was_finished(seconds_ago=600)
        campaign.times([1, 2, 3], first_sent_at=world.ago(700), last_sent_at=world.ago(600))
    path = tmp_path / "은행.csv"
    path.write_text(STATEMENT.format(id=campaign.id), encoding="cp949")
    asked = ("reconcile", str(campaign.id), "--settlement", str(path), *OPTIONS)
    tried = deployment.run(*asked, "--dry-run")
    assert tried.returncode == 3
    for part in (
        "은행.csv is read as CP949, separated by comma, with its header in row 2",
        "member_id = '회원번호'",
        "credited: 3 lines, 12,000 points",
        "reversed: 1 line, 1,000 points",
        f"Of campaign {campaign.id}, by their campaign_id, are 3 lines; those of others (1 line) are left out:",
        "'합계 11,000'; its figures are those of the lines.",
    ):
        assert part in tried.stderr
    assert "without --dry-run it would be SUCCESS now" in tried.stdout
    assert "1 payment, 1,000 points: SUCCESS with us, and reversed by the file" in tried.stdout
    assert deployment.show(str(campaign.id))["counts"]["SUCCESS"] == 1

    compared = deployment.run(*asked, "--json")
    assert compared.returncode == 3
    assert compared.json["difference_kinds"] == {"REVERSED": 1, "NOT_SUCCESS": 1}
    assert compared.json["file"]["marks"][1] == {"row": 7, "text": "합계 11,000", "agrees": True}

    settle = ("payment", "settle", "--campaign", str(campaign.id), "--member", "m-4", "--transaction")
    settled = deployment.succeed(*settle, "hand-4", "--reason", "ticket 4711")
    assert settled.stdout == (
        f"campaign {campaign.id}, member m-4: SUCCESS, settled by hand, 4,000 points, transaction hand-4;"
        " the money API has no credit under our key\n"
    )
    again = deployment.run(*settle, "hand-5", "--reason", "ticket 4711", "--json")
    assert (again.returncode, again.json["error"]["code"]) == (3, "PAYMENT_PAID_ALREADY")
    assert deployment.succeed(*settle, "hand-4", "--reason", "again").stdout.endswith("nothing was changed\n")

    shown = deployment.succeed("campaign", "show", str(campaign.id)).stdout
    assert "settled by hand: 1 of the SUCCESS payments, 4,000 points" in shown
    assert "by hand     " in deployment.succeed("payment", "find", "--member", "m-4").stdout
    assert "settled by hand" in deployment.succeed("campaign", "history", str(campaign.id)).stdout
    assert "settled by hand" in deployment.succeed("audit", "log").stdout
    report = deployment.succeed("report", str(campaign.id), "--format", "csv").stdout.splitlines()
    at = report[0].split(",").index("settled_by_hand")
    assert [bool(line.split(",")[at]) for line in report[1:]] == [False, False, False, True]
    assert "수기로 확정" in deployment.succeed("report", str(campaign.id), "--format", "html").stdout
