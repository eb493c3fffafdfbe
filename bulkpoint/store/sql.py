"""Named statements: sql/queries/*.sql, each after a line `-- name: what_it_does`."""

from functools import cache

from bulkpoint import files

MARK = "-- name: "


@cache
def _statements() -> dict[str, bytes]:
    statements: dict[str, bytes] = {}
    for file in files.list_names("sql/queries"):
        for part in files.read_text(f"sql/queries/{file}").split(MARK)[1:]:
            name, _, statement = part.partition("\n")
            assert name not in statements, f"two statements are named {name}"
            statements[name.strip()] = statement.strip().encode()
    return statements


def sql(name: str) -> bytes:
    """The statement of that name, with %(named)s parameters to bind."""
    return _statements()[name]
