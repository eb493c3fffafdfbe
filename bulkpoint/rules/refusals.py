"""Why something is not done, as a value: a code for programs, the facts, and what a person may do instead.

No sentence is made here: views/sentences.py makes it at the edge, from the language files, with the commands it names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal.

    code: stable, listed in docs/errors.md; its sentence is `errors.<code>` of the language files, or `parts.<code>`
    where it never stands alone. facts: what the sentence is filled with, plain values, times aware; a Refusal among
    them becomes a part of the sentence. remedies: what helps, each `remedies.<name>`, filled with the same facts.
    """

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    remedies: tuple[str, ...] = ()


def to_json(refusal: Refusal) -> str:
    """One line from which from_json makes an equal refusal again, in another process."""
    return json.dumps(pack(refusal), ensure_ascii=False)


def from_json(text: str) -> Refusal:
    """The refusal that to_json was given; a fact without a JSON form has become text."""
    refusal = unpack(json.loads(text))
    if not isinstance(refusal, Refusal):
        raise TypeError("this is no refusal")
    return refusal


def pack(value: Any) -> Any:
    """A fact in values that JSON has; an object has one key, which says what it stands for."""
    match value:
        case Refusal():
            facts = {name: pack(fact) for name, fact in value.facts.items()}
            return {"refusal": [value.code, facts, list(value.remedies)]}
        case datetime():
            return {"time": value.isoformat()}
        case bytes():
            return {"bytes": value.hex()}
        case tuple() | list():
            return [pack(each) for each in value]
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def unpack(value: Any) -> Any:
    """The fact that pack was given."""
    match value:
        case {"refusal": [str() as code, dict() as facts, list() as remedies]}:
            return Refusal(code, {name: unpack(fact) for name, fact in facts.items()}, tuple(remedies))
        case {"time": str() as text}:
            return datetime.fromisoformat(text)
        case {"bytes": str() as text}:
            return bytes.fromhex(text)
        case list():
            return tuple(unpack(each) for each in value)
    return value
