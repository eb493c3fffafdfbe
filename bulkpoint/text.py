"""Text from others (members, reasons, names, the money API's messages), made safe for the place where it is shown.

One function for each place. Pages need none: their templates escape everything (views/templates).
"""

import re
import unicodedata

# A class of characters without a shape of their own, for the regular expressions of Python and PostgreSQL: format
# characters (Unicode category Cf: byte order mark, zero-width and soft-hyphen marks, marks that turn the line around),
# those that Unicode lets a program ignore, Hangul fillers, the empty braille pattern.
INVISIBLE = (
    r"\u00AD\u034F\u0600-\u0605\u061C\u06DD\u070F\u0890\u0891\u08E2\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F"
    r"\u202A-\u202E\u2060-\u206F\u2800\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB\U000110BD\U000110CD"
    r"\U00013430-\U0001343F\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF"
)
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
# What letters and emoji of many languages are joined and varied with: part of good text.
_JOINERS = re.compile(r"[\u034F\u200C\u200D\u180B-\u180F\uFE00-\uFE0F\U000E0020-\U000E007F\U000E0100-\U000E01EF]")
_CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection"); Korean, Japanese and
# Chinese ones also their wide and other forms (all that NFKC turns into them).
_SIGNS = "=+@\\-＝﹦⁼₌⩵⩶＋﹢⁺₊﬩－﹣−⁻₋＠﹫"
# What it may take away first, or not show: space, control and format characters, letters and marks without a shape.
_NOT_SEEN = (
    r"\s\x00-\x20\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    r"\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e01ef"
)
_FORMULA = re.compile(rf"[\t\r\n]|[{_NOT_SEEN}]*[{_SIGNS}]")


def escaped(text: str) -> str:
    """For a terminal: what could move the cursor becomes `\\x1b`, what cannot be seen `<U+FEFF>`."""
    if text.isascii() and text.isprintable():
        return text
    text = _INVISIBLE.sub(_code_point_of, text)
    return text if text.isprintable() else "".join(map(_escaped_character, text))


def visible(text: str) -> str:
    """For a page: what cannot be seen, or turns the line around, becomes `<U+202E>`; line ends stay."""
    return text if text.isascii() else _INVISIBLE.sub(_code_point_of, text)


def unseen(text: str) -> str | None:
    """The first character of a text that cannot be seen; None without one. Joiners are part of good text."""
    return next((found[0] for found in _INVISIBLE.finditer(text) if not _JOINERS.match(found[0])), None)


def code_point(character: str) -> str:
    """U+FEFF, as Unicode's tables name it."""
    return f"U+{ord(character):04X}"


def _code_point_of(found: re.Match[str]) -> str:
    return found[0] if _JOINERS.match(found[0]) else f"<{code_point(found[0])}>"


def _escaped_character(character: str) -> str:
    if unicodedata.category(character) in _CONTROL_CATEGORIES:
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character


def quoted(text: str, characters_max: int) -> str:
    """For a sentence about a wrong value: in quotes, so that spaces at its ends are seen, and not too much of it."""
    shown = repr(_INVISIBLE.sub(lambda found: f"<{code_point(found[0])}>", text[:characters_max]))
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
    return f"'{value}" if value and _FORMULA.match(value) else value
