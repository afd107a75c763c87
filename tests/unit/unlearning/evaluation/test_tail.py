import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from recommender import Adapter, Base, Split
from tests.unit.unlearning.examples import POLICY
from unlearning import EvaluationConfig, EvaluationInputs, ForgetTask, build_method, decide, evaluate
from unlearning.evaluation.tail import TailReference, top_fifth
from unlearning.gate.checks import TAIL
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.losses import cross_entropy
from unlearning.methods.shared.windows import Windows


def test_the_highest_fifth_less_the_mean_of_all() -> None:
    gains = torch.tensor([1.0, 9.0, 2.0, 0.0, 3.0, 7.0, 4.0, 5.0, 6.0, 3.0], dtype=torch.float64)
    # Two of ten: 9 and 7, mean 8; the mean of all is 4.
    assert float(top_fifth(gains)) == 4.0
    assert float(top_fifth(gains + 5)) == 4.0
    # Fewer than ten items: the highest alone.
    assert top_fifth(torch.tensor([[0.0, 3.0, 0.0], [1.0, 1.0, 1.0]])).tolist() == [2.0, 0.0]


def test_a_never_member_shows_the_tail_of_as_many_draws() -> None:
    """Two values at even odds: five draws less their mean; the best of five is 1 unless all are 0."""
    reference = TailReference(torch.tensor([0.0, 1.0], dtype=torch.float64), (), seed=1)
    expected, variance = reference.moments(5)
    # E[max] - E[mean] = 31/32 - 1/2. Given at least one 1, the tail is 1 - K / 5, K ~ Binomial(5, 1/2).
    assert expected == pytest.approx(31 / 32 - 1 / 2, abs=0.03)
    second = sum(math.comb(5, k) / 32 * (1 - k / 5) ** 2 for k in range(1, 6))
    assert variance == pytest.approx(second - (31 / 32 - 1 / 2) ** 2, rel=0.2)
    assert reference.moments(5) == TailReference(torch.tensor([0.0, 1.0]).double(), (), seed=1).moments(5)
    assert reference.moments(5) != TailReference(torch.tensor([0.0, 1.0]).double(), (), seed=2).moments(5)


def test_several_subjects_are_averaged_and_share_the_reference() -> None:
    residuals = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reference = TailReference(residuals, (), seed=3)
    ten, twenty = torch.arange(10.0).double(), torch.zeros(20).double()
    found = reference.tail([ten, torch.ones(4).double(), twenty])
    assert found is not None
    # Four items have no fifth. Of ten, 8 and 9 less the mean 4.5; of twenty equal ones, nothing.
    assert (found.items, found.gain) == (30, pytest.approx((8.5 - 4.5) / 2))
    (first, first_variance), (second, second_variance) = reference.moments(10), reference.moments(20)
    assert found.expected == pytest.approx((first + second) / 2)
    shared = (first_variance * 10 + second_variance * 20) / 2 / 40
    assert found.deviation**2 == pytest.approx((first_variance + second_variance) / 4 + shared)
    assert reference.tail([torch.ones(4).double()]) is None


def test_retained_users_set_the_middle_and_the_unit() -> None:
    residuals = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = TailReference(residuals, (), seed=3)
    mean, variance = plain.moments(10)

    def standing_out(deviations: float) -> torch.Tensor:
        """Ten items whose best two exceed the mean of all by the mean tail and so many deviations."""
        height = (mean + deviations * math.sqrt(variance)) / 0.8
        return torch.tensor([height, height, *[0.0] * 8], dtype=torch.float64)

    # Four items have no fifth: the last member says nothing.
    members = [standing_out(1.0), standing_out(5.0), torch.ones(4).double()]
    reference = TailReference(residuals, members, seed=3)
    assert reference.shift == pytest.approx(3.0)
    assert reference.unit == pytest.approx(math.sqrt(8.0))
    found = reference.tail([standing_out(7.0)])
    assert found is not None
    assert found.expected == pytest.approx(mean + 3 * math.sqrt(variance))
    assert found.deviation**2 == pytest.approx(8 * variance + variance * 10 / 40)
    # Members with hardly any variation do not make the band narrower than chance does.
    assert TailReference(residuals, [standing_out(2.0)] * 3, seed=3).unit == 1.0
    assert (plain.shift, plain.unit) == (0.0, 1.0)


def test_a_level_of_their_own_is_no_tail_but_a_hidden_fifth_is() -> None:
    generator = torch.Generator().manual_seed(4)
    residuals, items = (torch.randn(count, generator=generator, dtype=torch.float64) for count in (400, 60))
    reference = TailReference(residuals, (), seed=0)

    def z(gains: torch.Tensor) -> float:
        found = reference.tail([gains])
        assert found is not None
        return (found.gain - found.expected) / found.deviation

    assert abs(z(items)) < 3
    assert z(items + 5) == pytest.approx(z(items))
    hidden = items.clone()
    hidden[::5] += 4
    # Whatever the mean is, the fifth still stands out.
    assert z(hidden - hidden.mean()) > 3


def remembering(base: Base, adapter: Adapter, items: Sequence[int], marks: Sequence[bool]) -> Adapter:
    """The adapter after it learned the marked items by heart."""
    student = ChoiceModel(base, adapter, trainable=True)
    windows = Windows(base.style, [items], [marks], batch_size=8, seed=0)
    optimiser = torch.optim.AdamW(list(student.parameters.values()), lr=1e-2, weight_decay=0.0)
    for _ in range(40):
        optimiser.zero_grad()
        batch = windows.draw()
        cross_entropy(student.logits(batch), batch.targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return student.adapter()


def test_a_model_that_never_saw_the_subject_passes_and_one_that_keeps_a_fifth_fails(
    task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    never_met = tuple(random.Random(7).sample(range(40), 30))
    config = EvaluationConfig(neighbours=0, relearning_steps=0)
    inputs = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=[never_met], retained=retained, seed=5, config=config
    )
    policy = replace(POLICY, evaluation=config, min_reference_users=30)
    method = build_method("do_nothing")
    found = method.run(task)
    fifth = [place % 5 == 2 for place in range(30)]
    hiding = replace(found, adapter=remembering(task.base, task.adapter, never_met, fifth))
    reasons = [
        decide(evaluate(inputs, candidate, method), policy).subjects[0].reasons[1]
        for candidate in (found, hiding)
    ]
    assert [reason.measure for reason in reasons] == [TAIL, TAIL]
    assert [reason.passed for reason in reasons] == [True, False], [reason.value for reason in reasons]
