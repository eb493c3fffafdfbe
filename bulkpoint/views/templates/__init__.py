"""Pages as Jinja2 templates: everything that is put into one is escaped, and a name that is missing is an error.

A page has no script, and no style but the one stylesheet: a page that is a file contains it (page.html.j2, block
`style`), a page that a server sends may link it instead. So no element has a style of its own.
"""

import base64
import hashlib
from datetime import datetime
from functools import cache
from importlib import resources

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from bulkpoint.text import visible
from bulkpoint.views.format import duration, local_time, share
from bulkpoint.views.languages import phrase, words

STYLESHEET = "page.css"


def render(template: str, *, language: str, timezone: str, **values: object) -> str:
    """A whole page in ko or en; its times are of `timezone`."""
    page = _environment().get_template(template)
    return page.render(language=language, timezone=timezone, say=words(language)["page"], **values)


def stylesheet() -> str:
    """The text of the one stylesheet."""
    return resources.files(__name__).joinpath(STYLESHEET).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = make_environment(PackageLoader("bulkpoint.views", "templates"))
    style = stylesheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals |= {"stylesheet": Markup(style), "stylesheet_hash": f"sha256-{digest}"}  # noqa: S704 (our file)
    return environment


def make_environment(loader: BaseLoader) -> Environment:
    """How every page is filled, by our own filters; `language` and `timezone` must be among a page's values."""
    environment = Environment(
        loader=loader,
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "figure": lambda number: f"{number:,}" if isinstance(number, int) else f"{number:,.0f}",  # a sum stays exact
        "fill": str.format,
        "local": _local,
        "lasted": _lasted,
        "share": share,
    }
    environment.globals["phrase"] = _phrase
    return environment


def _visible(value: object) -> object:
    """What a page shows of a text: characters that cannot be seen are named."""
    return visible(value) if type(value) is str else value


@pass_context
def _local(context: Context, moment: datetime) -> str:
    return local_time(moment, context["timezone"])


@pass_context
def _lasted(context: Context, seconds: float) -> str:
    return duration(seconds, context["language"])


@pass_context
def _phrase(context: Context, path: str, **facts: object) -> str:
    return phrase(context["language"], path, **facts)
