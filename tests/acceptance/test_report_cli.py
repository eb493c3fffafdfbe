"""`report` and `payment find` as people and other programs call them."""

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, stop_run
from bulkpoint.store.connect import connect
from bulkpoint.store.limit import ensure_limit

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
COMMAND = [sys.executable, "-m", "bulkpoint.cli.main"]


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "BULKPOINT_DATABASE_URL": database_url, "BULKPOINT_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def bulkpoint(environment: dict[str, str], tmp_path: Path) -> Run:
    def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def campaigns(database_url: str) -> None:
    """Campaign 1 was stopped before anything was sent, campaign 2 waits; both pay =m1 and =m2."""
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=2, actor="tester")
        for campaign_id in (1, 2):
            connection.execute(
                "insert into campaign (name, expected_count, expected_amount, creator) values ('설날', 2, 3, 'a')"
            )
            connection.execute(
                "insert into campaign_target select %s, '=m' || i, i, 'r' from generate_series(1, 2) i", (campaign_id,)
            )
        begin_run(connection, RunRequest(campaign=1, actor="a"), shares=2)
        stop_run(connection, 1, actor="a")


@pytest.mark.usefixtures("campaigns")
def test_each_format_goes_to_stdout_or_a_file_and_the_totals_to_stderr(bulkpoint: Run, tmp_path: Path) -> None:
    rows = bulkpoint("report", "1", "--format", "csv")
    totals = "campaign 1: 2 payments, 3 points: success 0 (0 points), failed 0 (0 points), open 2 (3 points)\n"
    assert (rows.returncode, rows.stderr.decode()) == (0, totals)
    assert [row[1] for row in csv.reader(rows.stdout.decode().splitlines())] == ["member_id", "'=m1", "'=m2"]

    piped = bulkpoint("report", "1", "--format", "parquet")
    (tmp_path / "piped.parquet").write_bytes(piped.stdout)
    assert parquet.read_table(tmp_path / "piped.parquet")["member_id"].to_pylist() == ["=m1", "=m2"]

    page = bulkpoint("report", "1", "--format", "html", "--out", "page.html")
    assert (page.returncode, page.stdout, page.stderr) == (0, b"", b"wrote page.html\n")
    assert "설날" in (tmp_path / "page.html").read_text()
    assert [one.name for one in tmp_path.glob("*.part")] == []


@pytest.mark.usefixtures("campaigns")
def test_each_refusal_has_its_exit_code_and_a_sentence(bulkpoint: Run, tmp_path: Path) -> None:
    for line, code, sentence in (
        ("report 1 --format html --failed-only", 2, "--failed-only is for csv and parquet"),
        ("report 1 --format csv --out nowhere/a.csv", 2, "--out nowhere/a.csv cannot be written"),
        ("report 2 --format csv --out new.csv", 3, "`bulkpoint campaign preview 2`"),
        ("payment find --member m --campaign 9", 3, "There is no campaign 9."),
    ):
        ended = bulkpoint(*line.split())
        assert (line, ended.returncode, ended.stdout) == (line, code, b"")
        assert sentence in ended.stderr.decode()
    assert not (tmp_path / "new.csv").exists()


def test_a_terminal_is_not_given_parquet(environment: dict[str, str], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        command = [*COMMAND, "report", "1", "--format", "parquet"]
        ended = subprocess.run(
            command, env=environment, cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert ended.returncode == 2
    assert b"name a file with --out" in ended.stderr


@pytest.mark.usefixtures("campaigns")
def test_a_member_is_found_and_nobody_is_no_failure(bulkpoint: Run) -> None:
    found = bulkpoint("payment", "find", "--member", "=m2", "--json")
    payments = json.loads(found.stdout)["payments"]
    assert [(one["campaign_id"], one["amount"], one["attempts"]) for one in payments] == [(2, 2, []), (1, 2, [])]
    assert found.stderr == b""
    nobody = bulkpoint("payment", "find", "--member", "m\x1b[2J", "--json")
    assert (nobody.returncode, json.loads(nobody.stdout)) == (0, {"payments": []})
    assert nobody.stderr.decode().startswith("There is no payment of member m\\x1b[2J in any campaign")
