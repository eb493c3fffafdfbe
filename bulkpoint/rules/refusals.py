"""Why something is not done, as a value: a code for programs, the facts, and what a person may do instead.

No sentence is made here: views/sentences.py makes it at the edge, from the language files, with the commands it names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal.

    code: stable, listed in docs/errors.md; its sentence is `errors.<code>` of the language files. facts: what the
    sentence is filled with, plain values, times aware; a Refusal among them becomes a part of the sentence. remedies:
    what helps, each `remedies.<name>` of the language files, filled with the same facts.
    """

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    remedies: tuple[str, ...] = ()
