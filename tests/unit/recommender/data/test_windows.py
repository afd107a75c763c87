from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender import DataError, Event, InteractionData, load_interactions
from recommender.data.interactions import Interaction
from recommender.data.rebuilding import Target, rebuild

TALLREC = "user_id,history_movie_id,history_rating,movie_id,rating,timestamp\n"
MINIONEREC = "user_id,history_item_title,item_title,history_item_id,item_id,history_item_sid,item_sid\n"


def tallrec(*rows: tuple[str, str, str, int]) -> str:
    """Rows of user, history, item and time; an item's rating is whether its letter is a vowel."""
    lines = []
    for user, history, item, time in rows:
        ids = str(list(history))
        ratings = str([int(one in "aeiou") for one in history])
        lines.append(f'{user},"{ids}","{ratings}",{item},{int(item in "aeiou")},{time}\n')
    return TALLREC + "".join(lines)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def items(data: InteractionData, user: str) -> str:
    return "".join(data.catalogue.item_ids[item] for item in data.items(user))


def test_tallrecs_rows_become_histories_with_ratings_and_splits(tmp_path: Path):
    write(
        tmp_path / "train.csv", tallrec(("1", "abc", "d", 100), ("1", "bcd", "e", 100), ("2", "xyz", "a", 50))
    )
    write(tmp_path / "valid.csv", tallrec(("1", "cde", "f", 107)))
    write(tmp_path / "test.csv", tallrec(("1", "def", "g", 109)))
    data = load_interactions(tmp_path)
    assert items(data, "1") == "abcdefg"
    assert data.ratings["1"] == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    assert data.splits["1"] == (None, None, None, "train", "train", "valid", "test")
    # What is only in a history lies just before the row that names it.
    assert [event.timestamp for event in data.histories["1"]] == [99, 99, 99, 100, 100, 107, 109]
    assert items(data, "2") == "xyza"
    assert data.rejected == ()
    (warning,) = data.warnings
    assert warning.startswith("train.csv: 6 interactions are only in histories")


def test_minionerecs_rows_have_titles_and_an_order_instead_of_times(tmp_path: Path):
    rows = [
        ("A1", "['One, a game']", "Two", "[1]", "2"),
        ("A1", "['One, a game', 'Two']", "Three", "[1, 2]", "3"),
    ]
    lines = [f'{u},"{ht}",{t},"{h}",{i},"[\'<a_1>\']",<a_2>\n' for u, ht, t, h, i in rows]
    write(tmp_path / "train" / "Toys.csv", MINIONEREC + lines[0])
    write(tmp_path / "test" / "Toys.csv", MINIONEREC + lines[1])
    data = load_interactions(tmp_path)
    assert data.histories == {"A1": (Event(0, 0), Event(1, 1), Event(2, 2))}
    assert data.catalogue.item_ids == ("1", "2", "3")
    assert data.catalogue.titles == ("One, a game", "Two", "Three")
    assert data.splits == {"A1": (None, "train", "test")}
    assert any("has no timestamp; the order of a user's rows" in warning for warning in data.warnings)


def test_a_file_of_the_books_is_read_alone(tmp_path: Path):
    text = 'user,history_item_id,history_rating,item_id,rating\n7,"[5, 6]","[1, 0]",8,1\n'
    data = load_interactions(write(tmp_path / "train_book.csv", text))
    assert items(data, "7") == "568"
    assert data.ratings == {"7": (1.0, 0.0, 1.0)}
    assert data.splits == {}


def test_rows_that_contradict_are_reported_and_left_out(tmp_path: Path):
    good = [(f"u{n}", "abc", "d", n) for n in range(400)]
    bad = [("u1", "cxb", "e", 2000), ("u2", "a", "e", 2000), ("u3", "", "e", 2000)]
    data = load_interactions(write(tmp_path / "rows.csv", tallrec(*good, *bad)))
    assert [(row.file, row.line, row.reason) for row in data.rejected] == [
        ("rows.csv", line, "its history contradicts the user's other rows") for line in (402, 403, 404)
    ]
    assert data.skipped_users == {"u1", "u2", "u3"}
    assert items(data, "u1") == "abcd"
    with pytest.raises(DataError, match=r"3 of 6 rows are bad: its history contradicts"):
        load_interactions(write(tmp_path / "rows.csv", tallrec(*good[1:4], *bad)))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('1,"[5, six]","[1, 0]",8,1,1', "a history is no list"),
        ("1,5,1,8,1,1", "a history is no list of ids"),
        ('1,"[5, (6,)]","[1, 0]",8,1,1', "a history is no list of ids"),
        ('1,"[5, 6","[1, 0]",8,1,1', "a history is no list"),
        ('1,"[5, 6]","[1]",8,1,1', "history_rating has another length than the history"),
        ('1,"[5, \'nan\']","[1, 0]",8,1,1', "of the history, an item_id is missing"),
        ('1,"[5, 6]","[1, 0]",8,1,soon', "timestamp must be a number"),
    ],
)
def test_a_history_that_cannot_be_read_makes_a_bad_row(tmp_path: Path, row: str, reason: str):
    good = "".join(f'{n},"[5, 6]","[1, 0]",8,1,1\n' for n in range(2, 200))
    data = load_interactions(write(tmp_path / "rows.csv", TALLREC + good + row + "\n"))
    assert [(rejected.line, rejected.reason) for rejected in data.rejected] == [(200, reason)]
    assert data.skipped_users == {"1"}


def test_a_gap_that_no_history_fills_is_said(tmp_path: Path):
    data = load_interactions(
        write(tmp_path / "rows.csv", tallrec(("1", "ab", "c", 10), ("1", "xy", "z", 20)))
    )
    assert items(data, "1") == "abcxyz"
    assert "rows.csv: before 1 rows interactions are missing that no history holds" in data.warnings


@given(
    length=st.integers(1, 25),
    window=st.integers(1, 6),
    gaps=st.integers(1, 4),
    times=st.lists(st.integers(0, 5), min_size=25, max_size=25),
    timeless=st.booleans(),
    data=st.data(),
)
def test_a_history_is_put_together_from_any_rows_whose_pieces_overlap(
    length: int, window: int, gaps: int, times: list[int], timeless: bool, data: st.DataObject
):
    sequence = [f"i{n}" for n in range(length)]
    moments = sorted(times)
    places = range(0, length, min(gaps, window))
    rows = [
        Target(
            "f",
            Interaction("u", sequence[place], 0 if timeless else moments[place] * 10**9, place + 2),
            tuple(sequence[max(place - window, 0) : place]),
            (None,) * min(place, window),
            timeless,
        )
        for place in places
    ]
    # Rows with times may come in any order, but for those at one moment that no history tells apart.
    order = rows if timeless or len(set(moments[:length])) < length else data.draw(st.permutations(rows))
    found = rebuild(order, max((len(row.history) for row in rows), default=0))
    assert found.contradicting == []
    assert [known.interaction.item_id for known in found.known] == sequence[: places[-1] + 1]
    at = [known.interaction.nanoseconds for known in found.known]
    assert at == sorted(set(at))
    assert found.from_history == places[-1] + 1 - len(rows)
