"""An agent runs what a person asked for, with a real job, whose log is JSON: each line one event, of no member."""

import json
from pathlib import Path
from typing import Any

from bulkpoint.campaigns.left_request import leave_request
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import connect
from bulkpoint.store.migrate import make_roles
from tests.world.deployment import CANARY, deployment
from tests.world.logins import member_of


def events_of(log: str) -> list[dict[str, Any]]:
    """Each line of it is one."""
    return [json.loads(line) for line in log.splitlines()]


def test_an_agent_runs_what_another_login_asked_for_and_every_line_of_the_log_is_an_event(
    tmp_path: Path, database_url: str
) -> None:
    settings = {"BULKPOINT_TPS": 1_000, "BULKPOINT_LOG_FORMAT": "json"}
    with deployment(tmp_path, database_url=database_url, token=CANARY, **settings) as ours:
        campaign = ours.create(50)
        make_roles(database_url)
        with connect(database_url) as owner, member_of(owner, database_url, "bulkpoint_operator") as kim:
            owner.execute("insert into operator_right (login, permission) values ('kim', 'start')")
            leave_request(kim, load_settings({}), RunRequest(campaign=int(campaign), actor="Kim", reason="spring"))
            owner.execute("delete from operator_right where login = session_user")  # the runner needs no right
            ended = ours("agent", "--once")
        assert ended.returncode == 0, ended.stderr
        said = events_of(ended.stderr)
        assert [event["event"] for event in said if event["event"] != "note"] == ["looking", "taken", "ended"]
        assert {event["campaign"] for event in said if event["event"] in ("taken", "ended")} == {int(campaign)}
        started = ours.query(b"select actor, login, detail->>'asked_login' from audit_event where action = 'start'")
        assert started == [("Kim", "bulkpoint", "kim")]
        ours.assert_promises_kept(campaign, tps=1_000)

        [log] = (tmp_path / "data" / "logs").glob("*.log")
        text = log.read_text()
        events = events_of(text)
        for event in events:
            assert event.keys() >= {"time", "level", "event", "campaign", "run", "message"}
            assert event["time"].endswith("Z")
        names = [event["event"] for event in events]
        assert [name for name in names if name.startswith("run_")] == ["run_begun", "run_ended"]
        assert "message" in names, "what Slack would get"
        assert {(e["campaign"], e["run"]) for e in events if e["event"] == "run_ended"} == {(int(campaign), 1)}
        assert CANARY not in text + ended.stderr
        assert "member-0000" not in text + ended.stderr
