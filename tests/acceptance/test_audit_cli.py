"""`audit`, `campaign history` and `check` as people and schedulers call them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import connect
from bulkpoint.store.limit import ensure_limit

Run = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-m", "bulkpoint.cli.main"]


@pytest.fixture
def bulkpoint(database_url: str, tmp_path: Path) -> Run:
    ours = {"BULKPOINT_DATABASE_URL": database_url, "BULKPOINT_DATA_DIR": str(tmp_path / "data")}

    def run(*arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            env=os.environ | ours | changes,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_the_log_tells_who_did_what_and_that_there_is_more(bulkpoint: Run, database_url: str) -> None:
    assert bulkpoint("tps", "set", "500", "--reason", "night", BULKPOINT_ACTOR="Kim").returncode == 0
    with connect(database_url) as connection:
        for number in range(2):
            detail = {"reason": f"night\x1b[2J {number}"}
            write_audit(connection, action="stop", campaign_id=7, run=2, actor="Lee", detail=detail)
    latest = bulkpoint("audit", "log", "--last", "2")
    assert latest.returncode == 0, latest.stderr
    heads, first, second = latest.stdout.splitlines()
    assert heads.split() == ["NO", "TIME", "LOGIN", "ACTOR", "ACTION", "CAMPAIGN", "WHAT"]
    assert first.endswith("stop    7, run 2  reason: night\\x1b[2J 0"), first
    assert second.startswith(" 3  ")
    assert latest.stderr == (
        "More rows match; these are the last 2. --last N shows more, --since and --until others.\n"
    )

    as_json = bulkpoint("audit", "log", "--action", "tps.set", "--since", "00:00", "--json")
    (event,) = json.loads(as_json.stdout)["events"]
    names = "audit_no occurred_at login os_user host actor action campaign_id run detail hash"
    assert list(event) == names.split()
    assert (event["audit_no"], event["actor"], event["detail"]["tps"], len(event["hash"])) == (1, "Kim", 500, 64)
    assert event["occurred_at"].endswith("Z")


def test_a_choice_that_cannot_be_is_refused_in_a_sentence(bulkpoint: Run) -> None:
    for line, code, sentence in (
        ("audit log --action strat", 2, "approve, complete, create, fail, force"),
        ("audit log --campaign 9", 3, "There is no campaign 9."),
        ("audit log --since soon", 2, "or as 18:00 for the last time it was that"),
        ("audit log --until 0001-01-01", 2, "--until '0001-01-01' is no time"),
        ("audit verify --expect-no 3", 2, "go together"),
        ("audit verify --expect-no 3 --expect-hash abc", 2, "64 hexadecimal digits"),
    ):
        ended = bulkpoint(*line.split())
        assert (line, ended.returncode, ended.stdout) == (line, code, "")
        assert sentence in ended.stderr
    assert bulkpoint("campaign", "history", "9").returncode == 3
    none = bulkpoint("audit", "log", "--action", "force", "--json")
    assert (none.returncode, none.stdout, none.stderr) == (0, '{"events": []}\n', "")


def test_a_chain_is_verified_against_a_hash_that_was_kept_until_it_is_broken(bulkpoint: Run, database_url: str) -> None:
    bulkpoint("tps", "set", "500")
    bulkpoint("tps", "set", "600")
    whole = bulkpoint("audit", "verify")
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.splitlines()[0] == "unbroken   2 rows"
    kept = ("--expect-no", "2", "--expect-hash", whole.stdout.split()[-1])
    assert "nothing up to there was rewritten" in bulkpoint("audit", "verify", *kept).stderr

    with connect(database_url) as forger:
        forger.execute("alter table audit_event disable trigger all")
        forger.execute("update audit_event set actor = 'nobody' where audit_no = 1")
    broken = bulkpoint("audit", "verify", *kept)
    assert (broken.returncode, broken.stdout) == (3, "")
    assert "The audit log is broken: row 1 of 20" in broken.stderr
    as_json = bulkpoint("audit", "verify", "--json")
    fields = json.loads(as_json.stdout)
    assert (as_json.returncode, fields["ok"], fields["rows"]) == (3, False, 2)
    assert (fields["broken"]["kind"], fields["broken"]["audit_no"]) == ("ALTERED", 1)
    assert (fields["error"]["code"], fields["error"]["facts"]["audit_no"]) == ("AUDIT_ALTERED", 1)
    assert as_json.stderr == f"bulkpoint: {fields['error']['message']}\n"


def test_a_check_is_one_line_or_one_line_for_each_trouble(bulkpoint: Run, database_url: str) -> None:
    well = bulkpoint("check")
    assert (well.returncode, well.stdout, well.stderr) == (0, "all is well: no campaign runs\n", "")
    with connect(database_url) as connection:
        ensure_limit(connection, tps=0, shares=1, actor="park")
        connection.execute(
            "insert into campaign (name, expected_count, expected_amount, creator) values ('c', 1, 1, 'a')"
        )
        connection.execute("insert into campaign_target values (1, 'm', 1, 'r')")
        begin_run(connection, RunRequest(campaign=1, actor="kim"), shares=1)
        before = "clock_timestamp() - interval '11 min'"
        connection.execute(f"update campaign_run set started_at = {before}, driver_until = {before}".encode())
        connection.execute(f"update money_limit set set_at = {before}".encode())
    ill = bulkpoint("check", "--json")
    fields = json.loads(ill.stdout)
    assert (ill.returncode, fields["ok"], fields["error"]["code"]) == (5, False, "PERSON_NEEDED")
    assert (fields["error"]["facts"], ill.stderr) == ({"findings": 2}, f"bulkpoint: {fields['error']['message']}\n")
    assert bulkpoint("check").stderr == "", "as text the findings say it all"
    assert [(one["kind"], one["campaign_id"]) for one in fields["findings"]] == [("DRIVER_GONE", 1), ("ON_HOLD", 1)]
    assert "`bulkpoint campaign resume 1`" in fields["findings"][0]["sentence"]
    assert "park set the limit to 0 TPS" in fields["findings"][1]["sentence"]
    assert fields["findings"][0]["since"].endswith("Z")


def test_a_campaigns_history_is_told_as_text_and_as_json(bulkpoint: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("member_id,amount,reason\nm1,5,r\n")
    bulkpoint("campaign", "create", "--name", "설날", "--targets", "m.csv", BULKPOINT_ACTOR="Kim")
    bulkpoint("campaign", "withdraw", "1", "--reason", "sent twice", BULKPOINT_ACTOR="Lee")
    told = bulkpoint("campaign", "history", "1").stdout.splitlines()
    assert told[0] == "campaign 1  설날  WITHDRAWN 철회"
    assert [line[21:] for line in told[1:]] == [
        'Kim created it: "설날"; 1 target, 5 points; from m.csv',
        "Lee withdrew it; reason: sent twice",
    ]
    fields = json.loads(bulkpoint("campaign", "history", "1", "--json").stdout)
    assert (fields["campaign_id"], fields["name"], fields["state"]) == (1, "설날", "WITHDRAWN")
    assert [(one["audit_no"], one["action"]) for one in fields["history"]] == [(1, "create"), (2, "withdraw")]
    assert fields["history"][1]["sentence"] == "Lee withdrew it; reason: sent twice"
