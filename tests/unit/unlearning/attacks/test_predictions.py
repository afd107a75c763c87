import pytest
import torch

from recommender import Interrupted, Scorer, attach
from unlearning import ForgetTask
from unlearning.attacks.predictions import check_likelihoods, item_log_likelihoods
from unlearning.errors import InvalidEvaluation


def test_they_are_the_scorers_with_the_sign_turned(task: ForgetTask) -> None:
    for adapter, model in ((task.adapter, attach(task.base, task.adapter)), (None, task.base.model)):
        expected = Scorer(model, task.base.style).item_nll(task.forget)
        found = item_log_likelihoods(task.base, adapter, task.forget, token_budget=64)
        for likelihoods, nll in zip(found, expected, strict=True):
            assert likelihoods.dtype == torch.float32
            torch.testing.assert_close(likelihoods, -nll, rtol=1e-4, atol=1e-5)


def test_only_marked_items_are_answered_and_the_others_stay_as_context(task: ForgetTask) -> None:
    sequences = [(3, 1, 4, 15), (9, 2)]
    everything = item_log_likelihoods(task.base, task.adapter, sequences)
    found = item_log_likelihoods(
        task.base, task.adapter, sequences, [(False, True, False, True), (True, False)]
    )
    assert torch.equal(found[0], everything[0][[1, 3]])
    assert torch.equal(found[1], everything[1][[0]])


@pytest.mark.parametrize("targets", [[(True,)], [(True, False), (True,)], [(False, False)], []])
def test_marks_must_fit_and_mark_something(task: ForgetTask, targets: list[tuple[bool, ...]]) -> None:
    with pytest.raises(InvalidEvaluation):
        item_log_likelihoods(task.base, None, [(3, 1)], targets)


@pytest.mark.parametrize("sequences", [[], [()], [(1,), ()]])
def test_there_must_be_something_to_ask_about(task: ForgetTask, sequences: list[tuple[int, ...]]) -> None:
    with pytest.raises(InvalidEvaluation):
        item_log_likelihoods(task.base, None, sequences)


def test_it_can_be_stopped(task: ForgetTask) -> None:
    with pytest.raises(Interrupted):
        item_log_likelihoods(task.base, None, task.forget, should_stop=lambda: True)


def test_negative_log_likelihoods_are_refused() -> None:
    check_likelihoods([torch.tensor([-0.5, 0.0])])
    with pytest.raises(InvalidEvaluation, match="at most 0"):
        check_likelihoods([torch.tensor([0.5])])


@pytest.mark.parametrize(
    "groups",
    [
        ([],),
        ([torch.empty(0)],),
        ([torch.tensor(-1.0)],),
        ([torch.tensor([-torch.inf])],),
        ([torch.tensor([torch.nan])],),
        ([torch.tensor([-1.0])], [torch.tensor([-1.0, -2.0])]),
        ([torch.tensor([-1.0])], []),
    ],
)
def test_groups_must_hold_the_same_users_item_by_item(groups: tuple[list[torch.Tensor], ...]) -> None:
    with pytest.raises(InvalidEvaluation):
        check_likelihoods(*groups)
