"""Named statements: sql/queries/*.sql, each after a line `-- name: what_it_does`.

A line `-- include: fragment` (or `-- include: fragment,`) stands for the text of sql/fragments/fragment.sql: code
that several statements share is written once, and PostgreSQL still sees one statement. Comments are not sent: a % in
one would be read as a parameter.
"""

import re
from functools import cache

from bulkpoint import files
from bulkpoint.rules.invariants import invariant

MARK = "-- name: "
_INCLUDE = re.compile(r"^-- include: (\w+)(,?)$", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


@cache
def _statements() -> dict[str, bytes]:
    statements: dict[str, bytes] = {}
    for file in files.list_names("sql/queries"):
        for part in files.read_text(f"sql/queries/{file}").split(MARK)[1:]:
            head, _, statement = part.partition("\n")
            name = head.strip()
            invariant(name not in statements, f"two statements are named {name}")
            statements[name] = _COMMENT.sub("", _INCLUDE.sub(_fragment, statement)).strip().encode()
    return statements


def _fragment(include: re.Match[str]) -> str:
    return files.read_text(f"sql/fragments/{include[1]}.sql").strip() + include[2]


def sql(name: str) -> bytes:
    """The statement of that name, with %(named)s parameters to bind."""
    return _statements()[name]
