"""A notifier that Slack asks to wait says so, and sends the message after that; one that is refused keeps no other."""

from contextlib import closing
from pathlib import Path

import pytest

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.events.message import NOTIFIED_TYPES, message_of_alerts
from bulkpoint.events.notify import Notifier
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store.connect import Link
from bulkpoint.store.notification import unsent_notifications
from tests.world.campaigns import Campaign, World
from tests.world.slack import OK, slack_that_answers

Answer = tuple[int, dict[str, str], bytes]
ASKS: Answer = (429, {"Retry-After": "1"}, b'{"ok": false, "error": "ratelimited"}')


def settings_of(token: Path, url: str, **more: str) -> Settings:
    return load_settings(
        more
        | {
            "BULKPOINT_SLACK_TOKEN_FILE": str(token),
            "BULKPOINT_SLACK_CHANNEL": "#points",
            "BULKPOINT_SLACK_BASE_URL": url,
        }
    )


def test_who_asks_and_until_when_is_said_before_the_wait(database_url: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("xoxb-canary")
    said: list[str] = []
    with slack_that_answers(ASKS, OK) as (url, posts), closing(Link(database_url, name="t", answer_s_max=5)) as link:
        notifier = Notifier(settings_of(token, url), link, said.append)
        message = message_of_alerts(["a"], language="en")
        assert notifier.send_once("019a0000-0000-7000-8000-000000000000", message) is None
    assert len(posts) == 2
    [line] = said
    assert line.startswith(
        "Slack answered 429 ratelimited and asks to wait 1 s (Retry-After): nothing is sent to it before"
    )


def test_who_is_waited_for_hears_of_it_until_somebody_has_approved(
    world: World, database_url: str, tmp_path: Path
) -> None:
    token, targets = tmp_path / "token", tmp_path / "list.csv"
    token.write_text("xoxb-canary")
    for number in (1, 2):
        new = NewCampaign(f"spring {number}")
        targets.write_text(f"member_id,amount,reason\nm-{number},{5 * number},r\n")
        create_campaign(world.connection, new, actor="kim", limits=NO_LIMITS, targets=targets)
    Campaign(world, 1).created_by("alice").approved()
    with slack_that_answers(OK) as (url, posts), closing(Link(database_url, name="t", answer_s_max=5)) as link:
        settings = settings_of(token, url, BULKPOINT_REQUIRE_APPROVAL="true", BULKPOINT_WEB_URL="https://p.example")
        assert Notifier(settings, link, print).notify_from_outbox() is None
        assert Notifier(settings_of(token, url), link, print).notify_from_outbox() is None
    [post] = posts
    body = post["body"].decode() if isinstance(post["body"], bytes) else str(post["body"])
    assert "spring 2" in body
    assert "https://p.example/campaigns/2" in body
    assert "m-2" not in body


@pytest.mark.parametrize("code", ["msg_too_long", "invalid_payload", "no_text"])
def test_a_message_that_is_refused_for_itself_is_tried_once_and_those_behind_it_go_out(
    world: World, database_url: str, tmp_path: Path, code: str
) -> None:
    for _ in range(3):
        world.campaign(["m-1"]).begun().stopped()
    token = tmp_path / "token"
    token.write_text("xoxb-canary")
    said: list[str] = []
    before = unsent_notifications(world.connection, NOTIFIED_TYPES, "#points")
    refused: Answer = (200, {}, f'{{"ok": false, "error": "{code}"}}'.encode())
    with slack_that_answers(refused, OK) as (url, posts), closing(Link(database_url, name="t", answer_s_max=5)) as link:
        notifier = Notifier(settings_of(token, url), link, said.append)
        assert notifier.notify_from_outbox() is not None, "not everything is sent"
        assert notifier.notify_from_outbox() is not None
    assert len(posts) == len(before) >= 3, "each once"
    left = unsent_notifications(world.connection, NOTIFIED_TYPES, "#points")
    assert [event.event_id for event in left] == [before[0].event_id], "check names it"
    assert len(said) == 1
    assert code in said[0]
