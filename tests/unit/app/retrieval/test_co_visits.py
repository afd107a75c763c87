"""Counts of items that are met near each other; a person is subtracted as if they had never been counted."""

from hypothesis import given
from hypothesis import strategies as st

from app.retrieval import CoVisits

SEQUENCES = st.lists(st.lists(st.integers(0, 12), max_size=15), max_size=8)


def counted(*sequences: list[int]) -> CoVisits:
    counts = CoVisits()
    for sequence in sequences:
        counts.add(sequence)
    return counts


@given(others=SEQUENCES, leaving=st.lists(st.integers(0, 12), max_size=15))
def test_who_is_subtracted_leaves_nothing(others: list[list[int]], leaving: list[int]) -> None:
    counts = counted(*others, leaving)
    counts.remove(leaving)
    never = counted(*others)
    assert counts == never
    for history in ([0], [1, 2, 3], leaving):
        assert counts.candidates(history, 10) == never.candidates(history, 10)


def test_what_others_met_beside_the_recent_items_comes_first() -> None:
    counts = counted([1, 2], [1, 2], [1, 3], [4, 5])
    assert counts.candidates([1], 2) == [2, 3]


def test_a_popular_item_does_not_win_by_being_everywhere() -> None:
    everywhere = [[9, other] for other in range(20, 40)]
    counts = counted([1, 9], [1, 2], *everywhere)
    assert counts.candidates([1], 1) == [2]


def test_where_nothing_is_known_popular_items_follow_and_nothing_seen_comes_back() -> None:
    counts = counted([1, 2, 3], [3, 4])
    assert counts.candidates([50], 3) == [3, 1, 2]
    assert set(counts.candidates([3], 10)) == {1, 2, 4}
    assert CoVisits().candidates([1], 5) == []


def test_items_far_apart_are_no_visit_together() -> None:
    counts = counted([1, 10, 11, 12, 13, 14, 2])
    assert counts.candidates([1], 5) == [10, 11, 12, 13, 14]
