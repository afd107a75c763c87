import pytest
import torch

from unlearning.attacks.neighbours import nearest_users, union
from unlearning.errors import InvalidEvaluation

OTHERS = [(1, 2, 3, 4), (1, 2), (5, 6), (2, 1), (), (1, 9, 9)]


def test_the_cosine_by_hand() -> None:
    # With (1, 2): 2 / sqrt 4 = 1; 2 / sqrt 2 twice; 0; 0; 1 / sqrt 2 (times 1 / sqrt 2 for all).
    found = nearest_users([(1, 2), (6,)], OTHERS, 4)
    assert found.tolist() == [[1, 3, 0, 5], [2, 0, 1, 3]]


def test_order_and_repetition_do_not_count() -> None:
    once, again = nearest_users([(1, 9)], OTHERS, 3), nearest_users([(9, 1, 9, 9)], OTHERS, 3)
    assert torch.equal(once, again)
    assert once[0, 0] == 5


def test_it_is_the_dense_cosine() -> None:
    generator = torch.Generator().manual_seed(1)
    met = torch.rand(30, 25, generator=generator) < 0.3
    histories = [row.nonzero().flatten().tolist() for row in met]
    rows = met.double()
    cosine = torch.nn.functional.cosine_similarity(rows[:3, None], rows[None, 3:], dim=-1)
    found = nearest_users(histories[:3], histories[3:], 27)
    for row, order in zip(cosine, found, strict=True):
        assert sorted(order.tolist()) == list(range(27))
        assert bool((row[order].diff() <= 1e-12).all())


def test_the_union_holds_everybody_once() -> None:
    assert union(torch.tensor([[4, 2], [2, 7]])) == (2, 4, 7)


def test_impossible_questions_are_refused() -> None:
    for subjects, others, k in (([], OTHERS, 1), ([(1,)], OTHERS, 0), ([(1,)], OTHERS, 7), ([(1,)], [], 1)):
        with pytest.raises(InvalidEvaluation, match="k must lie"):
            nearest_users(subjects, others, k)
