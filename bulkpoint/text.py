"""Text from others (members, reasons, names, the money API's messages), made safe for the place where it is shown.

One function for each place. Pages need none: their templates escape everything (views/templates).
"""

import unicodedata

# Marks that change the direction of writing: what stands before and after them is shown in another order.
_TURNS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection").
FORMULA_BEGINNINGS = frozenset("=+-@\t\r")


def escaped(text: str) -> str:
    """For a terminal: what could move the cursor, or turn the line around, becomes `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(_escaped_character(character) for character in text)


def _escaped_character(character: str) -> str:
    if character in _TURNS or unicodedata.category(character) in _CONTROL_CATEGORIES:
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character


def quoted(text: str, characters_max: int) -> str:
    """For a sentence about a wrong value: in quotes, so that spaces at its ends are seen, and not too much of it."""
    shown = repr(text[:characters_max])
    return shown if len(text) <= characters_max else f"{shown}... ({len(text):,} characters)"


def clean(text: str, characters_max: int) -> str:
    """For a row that is kept: its beginning, with U+FFFD for what a database, terminal or CSV file would refuse."""
    text = text[:characters_max]
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def one_line(text: str, characters_max: int) -> str:
    """For a message of a few lines: on one line, and not too much of it."""
    line = " ".join(text.split())
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"


def escaped_for_slack(text: str) -> str:
    """Slack's three characters: https://api.slack.com/reference/surfaces/formatting#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def defused(value: str | None) -> str | None:
    """For a spreadsheet: a text that it would take for a formula gets a leading apostrophe."""
    return f"'{value}" if value and value[0] in FORMULA_BEGINNINGS else value
