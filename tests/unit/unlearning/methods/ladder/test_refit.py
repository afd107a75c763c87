from dataclasses import replace

import pytest

from recommender import Interrupted, fit_adapter
from tests.unit.unlearning.worlds import same
from unlearning import ForgetTask, Progress
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.ladder.refit import Refit, RefitConfig


def test_it_is_the_fit_on_the_retained_users_bit_for_bit(task: ForgetTask) -> None:
    expected = fit_adapter(
        task.base,
        task.retain,
        task.adapter_config,
        replace(task.training, seed=task.seed),
        validation=task.retain_validation,
    )
    candidate = Refit().run(task)
    assert same(candidate.adapter, expected)
    # 37 users make 4 batches of 8 and windows beyond 12 items some more, six epochs.
    assert candidate.cost.backwards == candidate.cost.forwards > 6 * 37


def test_neither_the_subjects_nor_the_parent_are_read(task: ForgetTask) -> None:
    other = replace(task, forget=((39, 38),), adapter=task.adapter.replace({}))
    assert same(Refit().run(task).adapter, Refit().run(other).adapter)


def test_the_seed_offset_draws_another_fit(task: ForgetTask) -> None:
    shifted = Refit(RefitConfig(seed_offset=1)).run(task).adapter
    assert same(shifted, Refit().run(replace(task, seed=task.seed + 1)).adapter)
    assert not same(shifted, Refit().run(task).adapter)
    with pytest.raises(InvalidMethodConfig, match="seed_offset"):
        RefitConfig(seed_offset=-1)


def test_it_reports_progress_and_can_be_stopped(task: ForgetTask) -> None:
    seen: list[Progress] = []

    def stop() -> bool:
        return len(seen) >= 3

    with pytest.raises(Interrupted):
        Refit().run(task, on_step=seen.append, should_stop=stop)
    assert [(step.stage, step.step) for step in seen] == [("re-fit", 1), ("re-fit", 2), ("re-fit", 3)]
    assert all(step.loss is not None for step in seen)


def test_nobody_to_fit_on_is_an_error(task: ForgetTask) -> None:
    with pytest.raises(InvalidTask, match="at least one retained user"):
        Refit().fit(task.base, (), task.adapter_config, task.training, seed=1, validation=())
