import json
from pathlib import Path

import pytest

from recommender import DataError, Event, load_interactions

LISTS = {"0": [2, 0], "1": [1]}
ORDER = "Games.inter.json: has no times; the order of each list is taken for that of time"


def write(folder: Path, **files: object) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"Games.{name.replace('__', '.')}").write_text(text)
    return folder


def test_lists_with_titles_and_original_ids(tmp_path: Path):
    write(
        tmp_path,
        inter__json=LISTS,
        item__json={"0": {"title": "Zero"}, "1": {"title": " "}, "2": {"title": "Two", "brand": "B"}},
        item2id="B00\t0\nB01\t1\nB02\t2\n",
        user2id="ann\t0\nbob\t1\n",
    )
    for path in (tmp_path, tmp_path / "Games.inter.json"):
        data = load_interactions(path)
        assert data.catalogue.item_ids == ("B00", "B01", "B02")
        assert data.catalogue.titles == ("Zero", "B01", "Two")
        assert data.histories == {"ann": (Event(2, 0), Event(0, 1)), "bob": (Event(1, 0),)}
        assert (data.rejected, data.warnings) == ((), (ORDER,))


def test_without_the_tables_the_numbers_are_the_ids(tmp_path: Path):
    data = load_interactions(write(tmp_path, inter__json=LISTS))
    assert data.catalogue.item_ids == data.catalogue.titles == ("2", "0", "1")
    assert data.histories == {"0": (Event(0, 0), Event(1, 1)), "1": (Event(2, 0),)}


def test_a_few_bad_entries_are_reported_by_the_number_of_the_user(tmp_path: Path):
    users: dict[str, object] = {f"u{number}": [0] for number in range(400)}
    write(tmp_path, inter__json=users | {"lost": {"0": 1}, "v": [None], "w": [True, 7]}, item2id="B00\t0\n")
    data = load_interactions(tmp_path)
    assert [(row.line, row.reason) for row in data.rejected] == [
        (401, "the history is no list"),
        (402, "item_id is missing"),
        (403, "item_id is missing"),
        (403, "item_id is not in Games.item2id"),
    ]
    assert data.skipped_users == {"lost", "v", "w"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"0": [1, 2', "is not JSON, or is cut off"),
        ("[1, 2]", "must hold one JSON object with the lists of users"),
        ("{}", "is empty"),
        ("", "is not JSON"),
        ('{"0": 5, "1": "x"}', "2 of 2 rows are bad: the history is no list"),
        ('{"0": []}', "hold"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(tmp_path: Path, text: str, message: str):
    with pytest.raises(DataError, match=message) as caught:
        load_interactions(write(tmp_path, inter__json=text))
    assert "\n" not in str(caught.value)


def test_other_encodings_and_other_data_sets_beside_are_refused(tmp_path: Path):
    (tmp_path / "Games.inter.json").write_bytes('{"é": [1]}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        load_interactions(tmp_path)
    write(tmp_path, inter__json=LISTS)
    (tmp_path / "Toys.inter.json").write_text("{}")
    with pytest.raises(DataError, match="name the one to read"):
        load_interactions(tmp_path)
