"""Why a run ended, in the reader's language.

A run's reason is stored, and published, as one English sentence: events and `--json` have always had it so. It is
made from the templates of the language files and nowhere else, so what it says can be read back from it, fact by fact,
and said again in another language. What a person wrote as a reason fits no template and stays as it is.
"""

import re
from functools import cache
from string import Formatter
from typing import NamedTuple

from bulkpoint.rules.answers import Halt
from bulkpoint.views.languages import phrase, words

# A halt may follow what the driver had given the run up for (sql/fragments/set_halt.sql).
_NEXT_HALT = re.compile(f"; (?=(?:{'|'.join(Halt)}): )")
# Tables whose texts come inside a reason, besides its own.
_PARTS = ("end_reasons", "waiting", "causes", "outcomes")
_PARTS_OF = {"parts": ("SPARK_",), "errors": ("DATABASE_",), "remedies": ("grant_", "repair_", "check_database")}
_AFTER_A_REFUSAL = ("more_", "check_database")
# A reason has a fact in a fact in a fact: "MONEY_UNAVAILABLE: ... for ...: money cannot be reached at ... (...)".
_NESTED_MAX = 6


class _Template(NamedTuple):
    path: str
    pattern: re.Pattern[str]
    literal: int


def end_reason(code: str, /, **facts: object) -> str:
    """The English sentence that is stored: `end_reason("DRIVER_GONE")`."""
    return phrase("en", f"end_reasons.{code}", **facts)


def reason_in(language: str, reason: str) -> str:
    """A stored reason in this language; facts, and what fits no template, as they are."""
    if language == "en":
        return reason
    return "; ".join(_said_again(part, language, _NESTED_MAX) for part in _NEXT_HALT.split(reason))


def _said_again(text: str, language: str, levels: int) -> str:
    for path, remedy in _remedies().items() if levels else ():
        if text.endswith(f" {remedy}"):
            said = _said_again(text.removesuffix(f" {remedy}"), language, levels - 1)
            return f"{said} {_text_of(language, path)}"
    for template in _templates() if levels else ():
        match = template.pattern.fullmatch(text)
        if match is not None:
            facts = {name: _said_again(fact, language, levels - 1) for name, fact in match.groupdict().items()}
            return _text_of(language, template.path).format_map(facts)
    return text


def _text_of(language: str, path: str) -> str:
    """A template whose figures are texts already: without their formats."""
    table, _, key = path.partition(".")
    parts = Formatter().parse(words(language)[table][key])
    return "".join(
        literal.replace("{", "{{").replace("}", "}}") + ("" if name is None else f"{{{name}}}")
        for literal, name, _, _ in parts
    )


@cache
def _remedies() -> dict[str, str]:
    """What is said after a refusal of the database, and has no fact in it."""
    table = words("en")["remedies"]
    return {
        f"remedies.{key}": text for key, text in table.items() if key.startswith(_AFTER_A_REFUSAL) and "{" not in text
    }


@cache
def _templates() -> list[_Template]:
    """What a reason, or a fact of one, can be: a halt first, then what has the most words of its own."""
    table = words("en")
    found = [_template(f"{name}.{key}", text) for name in _PARTS for key, text in table[name].items()]
    for name, begins in _PARTS_OF.items():
        found += [_template(f"{name}.{key}", text) for key, text in table[name].items() if key.startswith(begins)]
    return sorted(found, key=lambda template: (template.path.partition(".")[2] not in set(Halt), -template.literal))


def _template(path: str, text: str) -> _Template:
    pattern, seen, literal_characters = "", set(), 0
    for literal, name, _, _ in Formatter().parse(text):
        pattern += re.escape(literal)
        literal_characters += len(literal)
        if name is not None:
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
            seen.add(name)
    return _Template(path, re.compile(pattern, re.DOTALL), literal_characters)
