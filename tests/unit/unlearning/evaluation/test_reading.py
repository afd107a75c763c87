from collections.abc import Sequence

import pytest
import torch

from recommender import Interrupted, Scorer, attach, ranks
from unlearning import ForgetTask
from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.reading import compare, read


def by_scorer(task: ForgetTask, sequence: Sequence[int], position: int) -> int:
    """Rank of one item as the service computes it: from a prefix, at its last position, with seen items masked."""
    scorer = Scorer(attach(task.base, task.adapter), task.base.style)
    return int(ranks(scorer.scores([sequence[:position]]), torch.tensor([sequence[position]])))


def test_likelihoods_are_those_of_the_scorer(task: ForgetTask) -> None:
    model = attach(task.base, task.adapter)
    expected = Scorer(model, task.base.style).item_nll(task.retain)
    for budget in (1, 64, 8192):
        found = read(model, task.base.style, task.retain, ranked=2, token_budget=budget)
        for reading, nll in zip(found, expected, strict=True):
            torch.testing.assert_close(reading.nll, nll, rtol=1e-4, atol=1e-5)


def test_ranks_are_those_of_served_lists(task: ForgetTask) -> None:
    # Within the window, a position has the same context in a prefix as in the whole sequence.
    sequences = [sequence for sequence in task.retain if len(sequence) <= task.base.style.window][:6]
    found = read(attach(task.base, task.adapter), task.base.style, sequences, ranked=3)
    for sequence, reading in zip(sequences, found, strict=True):
        places = range(len(sequence) - 3, len(sequence))
        assert reading.ranks.tolist() == [by_scorer(task, sequence, place) for place in places]


def test_a_long_history_is_ranked_in_its_last_window(task: ForgetTask) -> None:
    sequence = list(range(15))
    (reading,) = read(attach(task.base, task.adapter), task.base.style, [sequence], ranked=14)
    assert len(reading.ranks) == 14
    # The context of the last item is the twelve items before it (the window), but items 0 and 1 are masked too.
    scores = Scorer(attach(task.base, task.adapter), task.base.style).scores([sequence[2:14]])
    scores[0, :14] = -torch.inf
    assert int(reading.ranks[-1]) == int(ranks(scores, torch.tensor([14])))


def test_short_sequences_have_as_many_ranks_as_items(task: ForgetTask) -> None:
    readings = read(task.base.model, task.base.style, [(4,), (5, 6)], ranked=3)
    assert [len(reading.ranks) for reading in readings] == [1, 2]


def test_a_repeated_item_counts_as_missed(task: ForgetTask) -> None:
    (reading,) = read(task.base.model, task.base.style, [(4, 9, 4)], ranked=1)
    # 39 items other than the two seen are ahead or tied; the masked target can only tie with the other seen one.
    assert int(reading.ranks[0]) >= 39


def test_divergence_is_the_mean_over_all_positions(task: ForgetTask) -> None:
    sequences = [(3, 1, 4), (1, 5)]
    tuned = attach(task.base, task.adapter)
    _, found = compare(task.base.model, tuned, task.base.style, sequences, ranked=1)
    prefixes = [sequence[:end] for sequence in sequences for end in range(len(sequence))]
    before = Scorer(task.base.model, task.base.style).item_log_probs(prefixes).double()
    after = Scorer(tuned, task.base.style).item_log_probs(prefixes).double()
    kl = (before.exp() * (before - after)).sum(-1).mean()
    assert found.positions == 5
    assert found.kl == pytest.approx(float(kl), rel=1e-4)
    assert found.shifted == pytest.approx(float((before.argmax(-1) != after.argmax(-1)).double().mean()))


def test_a_model_does_not_diverge_from_itself(task: ForgetTask) -> None:
    model = attach(task.base, task.adapter)
    readings, divergence = compare(model, model, task.base.style, task.forget, ranked=2)
    assert (divergence.kl, divergence.shifted) == (0.0, 0.0)
    for one, other in zip(readings, read(model, task.base.style, task.forget, ranked=2), strict=True):
        assert torch.equal(one.nll, other.nll)
        assert torch.equal(one.ranks, other.ranks)


def test_there_must_be_something_to_compare(task: ForgetTask) -> None:
    with pytest.raises(InvalidEvaluation, match="no item"):
        compare(task.base.model, task.base.model, task.base.style, [], ranked=1)


def test_reading_can_be_stopped(task: ForgetTask) -> None:
    with pytest.raises(Interrupted):
        read(task.base.model, task.base.style, task.retain, ranked=1, should_stop=lambda: True)
