from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import pytest
import torch

from recommender import Adapter, AdapterConfig, Base, Interrupted, Split, TrainingConfig, check_compatible
from unlearning import (
    EvaluationInputs,
    ForgetTask,
    Progress,
    build_method,
    collect_statistics,
    decide,
    default_policy,
    evaluate,
)
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.sharded import Sharded, ShardedConfig
from unlearning.methods.controls.do_nothing import DoNothing
from unlearning.methods.shared.adapter_mean import adapter_mean
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.fitting import Fitted, fit_anew
from unlearning.methods.shared.gradients import summed_loss
from unlearning.methods.shared.windows import Windows
from unlearning.progress import Watched

Sequences = Sequence[tuple[int, ...]]


@pytest.fixture(scope="module")
def quick(task: ForgetTask) -> ForgetTask:
    return replace(task, training=replace(task.training, epochs=1))


class Shelf:
    """Caches every fitted shard by its users; a cached shard costs nothing."""

    def __init__(self) -> None:
        self.adapters: dict[tuple[tuple[int, ...], ...], Adapter] = {}
        self.seeds: list[int] = []
        self.validated: list[int] = []

    def __call__(
        self,
        base: Base,
        sequences: Sequences,
        adapter_config: AdapterConfig,
        training: TrainingConfig,
        *,
        validation: Sequence[tuple[tuple[int, ...], int]],
        **watched: Unpack[Watched],
    ) -> Fitted:
        assert {history for history, _ in validation} == set(sequences)
        self.seeds.append(training.seed)
        key = tuple(sequences)
        if key in self.adapters:
            return Fitted(self.adapters[key], 0.0, 0)
        fitted = fit_anew(base, sequences, adapter_config, training, validation=validation, **watched)
        self.adapters[key] = fitted.adapter
        return Fitted(fitted.adapter, 100.0, 7)


def before(task: ForgetTask) -> ForgetTask:
    """The same service before the request: the subjects are retained, and an unknown user is to be forgotten."""
    held_out = tuple((sequence, 0) for sequence in task.forget)
    return replace(
        task,
        forget=((39, 38, 37),),
        retain=task.forget + task.retain,
        retain_validation=held_out + task.retain_validation,
    )


def by_shard(method: Sharded, shelf: Shelf) -> dict[int, bytes]:
    return {method.shard_of(users[0]): adapter.to_bytes() for users, adapter in shelf.adapters.items()}


def test_a_user_is_in_one_shard_whoever_else_is_there(task: ForgetTask) -> None:
    method = Sharded()
    shards = Counter(method.shard_of(sequence) for sequence in task.retain)
    assert sorted(shards) == [0, 1, 2, 3]
    assert min(shards.values()) >= 4
    assert [Sharded().shard_of(sequence) for sequence in task.forget] == [0, 0, 2]
    other = Sharded(ShardedConfig(seed=1))
    assert [other.shard_of(one) for one in task.retain] != [method.shard_of(one) for one in task.retain]
    # (1, 23) and (12, 3) are not the same user.
    assert len({Sharded(ShardedConfig(shards=1000)).shard_of(pair) for pair in [(1, 23), (12, 3)]}) == 2


def test_shards_without_a_subject_are_byte_identical_before_and_after(quick: ForgetTask) -> None:
    full, rest = Shelf(), Shelf()
    method = Sharded(fit=rest)
    Sharded(fit=full).run(before(quick))
    method.run(quick)
    with_everyone, without_subjects = by_shard(method, full), by_shard(method, rest)
    assert [shard for shard in range(4) if with_everyone[shard] != without_subjects[shard]] == [0, 2]


def test_it_is_the_sharded_training_that_never_saw_the_subjects(quick: ForgetTask) -> None:
    shelf = Shelf()
    Sharded(fit=shelf).run(before(quick))
    served = Sharded(fit=shelf).run(quick)
    anew = Sharded().run(replace(quick, forget=((39, 38, 37),), adapter=quick.adapter.replace({})))
    assert served.adapter.to_bytes() == anew.adapter.to_bytes()
    # Shards 0 and 2 at 7 passes and 100 s each; the other two came from the cache.
    assert (served.cost.forwards, served.cost.backwards, served.cost.samples) == (14, 14, 14)
    assert 200 < served.cost.seconds < 210
    assert len(shelf.adapters) == 6


def test_shards_that_existed_are_no_cost_even_if_they_are_fitted(quick: ForgetTask) -> None:
    method, shelf = Sharded(), Shelf()
    assert Sharded(fit=shelf).run(quick).cost.forwards == 14
    cost = method.run(quick).cost
    windows = sum(
        len(list(quick.base.style.windows(sequence)))
        for sequence in quick.retain
        if method.shard_of(sequence) in (0, 2)
    )
    # One epoch in batches of 8, the last of each of the two shards not full.
    assert windows <= cost.backwards < windows + 2 * 8
    assert cost.backwards % 8 == 0


