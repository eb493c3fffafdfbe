"""A second person says no: the campaign waits, says why, and starts only after a yes."""

from collections.abc import Iterator

import psycopg
import pytest

from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.asked_run import ask_for_run
from bulkpoint.campaigns.reject import reject_campaign
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.start import find_next, plan_start, plan_unasked
from bulkpoint.errors import UsageError
from bulkpoint.rules.lifecycle import CampaignState, RunKind
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import AuditChoice, list_audit
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.run_request import live_run_requests
from tests.world.campaigns import World
from tests.world.refusals import refused

SETTINGS = load_settings({})


@pytest.fixture
def lee(database_url: str, connection: Connection) -> Iterator[Connection]:
    """A connection whose login is another person's, who may approve; the role goes with the test."""
    connection.execute("create role lee superuser")
    connection.execute("insert into operator_right (login, permission) values ('lee', 'approve')")
    with connect(database_url) as hers:
        hers.execute("set session authorization lee")
        yield hers
    connection.execute("delete from operator_right where login = 'lee'")
    connection.execute("drop role lee")


def request(campaign_id: int) -> RunRequest:
    return RunRequest(campaign=campaign_id, kind=RunKind.INITIAL, actor="kim")


def test_a_rejected_campaign_waits_and_says_who_said_no_and_why(connection: Connection, world: World) -> None:
    campaign = world.campaign(name="August").rejected(actor="Lee", reason=" the amounts of July ")
    found = get_campaign(connection, campaign.id)
    assert (found.state, found.rejected_by, found.rejected_reason) == (
        CampaignState.WAITING, "Lee", "the amounts of July",
    )  # fmt: skip
    said = r"Lee has rejected it: the amounts of July\. Withdraw it .*have it approved: .*than alice"
    for plan in (plan_start, plan_unasked):
        with refused(said, code="CAMPAIGN_NOT_READY"):
            plan(connection, SETTINGS, request(campaign.id))
    with refused(said):
        campaign.begun(force=True, reason="now")
    next_id, [skipped] = find_next(connection, SETTINGS)
    assert (next_id, skipped.why.code) == (None, "REJECTED")
    assert world.written(campaign.id) == (["campaign.rejected"], ["reject"])
    [noted] = list_audit(connection, AuditChoice(action="reject"), rows_max=2)
    assert (noted.actor, noted.detail["reason"]) == ("Lee", "the amounts of July")


def test_a_yes_undoes_a_no_and_a_no_undoes_a_yes(connection: Connection, world: World) -> None:
    campaign = world.campaign().approved().rejected()
    found = get_campaign(connection, campaign.id)
    assert (found.approved_digest, found.rejected_by) == (None, "tester")
    campaign.approved()
    found = get_campaign(connection, campaign.id)
    assert (found.approved_by, found.rejected_by, found.rejected_reason) == ("tester", None, None)
    campaign.begun()


def test_a_start_that_is_on_its_way_is_called_back_by_a_no(connection: Connection, world: World) -> None:
    campaign = world.campaign()
    ask_for_run(connection, request(campaign.id))
    campaign.rejected(reason="wrong month")
    assert live_run_requests(connection, campaign.id) == []
    assert world.written(campaign.id)[1] == ["call_back", "reject"]


def test_only_another_login_with_the_right_says_no(connection: Connection, world: World, lee: Connection) -> None:
    campaign = world.campaign().created_by("lee")
    with refused("created by this very database login.*withdraw 1", code="CREATOR_CANNOT_REJECT"):
        reject_campaign(lee, campaign.id, actor="Lee", reason="r")
    campaign.created_by("alice")
    connection.execute("delete from operator_right where login = 'lee'")
    with refused("login lee may not approve"):
        reject_campaign(lee, campaign.id, actor="Lee", reason="r")
    assert get_campaign(connection, campaign.id).rejected_by is None


def test_the_creator_takes_no_rejection_back_and_nobody_says_no_in_anothers_name(world: World, lee: Connection) -> None:
    campaign = world.campaign().rejected()
    in_anothers_name = "update campaign set rejected_by = 'x', rejected_login = 'alice', rejected_at = now()"
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not reject it in the name of alice"):
        lee.execute(in_anothers_name)
    campaign.created_by("lee")
    back = "update campaign set rejected_by = null, rejected_login = null, rejected_at = null, rejected_reason = null"
    with pytest.raises(psycopg.errors.CheckViolation, match="does not decide about its rejection"):
        lee.execute(back)
    with refused("created by this very database login"):
        approve_campaign(lee, campaign.id, actor="Lee")


@pytest.mark.parametrize(
    ("reason", "said"), [("  ", "needs a reason"), ("a\0b", "needs a reason"), ("x" * 501, "500 characters at most")]
)
def test_a_no_needs_a_reason_that_a_person_reads(connection: Connection, world: World, reason: str, said: str) -> None:
    campaign = world.campaign()
    with refused(said, UsageError):
        campaign.rejected(reason=reason)
    assert get_campaign(connection, campaign.id).rejected_by is None
    assert world.written(campaign.id) == ([], [])
