"""A document and its Korean version (`x.ko.md`) do not drift apart: what both must have is compared, not the prose."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
KOREAN = sorted([*PROJECT.glob("*.ko.md"), *PROJECT.glob("docs/**/*.ko.md")])
LANGUAGE_FILES = [PROJECT / "bulkpoint" / room / "languages" / "ko.toml" for room in ("web", "views")]

FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
FOR_PEOPLE = re.compile(r' *#.*|(?<=--name )"[^"]*"')  # in a block: comments, and the name of a campaign
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")  # inside the repository


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def english_of(korean: Path) -> Path:
    return korean.with_name(korean.name.removesuffix(".ko.md") + ".md")


def prose(text: str) -> str:
    return FENCED.sub("", text)


def levels(text: str) -> list[str]:
    return re.findall(r"^#+(?= )", prose(text), re.M)


def blocks(text: str) -> list[str]:
    return [FOR_PEOPLE.sub("", block) for block in FENCED.findall(text)]


def tables(text: str) -> list[list[int]]:
    """The number of bars in each row, table by table."""
    found = re.findall(r"(?:^\|.*\n)+", prose(text), re.M)
    return [[len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()] for table in found]


def in_backticks(text: str) -> set[str]:
    """Commands, options, settings, codes and all else that the program takes or says."""
    return {" ".join(words.split()) for words in re.findall(r"`([^`]+)`", prose(text))}


def anchors(text: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name_of(document: Path) -> str:
    return str(document.relative_to(PROJECT))


each_korean_document = pytest.mark.parametrize("korean", KOREAN, ids=name_of)


def test_there_are_korean_documents() -> None:
    assert {"README.ko.md", "docs/runbook.ko.md"} <= {name_of(document) for document in KOREAN}


@each_korean_document
def test_both_versions_name_each_other(korean: Path) -> None:
    english = english_of(korean)
    assert f"\n한국어: [{korean.name}]({korean.name})\n" in text_of(english)
    assert f"\nEnglish: [{english.name}]({english.name})\n" in text_of(korean)


@each_korean_document
def test_both_versions_have_the_same_sections_blocks_and_tables(korean: Path) -> None:
    ours, english = text_of(korean), text_of(english_of(korean))
    assert levels(ours) == levels(english), "the levels of the headings, in their order"
    assert blocks(ours) == blocks(english), "blocks of code, without comments"
    assert tables(ours) == tables(english), "bars in each row of each table"


@each_korean_document
def test_both_versions_have_the_same_words_in_backticks(korean: Path) -> None:
    ours, english = in_backticks(text_of(korean)), in_backticks(text_of(english_of(korean)))
    assert ours - english == set(), "only in Korean"
    assert english - ours == set(), "only in English"


@each_korean_document
def test_a_link_of_a_korean_document_leads_to_a_korean_one_where_there_is_one(korean: Path) -> None:
    for target, anchor in LINK.findall(text_of(korean)):
        linked = korean.parent / target if target else korean
        assert linked.exists(), target
        assert linked == english_of(korean) or not linked.with_suffix(".ko.md").exists(), f"{target} is there in Korean"
        assert not anchor or anchor in anchors(text_of(linked)), f"{target}#{anchor}"


@each_korean_document
def test_a_korean_document_quotes_what_people_see(korean: Path) -> None:
    shown = "".join(text_of(file) for file in LANGUAGE_FILES)
    quotations = re.findall(r"‘([^’]+)’", " ".join(text_of(korean).split()))
    unseen = [quoted for quoted in quotations if any(piece not in shown for piece in quoted.split("..."))]
    assert unseen == []


# Words that once stood next to the one for the same thing (docs/glossary.md): 반려, 이대로 두기, 확인 사항, 몫,
# money API, 감사 로그, 회원 번호, 이어서 지급, 대사, 보장값, 규격, 따로 두다, 명단 지문.
RETIRED = (
    "승인 거절|그대로 두기|그대로 두겠|확인할 내용|확인할 점|확인된 점|지분|머니|(?<!-)money[가-힣]"
    "|감사 기록|회원 ID|재개|이어서 실행|reconcile ?하|API의? 약속|계약|따로 보관했|대상 목록 지문"
)


@pytest.mark.parametrize("text", [*KOREAN, *LANGUAGE_FILES], ids=name_of)
def test_there_is_one_korean_word_for_each_thing(text: Path) -> None:
    assert re.findall(RETIRED, text_of(text)) == []
