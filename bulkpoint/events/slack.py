"""Messages to Slack, by its Web API: one per second and channel, with retries."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from bulkpoint.errors import UsageError
from bulkpoint.events.message import Message
from bulkpoint.settings import Settings, read_secret
from bulkpoint.views.sentences import sentence

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from tenacity import RetryCallState

TRIES = 4
TIMEOUT_S = 10


@dataclass(frozen=True)
class Problem:
    """Why a message was not sent, in a sentence. wait_s: seconds that Slack asked us to wait."""

    sentence: str
    wait_s: float = 0.0


def send(settings: Settings, message: Message, *, wait_s_max: float) -> Problem | None:
    """Post to the channel, one message a second; None when it is sent.

    Tries again on 429, 5xx and a broken connection: 4 tries. If Slack asks to wait (Retry-After) for longer than
    `wait_s_max`, there is no other try.
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
            status = int(error.response.status_code)
            return status in {429, *range(500, 600)} and _asked_to_wait_s(error) <= wait_s_max
        return isinstance(error, (HTTPException, OSError))

    post = _post_once_a_second()
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(TRIES), wait=_wait_s, retry=retry_if_exception(worth_another_try), reraise=True
        ):
            with attempt:
                post(client, channel=settings.slack_channel, text=message.notice, blocks=message.blocks)
    except SlackApiError as error:
        status, code = error.response.status_code, error.response.get("error", "")
        said = f"Slack answered {status} {code}."
        if status == 200:  # so Slack refuses a request
            said += " Check BULKPOINT_SLACK_CHANNEL and the token's rights (chat:write)."
        return Problem(said, _asked_to_wait_s(error))
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
    asked_s = _asked_to_wait_s(error) if isinstance(error, SlackApiError) else 0.0
    return asked_s or float(2 ** (state.attempt_number - 1))


def _asked_to_wait_s(error: Any) -> float:
    """Slack's Retry-After, in seconds; 0 where it did not say."""
    asked = str(error.response.headers.get("Retry-After", ""))
    return float(asked) if error.response.status_code == 429 and asked.isdecimal() else 0.0
