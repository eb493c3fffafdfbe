"""What needs a person, in one sentence: what, since when, and what to do next; for a console and for Slack."""

from bulkpoint.store.alerts import Alert
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time
from bulkpoint.views.languages import phrase


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
