from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inputs import identifier
from recommender.data.cells import BadRow, Cell, Row
from recommender.data.fields import (
    InteractionRows,
    ItemRows,
    lacking_for_interactions,
    lacking_for_items,
    title_column,
    user_of,
)
from recommender.data.interactions import Interaction

ROW: Row = {"user_id": "u", "item_id": "i", "timestamp": "5"}


def interaction(row: Row) -> Interaction:
    return InteractionRows("f.csv")(row, 1)


@pytest.mark.parametrize(
    ("cell", "nanoseconds"),
    [
        ("881250949", 881250949 * 10**9),
        ("8.5e2", 850 * 10**9),
        ("12.9", 12_900_000_000),
        ("+3", 3 * 10**9),
        (" 5 ", 5 * 10**9),
        ("1700000000000", 17 * 10**17),
        ("1700000000000000", 17 * 10**17),
        ("1700000000000000001", 17 * 10**17 + 1),
        (Decimal("1700000000.000000001"), 17 * 10**17 + 1),
        (Decimal("1.7E+12"), 17 * 10**17),
    ],
)
def test_times(cell: Cell, nanoseconds: int):
    assert interaction(ROW | {"timestamp": cell}).nanoseconds == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "yesterday", "nan", "inf", "-inf", "1e30", "-1.5", "1_0x", "--1", "9" * 5000]
)
def test_what_is_no_time(text: str):
    with pytest.raises(BadRow, match=r"^timestamp (must|is)"):
        interaction(ROW | {"timestamp": text})


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is missing"),
        ("NaN", "is missing"),
        ("null", "is missing"),
        ("None", "is missing"),
        ("a\nb", "holds a control character"),
        ("ada\t", "holds a control character"),
        ("\udcff", "undecodable bytes"),
        ("x" * 257, "has more than 256 characters"),
        (Decimal(2**53), "lost digits"),
        (Decimal("1.5e16"), "lost digits"),
        (Decimal("1e999"), "out of range"),
    ],
)
def test_what_is_no_id(column: str, value: Cell, problem: str):
    with pytest.raises(BadRow, match=f"^{column} .*{problem}"):
        interaction(ROW | {column: value})
    with pytest.raises(BadRow, match=f"^{column} is missing"):
        interaction({name: cell for name, cell in ROW.items() if name != column})


@pytest.mark.parametrize(
    ("cell", "user"),
    [
        ("  ada\N{NO-BREAK SPACE}", "ada"),
        ("a\N{NO-BREAK SPACE}b", "a\N{NO-BREAK SPACE}b"),
        ("می\N{ZERO WIDTH NON-JOINER}خواهم", "می\N{ZERO WIDTH NON-JOINER}خواهم"),
        ("\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}", "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}"),
        ("soft\N{SOFT HYPHEN}hyphen", "soft\N{SOFT HYPHEN}hyphen"),
        ("Zoe\N{COMBINING DIAERESIS}", "Zoë"),
        ("42.0", "42"),
        ("42", "42"),
        (Decimal("42.0"), "42"),
        (Decimal("4.2e1"), "42"),
        (Decimal("-0.0"), "0"),
        (Decimal("1.50"), "1.5"),
        (Decimal(2**53 - 1), str(2**53 - 1)),
    ],
)
def test_ids_of_users_and_items_follow_one_rule(cell: Cell, user: str):
    assert interaction(ROW | {"user_id": cell}).user_id == user
    assert interaction(ROW | {"item_id": cell}).item_id == user
    assert user_of({"user_id": cell}) == user
    assert ItemRows("f")({"item_id": cell}, 1).item_id == user


def test_the_user_of_a_bad_row_is_known_if_the_id_itself_is_good():
    assert user_of({"user_id": "42.0", "item_id": ""}) == "42"
    assert user_of({"user_id": "nan"}) is None
    assert user_of({}) is None


