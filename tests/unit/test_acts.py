"""What a page offers to do with a campaign: what fits its state, to those who may."""

from bulkpoint.rules.acts import Act, Situation, acts_for
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.rights import Right

EVERY_RIGHT = frozenset(Right)


def offered(state: CampaignState, **more: bool | int) -> set[Act]:
    """To a login with every right."""
    return set(acts_for(Situation(state, **more), EVERY_RIGHT, may_write=True))  # type: ignore[arg-type]


def test_each_state_has_its_own_acts() -> None:
    assert offered(CampaignState.WAITING) == {Act.START, Act.APPROVE, Act.WITHDRAW}
    assert offered(CampaignState.RUNNING, frozen=True) == {Act.STOP, Act.HOLD, Act.REPORT}
    assert offered(CampaignState.STOPPED, frozen=True, left=True) == {Act.RESUME, Act.ACKNOWLEDGE, Act.REPORT}
    assert offered(CampaignState.FAILED, frozen=True) == {Act.RESUME, Act.REPORT}
    assert offered(CampaignState.COMPLETED, frozen=True) == {Act.REPORT}
    assert offered(CampaignState.COMPLETED, frozen=True, failed=3) == {Act.RETRY, Act.REPORT}
    assert offered(CampaignState.WITHDRAWN) == set()


def test_a_run_that_is_asked_for_is_called_back_and_not_asked_for_again() -> None:
    assert offered(CampaignState.WAITING, asked=True) == {Act.APPROVE, Act.WITHDRAW, Act.CALL_BACK}
    assert Act.RESUME not in offered(CampaignState.STOPPED, asked=True)
    assert Act.RETRY not in offered(CampaignState.COMPLETED, asked=True, failed=3)


def test_a_run_without_its_job_is_taken_over_or_stopped() -> None:
    assert offered(CampaignState.RUNNING, driver_is_gone=True) == {Act.STOP, Act.HOLD, Act.RESUME}


def test_what_is_stopped_is_not_stopped_again_and_what_is_held_is_released() -> None:
    assert offered(CampaignState.RUNNING, stopping=True) == {Act.HOLD}
    assert offered(CampaignState.RUNNING, on_hold=True) == {Act.STOP, Act.RELEASE}


def test_an_archived_campaign_is_only_looked_at() -> None:
    assert offered(CampaignState.STOPPED, archived=True, frozen=True, failed=1) == set()


def test_a_login_is_offered_what_it_may_do() -> None:
    running = Situation(CampaignState.RUNNING, frozen=True)
    assert acts_for(running, frozenset(), may_write=True) == [Act.STOP, Act.REPORT], "a stop needs no right"
    assert acts_for(running, EVERY_RIGHT, may_write=False) == [Act.REPORT], "of a reader"
    waiting = Situation(CampaignState.WAITING)
    assert acts_for(waiting, {Right.APPROVE}, may_write=True) == [Act.APPROVE]
    assert acts_for(waiting, {Right.START}, may_write=True) == [Act.START, Act.WITHDRAW]
