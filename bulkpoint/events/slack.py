"""Messages to Slack, by its Web API: one per second and channel, with retries."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from bulkpoint.errors import UsageError
from bulkpoint.events.message import Message
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, read_secret
from bulkpoint.views.format import local_time
from bulkpoint.views.sentences import sentence

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError
    from tenacity import RetryCallState

TRIES = 4
TIMEOUT_S = 10


# What to do, by the code of Slack's answer, which often comes in a 200. The webhooks' own codes are here too, because a
# proxy in front of Slack may answer with them. Any other code is shown as it is.
_ADVICE = {
    **dict.fromkeys(
        ("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "invalid_token"),
        "renew_slack_token",
    ),
    **dict.fromkeys(("channel_not_found", "is_archived", "channel_is_archived"), "correct_slack_channel"),
    **dict.fromkeys(("not_in_channel", "user_not_in_channel"), "invite_slack_app"),
    **dict.fromkeys(
        ("no_permission", "missing_scope", "not_allowed_token_type", "restricted_action", "action_prohibited"),
        "give_slack_right",
    ),
    **dict.fromkeys(
        ("msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_payload", "no_text"), "report_slack_message"
    ),
    **dict.fromkeys(("no_service", "no_active_hooks", "no_team", "invalid_team"), "use_slack_web_api"),
    **dict.fromkeys(
        ("ratelimited", "rate_limited", "message_limit_exceeded", "internal_error", "fatal_error",
         "service_unavailable", "request_timeout"),
        "slack_later",
    ),
}  # fmt: skip
# Of a message itself: it is refused each time, and others are not.
_OF_THE_MESSAGE = frozenset(code for code, advice in _ADVICE.items() if advice == "report_slack_message")
# Not refusals: another try may be taken, also where they come in a 200.
_SLOW_DOWN = ("ratelimited", "rate_limited")
_NO_JSON = "Received a response in a non-JSON format:"


@dataclass(frozen=True)
class Answer:
    """What Slack said. code: its own, empty where it is none (a page). wait_s: asked for by Retry-After, or 0."""

    status: int
    code: str
    wait_s: float

    @property
    def asks_to_wait(self) -> bool:
        """Whether nothing is refused: Slack wants fewer messages."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.code in _SLOW_DOWN

    def refusal(self, timezone: str) -> Refusal:
        """The same with what to do."""
        facts = {"status": self.status, "code": self.code or "without a code"}
        if self.wait_s:
            until = local_time(datetime.now(UTC) + timedelta(seconds=self.wait_s), timezone)
            return Refusal("SLACK_WAITS", {**facts, "seconds": self.wait_s, "until": until})
        return Refusal("SLACK_REFUSES", facts, (_ADVICE.get(self.code, "look_up_slack_code"),))


@dataclass(frozen=True)
class Problem:
    """Why a message was not sent, in a sentence. wait_s: seconds that Slack asked us to wait. of_message: Slack refuses
    this message each time, whatever happens to others.
    """

    sentence: str
    wait_s: float = 0.0
    of_message: bool = False


def send(
    settings: Settings, message: Message, *, wait_s_max: float, say: Callable[[str], None] = lambda _: None
) -> Problem | None:
    """Post to the channel, one message a second; None when it is sent.

    Tries again on 429, 5xx and a broken connection: 4 tries. If Slack asks to wait (Retry-After) for longer than
    `wait_s_max`, there is no other try. `say` gets a line before each wait that Slack asks for.
    """
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError, SlackClientError
    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    assert settings.slack_token_file is not None
    try:
        token = read_secret(settings.slack_token_file, "BULKPOINT_SLACK_TOKEN_FILE")
    except UsageError as error:
        return Problem(sentence(error))
    client = WebClient(
        token=token,
        base_url=settings.slack_base_url or WebClient.BASE_URL,
        timeout=TIMEOUT_S,
        retry_handlers=[],  # the client's own would wait for as long as Slack says
    )

    def worth_another_try(error: BaseException) -> bool:
        if isinstance(error, SlackApiError):
            answer = _answer(error)
            return (answer.asks_to_wait or answer.status >= 500) and answer.wait_s <= wait_s_max
        return isinstance(error, (HTTPException, OSError))

    def say_wait(state: "RetryCallState") -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, SlackApiError) and (answer := _answer(error)).wait_s:
            say(sentence(answer.refusal(settings.timezone)))

    post = _post_once_a_second()
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(TRIES),
            wait=_wait_s,
            retry=retry_if_exception(worth_another_try),
            before_sleep=say_wait,
            reraise=True,
        ):
            with attempt:
                post(client, channel=settings.slack_channel, text=message.notice, blocks=message.blocks)
    except SlackApiError as error:
        answer = _answer(error)
        of_message = answer.code in _OF_THE_MESSAGE
        return Problem(sentence(answer.refusal(settings.timezone)), answer.wait_s, of_message)
    except (AttributeError, TypeError, ValueError):  # of its client, at JSON that is no object
        return Problem(sentence(Answer(0, "", 0).refusal(settings.timezone)))
    except (SlackClientError, HTTPException, OSError) as error:
        return Problem(
            f"Slack cannot be reached ({type(error).__name__}). Check the network and BULKPOINT_SLACK_BASE_URL."
        )
    return None


def _post_now(client: "WebClient", **message: Any) -> None:
    client.chat_postMessage(**message)


@cache
def _post_once_a_second() -> Callable[..., None]:
    """Slack's own rate for one channel, over all messages of this process."""
    from ratelimit import limits, sleep_and_retry  # of the extra `slack`: a host without it never comes here

    limited: Callable[..., None] = sleep_and_retry(limits(calls=1, period=1)(_post_now))
    return limited


def _wait_s(state: "RetryCallState") -> float:
    from slack_sdk.errors import SlackApiError

    error = state.outcome.exception() if state.outcome else None
    asked_s = _answer(error).wait_s if isinstance(error, SlackApiError) else 0.0
    return asked_s or float(2 ** (state.attempt_number - 1))


def _answer(error: "SlackApiError") -> Answer:
    """What the client makes of Slack's answer; a body of one word without JSON is a webhook's code."""
    response = error.response
    code = str(response.get("error", "")).removeprefix(_NO_JSON).strip()
    status = int(response.status_code)
    asked = next((value for name, value in response.headers.items() if name.lower() == "retry-after"), "")
    waits = status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE} or code in _SLOW_DOWN
    wait_s = float(asked[:9]) if waits and asked.isascii() and asked.isdecimal() else 0.0
    return Answer(status, code if re.fullmatch("[a-z0-9_]{1,60}", code) else "", wait_s)
