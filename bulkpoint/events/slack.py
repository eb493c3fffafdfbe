"""The closing message of a run: made from plain values, sent to Slack, or shown where there is no Slack.

Messages hold counts and sums of a campaign, never a member id.
"""

import sys
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from ratelimit import limits, sleep_and_retry

from bulkpoint.errors import UsageError
from bulkpoint.settings import Settings, read_secret
from bulkpoint.store.progress import RunSummary

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from tenacity import RetryCallState

TRIES = 4
TIMEOUT_S = 10
# A message is worth half a minute of a job's end, not an hour: Slack's Retry-After is honoured up to this.
RETRY_WAIT_S_MAX = 10.0
# A reason is a person's text; Slack refuses sections of more than 3,000 characters.
REASON_CHARACTERS_MAX = 500

_WORDS = {
    "ko": {
        "COMPLETED": "📢 지급 완료",
        "FAILED": "🚨 지급 실패",
        "STOPPED": "⏸️ 지급 중단",
        "campaign": "캠페인 {campaign_id} · 실행 {run}",
        "counts": "성공: {success:,}건 / 실패: {failed:,}건",
        "unknown": "그중 확인 필요(UNKNOWN): {unknown:,}건",
        "open": "미처리: {open:,}건",
        "amounts": "지급 {success_amount:,}P / 미지급 {unpaid_amount:,}P",
        "reason": "사유: {reason}",
        "duration": "소요 시간 {duration}",
        "rate": "평균 {rate:,.0f} TPS",
        "hours": "{}시간",
        "minutes": "{}분",
        "seconds": "{}초",
        "retry": "실패 건 재처리: `bulkpoint campaign retry {campaign_id}`",
        "retry_refused": "거절 건은 원인을 고친 뒤: `bulkpoint campaign retry {campaign_id} --kind REJECTED`",
        "this_run": "이번 실행 {done:,}건",
        "resume": "이어서 지급: `bulkpoint campaign resume {campaign_id}`",
        "reconcile": "확인 필요 건 조회: `bulkpoint reconcile {campaign_id}`",
    },
    "en": {
        "COMPLETED": "📢 Payment completed",
        "FAILED": "🚨 Payment failed",
        "STOPPED": "⏸️ Payment stopped",
        "campaign": "campaign {campaign_id} · run {run}",
        "counts": "Succeeded: {success:,} / Failed: {failed:,}",
        "unknown": "of these unknown, to be looked up: {unknown:,}",
        "open": "Not processed: {open:,}",
        "amounts": "Paid {success_amount:,} P / not paid {unpaid_amount:,} P",
        "reason": "Reason: {reason}",
        "duration": "Duration {duration}",
        "rate": "mean {rate:,.0f} TPS",
        "hours": "{} h",
        "minutes": "{} min",
        "seconds": "{} s",
        "retry": "Process the failed ones again: `bulkpoint campaign retry {campaign_id}`",
        "retry_refused": "Refused, once the cause is gone: `bulkpoint campaign retry {campaign_id} --kind REJECTED`",
        "this_run": "this run {done:,}",
        "resume": "Go on paying: `bulkpoint campaign resume {campaign_id}`",
        "reconcile": "Look up the unknown ones: `bulkpoint reconcile {campaign_id}`",
    },
}


@dataclass(frozen=True)
class Message:
    """What is said: at a console (`text`), in Slack (`blocks`) and where Slack shows no blocks (`notice`)."""

    text: str
    notice: str
    blocks: list[dict[str, Any]]


def build_message(summary: RunSummary, *, language: str) -> Message:
    """The closing message of a run that ended; `language` is ko or en."""
    words = _WORDS[language]
    name = " ".join(summary.name.split())
    values = {
        "campaign_id": summary.campaign_id,
        "run": summary.run,
        "success": summary.success,
        "failed": summary.failed,
        "unknown": summary.unknown,
        "open": summary.open,
        "success_amount": summary.success_amount,
        "unpaid_amount": summary.failed_amount + summary.open_amount,
    }
    title = words[summary.state]
    where = words["campaign"].format(**values)
    figures = [words["counts"].format(**values)]
    if summary.unknown:
        figures.append(words["unknown"].format(**values))
    if summary.open:
        figures.append(words["open"].format(**values))
    figures.append(words["amounts"].format(**values))
    reason = _reason(summary, words)
    timing = _timing(summary, words)
    hints = [words[hint].format(**values) for hint in _hints(summary)]

    text = [title, f"{name} ({where})", *figures, *reason, *timing, *hints]
    body = [f"*{_escape(name)}*", *figures, *map(_escape, reason)]
    small = [where, *timing, *hints]
    return Message(
        text="\n".join(text),
        notice=_escape(f"{title}: {name}, {figures[0]}"),
        blocks=[
            {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(body)}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "\n".join(small)}]},
        ],
    )


