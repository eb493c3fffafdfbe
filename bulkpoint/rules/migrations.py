"""Migrations by their names, and which of them a version of the code needs.

    sql/migrations/NNNN_before_what_it_does.sql    applied before the code of its version is deployed
    sql/migrations/NNNN_after_what_it_does.sql     applied after that

A version's `before` ones come first. The previous version's code still runs on a database that has them: they add a
table, a column with a default, an index. What would break that code (a column or a value that is removed, a rule that
it violates) is an `after` one. So a new version is deployed without downtime: `bulkpoint db migrate --before`, the new
code everywhere, `bulkpoint db migrate`.
"""

import re
from collections.abc import Collection

from bulkpoint.rules.refusals import Refusal

_NAME = re.compile(r"\d{4}_(before|after)_[a-z0-9_]+\.sql")


def needed(shipped: Collection[str]) -> list[str]:
    """What must be applied before this code runs, in order: all but the `after` ones at the end."""
    names = sorted(shipped)
    while names and _is_after(names[-1]):
        names.pop()
    return names


def refusal(shipped: Collection[str], applied: Collection[str]) -> Refusal | None:
    """Why this code, which came with the migrations `shipped`, does not fit the database; None where it does."""
    known, found = set(shipped), set(applied)
    newer = max((name for name in found - known if _is_after(name)), default=None)
    if newer is not None:
        return Refusal("DATABASE_NEWER", {"migration": newer}, ("use_newer_version",))
    if set(needed(shipped)) - found:
        return Refusal("DATABASE_OLDER", {}, ("migrate_database",))
    return None


def _is_after(name: str) -> bool:
    form = _NAME.fullmatch(name)
    # A name of another form comes from an unknown version, which may have changed anything.
    return form is None or form[1] == "after"
