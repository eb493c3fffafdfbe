"""`report` and `payment find` as people and other programs call them."""

import csv
import resource
import subprocess
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pyarrow import parquet
from python_calamine import CalamineWorkbook

from tests.world.campaigns import World
from tests.world.command_line import COMMAND, CommandLine


@pytest.fixture
def campaigns(world: World) -> None:
    """Campaign 1 was stopped before anything was sent, campaign 2 waits; both pay =m1 and =m2."""
    stopped, _ = (world.campaign([("=m1", 1, f"r{n}"), ("=m2", 2, f"r{n}")], name="설날") for n in (1, 2))
    stopped.begun().stopped()


@pytest.mark.usefixtures("campaigns")
def test_each_format_goes_to_stdout_or_a_file_and_the_totals_to_stderr(bulkpoint: CommandLine, tmp_path: Path) -> None:
    rows = bulkpoint("report", "1", "--format", "csv")
    totals = "campaign 1: 2 payments, 3 points: success 0 (0 points), failed 0 (0 points), not processed 2 (3 points)\n"
    assert rows.returncode == 0
    assert rows.stderr.startswith(totals)
    assert "column member_id_raw has the ids themselves" in rows.stderr
    assert [row[1] for row in csv.reader(rows.stdout.splitlines())] == ["member_id", "'=m1", "'=m2"]

    piped = bulkpoint("report", "1", "--format", "parquet")
    (tmp_path / "piped.parquet").write_bytes(piped.output)
    assert parquet.read_table(tmp_path / "piped.parquet")["member_id"].to_pylist() == ["=m1", "=m2"]

    sheets = bulkpoint("report", "1", "--format", "xlsx", "--out", "1.xlsx", "--reason", "마감")
    assert (sheets.returncode, sheets.stdout, sheets.stderr) == (0, "", f"wrote 1.xlsx\n{totals}")
    workbook = CalamineWorkbook.from_path(str(tmp_path / "1.xlsx"))
    assert workbook.sheet_names == ["합계", "내역"]
    assert ["내보낸 사유", "마감"] in [row[:2] for row in workbook.get_sheet_by_index(0).to_python()]
    assert [row[1] for row in workbook.get_sheet_by_index(1).to_python()] == ["회원 번호", "member_id", "=m1", "=m2"]

    sums = bulkpoint.succeed("report", "1", "--json").json
    assert (sums["total"]["open"], sums["total"]["open_amount"], sums["days"]) == (2, 3, [])
    assert "r1 " in bulkpoint.succeed("report", "1").stdout

    page = bulkpoint("report", "1", "--format", "html", "--out", "page.html")
    assert (page.returncode, page.stdout, page.stderr) == (0, "", "wrote page.html\n")
    assert "설날" in (tmp_path / "page.html").read_text()
    assert [one.name for one in tmp_path.glob("*.part")] == []


@pytest.mark.usefixtures("campaigns")
def test_who_takes_members_out_is_in_the_audit_log_before_it_has_them(bulkpoint: CommandLine, tmp_path: Path) -> None:
    bulkpoint.succeed("report", "1", "--format", "csv", "--failed-only", "--out", "f.csv", "--reason", "회계 감사")
    bulkpoint.succeed("payment", "find", "--member", "=m1", "--reason", "call of the member")
    bulkpoint.succeed("report", "1", "--format", "html", "--out", "page.html")
    assert bulkpoint("report", "2", "--format", "csv").returncode == 3
    assert bulkpoint("report", "1", "--format", "csv", "--out", "/dev/full").returncode == 2
    log = bulkpoint.succeed("audit", "log", "--json").json["events"]
    export, find = (event for event in log if event["action"] in ("export", "find"))
    assert export["detail"] == {"format": "csv", "failed_only": True, "file": "f.csv", "rows": 0, "reason": "회계 감사"}
    found = {"member_sha256": sha256(b"=m1").hexdigest(), "rows": 2, "reason": "call of the member"}
    assert find["detail"] == found
    story = bulkpoint.succeed("campaign", "history", "1").stdout
    assert "exported its payments: 0 rows; as csv; only FAILED payments; to f.csv; reason: 회계 감사" in story
    assert bulkpoint("report", "1", "--format", "csv", "--reason", "\udcff").returncode == 2


