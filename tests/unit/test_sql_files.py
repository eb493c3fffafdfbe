"""The rules of sql/: names, lengths, one home for each statement."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from bulkpoint import files
from bulkpoint.store.sql import MARK, sql

LINE_CHARACTERS_MAX = 120
STORE = Path(__file__).parents[2] / "bulkpoint" / "store"
SQL = sorted(Path(str(files.find("sql"))).rglob("*.sql"))
QUERIES = [path for path in SQL if path.parent.name == "queries"]


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.name)
def test_a_line_is_no_longer_than_the_screen(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert not [f"{number}: {line}" for number, line in enumerate(lines, 1) if len(line) > LINE_CHARACTERS_MAX]


def names_in(path: Path) -> set[str]:
    return set(re.findall(rf"^{MARK}(\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.name)
def test_a_file_of_statements_belongs_to_the_module_of_its_name_which_uses_all_of_them(path: Path) -> None:
    module = STORE / f"{path.stem}.py"
    words = set(re.findall(r'"(\w+)"', module.read_text(encoding="utf-8")))
    assert names_in(path) <= words, f"statements of {path.name} that {module.name} does not use"
    others = set().union(*(names_in(other) for other in QUERIES if other != path))
    asked = set(re.findall(r'\bsql\(\s*"(\w+)"', module.read_text(encoding="utf-8")))
    assert not asked & others, f"statements that {module.name} uses, and that are not in {path.name}"


def test_migrations_are_numbered_without_a_gap_and_say_when_they_are_applied() -> None:
    names = files.list_names("sql/migrations")
    assert [name for name in names if not re.fullmatch(r"\d{4}_(before|after)_[a-z0-9_]+\.sql", name)] == []
    numbers = [int(name[:4]) for name in names]
    assert all(later == earlier + 1 for earlier, later in pairwise([0, *numbers]))


def test_every_fragment_is_used_and_none_is_sent_as_a_comment() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in QUERIES)
    included = set(re.findall(r"^-- include: (\w+),?$", text, re.MULTILINE))
    assert included == {name.removesuffix(".sql") for name in files.list_names("sql/fragments")}
    for name in re.findall(rf"^{MARK}(\w+)$", text, re.MULTILINE):
        assert b"--" not in sql(name), name
