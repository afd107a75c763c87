import pytest
import torch

from recommender import ItemTokenStyle
from unlearning.methods.compared.cure.counterfactuals import ItemGraph, PagerankTail, PopularityMatched

STYLE = ItemTokenStyle(6, window=4)  # pad 0, bos 1, items 2 to 7


def seeds(*columns: list[float]) -> torch.Tensor:
    return torch.tensor(columns, dtype=torch.float64).T


def test_pagerank_on_three_nodes_by_hand() -> None:
    # One user between items 0 and 1, restart 0.15 at item 0. From the items the walk can only go to the user:
    # u = 0.85 (1 - u), so u = 0.85 / 1.85; from there half goes to each item: p1 = 0.85 u / 2 and p0 = p1 + 0.15.
    user = 0.85 / 1.85
    found = ItemGraph([(0, 1)], 2).personalised_pagerank(seeds([1, 0]), 0.15)
    assert found[:, 0].tolist() == pytest.approx([0.15 + 0.425 * user, 0.425 * user], abs=1e-5)
    # A second event with item 1 is a second edge: two thirds of the user's steps lead there.
    found = ItemGraph([(0, 1, 1)], 2).personalised_pagerank(seeds([1, 0]), 0.15)
    assert found[1, 0] == pytest.approx(0.85 * user * 2 / 3, abs=1e-5)


def test_an_item_nobody_has_keeps_the_walk_where_it_restarts() -> None:
    graph = ItemGraph([(0, 1)], 3)
    found = graph.personalised_pagerank(seeds([0, 0, 1], [1, 0, 0]), 0.15)
    assert found[:, 0].tolist() == pytest.approx([0, 0, 1])
    assert found[2, 1] == 0


def test_the_tail_is_what_the_walk_hardly_reaches() -> None:
    # Items 0 to 2 are one neighbourhood, 3 and 4 another, 5 is nobody's. From 0 the walk reaches 1 and 2 only: the
    # rest is 0 alike, and the later item counts as rarer.
    make = PagerankTail(STYLE, [(0, 1), (1, 2), (3, 4)], restart=0.15, tail=0.5, seed=0)
    tokens = torch.tensor([[1, 2, 2, 0], [1, 5, 0, 0], [1, 0, 0, 0]])
    tails = make.tails(tokens)
    assert tails[0].tolist() == [5, 4, 3]
    # From 3, item 4 is near; item 3 itself comes last.
    assert tails[1].tolist() == [5, 2, 1]
    made = make(tokens)
    assert set(made[0, 1:3].tolist()) <= {5, 6, 7}
    assert int(made[1, 1]) in {7, 4, 3}


def test_the_windows_own_items_come_last_even_where_the_walk_leaves_them() -> None:
    # With so few restarts item 1, which both users have, is met more often than item 0, where the walk begins.
    make = PagerankTail(STYLE, [(0, 1), (1, 2), (3, 4)], restart=0.01, tail=5 / 6, seed=0)
    assert make.tails(torch.tensor([[1, 2]])).tolist() == [[5, 4, 3, 2, 1]]


@pytest.mark.parametrize("kind", [PagerankTail, PopularityMatched])
def test_only_items_are_replaced_and_a_seed_repeats(kind: type) -> None:
    arguments = {"restart": 0.15, "tail": 1 / 3} if kind is PagerankTail else {}
    sequences = [(0, 1, 2), (0, 1), (0, 3)]
    tokens = torch.tensor([[1, 2, 3, 4], [1, 2, 0, 0]])
    one, other = (kind(STYLE, sequences, seed=5, **arguments) for _ in range(2))
    first = one(tokens)
    assert torch.equal(first, other(tokens))
    drawn = torch.stack([first, *(one(tokens) for _ in range(20))])
    fixed = tokens < 2
    assert bool((drawn[:, fixed] == tokens[fixed]).all())
    assert bool((drawn[:, ~fixed] != tokens[~fixed]).all())
    assert bool(((drawn[:, ~fixed] >= 2) & (drawn[:, ~fixed] <= 7)).all())
    assert len(drawn.unique(dim=0)) > 1


def test_popularity_stays_close() -> None:
    # Item k has 30 - k events; among 30 items no more than ten ranks may be gone.
    style = ItemTokenStyle(30)
    sequences = [tuple(range(user + 1)) for user in range(30)]
    make = PopularityMatched(style, sequences, seed=0)
    tokens = torch.arange(2, 32).repeat(50, 1)
    away = (make(tokens) - tokens).abs()
    assert int(away.min()) == 1
    assert int(away.max()) == 10
