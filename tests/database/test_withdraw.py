"""Withdrawing: out of the queue for good, with its audit row and its event, and never from under a run."""

import threading

from bulkpoint.campaigns.start import find_next
from bulkpoint.errors import BulkpointError
from bulkpoint.settings import load_settings
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused


def test_a_withdrawn_campaign_is_never_next_and_never_starts(connection: Connection, world: World) -> None:
    campaign = world.campaign().withdrawn(reason="wrong list")
    assert get_campaign(connection, campaign.id).state == "WITHDRAWN"
    assert find_next(connection, load_settings({})) == (None, [])
    with refused("withdrawn, and that is final"):
        campaign.begun()
    with refused("withdrawn, and that is final"):
        campaign.withdrawn()
    told = connection.execute("select type, data from outbox_event").fetchall()
    assert told == [("campaign.withdrawn", {"reason": "wrong list"})]
    noted = connection.execute("select action, actor, detail from audit_event").fetchall()
    assert noted == [("withdraw", "tester", {"reason": "wrong list"})]


def test_what_has_run_is_not_withdrawn(world: World) -> None:
    campaign = world.campaign().begun()
    with refused("RUNNING and cannot be withdrawn. Follow it"):
        campaign.withdrawn()
    campaign.stopped()
    with refused("campaign resume"):
        campaign.withdrawn()


def test_of_a_start_and_a_withdrawal_at_once_exactly_one_wins(
    database_url: str, connection: Connection, world: World
) -> None:
    for _ in range(10):
        campaign = world.campaign()
        won: list[str] = []

        def act(name: str, campaign: Campaign = campaign, won: list[str] = won) -> None:
            with connect(database_url) as own:
                mine = campaign.on(own)
                try:
                    {"start": mine.begun, "withdraw": mine.withdrawn}[name]()
                    won.append(name)
                except BulkpointError:
                    pass

        both = [threading.Thread(target=act, args=(name,)) for name in ("start", "withdraw")]
        for one in both:
            one.start()
        for one in both:
            one.join()
        state = get_campaign(connection, campaign.id).state
        assert [state] == [{"start": "RUNNING", "withdraw": "WITHDRAWN"}[name] for name in won]
        if won == ["start"]:
            campaign.stopped()
