from __future__ import annotations

from recommender import Catalogue
from worker.training_data import split_training_data

NAMES = tuple(f"i{number}" for number in range(9))
CATALOGUE = Catalogue(NAMES, NAMES)
HISTORIES = {user: NAMES[place : place + 5] for place, user in enumerate("abcde")} | {"short": NAMES[:2]}


def test_everyone_is_a_subject_retained_or_waits() -> None:
    data = split_training_data(HISTORIES, CATALOGUE, ["b", "a", "short"], {"a", "b", "c", "short"})
    # In the order of the subjects; whoever was never trained on is nowhere.
    assert list(data.subjects.items()) == [("b", (1, 2, 3)), ("a", (0, 1, 2))]
    assert data.retain == ((3, 4, 5), (4, 5, 6))
    assert data.waiting == {"c": (2, 3, 4)}


def test_who_is_not_chosen_waits() -> None:
    data = split_training_data(HISTORIES, CATALOGUE, ["b", "a"], {"a", "b", "c"})
    part = data.only(["a"])
    assert part.forget == ((0, 1, 2),)
    assert part.retain == data.retain
    assert part.waiting == {"c": (2, 3, 4), "b": (1, 2, 3)}
