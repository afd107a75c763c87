import pytest

from recommender import DataError, popularity

HISTORIES = {"ann": [0, 2, 2], "bob": [2, 3], "cy": [3]}


def test_users_are_counted_not_events():
    assert popularity(HISTORIES, 5).tolist() == [1, 0, 2, 2, 0]


def test_no_users_is_no_popularity():
    assert popularity({}, 2).tolist() == [0, 0]


def test_an_item_outside_the_catalogue_is_refused():
    with pytest.raises(DataError, match="outside the catalogue of 3"):
        popularity(HISTORIES, 3)
