"""Three items, three tokens, probabilities that are powers of two or multiples of three of them: all by hand."""

import math

import pytest
import torch
from torch import Tensor

from recommender.choices import IGNORED
from unlearning.methods.shared import losses

LN2, LN3 = math.log(2), math.log(3)
# Probabilities of items 0, 1, 2 at the three positions.
P = ((1 / 2, 1 / 4, 1 / 4), (1 / 8, 1 / 8, 3 / 4), (1 / 4, 1 / 2, 1 / 4))


def logits_of(*rows: tuple[tuple[float, ...], ...]) -> Tensor:
    """Logits whose softmax these are; shifted by another constant at each position, which must not matter."""
    logs = torch.tensor(rows, dtype=torch.float64).log()
    return logs + torch.arange(logs.shape[1], dtype=torch.float64).view(1, -1, 1)


def test_cross_entropy_is_the_mean_over_the_predicted_items() -> None:
    # Items of probability 1/2, 1/8 and 1/2: 1 + 3 + 1 halvings.
    assert losses.cross_entropy(logits_of(P), torch.tensor([[0, 0, 1]])).item() == pytest.approx(5 / 3 * LN2)
    assert losses.cross_entropy(logits_of(P), torch.tensor([[0, IGNORED, 1]])).item() == pytest.approx(LN2)


def test_items_of_long_and_short_rows_count_alike() -> None:
    targets = torch.tensor([[0, 0, 1], [0, IGNORED, IGNORED]])
    # 1 + 3 + 1 and 1 halvings over four items; a mean of the rows' means would be 4/3.
    assert losses.cross_entropy(logits_of(P, P), targets).item() == pytest.approx(6 / 4 * LN2)


def test_gradient_ascent_is_its_negative() -> None:
    assert losses.gradient_ascent(logits_of(P), torch.tensor([[0, 0, 1]])).item() == pytest.approx(
        -5 / 3 * LN2
    )


def test_log_likelihoods_by_item_and_by_row() -> None:
    logits = logits_of(P, P, P)
    targets = torch.tensor([[0, 0, 1], [IGNORED] * 3, [IGNORED, 2, 2]])
    by_item = losses.log_likelihoods(logits, targets, "item")
    assert by_item.tolist() == pytest.approx([-LN2, -3 * LN2, -LN2, LN3 - 2 * LN2, -2 * LN2])
    # A row without a target is not a unit, and positions that predict nothing add nothing.
    by_row = losses.log_likelihoods(logits, targets, "sequence")
    assert by_row.tolist() == pytest.approx([-5 * LN2, LN3 - 4 * LN2])


def test_npo_at_the_reference_and_a_third_of_it() -> None:
    reference = torch.tensor([-LN2, -LN2])
    policy = reference - torch.tensor([0.0, LN3])
    # -2 log sigmoid(0) = 2 ln 2; sigmoid(ln 3) = 3/4, so 2 ln(4/3). Their mean:
    found = losses.negative_preference(policy, reference, beta=1.0)
    assert found.item() == pytest.approx(LN2 + math.log(4 / 3))
    # With beta 2 the ratio counts squared: sigmoid(2 ln 3) = 9/10, and 2/beta is 1.
    found = losses.negative_preference(policy[1:], reference[1:], beta=2.0)
    assert found.item() == pytest.approx(math.log(10 / 9))


@pytest.mark.parametrize(("beta", "at_a_third"), [(1.0, 1 / 2), (2.0, 1 / 5), (1e-6, 1.0)])
def test_npos_push_starts_as_ascent_and_fades(beta: float, at_a_third: float) -> None:
    # 2 p^beta / (p^beta + 1) at p = pi / pi_ref: 1 at 1; at 1/3 it is 2 (1/3) / (4/3) and 2 (1/9) / (10/9).
    policy = torch.tensor([-LN2, -LN2 - LN3], dtype=torch.float64, requires_grad=True)
    reference = torch.full((2,), -LN2, dtype=torch.float64)
    (2 * losses.negative_preference(policy, reference, beta)).backward()
    assert policy.grad is not None
    assert policy.grad.tolist() == pytest.approx([1.0, at_a_third], rel=1e-5)


