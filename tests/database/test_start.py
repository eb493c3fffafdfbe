"""Which campaign may start: order, totals, approval, lists seen before, rights, and another that runs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bulkpoint.campaigns import start
from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.preview import note_same_list, preview_campaign, preview_file
from bulkpoint.campaigns.readiness import inspect_targets, policy_of
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.campaigns.start import find_next, plan_start
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.errors import UsageError
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.readiness import NO_LIMITS, NO_POLICY, Policy, TargetsState
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store.campaign import Campaign as StoredCampaign
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.run import Run
from bulkpoint.store.target import digest_targets, load_targets
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import Campaign, World
from tests.world.command_line import CommandLine
from tests.world.refusals import refused
from tests.world.stops import stop_run

SETTINGS = load_settings({})
CAREFUL = load_settings({"BULKPOINT_REQUIRE_APPROVAL": "true"})


@pytest.fixture
def lee(database_url: str, connection: Connection) -> Iterator[Connection]:
    """A connection whose login is another person's; the role goes with the test."""
    connection.execute("create role lee superuser")
    with connect(database_url) as hers:
        hers.execute("set session authorization lee")
        yield hers
    connection.execute("drop role lee")


class Lists:
    """Campaigns with lists, in files or loaded by hand."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    def create(self, salt: str, **fields: Any) -> int:
        """From a file; the same salt makes the same list."""
        path = self._folder / f"{salt}.csv"
        path.write_text("member_id,amount,reason\n" + "".join(f"{salt}{n},{100 + n},r\n" for n in range(10)))
        new = NewCampaign(**({"name": f"list {salt}"} | fields))
        return create_campaign(self._connection, new, actor="alice", limits=NO_LIMITS, targets=path)

    def expect(self, count: int = 5, amount: int = 50) -> int:
        """Without targets: somebody else loads them."""
        new = NewCampaign("loaded by others", expected_count=count, expected_amount=amount)
        return create_campaign(self._connection, new, actor="alice", limits=NO_LIMITS)

    def load(self, campaign_id: int, members: str = "abcde", amount: int = 10) -> None:
        load_targets(self._connection, campaign_id, [(member, amount, "r") for member in members])


@pytest.fixture
def lists(world: World, tmp_path: Path) -> Lists:
    return Lists(world.connection, tmp_path)


def plan(connection: Connection, campaign_id: int, settings: Settings = SETTINGS, **asked: Any) -> RunRequest:
    return plan_start(connection, settings, RunRequest(campaign=campaign_id, actor="bob", **asked)).request


def begin(
    connection: Connection, campaign_id: int, request: RunRequest | None = None, policy: Policy = NO_POLICY
) -> Run:
    request = request or RunRequest(campaign=campaign_id, actor="bob")
    assert request.campaign_id == campaign_id
    return begin_run(connection, request, shares=2, policy=policy)


# Order


def test_the_oldest_ready_campaign_is_next_and_others_are_named(connection: Connection, lists: Lists) -> None:
    later = lists.create("a", not_before=datetime.now(UTC) + timedelta(hours=1))
    unloaded = lists.expect()
    ready = lists.create("b")
    younger = lists.create("c")
    found, skipped = find_next(connection, SETTINGS)
    assert found == ready
    assert [one.campaign_id for one in skipped] == [later, unloaded]
    assert "not to start before" in sentence(skipped[0].why)
    assert sentence(skipped[1].why) == "it expects 5 targets and 50 points, but 0 and 0 are loaded."
    plan(connection, ready)
    with refused(rf"campaign {ready} .list b. is older and ready.*--force --reason"):
        plan(connection, younger)
    with refused(r"not to start before.*--force --reason"):
        plan(connection, later)
    assert plan(connection, younger, force=True, reason="r").force
    assert plan(connection, later, force=True, reason="r").force


def test_what_waits_for_approval_or_was_paid_before_blocks_nobody(connection: Connection, lists: Lists) -> None:
    first, second = lists.create("a"), lists.expect()
    lists.load(second)
    third = lists.create("c")
    assert find_next(connection, CAREFUL) == (None, find_next(connection, CAREFUL)[1])
    assert {one.why.code for one in find_next(connection, CAREFUL)[1]} == {"NOT_APPROVED"}
    begin(connection, first)
    stop_run(connection, first, actor="bob")
    connection.execute("delete from campaign_target where campaign_id = %s", (second,))
    connection.execute(
        "insert into campaign_target select %s, member_id, amount, reason from campaign_target where campaign_id = %s",
        (second, first),
    )
    connection.execute(
        "update campaign set expected_count = 10, expected_amount = 1045 where campaign_id = %s", (second,)
    )
    found, skipped = find_next(connection, SETTINGS)
    assert found == third
    assert [one.campaign_id for one in skipped] == [second]
    assert f"the same as that of campaign {first}" in sentence(skipped[0].why)


def test_a_forced_start_is_told_with_the_start_or_not_at_all(
    connection: Connection, world: World, lists: Lists
) -> None:
    lists.create("a")
    younger = lists.create("b")
    forced = plan(connection, younger, force=True, reason="apology")
    with refused(r"changed since they were looked at"):
        begin(connection, younger, forced.model_copy(update={"digest": "0" * 64}))
    assert world.written(younger) == (["campaign.created"], ["create"])
    begin(connection, younger, forced)
    told = ["campaign.created", "campaign.forced", "campaign.started"]
    assert world.written(younger) == (told, ["create", "force", "start"])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"force": True}, "--force needs --reason"),
        ({"force": True, "reason": "  "}, "--force needs --reason"),
        ({"same_as": 3}, "--same-as needs --reason"),
        ({"selection": RetrySelection(beyond_limit=True)}, "--beyond-limit needs --reason"),
        ({"digest": "abc"}, "is not a digest"),
        ({"digest": "z" * 64}, "is not a digest"),
        ({"digest": "0" * 65}, "is not a digest"),
    ],
    ids=["force", "blank reason", "same as", "beyond limit", "short digest", "no hexadecimal", "long digest"],
)
def test_options_that_cannot_be_are_wrong_usage(asked: dict[str, Any], sentence: str) -> None:
    with refused(sentence, UsageError):
        RunRequest(campaign=1, actor="bob", **asked)


def test_while_one_runs_a_start_says_which_since_when_how_far_and_when_it_ends(
    connection: Connection, world: World, lists: Lists
) -> None:
    campaign, other = Campaign(world, lists.create("a")), lists.create("b")
    running = campaign.begun().id
    with refused(r"while campaign \d+ .list a. is RUNNING.*cannot be said yet.*watch"):
        plan(connection, other, force=True, reason="r")
    campaign.sampled(seconds_ago=4).paid(4).sampled()
    with refused(r"since \d{4}-.*40\.0 % of 10 payments done, and ends in about 6 s"):
        plan(connection, other)
    connection.execute("update money_limit set tps = 0")
    with refused(r"is on hold"):
        plan(connection, other)
    campaign.without_driver()
    with refused(rf"its job is gone.*campaign resume {running}.*campaign stop {running}"):
        plan(connection, other)
    with refused(rf"Campaign {running} is RUNNING"):
        plan(connection, running)


# Targets loaded by others


def test_a_start_waits_for_the_expected_targets(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.expect()
    lists.load(campaign_id, "abcd")
    with refused(r"expects 5 targets and 50 points, but 4 and 40 are loaded.*withdraw"):
        plan(connection, campaign_id, force=True, reason="r")
    with refused(r"4 and 40 are loaded"):
        begin(connection, campaign_id)
    lists.load(campaign_id, "e")
    begin(connection, campaign_id, plan(connection, campaign_id))
    assert get_campaign(connection, campaign_id).target_amount == 50


def test_the_limits_hold_for_targets_that_others_loaded(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.expect()
    lists.load(campaign_id, "abcd", 9)
    lists.load(campaign_id, "e", 14)
    for name, cap, words in (
        ("ROW", "13", r"its largest target is 14 points, more than 13 .BULKPOINT_MAX_AMOUNT_PER_ROW.*preview"),
        ("CAMPAIGN", "49", r"it would pay 50 points, more than 49 .BULKPOINT_MAX_AMOUNT_PER_CAMPAIGN"),
    ):
        settings = load_settings({f"BULKPOINT_MAX_AMOUNT_PER_{name}": cap})
        with refused(words):
            plan(connection, campaign_id, settings, force=True, reason="r")
        with refused(words):
            begin(connection, campaign_id, policy=policy_of(settings))
        assert find_next(connection, settings)[0] is None
    allowed = load_settings({"BULKPOINT_MAX_AMOUNT_PER_ROW": "14", "BULKPOINT_MAX_AMOUNT_PER_CAMPAIGN": "50"})
    begin(connection, campaign_id, plan(connection, campaign_id, allowed), policy_of(allowed))


def test_what_somebody_looked_at_is_what_starts(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.expect()
    lists.load(campaign_id)
    digest = digest_targets(connection, campaign_id).hex()
    with refused(rf"have the digest {digest}, not the one given.*preview {campaign_id}"):
        plan(connection, campaign_id, digest="00" * 32)
    plan(connection, campaign_id, digest=digest[:12].upper())
    looked_at = plan(connection, campaign_id, digest=digest)
    connection.execute(
        "update campaign_target set amount = 11 - 2 * (member_id = 'a')::int where member_id in ('a', 'b')"
    )
    with refused(r"changed since they were looked at"):
        begin(connection, campaign_id, looked_at)
    assert get_campaign(connection, campaign_id).state == "WAITING"
    begin(connection, campaign_id, plan(connection, campaign_id))


# Long lists, where nobody is asked: the run's own transaction reads them


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The campaigns whose targets a plan reads; five targets are a long list."""
    campaigns: list[int] = []

    def noted(connection: Connection, campaign: StoredCampaign, *rest: Any, **named: Any) -> TargetsState:
        campaigns.append(campaign.campaign_id)
        return inspect_targets(connection, campaign, *rest, **named)

    monkeypatch.setattr(start, "LONG_LIST_ROWS", 5)
    monkeypatch.setattr(start, "inspect_targets", noted)
    return campaigns


