"""The words of the page: one TOML file a language, one table a page; every file has the same keys and fields."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from bulkpoint.views.languages import LANGUAGES

__all__ = ["LANGUAGES", "web_words"]


@cache
def web_words(language: str) -> dict[str, Any]:
    """The tables of one language: `web_words("ko")["limit"]["title"]`."""
    file = resources.files("bulkpoint.web").joinpath("languages", f"{language}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
