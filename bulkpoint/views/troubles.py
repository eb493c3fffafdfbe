"""Everything that `check` says, as a list for the page: in the person's language, and without members."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bulkpoint.rules.member_names import without_members
from bulkpoint.rules.troubles import Trouble, TroubleKind
from bulkpoint.store.alert import Alert
from bulkpoint.store.campaign import Campaign
from bulkpoint.views.alerts import alert_sentence, long_wait, trouble_sentence


@dataclass(frozen=True)
class Found:
    """What was found, whoever asks: no member is in it. running: the campaign that runs, with what it waits for."""

    alerts: Sequence[Alert]
    troubles: Sequence[Trouble]
    running: Campaign | None


@dataclass(frozen=True)
class Told:
    """One thing that is not as it should be. needs_person: false for what should only be known."""

    kind: TroubleKind
    campaign_id: int
    name: str
    since: datetime
    sentence: str
    needs_person: bool


def shareable(alerts: Sequence[Alert], troubles: Sequence[Trouble], running: Campaign | None) -> Found:
    """The same without the members that reasons name: they are for whoever looks at that campaign."""
    return Found(
        [alert if alert.why is None else replace(alert, why=without_members(alert.why)) for alert in alerts],
        [replace(trouble, facts=_without_members(trouble.facts)) for trouble in troubles],
        None if running is None else replace(running, run_reason=None),
    )


def _without_members(facts: dict[str, object]) -> dict[str, object]:
    return {name: without_members(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}


def tell(
    found: Found,
    *,
    now: datetime,
    patience_s: float,
    timezone: str,
    language: str,
    forms: Mapping[str, str],
    say: Callable[..., str],
) -> list[Told]:
    """What needs a person first, then what should only be known; times of `timezone`.

    forms, say: the words of whoever has no command line, as `trouble_sentence` takes them.
    """
    told = [
        Told(
            alert.kind,
            alert.campaign_id,
            alert.name,
            alert.since,
            alert_sentence(alert, timezone, language, forms=forms),
            True,
        )
        for alert in found.alerts
    ]
    long = long_wait(found.running, now, patience_s=patience_s, timezone=timezone, language=language)
    troubles = [*([] if long is None else [long]), *found.troubles]
    told += [
        Told(
            trouble.kind,
            trouble.campaign_id,
            trouble.name,
            trouble.since,
            trouble_sentence(trouble, timezone, language, forms=forms, say=say),
            trouble.needs_person,
        )
        for trouble in troubles
    ]
    return sorted(told, key=lambda one: not one.needs_person)
