"""`audit`, `campaign history` and `check` as people and schedulers call them."""

from pathlib import Path

from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import connect
from tests.world.campaigns import World
from tests.world.command_line import CommandLine


def test_the_log_tells_who_did_what_and_that_there_is_more(bulkpoint: CommandLine, database_url: str) -> None:
    assert bulkpoint("tps", "set", "500", "--reason", "night", BULKPOINT_ACTOR="Kim").returncode == 0
    with connect(database_url) as connection:
        for number in range(2):
            detail = {"reason": f"night\x1b[2J {number}"}
            write_audit(connection, action="stop", campaign_id=7, run_no=2, actor="Lee", detail=detail)
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
    (event,) = as_json.json["events"]
    names = "audit_no occurred_at login os_user host actor action campaign_id run detail hash"
    assert list(event) == names.split()
    assert (event["audit_no"], event["actor"], event["detail"]["tps"], len(event["hash"])) == (1, "Kim", 500, 64)
    assert event["occurred_at"].endswith("Z")


def test_a_choice_that_cannot_be_is_refused_in_a_sentence(bulkpoint: CommandLine) -> None:
    for line, code, sentence in (
        ("audit log --action strat", 2, "approve, archive, attempts.remove, call_back"),
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


def test_a_chain_is_verified_against_a_hash_that_was_kept_until_it_is_broken(
    bulkpoint: CommandLine, database_url: str
) -> None:
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
    fields = as_json.json
    assert (as_json.returncode, fields["ok"], fields["rows"]) == (3, False, 2)
    assert (fields["broken"]["kind"], fields["broken"]["audit_no"]) == ("ALTERED", 1)
    assert (fields["error"]["code"], fields["error"]["facts"]["audit_no"]) == ("AUDIT_ALTERED", 1)
    assert as_json.stderr == f"bulkpoint: {fields['error']['message']}\n"


def test_a_check_is_one_line_or_one_line_for_each_trouble(bulkpoint: CommandLine, database_url: str) -> None:
    well = bulkpoint("check")
    assert (well.returncode, well.stdout, well.stderr) == (0, "all is well: no campaign runs\n", "")
    with connect(database_url) as connection:
        world = World(connection, tps=0, actor="park")
        world.campaign().begun().was_started(seconds_ago=660).driver_ends(in_s=-660)
        world.limit_was_set(seconds_ago=660)
    ill = bulkpoint("check", "--json")
    fields = ill.json
    assert (ill.returncode, fields["ok"], fields["error"]["code"]) == (5, False, "PERSON_NEEDED")
    assert (fields["error"]["facts"], ill.stderr) == ({"findings": 2}, f"bulkpoint: {fields['error']['message']}\n")
    assert bulkpoint("check").stderr == "", "as text the findings say it all"
    assert [(one["kind"], one["campaign_id"]) for one in fields["findings"]] == [("DRIVER_GONE", 1), ("ON_HOLD", 1)]
    assert "`bulkpoint campaign resume 1`" in fields["findings"][0]["sentence"]
    assert "park set the limit to 0 TPS" in fields["findings"][1]["sentence"]
    assert fields["findings"][0]["since"].endswith("Z")


def test_a_campaigns_history_is_told_as_text_and_as_json(bulkpoint: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("member_id,amount,reason\nm1,5,r\n")
    bulkpoint("campaign", "create", "--name", "설날", "--targets", "m.csv", BULKPOINT_ACTOR="Kim")
    bulkpoint("campaign", "withdraw", "1", "--reason", "sent twice", BULKPOINT_ACTOR="Lee")
    told = bulkpoint("campaign", "history", "1").stdout.splitlines()
    assert told[0] == "campaign 1  설날  WITHDRAWN 철회"
    assert [line[21:] for line in told[1:]] == [
        'Kim created it: "설날"; 1 target, 5 points; from m.csv',
        "Lee withdrew it; reason: sent twice",
    ]
    fields = bulkpoint("campaign", "history", "1", "--json").json
    assert (fields["campaign_id"], fields["name"], fields["state"]) == (1, "설날", "WITHDRAWN")
    assert [(one["audit_no"], one["action"]) for one in fields["history"]] == [(1, "create"), (2, "withdraw")]
    assert fields["history"][1]["sentence"] == "Lee withdrew it; reason: sent twice"
