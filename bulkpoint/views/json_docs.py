"""docs/json.md and docs/json.schema.json, made from the views: what each command prints with --json.

`python -m bulkpoint.views.json_docs` writes both (make docs), and a test compares them with the views.
"""

import importlib
import itertools
import json
import pkgutil
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bulkpoint import views
from bulkpoint.views.changes import RunBegun
from bulkpoint.views.month import MonthView
from bulkpoint.views.reconcile import ComparedView
from bulkpoint.views.view import View


class ErrorBody(View):
    """Why nothing was done, or what could not be done. code: stable; message: the sentence that is on stderr too.

    facts: what the message is filled with.
    """

    code: str
    message: str
    facts: dict[str, Any]


class ErrorView(View):
    """On stdout where a command ends with 2 to 6, alone or as a member of its result; docs/errors.md has the codes."""

    error: ErrorBody


DOCS = Path(__file__).parents[2] / "docs"

# When a command prints its second view.
OTHERWISE = {
    RunBegun: "With --detach, and where `next` finds no campaign to start:",
    ComparedView: "With --settlement:",
    MonthView: "With --month:",
}


def printed() -> dict[str, tuple[type[View], ...]]:
    """What each command prints, by the views themselves; the one that its options choose comes last."""
    for module in pkgutil.iter_modules(views.__path__, f"{views.__name__}."):
        if module.name != __name__:
            importlib.import_module(module.name)
    found: dict[str, list[type[View]]] = {}
    waiting = list(View.__subclasses__())
    for view in waiting:
        waiting += view.__subclasses__()
        for command in view.__dict__.get("printed_by", ()):
            found.setdefault(command, []).append(view)
    return {command: tuple(sorted(found[command], key=OTHERWISE.__contains__)) for command in sorted(found)}


WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

_HEAD = """\
# What commands print with --json

Made from `bulkpoint/views/` by `make docs`; [json.schema.json](json.schema.json) is the same as a JSON Schema, with a
property for each command.

stdout has one object on one line, in UTF-8, letters of every alphabet as they are; `campaign watch` prints an object a
line until the run ends. Times are RFC 3339 in UTC, amounts are points, and `null` stands where there is nothing to say.
Exit codes are those of the README, with --json or without it. A result that comes with one other than 0 (`check` 5,
`campaign preview`, `audit verify`, `reconcile` and `outbox relay` 3, a run that was stopped 4 or failed 5) has the
member `error` too; of `campaign watch` that is the last line. Fields may be added; none goes or changes its meaning.
"""


def schema() -> dict[str, Any]:
    """A JSON Schema with a property for each command, and `error` for a command that is refused."""
    by_command = printed()
    models: list[type[BaseModel]] = list(dict.fromkeys([ErrorView, *itertools.chain(*by_command.values())]))
    places, whole = models_json_schema([(model, "serialization") for model in models])
    refs = {model: places[model, "serialization"] for model in models}
    properties: dict[str, Any] = {"error": refs[ErrorView]}
    for command, its in by_command.items():
        properties[command] = refs[its[0]] if len(its) == 1 else {"anyOf": [refs[view] for view in its]}
    kinds: dict[str, Any] = {}
    _reach(properties, _plain(whole["$defs"]), kinds)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bulkpoint --json",
        "properties": properties,
        "$defs": dict(sorted(kinds.items())),
    }


def schema_text() -> str:
    """The text of docs/json.schema.json: a line for each view and for each command."""
    parts = []
    for name, value in schema().items():
        if isinstance(value, dict):
            inside = ",\n".join(f"    {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items())
            parts.append(f"  {json.dumps(name)}: {{\n{inside}\n  }}")
        else:
            parts.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def document() -> str:
    """The text of docs/json.md."""
    kinds = schema()["$defs"]
    lines = [_HEAD, "## A refusal, and any other end with exit code 2 to 6", "", *_view(ErrorView.__name__, kinds)]
    shown: dict[tuple[type[BaseModel], ...], str] = {}
    for command, its in printed().items():
        lines += [f"## {command}", ""]
        if its in shown:
            lines += [f"As [{shown[its]}](#{shown[its].replace(' ', '-')}).", ""]
            continue
        shown[its] = command
        for view in its:
            if view in OTHERWISE:
                lines += [OTHERWISE[view], ""]
            lines += _view(view.__name__, kinds)
    return "\n".join(lines).rstrip("\n") + "\n"


def _view(name: str, kinds: dict[str, Any], *, indent: bool = False) -> Iterator[str]:
    """A view in words with a table of its fields, followed by the views inside it."""
    view = kinds[name]
    inside: list[str] = []
    description = " ".join(view["description"].split())
    yield textwrap.fill(f"**{name}**: {description}" if indent else description, width=120, break_long_words=False)
    yield ""
    fields = view.get("properties") or {"(name)": view["additionalProperties"]}
    yield "| field | type |"
    yield "|---|---|"
    for field, kind in fields.items():
        yield f"| `{field}` | {_type(kind, kinds, inside)} |"
    yield ""
    for each in dict.fromkeys(inside):
        yield from _view(each, kinds, indent=True)


def _type(kind: dict[str, Any], kinds: dict[str, Any], inside: list[str]) -> str:
    """A type in words; names of views inside go to `inside`."""
    match kind:
        case {"anyOf": each_of}:
            said = " or ".join(_type(each, kinds, inside) for each in each_of)
        case {"enum": values}:
            said = ", ".join(f"`{value}`" for value in values)
        case {"$ref": ref} if "enum" in (named := kinds[ref.rpartition("/")[2]]):
            said = _type(named, kinds, inside)
        case {"$ref": ref}:
            inside.append(ref.rpartition("/")[2])
            said = f"object: {inside[-1]}"
        case {"type": "array", "items": each}:
            said = f"list of {_type(each, kinds, inside)}"
        case {"additionalProperties": value, "propertyNames": names}:
            said = f"object: {_type(value, kinds, inside)} for each of {_type(names, kinds, inside)}"
        case {"format": "date-time"}:
            said = "time"
        case _:
            said = WORDS.get(kind.get("type", ""), kind.get("type", "any JSON"))
    return said


def _reach(part: Any, all_kinds: dict[str, Any], reached: dict[str, Any]) -> None:
    """Add to `reached` what a part of the schema refers to; not what only a text of a view needs."""
    if isinstance(part, dict):
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if name and name not in reached:
            reached[name] = all_kinds[name]
            _reach(reached[name], all_kinds, reached)
        for each in part.values():
            _reach(each, all_kinds, reached)
    elif isinstance(part, list):
        for each in part:
            _reach(each, all_kinds, reached)


def _plain(part: Any) -> Any:
    """Without titles, which say a field's name again, and without an enum's docstring."""
    if isinstance(part, dict):
        left_out = {"title", "description"} if "enum" in part else {"title"}
        return {key: _plain(each) for key, each in part.items() if not (key in left_out and isinstance(each, str))}
    return [_plain(each) for each in part] if isinstance(part, list) else part


def write(folder: Path = DOCS) -> Iterable[Path]:
    """Write both files into a folder; returns their paths."""
    written = {folder / "json.md": document(), folder / "json.schema.json": schema_text()}
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return written


if __name__ == "__main__":
    for path in write():
        print(f"wrote {path}")
