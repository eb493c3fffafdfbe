"""What needs a person, in one sentence: what, since when, and what to do next; for a console and for Slack."""

from collections.abc import Iterable
from typing import Annotated, Self

from bulkpoint.store.alert import Alert
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time
from bulkpoint.views.languages import phrase
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View


class AlertView(View):
    """One thing that needs a person, since when, and what to do."""

    kind: str
    campaign_id: int
    since: Moment
    sentence: str


class CheckView(View):
    """Whether all is well, and what is not."""

    printed_by = ("check",)

    ok: bool
    findings: list[AlertView]
    running: Annotated[int | None, NOT_IN_JSON]

    @classmethod
    def of(cls, alerts: Iterable[Alert], running: int | None, timezone: str) -> Self:
        """The view of `check`. running: the id of the campaign that runs."""
        findings = [
            AlertView(
                kind=alert.kind,
                campaign_id=alert.campaign_id,
                since=alert.since,
                sentence=alert_sentence(alert, timezone, "en"),
            )
            for alert in alerts
        ]
        return cls(ok=not findings, findings=findings, running=running)

    def as_text(self, screen: Screen) -> list[str]:  # noqa: ARG002 (the sentences have their times already)
        if self.findings:
            return [finding.sentence for finding in self.findings]
        what = "no campaign runs" if self.running is None else f"campaign {self.running} runs"
        return [f"all is well: {what}"]


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