def announce(settings: Settings, summary: RunSummary) -> None:
    """Say how a run ended: in Slack where a token file and a channel are set, else on the console.

    Bounded in time, and never raises: a message that cannot be sent is one line of warning, for the payments are done.
    """
    message = build_message(summary, language=settings.language)
    if settings.slack_token_file is None or settings.slack_channel is None:
        print(message.text, flush=True)
        return
    problem = send(settings, message)
    if problem:
        print(f"bulkpoint: The message to Slack was not sent: {problem}", file=sys.stderr, flush=True)


def send(settings: Settings, message: Message) -> str | None:
    """Post to the channel, one message a second, and return what went wrong, in a sentence, or none.

    Tries again on 429, 5xx and a broken connection: 4 tries, each wait 10 s at most.
    """
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError, SlackClientError
    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    assert settings.slack_token_file is not None
    try:
        token = read_secret(settings.slack_token_file, "BULKPOINT_SLACK_TOKEN_FILE")
    except UsageError as error:
        return str(error)
    client = WebClient(
        token=token,
        base_url=settings.slack_base_url or WebClient.BASE_URL,
        timeout=TIMEOUT_S,
        retry_handlers=[],  # the client's own would wait for as long as Slack says
    )
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(TRIES), wait=_wait_s, retry=retry_if_exception(_worth_another_try), reraise=True
        ):
            with attempt:
                _post(client, channel=settings.slack_channel, text=message.notice, blocks=message.blocks)
    except SlackApiError as error:
        status, code = error.response.status_code, error.response.get("error", "")
        return f"Slack answered {status} {code}. Check BULKPOINT_SLACK_CHANNEL and the token's rights (chat:write)."
    except (SlackClientError, HTTPException, OSError) as error:
        return f"Slack cannot be reached ({type(error).__name__}). Check the network and BULKPOINT_SLACK_BASE_URL."
    return None


def _post_now(client: "WebClient", **message: Any) -> None:
    client.chat_postMessage(**message)


# Slack's own rate for one channel.
_post = sleep_and_retry(limits(calls=1, period=1)(_post_now))


def _worth_another_try(error: BaseException) -> bool:
    from slack_sdk.errors import SlackApiError

    if isinstance(error, SlackApiError):
        return int(error.response.status_code) in {429, *range(500, 600)}
    return isinstance(error, (HTTPException, OSError))


def _wait_s(state: "RetryCallState") -> float:
    from slack_sdk.errors import SlackApiError

    error = state.outcome.exception() if state.outcome else None
    wait_s = float(2 ** (state.attempt_number - 1))
    if isinstance(error, SlackApiError) and error.response.status_code == 429:
        asked = str(error.response.headers.get("Retry-After", ""))
        wait_s = float(asked) if asked.isdecimal() else wait_s
    return min(wait_s, RETRY_WAIT_S_MAX)


def _reason(summary: RunSummary, words: dict[str, str]) -> list[str]:
    if summary.state == "COMPLETED" or not summary.reason:
        return []
    reason = " ".join(summary.reason.split())
    if len(reason) > REASON_CHARACTERS_MAX:
        reason = reason[: REASON_CHARACTERS_MAX - 1] + "…"
    return [words["reason"].format(reason=reason)]


def _timing(summary: RunSummary, words: dict[str, str]) -> list[str]:
    if summary.finished_at is None:
        return []
    elapsed = summary.finished_at - summary.started_at
    timing = words["duration"].format(duration=_duration(elapsed, words))
    elapsed_s = elapsed.total_seconds()
    if summary.done_before is not None and elapsed_s > 0:
        done = max(0, summary.success + summary.failed - summary.done_before)
        if summary.done_before:
            timing += " · " + words["this_run"].format(done=done)
        timing += " · " + words["rate"].format(rate=done / elapsed_s)
    return [timing]


def _duration(elapsed: timedelta, words: dict[str, str]) -> str:
    minutes, seconds = divmod(round(elapsed.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [("hours", hours), ("minutes", minutes), ("seconds", seconds)]
    return " ".join(words[unit].format(number) for unit, number in parts if number) or words["seconds"].format(0)


def _hints(summary: RunSummary) -> list[str]:
    """What to do next, by the names of the words for it."""
    hints = []
    if summary.state != "COMPLETED" and summary.open:
        hints.append("resume")
    else:
        if summary.failed > summary.unknown + summary.refused:
            hints.append("retry")
        if summary.refused:
            hints.append("retry_refused")
    if summary.unknown:
        hints.append("reconcile")
    return hints


def _escape(text: str) -> str:
    """Slack's three: https://api.slack.com/reference/surfaces/formatting#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
