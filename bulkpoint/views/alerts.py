"""What needs a person, in one sentence: what, since when, and what to do next; for a console and for Slack."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Self

from bulkpoint.rules.patience import MONEY_WAITS, WaitsFor
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.troubles import DEPLOYMENT, WAITS_S_MAX, Trouble, TroubleKind
from bulkpoint.store.alert import Alert
from bulkpoint.store.campaign import Campaign
from bulkpoint.text import escaped
from bulkpoint.views.end_reasons import reason_in
from bulkpoint.views.format import duration, local_time
from bulkpoint.views.languages import phrase
from bulkpoint.views.sentences import number_words, sentence
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View
from bulkpoint.views.waiting import WaitingView

# Lines of what needs nobody, in a text that is read every minute; --json has all.
NOTES_SHOWN = 5


class AlertView(View):
    """One thing that is not as it should be, since when, and what to do. campaign_id: 0 for the deployment itself."""

    kind: TroubleKind
    campaign_id: int
    since: Moment
    sentence: str


class CheckView(View):
    """Whether anything needs a person: findings do, notes do not (old, not yet long enough, or only to be known).

    waiting: what the campaign that runs waits for; null for nothing.
    """

    printed_by = ("check",)

    ok: bool
    findings: list[AlertView]
    notes: list[AlertView]
    running: Annotated[int | None, NOT_IN_JSON]
    waiting: WaitingView | None
    waited_s: Annotated[float, NOT_IN_JSON]

    @classmethod
    def of(
        cls,
        alerts: Iterable[Alert],
        running: Campaign | None,
        timezone: str,
        now: datetime,
        troubles: Sequence[Trouble] = (),
        *,
        patience_s: float | None = None,
    ) -> Self:
        """The view of `check`. running: the campaign that runs; now: by a clock near the database's;
        patience_s: how long a run waits for the money API, as far as this process knows.
        """
        findings = [
            AlertView(
                kind=alert.kind,
                campaign_id=alert.campaign_id,
                since=alert.since,
                sentence=alert_sentence(alert, timezone, "en"),
            )
            for alert in alerts
        ]
        waiting, waited_s = None, 0.0
        if running is not None and running.waiting is not None:
            waiting = WaitingView.of(running.waiting, timezone=timezone)
            waited_s = max(0.0, (now - waiting.since).total_seconds())
        long = long_wait(running, now, patience_s=patience_s, timezone=timezone, language="en")
        findings += [] if long is None else [_trouble_view(long, timezone)]
        findings += [_trouble_view(trouble, timezone) for trouble in troubles if trouble.needs_person]
        return cls(
            ok=not findings,
            findings=findings,
            notes=[_trouble_view(trouble, timezone) for trouble in troubles if not trouble.needs_person],
            running=None if running is None else running.campaign_id,
            waiting=waiting,
            waited_s=waited_s,
        )

    def as_text(self, screen: Screen) -> Iterator[str]:  # noqa: ARG002 (the sentences have their times already)
        if self.findings:
            yield from (finding.sentence for finding in self.findings)
        else:
            yield self._all_in_all()
        yield from (f"note: {note.sentence}" for note in self.notes[:NOTES_SHOWN])
        if more := len(self.notes) - NOTES_SHOWN:
            yield from [f"note: {more:,} more; --json has all"] if more > 0 else []

    def _all_in_all(self) -> str:
        what = "no campaign runs" if self.running is None else f"campaign {self.running} runs"
        if self.waiting is None or self.waiting.what is WaitsFor.NEXT_TRY:
            well = "nothing needs a person" if self.notes else "all is well"
            waits = "" if self.waiting is None else f", and {self.waiting.sentence}"
            return f"{well}: {what}{waits}"
        return f"nothing needs a person yet, after {duration(self.waited_s)}: {what}, and {self.waiting.sentence}"


def long_wait(
    running: Campaign | None, now: datetime, *, patience_s: float | None, timezone: str, language: str
) -> Trouble | None:
    """What the campaign that runs waits for so long that a person should know; its facts are in words of a language."""
    if running is None or running.waiting is None:
        return None
    waiting = WaitingView.of(running.waiting, timezone=timezone, language=language)
    if waiting.what is WaitsFor.NEXT_TRY or (now - waiting.since).total_seconds() < WAITS_S_MAX:
        return None
    ends = _patience_ends(waiting, now, patience_s, timezone, language)
    facts = {"waiting": waiting.sentence, "ends": ends}
    return Trouble(TroubleKind.WAITING, running.campaign_id, running.name, waiting.since, facts)


def _patience_ends(waiting: WaitingView, now: datetime, patience_s: float | None, timezone: str, language: str) -> str:
    """When a run that gets no usable answer ends FAILED."""
    if patience_s is None or waiting.what not in MONEY_WAITS:
        return phrase(language, "alerts.patience")
    until = waiting.since + timedelta(seconds=patience_s)
    if until <= now:
        return phrase(language, "alerts.patience_spent")
    left = duration((until - now).total_seconds(), language)
    return phrase(language, "alerts.patience_until", left=left, until=local_time(until, timezone))


def _trouble_view(trouble: Trouble, timezone: str) -> AlertView:
    return AlertView(
        kind=trouble.kind,
        campaign_id=trouble.campaign_id,
        since=trouble.since,
        sentence=trouble_sentence(trouble, timezone, "en"),
    )


def trouble_sentence(
    trouble: Trouble,
    timezone: str,
    language: str,
    *,
    forms: Mapping[str, str] = MappingProxyType({}),
    say: Callable[..., str] = sentence,
) -> str:
    """One line with the command to type, in ko or en; what people wrote with its control characters escaped.

    forms: other words than a command line's, by kind; say: what puts a refusal into words.
    """
    values = {name: escaped(fact) if isinstance(fact, str) else fact for name, fact in trouble.facts.items()}
    why = trouble.facts.get("why")
    if isinstance(why, Refusal):
        values["why"] = say(why, language=language, timezone=timezone)
    values["details"] = _details(None if isinstance(why, Refusal) else why, None, timezone, language)
    values |= {"campaign_id": trouble.campaign_id, "name": escaped(trouble.name)}
    values |= number_words(trouble.facts, language)
    values["since"] = local_time(trouble.since, timezone)
    begin = "" if trouble.campaign_id == DEPLOYMENT else phrase(language, "alerts.campaign", **values)
    return begin + _filled(trouble.kind, language, values, forms)


def alert_sentence(
    alert: Alert, timezone: str, language: str, *, forms: Mapping[str, str] = MappingProxyType({})
) -> str:
    """One line, in ko or en; times of `timezone`, what people wrote with its control characters escaped.

    forms: other words than a command line's, by kind.
    """
    values = {
        "campaign_id": alert.campaign_id,
        "name": escaped(alert.name),
        "since": local_time(alert.since, timezone),
        "who": escaped(alert.who or ""),
        "details": _details(alert.why, alert.until, timezone, language),
    }
    return phrase(language, "alerts.campaign", **values) + _filled(alert.kind, language, values, forms)


def _filled(kind: TroubleKind, language: str, values: Mapping[str, Any], forms: Mapping[str, str]) -> str:
    return forms[kind].format_map(values) if kind in forms else phrase(language, f"alerts.{kind}", **values)


def _details(why: str | None, until: datetime | None, timezone: str, language: str) -> str:
    said = (
        phrase(language, "alerts.why", why=escaped(reason_in(language, why)))
        if why
        else phrase(language, "alerts.no_reason")
    )
    ends = [] if until is None else [phrase(language, "alerts.until", until=local_time(until, timezone))]
    return ", ".join([said, *ends])
