"""What is wrong with the rows of a list, in the language of whoever reads it.

The sentences are made in English where a row is read, as they go into the CSV of all errors, too. Here they are found
again by their form, `[row_rules]` of the language files, and said in another language; a test makes every one of them.
"""

import re
from functools import cache

from bulkpoint.views.languages import words

_FIELD = re.compile(r"\\{(\w+)\\}")
# Columns and how many: short, and never what a person has typed. Everything else may be any text.
_NARROW = {
    "column": r"\w+",
    "row": r"[\d,]+",
    "rows": r"[\d, ]+",
    "number": r"[\d,.]+",
    "count": r"\d+ values?",
    "given": r"""(?:'[^']*'|"[^"]*"|.+?)""",
}
_LINES = ("many_rows", "one_row")


def row_problem(line: str, language: str) -> str:
    """One line about rows, as Problems.summed_up gives it; what is not known stays as it is."""
    if language == "en":
        return line
    for name in _LINES:
        if found := re.fullmatch(_pattern(name), line, re.DOTALL):
            facts = found.groupdict()
            return _said(name, language, {**facts, "rule": _rules(facts["rule"], language)})
    return _rules(line, language)


def _rules(text: str, language: str) -> str:
    """One sentence after the other."""
    said = []
    while text:
        for name in words("en")["row_rules"]:
            if name not in _LINES and (found := re.match(_pattern(name) + r"(?: |$)", text, re.DOTALL)):
                said.append(_said(name, language, found.groupdict()))
                text = text[found.end() :]
                break
        else:
            return " ".join([*said, text])
    return " ".join(said)


def _said(name: str, language: str, facts: dict[str, str]) -> str:
    form: str = words(language)["row_rules"][name]
    if "count" in facts:
        facts = {**facts, "count": facts["count"].split()[0] + "개"} if language == "ko" else facts
    return form.format_map(facts)


@cache
def _pattern(name: str) -> str:
    form = re.escape(words("en")["row_rules"][name])
    return _FIELD.sub(
        lambda found: f"(?P<{found[1]}>{_NARROW.get(found[1], '.+?' if name not in _LINES else '.+')})", form
    )