def unasked(connection: Connection, campaign_id: int, settings: Settings = SETTINGS, **asked: Any) -> start.StartPlan:
    return start.plan_unasked(connection, settings, RunRequest(campaign=campaign_id, actor="bob", **asked))


def test_a_long_list_that_was_judged_is_left_to_the_run(connection: Connection, lists: Lists, read: list[int]) -> None:
    campaign_id = lists.create("a")
    planned = unasked(connection, campaign_id)
    assert (read, planned.request.digest, planned.left_to_job) == ([], None, True)
    assert planned.digest == digest_targets(connection, campaign_id)
    begin(connection, campaign_id, planned.request)
    assert get_campaign(connection, campaign_id).digest == planned.digest


def test_what_changed_since_it_was_judged_is_refused_by_the_run(
    connection: Connection, lists: Lists, read: list[int]
) -> None:
    campaign_id = lists.create("a")
    connection.execute("update campaign_target set amount = amount + 1 where member_id = 'a1'")
    planned = unasked(connection, campaign_id)
    assert read == []
    with refused("1045 points, but 10 and 1046|1,045 points, but 10 and 1,046"):
        begin(connection, campaign_id, planned.request)
    assert get_campaign(connection, campaign_id).state == "WAITING"


def test_what_is_known_to_stand_against_a_start_is_said_before_the_job(
    connection: Connection, lists: Lists, read: list[int]
) -> None:
    campaign_id = lists.create("a")
    with refused("approve"):
        unasked(connection, campaign_id, CAREFUL)
    with refused("have the digest"):
        unasked(connection, campaign_id, digest="00" * 32)
    with refused("no other campaign"):
        unasked(connection, campaign_id, same_as=campaign_id, reason="r")
    assert read == [campaign_id] * 3
    with refused("There is no campaign 99"):
        unasked(connection, 99)


