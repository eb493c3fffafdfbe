"""docs/errors.md, made from the language files and from the code that raises each error.

`python -m bulkpoint.views.error_docs` writes it (make docs), and a test compares it with the code.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from bulkpoint.errors import ExitCode
from bulkpoint.views.languages import words

PACKAGE = Path(__file__).parents[1]
DOCS = PACKAGE.parent / "docs"

# The exit code of each class that takes a code. A Refusal has none of its own: it is raised later, or a part.
EXITS = {
    "UsageError": ExitCode.USAGE,
    "InvalidSettingError": ExitCode.USAGE,
    "RefusedError": ExitCode.REFUSED,
    "WrongStateError": ExitCode.REFUSED,
    "StoppedError": ExitCode.STOPPED,
    "FailedError": ExitCode.RUN_FAILED,
    "UnreachableError": ExitCode.UNREACHABLE,
    "DatabaseAwayError": ExitCode.UNREACHABLE,
    "Refusal": None,
}
# Facts that the catcher of such an error adds to its own.
ADDED: dict[str, list[str | None]] = {"InvalidSettingError": ["setting", "value"]}
# The exit code of a code that its class gets through a variable; elsewhere it is RefusedError's.
BY_VARIABLE = {"settings.py": ExitCode.USAGE, "embedded": ExitCode.UNREACHABLE}

_HEAD = """\
# Errors

Made from the language files and the code by `make docs`.

A command that ends with exit code 2 to 6 says why in one sentence on stderr. With `--json` it says the same on stdout,
in exactly one object:

```json
{"error": {"code": "CAMPAIGN_UNKNOWN", "message": "There is no campaign 9. ...", "facts": {"campaign_id": 9}}}
```

- `code` is stable: rely on it. A code is never given another meaning; new ones may come.
- `message` is for people, in English: the sentence of the table, filled with the facts, and what helps. Its wording may
  change.
- `facts` are what the sentence is made of: numbers, text, times (RFC 3339 in UTC), lists. More may be added. A fact
  that is itself `{"code": ..., "facts": ...}` is a part of the sentence: a code of either list below.

Some commands have a result although they end with 3, 4 or 5: `check`, `campaign preview`, `audit verify`, `reconcile`,
`outbox relay`, and `campaign start`, `resume` and `retry` of a run that was stopped or failed. Their one object is that
result ([json.md](json.md)) with the member `error` in it. `campaign watch` prints an object a line: the error is the
last line. A command that a signal ended (128 + n) prints no error.

