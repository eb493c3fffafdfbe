"""A notifier that Slack asks to wait says so, and sends the message after that."""

from contextlib import closing
from pathlib import Path

from bulkpoint.events.message import message_of_alerts
from bulkpoint.events.notify import Notifier
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Link
from tests.world.slack import OK, slack_that_answers

ASKS = (429, {"Retry-After": "1"}, b'{"ok": false, "error": "ratelimited"}')


def test_who_asks_and_until_when_is_said_before_the_wait(database_url: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("xoxb-canary")
    said: list[str] = []
    with slack_that_answers(ASKS, OK) as (url, posts), closing(Link(database_url, name="t", answer_s_max=5)) as link:
        settings = load_settings(
            {
                "BULKPOINT_SLACK_TOKEN_FILE": str(token),
                "BULKPOINT_SLACK_CHANNEL": "#points",
                "BULKPOINT_SLACK_BASE_URL": url,
            }
        )
        notifier = Notifier(settings, link, said.append)
        message = message_of_alerts(["a"], language="en")
        assert notifier.send_once("019a0000-0000-7000-8000-000000000000", message) is None
    assert len(posts) == 2
    [line] = said
    assert line.startswith(
        "Slack answered 429 ratelimited and asks to wait 1 s (Retry-After): nothing is sent to it before"
    )
