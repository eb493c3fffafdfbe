"""What people read of an event: made from plain values, for Slack or a console, in Korean or English.

Messages contain counts and sums of a campaign, never a member id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bulkpoint.events.envelope import CORRECTED, CreatedCampaign, RejectedCampaign, summary_of
from bulkpoint.rules.lifecycle import FailureKind, RunState
from bulkpoint.rules.member_names import without_members
from bulkpoint.store.outbox import Event
from bulkpoint.store.progress import RunSummary
from bulkpoint.text import escaped_for_slack, one_line
from bulkpoint.views.end_reasons import reason_in
from bulkpoint.views.format import duration
from bulkpoint.views.headline import headline
from bulkpoint.views.languages import words

# The events for which people get a message.
NOTIFIED_TYPES = ("campaign.completed", "campaign.failed", "campaign.stopped", "campaign.corrected", "campaign.forced")
# Where a second person approves campaigns: somebody is waited for.
CREATED = "campaign.created"
# A second person has said no: whoever made it should hear why.
REJECTED = "campaign.rejected"

# A reason is a person's text; Slack refuses sections of more than 3,000 characters.
REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True)
class Message:
    """What is said: at a console (`text`), in Slack (`blocks`) and where Slack shows no blocks (`notice`)."""

    text: str
    notice: str
    blocks: list[dict[str, Any]]


def notified_types(*, require_approval: bool) -> tuple[str, ...]:
    """The events for which people get a message; with approval also a campaign that waits for it."""
    return (*NOTIFIED_TYPES, REJECTED, CREATED) if require_approval else (*NOTIFIED_TYPES, REJECTED)


def message_of(event: Event, *, language: str, web_url: str | None = None) -> Message:
    """The message of an event of notified_types; web_url: of the page, to which it links.

    Raises pydantic's ValidationError for data of another shape.
    """
    if event.type == "campaign.forced":
        return _forced(event, language, web_url)
    if event.type == CREATED:
        return _waits_for_approval(event, language, web_url)
    if event.type == REJECTED:
        return _rejected(event, language, web_url)
    return build_message(summary_of(event), language=language, web_url=web_url, corrected=event.type == CORRECTED)


def message_of_alerts(sentences: Sequence[str], *, language: str) -> Message:
    """The message of what has no event: a job that died, a limit of 0, a parked event."""
    return _plain(words(language)["message"]["ALERT"], body=[*sentences], small=[])


def _waits_for_approval(event: Event, language: str, web_url: str | None) -> Message:
    """Who made it, its totals, and where it is approved; no member, and none of the list's words."""
    say, made = words(language)["message"], CreatedCampaign.model_validate(event.data)
    totals = say["totals"].format(count=made.expected_count, amount=made.expected_amount)
    creator = say["created_by"].format(creator=_one_line(event.actor))
    how = [say["approve"].format(campaign_id=event.campaign_id)] if web_url is None else []
    small = [say["campaign_only"].format(campaign_id=event.campaign_id), creator, *how]
    link = _link(web_url, event.campaign_id)
    return _plain(say["APPROVAL"], body=[_one_line(made.name), totals], small=small, link=link)


def _rejected(event: Event, language: str, web_url: str | None) -> Message:
    """Who said no to whose campaign, and why."""
    say, no = words(language)["message"], RejectedCampaign.model_validate(event.data)
    reason = say["reason"].format(reason=_one_line(no.reason))
    who = say["rejected_by"].format(actor=_one_line(event.actor), creator=_one_line(no.creator))
    small = [say["campaign_only"].format(campaign_id=event.campaign_id), who]
    body, link = [_one_line(no.name), reason], _link(web_url, event.campaign_id)
    return _plain(say["REJECTION"], body=body, small=small, link=link)


def _forced(event: Event, language: str, web_url: str | None) -> Message:
    say = words(language)["message"]
    where = say["campaign"].format(campaign_id=event.campaign_id, run=event.run_no)
    name = _one_line(str(event.data.get("name") or where))
    reason = say["reason"].format(reason=_one_line(str(event.data.get("reason") or "")))
    small = [where, say["by"].format(actor=_one_line(event.actor))]
    return _plain(say["FORCED"], body=[name, reason], small=small, link=_link(web_url, event.campaign_id))


def _plain(title: str, *, body: list[str], small: list[str], link: str | None = None) -> Message:
    """A message of plain lines; the first of the body is its subject."""
    links = [] if link is None else [link]
    shown = [f"<{each}>" for each in links]
    return Message(
        text="\n".join([title, *body, *small, *links]),
        notice=escaped_for_slack(f"{title}: {body[0]}"),
        blocks=_blocks(title, body=map(escaped_for_slack, body), small=[*map(escaped_for_slack, small), *shown]),
    )


def _link(web_url: str | None, campaign_id: int) -> str | None:
    """The campaign's page, where there is one."""
    return None if web_url is None else f"{web_url}/campaigns/{campaign_id}"


