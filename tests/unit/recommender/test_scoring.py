import pytest
import torch
from torch import Tensor

from recommender import Adapter, Base, ConfigError, DataError, Scorer, attach


@pytest.fixture(scope="module")
def scorer(base: Base, adapter: Adapter) -> Scorer:
    return Scorer(attach(base, adapter), base.style)


def one_by_one(base: Base, adapter: Adapter, history: list[int]) -> Tensor:
    """The next item's logits, straight from the model, without batch, padding or slicing of logits."""
    with torch.inference_mode():
        logits = attach(base, adapter)(torch.tensor([base.style.encode(history)])).logits
    return logits[0, -1, 2:]


HISTORIES = [[], [3], [1, 2, 3, 4, 5, 6, 7, 8], [20, 4], [5, 9, 11]]


@pytest.mark.parametrize("token_budget", [1, 9, 8192])
def test_batches_and_padding_do_not_change_scores(base: Base, adapter: Adapter, token_budget: int):
    scores = Scorer(attach(base, adapter), base.style, token_budget=token_budget).scores(
        HISTORIES, mask_seen=False
    )
    assert scores.dtype == torch.float32
    for row, history in enumerate(HISTORIES):
        torch.testing.assert_close(scores[row], one_by_one(base, adapter, history), atol=1e-5, rtol=1e-5)


def test_seen_items_are_masked_even_beyond_the_window(scorer: Scorer):
    history = list(range(10))
    masked, plain = scorer.scores([history]), scorer.scores([history], mask_seen=False)
    assert torch.isneginf(masked[0, :10]).all()
    assert torch.equal(masked[0, 10:], plain[0, 10:])
    assert torch.isfinite(plain).all()


def test_only_the_window_is_read(scorer: Scorer):
    tail = [4, 5, 6, 7, 8, 9]
    scores = scorer.scores([[1, 2, *tail], [3, *tail], tail], mask_seen=False)
    torch.testing.assert_close(scores[0], scores[2])
    torch.testing.assert_close(scores[1], scores[2])


def test_log_probabilities_add_up_over_items(scorer: Scorer):
    assert torch.allclose(scorer.item_log_probs(HISTORIES).exp().sum(dim=1), torch.ones(5))


def test_nll_is_that_of_scoring_each_prefix(scorer: Scorer):
    # Within one window, an item's NLL is what scoring its prefix gives.
    sequences = [[3, 1, 2], [7], [11, 12, 13, 14, 15, 16, 17], []]
    for sequence, nll in zip(sequences, scorer.item_nll(sequences), strict=True):
        prefixes = [sequence[:end] for end in range(len(sequence))]
        log_probs = scorer.item_log_probs(prefixes)
        expected = -log_probs[range(len(sequence)), sequence] if sequence else torch.empty(0)
        torch.testing.assert_close(nll, expected, atol=1e-5, rtol=1e-5)


def test_nll_of_a_long_sequence_is_cut_as_in_training(scorer: Scorer):
    # Window 6: chunks of 7, aligned to the end; 9 items make 2 + 7.
    sequence = [3, 1, 4, 5, 9, 2, 6, 8, 7]
    whole = scorer.item_nll([sequence])[0]
    torch.testing.assert_close(whole, torch.cat(scorer.item_nll([sequence[:2], sequence[2:]])))
    last = -scorer.item_log_probs([sequence[:-1]])[0, sequence[-1]]
    torch.testing.assert_close(whole[-1], last, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("token_budget", [1, 10])
def test_nll_does_not_depend_on_the_batches(
    base: Base, scorer: Scorer, sequences: list[list[int]], token_budget: int
):
    small = Scorer(scorer._model, base.style, token_budget=token_budget).item_nll(sequences)
    for one, other in zip(small, scorer.item_nll(sequences), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_no_histories_are_no_scores(scorer: Scorer):
    assert scorer.scores([]).shape == (0, 24)
    assert scorer.item_log_probs([]).shape == (0, 24)
    assert scorer.item_nll([]) == []


@pytest.mark.parametrize("history", [[24], [-1], [99, *range(10)]])
def test_an_item_outside_the_catalogue_is_refused(scorer: Scorer, history: list[int]):
    with pytest.raises(DataError, match="outside the catalogue of 24"):
        scorer.scores([history])


def test_a_budget_must_hold_something(base: Base):
    with pytest.raises(ConfigError, match="token_budget"):
        Scorer(base.model, base.style, token_budget=0)
