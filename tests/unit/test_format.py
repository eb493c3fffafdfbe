"""Figures, times and tables as people read them."""

import unicodedata

import pytest
from rich.cells import cell_len

from bulkpoint.views.format import aligned, cut

DECOMPOSED = unicodedata.normalize("NFD", "추석 감사")


@pytest.mark.parametrize("word", ["추석 감사", DECOMPOSED, "e\u0301te\u0301", "생일 🎂", "👨\u200d👩\u200d👧"])
def test_columns_stand_under_their_heads_whatever_the_letters(word: str) -> None:
    rows = [("REASON", "POINTS"), (word, "5"), ("a long reason in Latin", "1,000")]
    assert len({cell_len(line) for line in aligned(rows, left=("REASON",))}) == 1


def test_decomposed_hangul_is_as_wide_as_the_same_word_composed() -> None:
    rows = [("NAME", "N"), ("추석 감사", "1"), (DECOMPOSED, "1")]
    _, composed, decomposed = aligned(rows, left=("NAME",))
    assert unicodedata.normalize("NFC", decomposed) == composed


@pytest.mark.parametrize("text", ["추석 감사 포인트 적립", unicodedata.normalize("NFD", "추석 감사 포인트 적립")])
def test_a_text_is_cut_to_the_cells_there_are(text: str) -> None:
    shown = cut(text, 12)
    assert cell_len(shown) <= 12
    assert unicodedata.normalize("NFC", shown) == "추석 감사..."
    assert cut(text, 21) == text