def build_message(
    summary: RunSummary, *, language: str, web_url: str | None = None, corrected: bool = False
) -> Message:
    """The closing message of a run that ended; `language` is ko or en. web_url: of the page, to which it links.
    corrected: it was announced otherwise before.
    """
    say = words(language)["message"]
    values = asdict(summary) | {
        "run": summary.run_no,
        "not_paid": summary.not_paid,
        "not_paid_amount": summary.not_paid_amount,
        "waiting": summary.waiting,
        "waiting_amount": summary.waiting_amount,
    }
    name = " ".join(summary.name.split())
    counts = {"success": summary.success, "failed": summary.failed, "unknown": summary.unknown, "open": summary.open}
    happened = headline(summary.state, **counts, language=language)
    title = say["CORRECTED"] if corrected else happened
    now = [happened] if corrected else []
    where = say["campaign"].format(**values)
    figures = _shown(say["figures"], values)
    figures.append(" / ".join(_shown(say["points"], values)))
    figures += _by_kind(summary, language)
    reason = _reason(summary, say["reason"], language)
    timing = _timing(summary, language)
    steps = next_steps(summary, language=language)
    link = _link(web_url, summary.campaign_id)
    links = [] if link is None else [link]
    return Message(
        text="\n".join([title, f"{name} ({where})", *now, *figures, *reason, *timing, *steps, *links]),
        notice=escaped_for_slack(f"{title}: {name}, {figures[0]}"),
        blocks=_blocks(
            title,
            body=[
                f"*{escaped_for_slack(name)}*",
                *map(escaped_for_slack, now),
                *figures,
                *map(escaped_for_slack, reason),
            ],
            small=[where, *timing, *steps, *(f"<{each}>" for each in links)],
        ),
    )


def next_steps(summary: RunSummary, *, language: str) -> list[str]:
    """What to do after a run that ended, each with the command to type; empty where nothing is left to do."""
    say, kinds = words(language)["message"]["next"], summary.failure_kinds
    values = asdict(summary) | {"not_paid": summary.not_paid}
    return [say[step].format(**values, count=kinds.get(step, 0)) for step in _next_steps(summary)]


def _blocks(title: str, *, body: Iterable[str], small: Iterable[str]) -> list[dict[str, Any]]:
    """Slack's blocks: a header, a section, and the small print if there is any. Lines are escaped already."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(body)}},
    ]
    if context := "\n".join(small):
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": context}]})
    return blocks


def _shown(lines: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    """The lines with their values; one that is named after a count only where there are any."""
    left_out = [name for name in ("unknown", "waiting", "processing") if not values[name]]
    return [line.format(**values) for name, line in lines.items() if name not in left_out]


def _by_kind(summary: RunSummary, language: str) -> list[str]:
    """What failed by kind with its commonest codes, in one line; none where that says no more than the counts do."""
    say = words(language)
    kinds = {kind: summary.failure_kinds.get(kind, 0) for kind in FailureKind}
    there = [kind for kind, count in kinds.items() if count]
    if len(there) < 2 and not any(summary.failure_codes.values()):
        return []
    parts = []
    for kind in there:
        codes = ", ".join(summary.failure_codes.get(kind, []))
        parts.append(f"{say['failure_kinds'][kind]['name']} {kinds[kind]:,}" + (f" ({codes})" if codes else ""))
    return [say["message"]["by_kind"].format(kinds=" / ".join(parts))] if parts else []


def _reason(summary: RunSummary, line: str, language: str) -> list[str]:
    if summary.state == RunState.COMPLETED or not summary.reason:
        return []
    return [line.format(reason=_one_line(reason_in(language, without_members(summary.reason))))]


def _timing(summary: RunSummary, language: str) -> list[str]:
    if summary.finished_at is None:
        return []
    say = words(language)["message"]
    elapsed_s = (summary.finished_at - summary.started_at).total_seconds()
    timing = [say["duration"].format(duration=duration(elapsed_s, language))]
    if summary.done_before is not None and elapsed_s > 0:
        done = max(0, summary.success + summary.failed - summary.done_before)
        if summary.done_before:
            timing.append(say["this_run"].format(done=done))
        timing.append(say["rate"].format(rate=done / elapsed_s))
    return [" · ".join(timing)]


def _next_steps(summary: RunSummary) -> list[str]:
    """What to do next, as keys of the language files: for a completed run each kind of failure has its own."""
    steps: list[str] = []
    if summary.state == RunState.COMPLETED:
        steps += [kind for kind in FailureKind if summary.failure_kinds.get(kind) and kind != FailureKind.UNKNOWN]
    elif summary.open:
        steps.append("resume")
    else:
        steps.append("resume_to_retry" if summary.not_paid else "resume_to_end")
    if summary.unknown:
        steps.append("reconcile")
    return steps


def _one_line(text: str) -> str:
    return one_line(text, REASON_CHARACTERS_MAX)
