"""All texts for people, one TOML file per language: every file has the same keys, with the same fields in them."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

LANGUAGES = ("ko", "en")


@cache
def words(language: str) -> dict[str, Any]:
    """The tables of one language: `words("ko")["errors"]["CAMPAIGN_UNKNOWN"]`."""
    return tomllib.loads(resources.files(__name__).joinpath(f"{language}.toml").read_text(encoding="utf-8"))


def phrase(language: str, path: str, /, **facts: Any) -> str:
    """One text, filled with facts: `phrase("ko", "alerts.ON_HOLD", campaign_id=3)`."""
    found: Any = words(language)
    for key in path.split("."):
        found = found[key]
    filled: str = found.format_map(facts)
    return filled
