"""The bench's page: every contender in the tables, what is missing named, plots that are well-formed SVG."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench.contenders import Paid
from bench.page import write_page
from bench.plots import Bar, Move, Moves, bars, moves

MACHINE = {"cores": 2, "memory_gib": 4.0, "system": "Linux", "loop_s": {"smallest": 0.2, "largest": 0.3}}


def paid(payments_s: float = 100.0, worst: int = 90, sent: int = 80, share: float | None = 0.5) -> Paid:
    return Paid(payments_s, {"workers": 200.0, "PostgreSQL": 40.0}, 1_000.0, worst, sent, 3.0, share)


@pytest.fixture
def page(tmp_path: Path) -> str:
    fast = {"bulkpoint": [paid(200), paid(300)], "<Celery>": [paid(100), paid(50)]}
    direct = {"bulkpoint": [paid(sent=1_000)], "<Celery>": [paid(worst=1_200, share=0.25), paid(share=0.25)]}
    limited = {0: direct, 50: {"bulkpoint": [paid(sent=999, worst=1_010)]}}
    missing = {"DBOS": "no such package"}
    return write_page(tmp_path, MACHINE, fast, limited, missing).read_text()


def test_every_contender_is_compared_with_ours(page: str) -> None:
    assert "| bulkpoint | 250 | 40% | 1.00 | 200 | 1.00 | 40 | 1,000 |" in page
    assert "| <Celery> | 75 | 67% | 4.00 | 200 | 1.00 | 40 | 1,000 |" in page


def test_the_worst_second_is_that_of_all_rounds_and_the_share_a_median(page: str) -> None:
    assert "| <Celery> | 80 | 1,200 | 25.0% | 0.0% | 3 |" in page


def test_sent_received_and_used_have_a_column_for_each_jitter(page: str) -> None:
    assert "| bulkpoint | 1,000 → 90, 50% | 999 → 1,010, 50% |" in page


def test_what_is_missing_is_named(page: str) -> None:
    assert "DBOS was not measured: no such package" in page


def test_the_cpu_of_our_parts_is_shown_by_part(page: str) -> None:
    assert "PostgreSQL 40, workers 200" in page


def test_plots_are_written_next_to_the_page(page: str, tmp_path: Path) -> None:
    for name in ("payments.svg", "exactness.svg"):
        assert f"({name})" in page
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")


def test_a_page_of_few_measurements_has_only_their_sections(tmp_path: Path) -> None:
    page = write_page(tmp_path, MACHINE, {"bulkpoint": [paid()]}, {}, {}).read_text()
    assert "Without limit" in page
    assert "At a limit" not in page


def test_the_longest_bar_is_first_and_ours_has_a_colour_of_its_own() -> None:
    svg = bars("speed", [Bar("slow", 10, 5, 12), Bar("bulkpoint", 20, 19, 21, is_ours=True)])
    assert svg.index("bulkpoint") < svg.index("slow")
    assert 'class="ours"' in svg


def test_names_are_escaped_in_a_plot() -> None:
    svg = moves("<title>", "a & b", [Moves("<i>", [Move("0 ms", 10, 12)])], 11)
    ElementTree.fromstring(svg)
    assert "&lt;i&gt;" in svg


def test_without_values_a_plot_is_an_empty_page() -> None:
    ElementTree.fromstring(bars("speed", []))
    ElementTree.fromstring(moves("exactness", "key", [], 1_000))
