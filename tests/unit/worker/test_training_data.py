from __future__ import annotations

from recommender import Split
from worker.training_data import split_training_data

HISTORIES = {user: range(index, index + 5) for index, user in enumerate("abcde")} | {"short": range(2)}


def split(first: int) -> Split:
    return Split((first, first + 1, first + 2), first + 3, first + 4)


def test_everyone_is_a_subject_retained_or_waits() -> None:
    data = split_training_data(HISTORIES, ["b", "a", "short"], {"a", "b", "c", "short"})
    # In the order of the subjects; whoever was never trained on is nowhere.
    assert list(data.subjects.items()) == [("b", split(1)), ("a", split(0))]
    assert data.retain == ((3, 4, 5), (4, 5, 6))
    assert data.waiting == {"c": split(2)}
    assert list(data.everyone.items()) == [(user, split(index)) for index, user in enumerate("abcde")]


def test_who_is_not_chosen_waits() -> None:
    data = split_training_data(HISTORIES, ["b", "a"], {"a", "b", "c"})
    part = data.only(["a"])
    assert part.forget == ((0, 1, 2),)
    assert part.retain == data.retain
    assert part.waiting == {"c": split(2), "b": split(1)}
    assert part.everyone == data.everyone