def test_who_comes_back_with_fewer_items_costs_the_new_shard_too(quick: ForgetTask) -> None:
    method = Sharded(fit=Shelf())
    whole = quick.forget[0]
    index = next(i for i in range(1, len(whole)) if method.shard_of(whole[:i] + whole[i + 1 :]) == 1)
    rest = whole[:index] + whole[index + 1 :]
    marked = replace(
        quick,
        forget=(whole,),
        forget_targets=(tuple(place == index for place in range(len(whole))),),
        retain=(rest, *quick.retain),
        retain_validation=((rest, 0), *quick.retain_validation),
    )
    assert method._affected(marked) == {0, 1}
    assert method._affected(replace(marked, retain=quick.retain)) == {0}


@pytest.mark.parametrize("weights", ["uniform", "by_size"])
def test_the_candidate_is_the_mean_of_the_shards(quick: ForgetTask, weights: Any) -> None:
    shelf = Shelf()
    candidate = Sharded(ShardedConfig(weights=weights), fit=shelf).run(quick)
    sizes = [float(len(users)) if weights == "by_size" else 1.0 for users in shelf.adapters]
    expected = adapter_mean(list(shelf.adapters.values()), sizes)
    assert candidate.adapter.to_bytes() == expected.to_bytes()
    assert (candidate.adapter.config["r"], candidate.adapter.config["lora_alpha"]) == (16, 8)
    check_compatible(quick.base, candidate.adapter)
    assert shelf.seeds == [3, 4, 5, 6]


def test_shards_without_users_are_left_out(quick: ForgetTask) -> None:
    few = replace(quick, retain=quick.retain[:2], retain_validation=quick.retain_validation[:2])
    candidate = Sharded(ShardedConfig(shards=50)).run(few)
    assert candidate.adapter.config["r"] == 8
    check_compatible(quick.base, candidate.adapter)


def test_it_answers_the_subjects_with_more_surprise_than_doing_nothing(task: ForgetTask) -> None:
    def loss(adapter: Adapter) -> float:
        model = ChoiceModel(task.base, adapter)
        windows = Windows(task.base.style, task.forget, batch_size=64, seed=0)
        return sum(float(summed_loss(model.logits(batch), batch.targets)) for batch in windows.once())

    assert loss(Sharded().run(task).adapter) > loss(DoNothing().run(task).adapter)


def test_a_candidate_of_another_rank_can_be_measured_judged_and_edited_again(
    quick: ForgetTask, retained: tuple[Split, ...]
) -> None:
    method, policy = Sharded(), default_policy()
    candidate = method.run(quick)
    inputs = EvaluationInputs.prepare(
        quick.base,
        quick.adapter,
        subjects=quick.forget,
        retained=retained,
        seed=5,
        config=policy.evaluation,
    )
    verdict = decide(evaluate(inputs, candidate, method), policy)
    assert len(verdict.subjects) == len(quick.forget)
    stored = Adapter.from_bytes(candidate.adapter.config, candidate.adapter.to_bytes())
    statistics = collect_statistics(quick.base, stored, [*quick.forget, *quick.retain])
    later = replace(quick, adapter=stored, statistics=statistics)
    for name, config in (("ucan", {}), ("gradient_ascent", {"steps": 1}), ("sharded", {})):
        edited = build_method(name, config).run(later).adapter
        assert edited.config["r"] == 16
        check_compatible(quick.base, edited)


def test_a_repeat_is_the_same_bit_for_bit_and_the_parent_stays(quick: ForgetTask) -> None:
    parent = quick.adapter.to_bytes()
    state = torch.random.get_rng_state()
    one, two = Sharded().run(quick), Sharded().run(replace(quick, seed=quick.seed + 1))
    # The seed of the request must not move users between shards.
    assert one.adapter.to_bytes() == two.adapter.to_bytes()
    assert quick.adapter.to_bytes() == parent
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_reports_progress_and_can_be_stopped(quick: ForgetTask) -> None:
    seen: list[Progress] = []
    with pytest.raises(Interrupted):
        Sharded().run(quick, on_step=seen.append, should_stop=lambda: len(seen) >= 2)
    assert {step.stage for step in seen} == {"re-fit"}


@pytest.mark.parametrize("change", [{"shards": 1}, {"weights": "loud"}, {"seed": -1}])
def test_a_bad_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMethodConfig, match=next(iter(change))):
        ShardedConfig(**change)
