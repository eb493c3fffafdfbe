"""The words of the page: one TOML file a language, one table a page; every file has the same keys and fields."""

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from bulkpoint.errors import BulkpointError
from bulkpoint.rules.refusals import Refusal
from bulkpoint.views.languages import LANGUAGES, words
from bulkpoint.views.sentences import sentence

__all__ = ["LANGUAGES", "web_sentence", "web_words"]

# What helps at a command line only: a command, an option, a setting of the host.
_OF_A_COMMAND_LINE = re.compile(r"bulkpoint |--[a-z]|BULKPOINT_|PGPASSFILE")


@cache
def web_words(language: str) -> dict[str, Any]:
    """The tables of one language: `web_words("ko")["limit"]["title"]`."""
    file = resources.files("bulkpoint.web").joinpath("languages", f"{language}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def web_sentence(refused: BulkpointError | Refusal, *, language: str, timezone: str) -> str:
    """A refusal for people who have no command line: what helps is said where it helps here, too.

    The words' [refusals] and [remedies] say for the page what the command line says in other words.
    """
    ours = web_words(language)
    return sentence(
        refused, language=language, timezone=timezone, errors=ours["refusals"], remedies=_remedies(language)
    )


@cache
def _remedies(language: str) -> dict[str, str]:
    theirs = words(language)["remedies"]
    unfit = {name: "" for name, text in theirs.items() if _OF_A_COMMAND_LINE.search(text)}
    ours: dict[str, str] = web_words(language)["remedies"]
    return unfit | ours