def test_a_rating_does_not_matter():
    assert interaction(ROW | {"rating": "rubbish"}) == interaction(ROW)


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ({"item_id": "i", "title": "Heat"}, "Heat"),
        ({"item_id": "i", "year": "1995", "movie_title": "Heat"}, "Heat"),
        ({"item_id": "i", "name": "Heat"}, "Heat"),
        ({"item_id": "i", "title": ""}, "i"),
        ({"item_id": "i", "title": " \N{IDEOGRAPHIC SPACE}"}, "i"),
        ({"item_id": "i", "title": "", "subtitle": "A Los Angeles Crime Saga"}, "i"),
        ({"item_id": "i", "title": Decimal("8.5")}, "8.5"),
        (
            {"item_id": "i", "title": "No\N{NO-BREAK SPACE}\N{SOFT HYPHEN}1"},
            "No\N{NO-BREAK SPACE}\N{SOFT HYPHEN}1",
        ),
        ({"item_id": "i", "title": "Ame\N{COMBINING ACUTE ACCENT}lie "}, "Amélie"),
        ({"item_id": "i"}, "i"),
    ],
)
def test_titles(row: Row, title: str):
    assert ItemRows("items.csv")(row, 3) == ("i", title, 3)


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        (("subtitle", "original_title", "name", "title"), "title"),
        (("username", "full_name", "name"), "name"),
        (("subtitle", "movie_title"), "movie_title"),
        (("original_title", "movie_title"), "original_title"),
        (("booktitle", "shop_name"), "shop_name"),
        (("item_id", "booktitle"), "booktitle"),
        (("item_id", "titles"), None),
    ],
)
def test_which_column_holds_the_titles(columns: tuple[str, ...], column: str | None):
    assert title_column(columns) == column


def test_which_column_is_missing():
    assert lacking_for_interactions(["item_id", "timestamp"]) == "user_id"
    assert lacking_for_interactions(["timestamp", "user_id", "item_id", "x"]) is None
    assert lacking_for_items(["title"]) == "item_id"
    assert lacking_for_items(["item_id"]) == "title"
    assert lacking_for_items(["item_id", "name"]) is None


@pytest.mark.parametrize("title", ["\udc80", "a\tb", "x" * 2049])
def test_what_is_no_title(title: str):
    with pytest.raises(BadRow, match=r"^title h"):
        ItemRows("items.csv")({"item_id": "i", "title": title}, 1)


def test_odd_spellings_and_mixed_units_are_counted_once_per_kind():
    rows = InteractionRows("f.csv")
    rows({"user_id": "secret", "item_id": "1", "timestamp": "1700000000"}, 2)
    for line in range(3, 8):
        rows({"user_id": f"{line}.0", "item_id": "Ame\N{COMBINING ACUTE ACCENT}", "timestamp": "17e11"}, line)
    rows({"user_id": "1.23e+16", "item_id": "1", "timestamp": "17e11"}, 8)
    with suppress(BadRow):
        rows({"user_id": "9.0", "item_id": "", "timestamp": "17e14"}, 9)
    floats, rounded, decomposed, units = rows.warnings()
    assert floats.startswith(
        "f.csv: 5 values of user_id are written as floats (like 42.0) and read as integers"
    )
    assert floats.endswith("first in line 3")
    assert rounded.startswith("f.csv: 1 values of user_id are written like 1.2e+16: digits may be lost")
    assert decomposed.startswith("f.csv: 5 values of item_id are written in decomposed Unicode")
    assert units.startswith(
        "f.csv: 1 times are in seconds, first in line 2; 6 times are in milliseconds, first in line 3;"
    )
    assert "secret" not in "".join(rows.warnings())


def test_what_is_ordinary_is_not_warned_about():
    rows = InteractionRows("f.csv")
    for line, user in enumerate((" ada", "42", "a\N{NO-BREAK SPACE}b")):
        rows({"user_id": user, "item_id": "1", "timestamp": "1700000000000"}, line)
    assert rows.warnings() == []


NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
CELLS = st.one_of(st.text(max_size=10), NUMBERS, NUMBERS.map(Decimal))


@given(st.dictionaries(st.sampled_from(["user_id", "item_id", "timestamp", "title"]), CELLS))
def test_no_cells_whatever_make_it_crash_and_every_accepted_id_is_its_own_id(row: Row):
    with suppress(BadRow):
        found = interaction(row)
        assert identifier(found.user_id) == found.user_id == user_of(row)
        assert identifier(found.item_id) == found.item_id
    with suppress(BadRow):
        ItemRows("f")(row, 1)
