"""What people are told of an event: made from plain values, for Slack or a console, in Korean or English.

Messages hold counts and sums of a campaign, never a member id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bulkpoint.events.envelope import summary_of
from bulkpoint.store.outbox import Event
from bulkpoint.store.progress import RunSummary

# The events that people are told of.
TOLD_TYPES = ("campaign.completed", "campaign.failed", "campaign.stopped", "campaign.forced")

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
        "FORCED": "⚡ 순서를 앞당긴 지급 시작",
        "by": "요청: {actor}",
        "TROUBLE": "🚨 확인이 필요합니다",
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
        "FORCED": "⚡ Started ahead of the queue",
        "by": "Asked for by {actor}",
        "TROUBLE": "🚨 Somebody should look",
    },
}


@dataclass(frozen=True)
class Message:
    """What is said: at a console (`text`), in Slack (`blocks`) and where Slack shows no blocks (`notice`)."""

    text: str
    notice: str
    blocks: list[dict[str, Any]]


def tell(event: Event, *, language: str) -> Message:
    """What an event of TOLD_TYPES says to people. Raises pydantic's ValidationError for data of another shape."""
    if event.type == "campaign.forced":
        return _forced(event, _WORDS[language])
    return build_message(summary_of(event), language=language)


def tell_trouble(sentences: Sequence[str], *, language: str) -> Message:
    """What no event tells: a job that died, a limit on hold, an event that was set aside."""
    return _message(_WORDS[language]["TROUBLE"], body=[*sentences], small=[])


def _forced(event: Event, words: dict[str, str]) -> Message:
    where = words["campaign"].format(campaign_id=event.campaign_id, run=event.run)
    name = _one_line(str(event.data.get("name") or where))
    reason = words["reason"].format(reason=_one_line(str(event.data.get("reason") or "")))
    return _message(
        words["FORCED"], body=[name, reason], small=[where, words["by"].format(actor=_one_line(event.actor))]
    )


def _message(title: str, *, body: list[str], small: list[str]) -> Message:
    """A message of plain lines; the first of the body is its subject."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(map(_escape, body))}},
    ]
    if small:
        context = {"type": "mrkdwn", "text": "\n".join(map(_escape, small))}
        blocks.append({"type": "context", "elements": [context]})
    return Message("\n".join([title, *body, *small]), _escape(f"{title}: {body[0]}"), blocks)


def _one_line(text: str) -> str:
    """A person's text on one line, and not too much of it."""
    line = " ".join(text.split())
    return line if len(line) <= REASON_CHARACTERS_MAX else line[: REASON_CHARACTERS_MAX - 1] + "…"


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


def _reason(summary: RunSummary, words: dict[str, str]) -> list[str]:
    if summary.state == "COMPLETED" or not summary.reason:
        return []
    return [words["reason"].format(reason=_one_line(summary.reason))]


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
