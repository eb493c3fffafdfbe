"""`campaign preview` as a script meets it: figures on stdout, and an exit code that says whether to go on."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.store.connect import Connection, connect
from tests.world.campaigns import World
from tests.world.command_line import CommandLine, Ended


@pytest.fixture
def preview(bulkpoint: CommandLine) -> Callable[..., Ended]:
    bulkpoint.environment["COLUMNS"] = "80"
    return partial(bulkpoint.run, "campaign", "preview")


def test_a_good_file_and_its_campaign_are_previewed_with_exit_code_0(
    preview: Callable[..., Ended], database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("member_id,amount,reason\nm1,100,추석 선물\nm2,300,추석 선물\nm3,200,생일\n")
    of_file = preview("--targets", "t.csv", "--json", "--deadline", "2999-01-01T00:00")
    assert (of_file.returncode, of_file.stderr.splitlines()[0]) == (0, "Reading t.csv ...")
    fields = of_file.json
    assert (fields["ok"], fields["file"], fields["campaign_id"], fields["mean"]) == (True, "t.csv", None, 200.0)
    assert (fields["tps"], fields["tps_needed"], fields["in_time"]) == (1000, 1, True)
    assert fields["histogram"][0] == {"first": 100, "last": 119, "count": 1}
    assert fields["reasons"][0] == {"reason": "추석 선물", "count": 2, "amount": 400}
    assert fields["deadline"] == "2998-12-31T15:00:00.000Z"

    with connect(database_url) as connection:
        create_campaign(connection, NewCampaign("추석"), actor="alice", limits=NO_LIMITS, targets=path)
    of_campaign = preview("1")
    assert of_campaign.returncode == 0
    assert of_campaign.stdout.startswith(
        "campaign    1  추석\nstate       WAITING 대기\ntargets     3 with 600 points:"
    )
    assert f"\ndigest      {fields['digest']}\n" in of_campaign.stdout
    assert "\n추석 선물        2     400  66.7 %\n" in of_campaign.stdout
    assert f"campaign start 1 --digest {fields['digest']}" in of_campaign.stderr


def test_what_is_not_to_be_paid_is_exit_code_3_with_its_figures(
    preview: Callable[..., Ended], database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("member_id,amount,reason\nm1,100,a\nm1,300,b\nm3,0,c\n")
    refused = preview("--targets", "t.csv", "--errors", "all.csv")
    assert refused.returncode == 3
    assert "targets     2 with 400 points" in refused.stdout
    assert "row 4: amount is '0'" in refused.stdout
    assert refused.stderr.endswith(
        "All 2 errors are in all.csv.\n"
        "bulkpoint: 2 findings in t.csv. Correct it, then look again. Nothing was loaded.\n"
    )
    assert (tmp_path / "all.csv").read_text().count("\n") == 3

    with connect(database_url) as connection:
        create_campaign(connection, NewCampaign("later", "", 2, 9), actor="alice", limits=NO_LIMITS)
    empty = preview("1", "--json")
    assert (empty.returncode, empty.json["findings"][0]["kind"]) == (3, "TOTALS")
    assert "campaign withdraw 1" in empty.stderr


def test_a_deadline_that_has_passed_is_exit_code_2(preview: Callable[..., Ended]) -> None:
    refused = preview("1", "--deadline", "2020-01-01T00:00")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--deadline is in the past" in refused.stderr


def test_a_list_of_another_form_is_refused_until_its_form_is_named_and_then_created_as_previewed(
    bulkpoint: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_bytes("회원번호;금액;사유\nm1;100;추석\n;;\n".encode("cp949"))
    form = ["--targets", "list.csv", "--encoding", "cp949"]
    refused = bulkpoint.run("campaign", "preview", *form[:2])
    assert refused.returncode == 3
    assert "Read as CP949 it says:\n  row 1: '회원번호;금액;사유'" in refused.stderr
    refused = bulkpoint.run("campaign", "preview", *form)
    assert refused.returncode == 3
    columns = "member_id=회원번호,amount=금액,reason=사유"
    assert refused.stderr.endswith(f"add: --columns {columns}\n")
    seen = bulkpoint.run("campaign", "preview", *form, "--columns", columns, "--json")
    assert (seen.returncode, seen.json["count"]) == (0, 1)
    load = f"campaign create --name T --targets list.csv --encoding cp949 --columns {columns}"
    assert seen.stderr.endswith(f"Load it with `bulkpoint {load}`.\n"), "as it was read"
    assert seen.stderr.splitlines()[:3] == [
        "Reading list.csv ...",
        "list.csv is read as text: CP949, values separated by semicolon.",
        "list.csv: skipped empty rows: 1.",
    ]
    made = bulkpoint.run("campaign", "create", "--name", "추석", *form, "--columns", columns)
    assert made.returncode == 0
    assert bulkpoint.run("campaign", "preview", "1", "--json").json["digest"] == seen.json["digest"]
    listed = bulkpoint.run("campaign", "list", "--state", "waiting", "--json")
    assert listed.returncode == 0, "a state in small letters"
    no_file = bulkpoint.run("campaign", "preview", "1", "--sheet", "1월")
    assert (no_file.returncode, no_file.stderr.splitlines()[-1][:22]) == (2, "bulkpoint: --encoding,")


def test_a_folder_and_a_pipe_are_refused_at_once(preview: Callable[..., Ended], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "members.csv")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part-00000.csv").touch()
    for name, words in (("members.csv", "is a named pipe and no file"), ("parts", "is a folder with 1 part files")):
        refused = preview("--targets", name)
        assert refused.returncode == 3
        assert words in refused.stderr


def test_a_finding_is_shown_refused_and_accepted_by_its_name(
    bulkpoint: CommandLine, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("member_id,amount,reason\nM1,1000,r\nM2,2000,r\n합계,3000,-\n")
    create = ("campaign", "create", "--name", "n", "--targets", "t.csv")
    said = "row 4, '합계': it is a word for a total. Correct the list, or accept it as it is: --accept TOTAL_ROW\n"
    asked = said.replace("--accept TOTAL_ROW", "`bulkpoint campaign create ... --accept TOTAL_ROW`")
    seen = bulkpoint.run("campaign", "preview", "--targets", "t.csv")
    assert seen.returncode == 3
    assert f"\n! Rows that look like a total of other rows: 1. The first is {asked}" in seen.stdout
    load = "`bulkpoint campaign create --name T --targets t.csv --accept TOTAL_ROW`"
    assert f"If everything that is found is right as it is, load the list with {load}.\n" in seen.stderr
    refused = bulkpoint.run(*create, "--json")
    assert (refused.returncode, refused.stderr.endswith(said)) == (3, True)
    assert refused.json["error"]["code"] == "FINDINGS_NOT_ACCEPTED"
    assert refused.json["error"]["facts"]["findings"] == ["TOTAL_ROW"]
    unknown = bulkpoint.run(*create, "--accept", "TOTALS")
    assert (unknown.returncode, "There are: FIELD_OVER_LINES, LAST_LINE_CUT" in unknown.stderr) == (2, True)

    created = bulkpoint.succeed(*create, "--accept", "TOTAL_ROW", "--accept", "outlier-amount")
    assert created.stdout.startswith("created campaign ")
    assert "Accepted by " in created.stderr
    assert "--accept OUTLIER_AMOUNT: the list has no such finding; nothing was accepted by it.\n" in created.stderr
    campaign_id = created.stdout.split()[-1]
    seen = bulkpoint.run("campaign", "preview", campaign_id, "--json")
    [finding] = seen.json["findings"]
    assert (seen.returncode, seen.json["ok"], finding["accepted"]) == (0, True, True)
    assert "findings    TOTAL_ROW (accepted by " in bulkpoint.succeed("campaign", "show", campaign_id).stdout
    assert "accepted: TOTAL_ROW" in bulkpoint.succeed("campaign", "history", campaign_id).stdout

    loaded = bulkpoint.succeed("campaign", "create", "--name", "n", "--expect-count", "2", "--expect-amount", "9")
    loaded_id = loaded.stdout.split()[-1]
    with connect(database_url) as connection:
        connection.execute(
            "insert into campaign_target values (%(id)s, '#REF!', 4, 'r'), (%(id)s, 'm', 5, 'r')", {"id": loaded_id}
        )
    start = bulkpoint.run("campaign", "start", loaded_id, "--yes", "--force", "--reason", "now", "--json")
    assert (start.returncode, start.json["error"]["code"]) == (3, "CAMPAIGN_NOT_READY")
    assert start.json["error"]["facts"]["why"]["facts"]["findings"] == ["SPREADSHEET_DAMAGE"]
    assert start.stderr.endswith("or accept it as it is: --accept SPREADSHEET_DAMAGE\n"), "before Spark starts"
    blanket = bulkpoint.run("campaign", "start", "next", "--yes", "--accept", "SPREADSHEET_DAMAGE")
    assert (blanket.returncode, "--accept is for one list" in blanket.stderr) == (2, True)


def test_three_lists_of_the_queue_in_one_file_are_refused_until_it_is_meant(
    bulkpoint: CommandLine, tmp_path: Path, connection: Connection
) -> None:
    header = "member_id,amount,reason\n"
    parts = ["".join(f"{salt}{n},{100 + n},봄\n" for n in range(100)) for salt in "abc"]
    for number, part in enumerate(parts, 1):
        (tmp_path / f"list{number}.csv").write_text(header + part)
        made = bulkpoint("campaign", "create", "--name", f"list {number}", "--targets", f"list{number}.csv")
        assert made.returncode == 0, made.stderr
    (tmp_path / "merged.csv").write_text(header + "".join(reversed(parts)))
    found = "300 of 300 members are in campaigns 1, 2, 3 of the last 90 days, with the same amount."
    confirm = "If they are meant to be paid again: --same-as 1 --reason T."
    waiting = "300 of 300 members are also in campaigns 1, 2, 3 that did not start yet."

    seen = bulkpoint("campaign", "preview", "--targets", "merged.csv")
    assert seen.returncode == 3
    asked = "If they are meant to be paid again: `bulkpoint campaign create ... --same-as 1 --reason T`"
    assert f"! {found} {asked}\n- {waiting}\n" in seen.stdout
    assert "create --name T --targets merged.csv --same-as 1 --reason T`.\n" in seen.stderr
    fields = bulkpoint("campaign", "preview", "--targets", "merged.csv", "--json").json
    assert fields["ok"] is False
    assert [(one["kind"], one["at_stake"], one["count"]) for one in fields["findings"]] == [
        ("NEAR_COPY", True, 300), ("MEMBERS_WAITING", False, 300),
    ]  # fmt: skip

    create = ("campaign", "create", "--name", "merged", "--targets", "merged.csv")
    for options, code, words in (
        ((), 3, f"{found} {confirm}"),
        (("--accept", "NEAR_COPY"), 2, "--same-as ID --reason T"),
        (("--same-as", "2"), 2, "--same-as needs --reason"),
    ):
        refused = bulkpoint(*create, *options)
        assert (refused.returncode, words in refused.stderr) == (code, True), refused.stderr
    assert len(bulkpoint("campaign", "list", "--json").json["campaigns"]) == 3, "nothing was loaded"
    assert bulkpoint(*create, BULKPOINT_NEAR_COPY_SHARE="2").returncode == 2

    meant = bulkpoint(*create, "--same-as", "2", "--reason", "the three are withdrawn later")
    assert meant.returncode == 0, meant.stderr
    assert found in meant.stderr
    merged = meant.stdout.split()[-1]
    assert bulkpoint("campaign", "preview", merged).returncode == 0
    assert "repeats the list of campaign 2 on purpose" in bulkpoint("campaign", "history", merged).stdout

    rows = [(f"a{n}", 100 + n, "loaded") for n in range(100)]
    loaded = str(World(connection).campaign(rows).id)
    start = ("campaign", "start", loaded, "--yes", "--force", "--reason", "now")
    refused = bulkpoint(*start)
    assert refused.returncode == 3
    assert (
        f"100 of 100 members are in campaigns 1, {merged} of the last 90 days, with the same amount." in refused.stderr
    )
    for earlier in ("1", "2", "3", merged):
        assert bulkpoint("campaign", "withdraw", earlier, "--reason", "again").returncode == 0
    assert bulkpoint("campaign", "preview", loaded).returncode == 0