def test_simnpo_takes_the_mean_nll_of_each_unit() -> None:
    # Two items at 1/3 each, and one at 1/3: both have a mean NLL of ln 3, and sigmoid(ln 3) = 3/4.
    likelihoods, lengths = torch.tensor([-2 * LN3, -LN3]), torch.tensor([2, 1])
    found = losses.simple_negative_preference(likelihoods, lengths, beta=1.0, delta=0.0)
    assert found.item() == pytest.approx(2 * math.log(4 / 3))
    # At delta the sigmoid is 1/2; beta 2 makes 2/beta 1.
    found = losses.simple_negative_preference(likelihoods, lengths, beta=2.0, delta=LN3)
    assert found.item() == pytest.approx(LN2)
    # ln 2 beyond delta, with beta 2: sigmoid(2 ln 2) = 4/5.
    found = losses.simple_negative_preference(likelihoods, lengths, beta=2.0, delta=LN3 - LN2)
    assert found.item() == pytest.approx(math.log(5 / 4))


def test_the_divergence_is_from_the_reference_to_the_model() -> None:
    reference, model = logits_of((P[0], P[2], P[0])), logits_of((P[1], P[2], P[0]))
    # 1/2 ln(1/2 : 1/8) + 1/4 ln(1/4 : 1/8) + 1/4 ln(1/4 : 3/4); the other two positions agree.
    at_first = 5 / 4 * LN2 - 1 / 4 * LN3
    found = losses.divergence_from(reference, model, torch.tensor([[0, 0, 0]]))
    assert found.item() == pytest.approx(at_first / 3)
    found = losses.divergence_from(reference, model, torch.tensor([[0, 2, IGNORED]]))
    assert found.item() == pytest.approx(at_first / 2)
    found = losses.divergence_from(reference, model, torch.tensor([[IGNORED, 2, 2]]))
    assert found.item() == pytest.approx(0.0, abs=1e-12)


def test_soft_cross_entropy_adds_the_teachers_entropy() -> None:
    teacher, model = logits_of((P[0], P[2], P[0])), logits_of((P[1], P[2], P[0]))
    # 1/2 of 3 halvings, 1/4 of 3, and 1/4 of 2 halvings of 3; the entropy of P[0] and of P[2] is 3/2 halvings.
    at_first = 11 / 4 * LN2 - 1 / 4 * LN3
    found = losses.soft_cross_entropy(teacher, model, torch.tensor([[0, 1, IGNORED]]))
    assert found.item() == pytest.approx((at_first + 3 / 2 * LN2) / 2)
    assert losses.divergence_from(teacher, model, torch.tensor([[0, IGNORED, IGNORED]])).item() == (
        pytest.approx(at_first - 3 / 2 * LN2)
    )


def test_the_gradients_of_both_are_the_same() -> None:
    teacher, targets = logits_of(P), torch.tensor([[0, IGNORED, 1]])
    gradients = []
    for loss in (losses.divergence_from, losses.soft_cross_entropy):
        model = logits_of(((1 / 4, 1 / 4, 1 / 2),) * 3).requires_grad_()
        loss(teacher, model, targets).backward()  # type: ignore[no-untyped-call]
        assert model.grad is not None
        gradients.append(model.grad)
    torch.testing.assert_close(*gradients)
    # softmax(model) - softmax(teacher), halved by the mean over two positions.
    assert gradients[0][0].flatten().tolist() == pytest.approx(
        [-1 / 8, 0.0, 1 / 8, 0.0, 0.0, 0.0, 0.0, -1 / 8, 1 / 8]
    )


def test_a_batch_without_a_target_has_no_loss() -> None:
    logits, nothing = logits_of(P), torch.full((1, 3), IGNORED)
    assert losses.cross_entropy(logits, nothing).isnan()
    assert losses.divergence_from(logits, logits, nothing).isnan()
    assert losses.soft_cross_entropy(logits, logits, nothing).isnan()
    for unit in ("item", "sequence"):
        none = losses.log_likelihoods(logits, nothing, unit)
        assert none.shape == (0,)
        assert losses.negative_preference(none, none, 1.0).isnan()