What click, the library that reads the command line, has to say is `USAGE`, with its words in the fact `why`. A job that
`campaign start` began hands its own error over, so the command ends with the job's code, facts and exit code.
"""


@dataclass(frozen=True)
class Site:
    """One place in the source that makes an error or a refusal with a literal code.

    facts, remedies: by their names; None if they come from a variable.
    """

    place: str
    kind: str
    code: str
    facts: frozenset[str] | None
    remedies: tuple[str, ...] | None


def sites() -> Iterator[Site]:
    """Every place in the package where an error or refusal is made with a literal code."""
    for path, tree in _modules():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in EXITS and call.args:
                for code in _codes(call.args[0]):
                    place = f"{path.relative_to(PACKAGE)}:{call.lineno}"
                    facts, remedies = _of_refusal(call) if call.func.id == "Refusal" else _of_error(call)
                    yield Site(place, call.func.id, code, facts, remedies)


def texts() -> dict[str, set[str]]:
    """Every string literal of the package, with the modules it is in."""
    found: dict[str, set[str]] = {}
    for path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, set()).add(str(path.relative_to(PACKAGE)))
    return found


def fields(text: str) -> set[str]:
    """The facts that a text of the language files is filled with; `days_ago_words` is made of the fact `days_ago`."""
    return {name.removesuffix("_words") for _, name, _, _ in Formatter().parse(text) if name is not None}


def document() -> str:
    """The text of docs/errors.md."""
    english = words("en")
    by_code: dict[str, list[Site]] = {}
    for site in sites():
        by_code.setdefault(site.code, []).append(site)
    mentioned, tabled = texts(), _remedies_in_tables()
    lines = [_HEAD, "## Codes\n", "| code | exit | sentence | what helps | facts |", "|---|---|---|---|---|"]
    for code, text in sorted(english["errors"].items()):
        found = by_code.get(code, [])
        exits = {end for site in found if (end := EXITS[site.kind]) is not None}
        remedies = dict.fromkeys(name for site in found for name in site.remedies or ())
        remedies |= dict.fromkeys(tabled.get(code, ()))
        facts = fields(text).union(*(site.facts or () for site in found))
        cells = (
            f"`{code}`",
            _exits(exits or map(_exit_by_variable, mentioned.get(code, ()))),
            _cell(text),
            _names(remedies),
        )
        lines.append(f"| {' | '.join(cells)} | {_names(sorted(facts))} |")
    lines += ["\n## Parts\n", "They come inside an error, as a fact.\n", "| code | words | facts |", "|---|---|---|"]
    lines += [
        f"| `{code}` | {_cell(text)} | {_names(sorted(fields(text)))} |"
        for code, text in sorted(english["parts"].items())
    ]
    lines += ["\n## What helps\n", "| name | sentence |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(text)} |" for name, text in sorted(english["remedies"].items())]
    return "\n".join(lines) + "\n"


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != Path(__file__):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def _remedies_in_tables() -> dict[str, tuple[str, ...]]:
    """Of tables in the code that have a code and then its remedies: `("CODE", ("remedy",))`."""
    found = {}
    for _, tree in _modules():
        for node in ast.walk(tree):
            match node:
                case ast.Tuple(elts=[ast.Constant(value=str() as code), ast.Tuple(elts=names)]):
                    found[code] = _literal(names) or ()
    return found


def _codes(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str() as code):
            yield code
        case ast.IfExp():
            yield from _codes(node.body)
            yield from _codes(node.orelse)
        case ast.JoinedStr() | ast.BinOp():  # not a code but a sentence: a test finds it by this
            yield ast.unparse(node)


def _of_error(call: ast.Call) -> tuple[frozenset[str] | None, tuple[str, ...] | None]:
    """`RefusedError("CODE", "remedy", fact=value)`."""
    names = [keyword.arg for keyword in call.keywords]  # None: **facts
    given = names + ADDED.get(ast.unparse(call.func), [])
    facts = None if None in given else frozenset(name for name in given if name is not None)
    return facts, _literal(call.args[1:])


def _of_refusal(call: ast.Call) -> tuple[frozenset[str] | None, tuple[str, ...] | None]:
    """`Refusal("CODE", {"fact": value}, ("remedy",))`."""
    facts: frozenset[str] | None = frozenset()
    if len(call.args) > 1:
        names = _literal(call.args[1].keys) if isinstance(call.args[1], ast.Dict) else None
        facts = None if names is None else frozenset(names)
    if len(call.args) < 3:
        return facts, ()
    return facts, _literal(call.args[2].elts) if isinstance(call.args[2], ast.Tuple) else None


def _literal(nodes: "list[ast.expr] | list[ast.expr | None]") -> tuple[str, ...] | None:
    """The texts, if each is one."""
    found = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return tuple(found) if len(found) == len(nodes) else None


def _exit_by_variable(module: str) -> ExitCode:
    return next((code for begin, code in BY_VARIABLE.items() if module.startswith(begin)), ExitCode.REFUSED)


def _exits(codes: Iterable[ExitCode]) -> str:
    return ", ".join(f"{code:d}" for code in sorted(set(codes)))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def _names(names: "list[str] | dict[str, None]") -> str:
    return " ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    (DOCS / "errors.md").write_text(document(), encoding="utf-8")
