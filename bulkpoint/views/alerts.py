"""What needs a person, in one sentence: what, since when, and what to do next; for a console and for Slack."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self

from bulkpoint.rules.patience import WaitsFor
from bulkpoint.store.alert import Alert
from bulkpoint.store.campaign import Campaign
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time
from bulkpoint.views.languages import phrase
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View
from bulkpoint.views.waiting import WaitingView

# A run that pays nothing for so long is not well, though it may go on by itself.
WAITS_S_MAX = 30.0


class AlertView(View):
    """One thing that needs a person, since when, and what to do."""

    kind: str
    campaign_id: int
    since: Moment
    sentence: str


class CheckView(View):
    """Whether all is well, and what is not. waiting: what the campaign that runs waits for; null for nothing."""

    printed_by = ("check",)

    ok: bool
    findings: list[AlertView]
    running: Annotated[int | None, NOT_IN_JSON]
    waiting: WaitingView | None

    @classmethod
    def of(cls, alerts: Iterable[Alert], running: Campaign | None, timezone: str, now: datetime) -> Self:
        """The view of `check`. running: the campaign that runs; now: by a clock near the database's."""
        findings = [
            AlertView(
                kind=alert.kind,
                campaign_id=alert.campaign_id,
                since=alert.since,
                sentence=alert_sentence(alert, timezone, "en"),
            )
            for alert in alerts
        ]
        waiting = None
        if running is not None and running.waiting is not None:
            waiting = WaitingView.of(running.waiting, timezone=timezone)
            if waiting.what is not WaitsFor.NEXT_TRY and (now - waiting.since).total_seconds() >= WAITS_S_MAX:
                text = phrase("en", "alerts.campaign", campaign_id=running.campaign_id, name=escaped(running.name))
                findings.append(
                    AlertView(
                        kind="WAITING",
                        campaign_id=running.campaign_id,
                        since=waiting.since,
                        sentence=text
                        + phrase("en", "alerts.WAITING", waiting=waiting.sentence, campaign_id=running.campaign_id),
                    )
                )
        running_id = None if running is None else running.campaign_id
        return cls(ok=not findings, findings=findings, running=running_id, waiting=waiting)

    def as_text(self, screen: Screen) -> list[str]:  # noqa: ARG002 (the sentences have their times already)
        if self.findings:
            return [finding.sentence for finding in self.findings]
        what = "no campaign runs" if self.running is None else f"campaign {self.running} runs"
        waits = "" if self.waiting is None else f", and {self.waiting.sentence}"
        return [f"all is well: {what}{waits}"]


def alert_sentence(alert: Alert, timezone: str, language: str) -> str:
    """One line, in ko or en; times of `timezone`, what people wrote with its control characters escaped."""
    why = phrase(language, "alerts.why", why=escaped(alert.why)) if alert.why else phrase(language, "alerts.no_reason")
    until = [] if alert.until is None else [phrase(language, "alerts.until", until=local_time(alert.until, timezone))]
    values = {
        "campaign_id": alert.campaign_id,
        "name": escaped(alert.name),
        "since": local_time(alert.since, timezone),
        "who": escaped(alert.who or ""),
        "details": ", ".join([why, *until]),
    }
    return phrase(language, "alerts.campaign", **values) + phrase(language, f"alerts.{alert.kind}", **values)
