import pytest

from recommender import DataError, leave_two_out


def test_the_last_is_for_test_and_the_one_before_for_validation():
    split = leave_two_out([4, 9, 1, 7])
    assert split == ((4, 9), 1, 7)
    assert (split.train, split.validation, split.test) == ((4, 9), 1, 7)


def test_three_events_are_enough():
    assert leave_two_out((4, 9, 1)).train == (4,)


@pytest.mark.parametrize("history", [[], [1], [1, 2]])
def test_fewer_are_not(history: list[int]):
    with pytest.raises(DataError, match=f"this history has {len(history)}"):
        leave_two_out(history)
