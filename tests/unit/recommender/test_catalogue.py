import hashlib
import json
from pathlib import Path

import pytest

from recommender import Catalogue, DataError

CATALOGUE = Catalogue(item_ids=("b", "a"), titles=("Über", "A"))


def test_an_index_and_its_item_id_belong_together():
    assert [CATALOGUE.index(item_id) for item_id in CATALOGUE.item_ids] == [0, 1]
    assert CATALOGUE.index("c") is None
    assert len(CATALOGUE) == 2


@pytest.mark.parametrize(
    ("listed", "spellings"),
    [
        ("42", ("42", "42.0", " 42 ")),
        ("42.0", ("42.0", "42", "42.00")),
        ("Zoë", ("Zoë", "Zoe\N{COMBINING DIAERESIS}")),
        ("Zoe\N{COMBINING DIAERESIS}", ("Zoë", "Zoe\N{COMBINING DIAERESIS}")),
    ],
)
def test_an_item_is_found_in_every_spelling_of_its_id(listed: str, spellings: tuple[str, ...]):
    catalogue = Catalogue(("a", listed), ("A", "Z"))
    assert [catalogue.index(spelling) for spelling in spellings] == [1] * len(spellings)
    assert catalogue.item_ids == ("a", listed)


@pytest.mark.parametrize("item_id", ["", "nan", "a\nb", "x" * 300, f"{2**60}.0"])
def test_what_is_no_id_is_not_found(item_id: str):
    assert CATALOGUE.index(item_id) is None


def test_an_unusual_spelling_stays_in_the_digest(tmp_path: Path):
    catalogue = Catalogue(("42.0", " e\N{COMBINING ACUTE ACCENT}"), (" A ", "e\N{COMBINING ACUTE ACCENT}"))
    catalogue.save(tmp_path / "catalogue.json")
    assert Catalogue.load(tmp_path / "catalogue.json").digest == catalogue.digest
    canonical = '{"item_ids":["42.0"," e\u0301"],"schema":1,"titles":[" A ","e\u0301"]}'
    assert catalogue.digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_what_is_saved_is_loaded(tmp_path: Path):
    CATALOGUE.save(tmp_path / "catalogue.json")
    loaded = Catalogue.load(tmp_path / "catalogue.json")
    assert loaded == CATALOGUE
    assert loaded.digest == CATALOGUE.digest


def test_the_digest_is_of_the_canonical_json():
    canonical = '{"item_ids":["b","a"],"schema":1,"titles":["Über","A"]}'
    assert CATALOGUE.digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_order_and_titles_change_the_digest():
    digests = {
        CATALOGUE.digest,
        Catalogue(("a", "b"), ("A", "Über")).digest,
        Catalogue(("b", "a"), ("Über", "B")).digest,
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("item_ids", "titles", "message"),
    [
        (("a", "a"), ("x", "y"), "'a' more than once$"),
        (("42.0", "42"), ("x", "y"), "'42' more than once, also as '42.0'"),
        (("é", "e\N{COMBINING ACUTE ACCENT}"), ("x", "y"), "more than once, also as 'é'"),
        (("a",), (), "1 item ids but 0 titles"),
        (("a", "nan"), ("x", "y"), "the id of item 1 of the catalogue is missing"),
        (("a", "b", "c\n"), ("x", "y", "z"), "the id of item 2 of the catalogue holds a control character"),
        (("a", "b"), ("x", "y\tz"), "the title of item 1 of the catalogue holds a control character"),
    ],
)
def test_an_impossible_catalogue_is_refused(item_ids: tuple[str, ...], titles: tuple[str, ...], message: str):
    with pytest.raises(DataError, match=message):
        Catalogue(item_ids, titles)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"schema": 2, "item_ids": [], "titles": []}),
        json.dumps({"schema": 1, "item_ids": [1], "titles": ["x"]}),
        json.dumps({"schema": 1, "item_ids": ["a"]}),
        json.dumps({"schema": 1, "item_ids": ["a", "null"], "titles": ["x", "y"]}),
        json.dumps({"schema": 1, "item_ids": ["a", "b"], "titles": ["x", "\ud800"]}),
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "catalogue.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"catalogue\.json"):
        Catalogue.load(path)


def test_a_missing_file_is_a_data_error(tmp_path: Path):
    with pytest.raises(DataError, match="cannot read"):
        Catalogue.load(tmp_path / "catalogue.json")
