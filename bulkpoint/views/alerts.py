"""A trouble in one sentence: what, since when, and what to do next; for a console and for Slack."""

from typing import Literal

from bulkpoint.store.alerts import Alert
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time

_WORDS = {
    "ko": {
        "campaign": "캠페인 {campaign_id} ({name}): ",
        "DRIVER_GONE": "진행(RUNNING)으로 표시되지만 {since}부터 실행 중인 작업이 없어 지급이 멈췄습니다."
        " `bulkpoint campaign resume {campaign_id}`로 이어서 지급하십시오.",
        "ON_HOLD": "{since}에 {who} 님이 한도를 0 TPS로 설정하여 지급이 보류 중입니다({details})."
        " 설정한 분께 확인한 뒤 `bulkpoint tps set N`으로 해제하십시오.",
        "STANDSTILL": "작업은 실행 중이지만 {since} 이후 끝난 지급이 없습니다."
        " `bulkpoint campaign watch {campaign_id}`와 작업 로그에서 원인을 확인하십시오."
        " 그대로면 `bulkpoint campaign stop {campaign_id}` 후"
        " `bulkpoint campaign resume {campaign_id}`로 이어서 지급하십시오. 중복 지급은 없습니다.",
        "PARKED": "Kafka가 이벤트 하나를 거절하여 {since}에 따로 보관했습니다({details})."
        " 원인을 고친 뒤 `bulkpoint outbox relay --parked`로 다시 내보내십시오. 다른 이벤트와 지급은 계속됩니다.",
        "why": "사유: {why}",
        "no reason": "사유 없음",
        "until": "{until}까지",
    },
    "en": {
        "campaign": "Campaign {campaign_id} ({name}) ",
        "DRIVER_GONE": "says RUNNING, but its job is gone since {since}: nothing is paid. Take it over with"
        " `bulkpoint campaign resume {campaign_id}`.",
        "ON_HOLD": "is on hold: {who} set the limit to 0 TPS at {since} ({details}). Ask them, then go on with"
        " `bulkpoint tps set N`.",
        "STANDSTILL": "runs, but no payment has ended since {since}. `bulkpoint campaign watch {campaign_id}` and the"
        " job's log tell why; if it stays so, `bulkpoint campaign stop {campaign_id}` and then"
        " `bulkpoint campaign resume {campaign_id}` go on afresh, and pay nobody twice.",
        "PARKED": "has an event that Kafka refuses; it was set aside at {since} ({details}). Mend the cause, then"
        " publish it with `bulkpoint outbox relay --parked`; other events and payments go on.",
        "why": "reason: {why}",
        "no reason": "no reason given",
        "until": "until {until}",
    },
}


def trouble_sentence(trouble: Alert, timezone: str, language: Literal["ko", "en"]) -> str:
    """One line; times of `timezone`, what people wrote with its control characters escaped."""
    words = _WORDS[language]
    details = [words["why"].format(why=escaped(trouble.why)) if trouble.why else words["no reason"]]
    if trouble.until is not None:
        details.append(words["until"].format(until=local_time(trouble.until, timezone)))
    values = {
        "campaign_id": trouble.campaign_id,
        "name": escaped(trouble.name),
        "since": local_time(trouble.since, timezone),
        "who": escaped(trouble.who or ""),
        "details": ", ".join(details),
    }
    return words["campaign"].format(**values) + words[trouble.kind].format(**values)
