"""Any text comes back from an array literal as it went in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkpoint.store.connect import connect
from bulkpoint.store.payment import numbers, texts

# PostgreSQL's text holds every character but NUL; lone surrogates are no text.
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))


def test_texts_come_back_as_they_went_in(database_url: str) -> None:
    with connect(database_url) as connection:

        @settings(max_examples=200, deadline=None)
        @given(st.lists(st.none() | TEXT | st.sampled_from(["", "null", "NULL", "{}", '"', "\\", '\\"', ",", " x "])))
        def round_trip(values: list[str | None]) -> None:
            assert connection.execute(b"select %s::text[]", (texts(values),)).fetchone() == (values,)

        round_trip()


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"select %s::bigint[]", []),
        (b"select %s::bigint[]", [1, None, -5]),
        (b"select %s::boolean[]", [True, None, False]),
        (b"select %s::float8[]", [1.5, None, 1_700_000_000.123456]),
    ],
)
def test_numbers_come_back_as_they_went_in(query: bytes, values: list[float | None], database_url: str) -> None:
    with connect(database_url) as connection:
        assert connection.execute(query, (numbers(values),)).fetchone() == (values,)