def test_the_list_is_read_where_it_was_never_judged_or_others_come_first(
    connection: Connection, lists: Lists, read: list[int]
) -> None:
    loaded = lists.expect()
    lists.load(loaded)
    second = lists.create("b")
    assert unasked(connection, loaded).request.digest == digest_targets(connection, loaded).hex()
    with refused(f"campaign {loaded} .loaded by others. is older and ready"):
        unasked(connection, second)
    assert read == [loaded, second, loaded]
    unasked(connection, second, force=True, reason="r")
    assert read == [loaded, second, loaded], "a forced start has nothing before it"


def test_a_short_list_is_read_at_once(
    connection: Connection, lists: Lists, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "LONG_LIST_ROWS", 11)
    campaign_id = lists.create("a")
    planned = unasked(connection, campaign_id)
    assert (planned.request.digest, planned.left_to_job) == (digest_targets(connection, campaign_id).hex(), False)
    assert read == [campaign_id]


def test_help_and_runbook_say_from_how_many_targets_on_the_job_checks_the_list(bulkpoint: CommandLine) -> None:
    long = f"{start.LONG_LIST_ROWS:,} targets on"
    assert long in " ".join(bulkpoint.succeed("campaign", "start", "--help").stdout.split())
    assert long in (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")


# Lists seen before


def test_the_same_list_is_not_created_twice_unless_that_is_meant(connection: Connection, lists: Lists) -> None:
    first = lists.create("a")
    with refused(rf"same as that of campaign {first} .list a.*Nothing was loaded.*--same-as {first}"):
        lists.create("a")
    with refused(r"--same-as needs --reason", UsageError):
        lists.create("a", same_as=first)
    with refused(r"There is no campaign 99"):
        lists.create("a", same_as=99, reason="r")
    other = lists.create("b")
    with refused(rf"--same-as {other}: this list was last seen in campaign {first}"):
        lists.create("a", same_as=other, reason="r")
    with refused(r"no other campaign of the last 90 days has this list"):
        lists.create("c", same_as=other, reason="r")
    again = lists.create("a", same_as=first, reason="twice this month")
    assert get_campaign(connection, again).same_as == first
    begin(connection, first, plan(connection, first))
    stop_run(connection, first, actor="bob")
    plan(connection, again, force=True, reason="r")
    count = connection.execute("select count(*) from campaign").fetchone()
    assert count == (3,), "what was refused left nothing"


def test_a_preview_says_that_a_list_was_seen_before(connection: Connection, lists: Lists, tmp_path: Path) -> None:
    first = lists.create("a")
    (finding,) = note_same_list(connection, preview_file(tmp_path / "a.csv", NO_LIMITS)).findings
    assert sentence(finding).startswith(
        f"The list is the same as that of campaign {first} (list a), seen in the last 24"
    )
    meant = lists.create("a", same_as=first, reason="r")
    for campaign_id in (first, meant):
        assert note_same_list(connection, preview_campaign(connection, campaign_id, NO_LIMITS)).findings == ()
    again = lists.expect(10, 1_045)
    connection.execute(
        "insert into campaign_target select %s, member_id, amount, reason from campaign_target where campaign_id = %s",
        (again, first),
    )
    (finding,) = note_same_list(connection, preview_campaign(connection, again, NO_LIMITS)).findings
    assert finding.code == "SAME_LIST"


def test_a_wanted_repetition_is_one_of_the_latest_only(connection: Connection, lists: Lists) -> None:
    first = lists.create("a")
    second = lists.create("a", same_as=first, reason="r")
    third = lists.create("a", same_as=second, reason="r")
    begin(connection, third, plan(connection, third, force=True, reason="r"))
    stop_run(connection, third, actor="bob")
    with refused(rf"same as that of campaign {third}.*--same-as {third}"):
        plan(connection, second, force=True, reason="r")
    plan(connection, second, force=True, reason="r", same_as=third)


def test_what_was_withdrawn_or_is_long_ago_paid_nobody_twice(connection: Connection, lists: Lists) -> None:
    first = lists.create("a")
    withdraw_campaign(connection, first, actor="alice", reason="wrong")
    second = lists.create("a")
    begin(connection, second, plan(connection, second))
    stop_run(connection, second, actor="bob")
    connection.execute("update duplicate_list set seen_at = clock_timestamp() - interval '89 days 23 hours'")
    with refused(rf"campaign {second}.*seen 89 days ago"):
        lists.create("a")
    connection.execute("update duplicate_list set seen_at = clock_timestamp() - interval '90 days 1 hour'")
    lists.create("a")


def test_a_loaded_list_that_was_paid_is_refused_at_the_start(connection: Connection, lists: Lists) -> None:
    paid, again = lists.expect(), lists.expect()
    lists.load(paid)
    begin(connection, paid, plan(connection, paid))
    stop_run(connection, paid, actor="bob")
    lists.load(again)
    with refused(rf"same as that of campaign {paid}.*withdraw {again}.*--same-as {paid} --reason"):
        plan(connection, again, force=True, reason="r")
    with refused(rf"same as that of campaign {paid}"):
        begin(connection, again)
    with refused(rf"--same-as {again}|same as that of campaign {paid}"):
        plan(connection, again, same_as=again, reason="r")
    begin(connection, again, plan(connection, again, same_as=paid, reason="second half"))
    assert get_campaign(connection, again).same_as == paid
    detail = connection.execute(
        "select detail->>'same_as' from audit_event where action = 'start' order by 1"
    ).fetchall()
    assert detail == [(str(paid),), (None,)]


# Approval


def test_an_approval_is_another_logins_and_binds_the_digest(
    connection: Connection, world: World, lists: Lists, lee: Connection
) -> None:
    campaign_id = lists.expect()
    lists.load(campaign_id, "abcd")
    with refused(r"login lee may not approve.*right grant lee approve"):
        approve_campaign(lee, campaign_id, actor="lee")
    connection.execute("insert into operator_right (login, permission) values ('lee', 'approve')")
    with refused(r"cannot be approved: it expects 5 targets"):
        approve_campaign(lee, campaign_id, actor="lee")
    lists.load(campaign_id, "e")
    with refused(r"no one has approved it. Have it approved: .*approve"):
        plan(connection, campaign_id, CAREFUL)
    with refused(r"created by this very database login"):
        approve_campaign(connection, campaign_id, actor="lee")
    with refused(r"not the one given"):
        approve_campaign(lee, campaign_id, actor="lee", digest="0" * 12)
    digest = digest_targets(connection, campaign_id)
    assert approve_campaign(lee, campaign_id, actor="Lee", digest=digest.hex()[:12]) == digest
    assert world.written(campaign_id) == (["campaign.created", "campaign.approved"], ["create", "approve"])
    campaign = get_campaign(connection, campaign_id)
    assert (campaign.approved_by, campaign.approved_login, campaign.approved_digest) == ("Lee", "lee", digest)
    plan(connection, campaign_id, CAREFUL)

    connection.execute("update campaign_target set reason = 'other' where member_id = 'a'")
    for settings in (CAREFUL, SETTINGS):
        with refused(r"changed after they were approved.*approve"):
            plan(connection, campaign_id, settings)
    with refused(r"changed after they were approved"):
        begin(connection, campaign_id)
    approve_campaign(lee, campaign_id, actor="Lee")
    begin(connection, campaign_id, plan(connection, campaign_id, CAREFUL), policy_of(CAREFUL))
    with refused(r"is RUNNING and cannot be approved"):
        approve_campaign(lee, campaign_id, actor="Lee")


def test_the_run_itself_looks_for_the_approval(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.create("a")
    with refused(r"no one has approved it"):
        begin(connection, campaign_id, policy=Policy(approval_required=True))


# Rights


@pytest.mark.parametrize("right", list(Right))
def test_a_right_is_the_logins_own(connection: Connection, lists: Lists, lee: Connection, right: Right) -> None:
    from bulkpoint.campaigns.resume import plan_resume
    from bulkpoint.campaigns.retry import plan_retry
    from bulkpoint.campaigns.tps import change_limit

    campaign_id, younger = lists.create("a"), lists.create("b")
    for other in set(Right) - {right}:
        connection.execute("insert into operator_right (login, permission) values ('lee', %s)", (other.value,))
    no_right = partial(refused, rf"login lee may not .*right grant lee {right.value}")
    match right:
        case Right.START:
            with no_right():
                plan(lee, campaign_id)
            with no_right():
                begin(lee, campaign_id)
            with no_right():
                withdraw_campaign(lee, campaign_id, actor="lee", reason="r")
            begin(connection, campaign_id)
            stop_run(lee, campaign_id, actor="lee")  # needs no right
            with no_right():
                plan_resume(lee, RunRequest(campaign=campaign_id, actor="lee", kind=RunKind.RESUME), say=print)
            connection.execute("alter table campaign_run disable trigger all")
            connection.execute("update campaign_run set state = 'COMPLETED'")
            with no_right():
                plan_retry(lee, RunRequest(campaign=campaign_id, actor="lee", kind=RunKind.RETRY), SETTINGS)
        case Right.FORCE:
            plan(lee, campaign_id)
            with no_right():
                plan(lee, younger, force=True, reason="r")
            with no_right():
                begin(lee, younger, RunRequest(campaign=younger, actor="lee", force=True, reason="r"))
        case Right.APPROVE:
            with no_right():
                approve_campaign(lee, campaign_id, actor="lee")
        case Right.THROTTLE:
            with no_right():
                change_limit(lee, SETTINGS, tps=1, actor="lee")


def test_the_rights_are_the_databases(connection: Connection) -> None:
    constraint = connection.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'operator_right_permission_check'"
    ).fetchone()
    assert constraint is not None
    assert all(f"'{right}'" in constraint[0] for right in Right)
    granted = connection.execute("select permission from operator_right where login = session_user").fetchall()
    assert {one for (one,) in granted} == set(Right), "whoever migrates has them all"


# A run ends once


@pytest.mark.parametrize("before", ["RUNNING", "COMPLETED", "FAILED", "STOPPED"])
@pytest.mark.parametrize("after", ["RUNNING", "COMPLETED", "FAILED", "STOPPED"])
def test_a_run_ends_once(connection: Connection, lists: Lists, before: str, after: str) -> None:
    begin(connection, lists.create("a"))
    change = "update campaign_run set state = %s, finished_at = case when %s <> 'RUNNING' then clock_timestamp() end"
    connection.execute(change, (before, before))
    if before in ("RUNNING", after):
        connection.execute(change, (after, after))
    else:
        with pytest.raises(psycopg.errors.RestrictViolation, match=rf"is {before} and stays so"):
            connection.execute(change, (after, after))


def test_the_database_refuses_a_second_running_run(connection: Connection, lists: Lists) -> None:
    first, second = lists.create("a"), lists.create("b")
    begin(connection, first)
    for campaign_id in (first, second):
        with pytest.raises(psycopg.errors.UniqueViolation, match=r"one_runs"):
            connection.execute(
                "insert into campaign_run (campaign_id, run_no, kind, actor, driver_holder, driver_until)"
                " values (%s, 9, 'RESUME', 'x', gen_random_uuid(), now())",
                (campaign_id,),
            )
