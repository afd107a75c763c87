from hypothesis import given
from hypothesis import strategies as st

from recommender.batching import by_token_budget, pad_left, pad_right


def test_padding_by_hand():
    tokens, mask = pad_right([[5, 6, 7], [8]], pad=0)
    assert tokens.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    tokens, mask = pad_left([[5, 6, 7], [8]], pad=0)
    assert tokens.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_budget_by_hand():
    # Longest first: 5 alone (5 + 4 padded to 2 x 5 = 10 > 9), then 4 and 4 (8), then 1 and 1.
    assert by_token_budget([1, 5, 4, 1, 4], token_budget=9) == [[1], [2, 4], [0, 3]]


def test_a_sequence_over_the_budget_goes_alone():
    assert by_token_budget([3, 100, 3], token_budget=6) == [[1], [0, 2]]


@given(lengths=st.lists(st.integers(1, 50)), token_budget=st.integers(1, 120))
def test_every_sequence_is_in_one_group_within_the_budget(lengths: list[int], token_budget: int):
    groups = by_token_budget(lengths, token_budget)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        padded = max(lengths[index] for index in group) * len(group)
        assert len(group) == 1 or padded <= token_budget