@pytest.mark.usefixtures("campaigns")
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_disk_that_is_full_is_named_and_the_old_file_stays(bulkpoint: CommandLine, tmp_path: Path, kind: str) -> None:
    (tmp_path / "1.out").write_text("old")
    ended = subprocess.run(
        [*COMMAND, "report", "1", "--format", kind, "--out", "1.out"],
        env=bulkpoint.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    assert ended.returncode == 2, ended.stderr
    assert "--out 1.out cannot be written: File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir() if each.is_file()] == [("1.out", "old")]


@pytest.mark.usefixtures("campaigns")
def test_a_month_goes_to_a_terminal_a_program_or_a_file(bulkpoint: CommandLine, tmp_path: Path) -> None:
    month = f"{datetime.now(ZoneInfo('Asia/Seoul')):%Y-%m}"
    shown = bulkpoint.succeed("report", "--month", month)
    assert "1  설날" in shown.stdout
    assert shown.stderr == f"{month} is not over: these are the figures so far.\n"
    found = bulkpoint.succeed("report", "--month", month, "--json").json
    assert [(each["name"], each["open_amount"]) for each in found["campaigns"]] == [("설날", 3)]
    assert bulkpoint.succeed("report", "--month", "2020-01", "--json").json["campaigns"] == []
    for kind in ("csv", "xlsx", "parquet", "html"):
        bulkpoint.succeed("report", "--month", month, "--format", kind, "--out", f"month.{kind}")
        assert (tmp_path / f"month.{kind}").stat().st_size > 100
    assert "export" not in {event["action"] for event in bulkpoint.succeed("audit", "log", "--json").json["events"]}


@pytest.mark.usefixtures("campaigns")
def test_each_refusal_has_its_exit_code_and_a_sentence(bulkpoint: CommandLine, tmp_path: Path) -> None:
    for line, code, sentence in (
        ("report 1 --format html --failed-only", 2, "--failed-only is for xlsx, csv and parquet"),
        ("report 1 --failed-only", 2, "--failed-only is for xlsx, csv and parquet"),
        ("report", 2, "Name a campaign, or a month with --month YYYY-MM"),
        ("report 1 --month 2026-01", 2, "Name a campaign, or a month with --month YYYY-MM"),
        ("report --month 2026-13", 2, "write year and month, as in 2026-11"),
        ("report --month 2999-12", 3, "2999-12 has not begun"),
        ("report 1 --out a.txt", 2, "--out needs --format"),
        ("report 1 --format csv --out nowhere/a.csv", 2, "--out nowhere/a.csv cannot be written"),
        ("report 2 --format csv --out new.csv", 3, "`bulkpoint campaign preview 2`"),
        ("payment find --member m --campaign 9", 3, "There is no campaign 9."),
    ):
        ended = bulkpoint(*line.split())
        assert (line, ended.returncode, ended.stdout) == (line, code, "")
        assert sentence in ended.stderr
    assert not (tmp_path / "new.csv").exists()


def test_a_terminal_is_not_given_parquet(bulkpoint: CommandLine) -> None:
    code, seen = bulkpoint.at_a_terminal("report", "1", "--format", "parquet")
    assert code == 2
    assert "Name a file with --out" in seen


@pytest.mark.usefixtures("campaigns")
def test_a_member_is_found_and_nobody_is_no_failure(bulkpoint: CommandLine) -> None:
    found = bulkpoint("payment", "find", "--member", "=m2", "--json")
    payments = found.json["payments"]
    assert [(one["campaign_id"], one["amount"], one["attempts"]) for one in payments] == [(2, 2, []), (1, 2, [])]
    assert found.stderr == ""
    nobody = bulkpoint("payment", "find", "--member", "m\x1b[2J", "--json")
    assert (nobody.returncode, nobody.json) == (0, {"payments": []})
    assert nobody.stderr.startswith("There is no payment of member m\\x1b[2J in any campaign")
