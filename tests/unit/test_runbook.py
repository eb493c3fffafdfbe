"""The runbook quotes what people see: those words are really what the program says."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
# What stands for a number, a name or more words in a quotation.
PLACEHOLDER = re.compile(r"\bN\b|\bM\b|\bID\b|\.\.\.")


def quotations() -> list[str]:
    """The first cell of each row of the runbook's tables, where it quotes."""
    cells = re.findall(r"^\| (`.+?) \|", (PROJECT / "docs" / "runbook.md").read_text(), re.M)
    return [quoted for cell in cells for quoted in re.findall(r"`(.+?)`", cell)]


@pytest.fixture(scope="module")
def what_the_program_says() -> str:
    sources = [*(PROJECT / "bulkpoint").rglob("*.py"), PROJECT / "bulkpoint/views/languages/en.toml"]
    return "\n".join(source.read_text() for source in sources)


def test_there_are_quotations() -> None:
    assert len(quotations()) > 20


@pytest.mark.parametrize("quoted", quotations())
def test_a_quotation_of_the_runbook_is_what_the_program_says(quoted: str, what_the_program_says: str) -> None:
    for piece in PLACEHOLDER.split(quoted):
        assert piece.strip(" :,") in what_the_program_says
