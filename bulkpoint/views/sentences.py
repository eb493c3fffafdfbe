"""The sentence of a refusal, for a terminal, a log, Slack or a page; and the same refusal for programs."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from bulkpoint.errors import BulkpointError
from bulkpoint.rules.refusals import Refusal
from bulkpoint.views.format import duration, local_time, utc_time
from bulkpoint.views.languages import words


def sentence(
    refused: BulkpointError | Refusal,
    *,
    language: str = "en",
    timezone: str = "UTC",
    errors: Mapping[str, str] = MappingProxyType({}),
    remedies: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What is refused and why, then what to do instead. Times are shown in `timezone`; several refusals are lines.

    errors, remedies: other words than a command line's for some of them; an empty remedy is left out.
    """
    refusal = refused.refusal if isinstance(refused, BulkpointError) else refused
    table = words(language)
    say = partial(sentence, language=language, timezone=timezone, errors=errors, remedies=remedies)
    facts = {name: _shown(value, timezone, say) for name, value in refusal.facts.items()}
    facts |= _words_of(refusal.facts, language)
    said = errors.get(refusal.code) or table["errors"].get(refusal.code) or table["parts"][refusal.code]
    helps = [remedies.get(remedy, table["remedies"][remedy]) for remedy in refusal.remedies]
    return " ".join(part.format_map(facts) for part in (said, *helps) if part)


def error_fields(error: BulkpointError, *, timezone: str = "UTC") -> dict[str, Any]:
    """What a command with --json prints where it ends with 2 to 6; `timezone` is of times in the message."""
    refusal = error.refusal
    facts = json.dumps(dict(refusal.facts), default=_plain)
    return {"error": {"code": refusal.code, "message": sentence(error, timezone=timezone), "facts": json.loads(facts)}}


def _words_of(facts: Mapping[str, Any], language: str) -> dict[str, str]:
    """How a language says what was asked for, a right, a cause, and numbers: `{asked_words}` for the fact `asked`."""
    table = words(language)
    tables = {"asked": table["commands"], "right": table["rights"], "cause": table["causes"]}
    said = {f"{name}_words": texts.get(facts[name], facts[name]) for name, texts in tables.items() if name in facts}
    if "left_s" in facts:
        said["left_s_words"] = duration(facts["left_s"], language)
    return said | number_words(facts, language)


def number_words(facts: Mapping[str, Any], language: str) -> dict[str, str]:
    """How a language says numbers among the facts: `{open_words}` for the fact `open`."""
    said, table = {}, words(language)
    if (sent := facts.get("processing")) is not None:
        said["processing_words"] = table["perhaps_sent"]["also"].format(number=sent) if sent else ""
    for name, forms in table["numbers"].items():
        if name in facts:
            form = forms.get({0: "zero", 1: "one"}.get(facts[name], "more"), forms["more"])
            said[f"{name}_words"] = form.format(number=facts[name])
    return said


def _shown(value: Any, timezone: str, say: Callable[[Refusal], str]) -> Any:
    """say: puts a refusal within a refusal into the same words as the one around it."""
    match value:
        case Refusal():
            return say(value)
        case datetime():
            return local_time(value, timezone)
        case bytes():
            return value.hex()
        case tuple() | list():
            between = "\n" if all(isinstance(each, Refusal) for each in value) else ", "
            return between.join(str(_shown(each, timezone, say)) for each in value)
    return value


def _plain(value: Any) -> Any:
    """A value that JSON has no type for, as JSON."""
    match value:
        case Refusal():
            return {"code": value.code, "facts": dict(value.facts)}
        case datetime():
            return utc_time(value)
        case bytes():
            return value.hex()
    return str(value)
