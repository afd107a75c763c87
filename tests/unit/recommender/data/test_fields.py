from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.data.fields import interaction, titled_item
from recommender.data.tables import BadRow

ROW = {"user_id": "u", "item_id": "i", "timestamp": "5"}


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("881250949", 881250949),
        ("8.5e2", 850),
        ("12.9", 12),
        ("-1.5", -2),
        ("+3", 3),
        (str(2**63 - 1), 2**63 - 1),
    ],
)
def test_times(text: str, timestamp: int):
    assert interaction(ROW | {"timestamp": text}) == ("u", "i", timestamp)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "nan", "inf", "-inf", "1e30", str(2**63), "1_0x", "--1", "9" * 5000]
)
def test_what_is_no_time(text: str):
    with pytest.raises(BadRow, match="timestamp"):
        interaction(ROW | {"timestamp": text})


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize("value", ["", "a\nb", "a\x00b", "\udcff", "x" * 257])
def test_what_is_no_id(column: str, value: str):
    with pytest.raises(BadRow, match=f"{column} must be 1 to 256 printable characters"):
        interaction(ROW | {column: value})


def test_a_rating_does_not_matter():
    assert interaction(ROW | {"rating": "rubbish"}) == interaction(ROW)


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ({"item_id": "i", "title": "Heat"}, "Heat"),
        ({"item_id": "i", "year": "1995", "movie_title": "Heat"}, "Heat"),
        ({"item_id": "i", "name": "Heat"}, "Heat"),
        ({"item_id": "i", "title": ""}, "i"),
        ({"item_id": "i"}, "i"),
    ],
)
def test_titles(row: dict[str, str], title: str):
    assert titled_item(row) == ("i", title)


def test_a_title_is_printable():
    with pytest.raises(BadRow, match="title is not printable"):
        titled_item({"item_id": "i", "title": "\udc80"})


@given(st.dictionaries(st.sampled_from(["user_id", "item_id", "timestamp", "title"]), st.text()))
def test_no_cells_whatever_make_it_crash(row: dict[str, str]):
    for parse in (interaction, titled_item):
        with suppress(BadRow):
            parse(row)
