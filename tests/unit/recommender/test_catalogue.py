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
    [(("a", "a"), ("x", "y"), "'a' more than once"), (("a",), (), "1 item ids but 0 titles")],
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
