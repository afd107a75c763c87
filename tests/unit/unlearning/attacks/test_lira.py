import math

import pytest
import torch

from unlearning.attacks.lira import Gaussians, LiraReference, confidences
from unlearning.errors import InvalidEvaluation

# Two users, four shadows each; the first two shadows saw user 0, the last two user 1.
PHI = torch.tensor([[3.0, 0.0], [5.0, 2.0], [0.0, 6.0], [2.0, 8.0]])
MEMBERSHIP = torch.tensor([[True, False], [True, False], [False, True], [False, True]])


def test_confidences_by_hand() -> None:
    log_p = [torch.tensor([math.log(0.5), math.log(0.75)]), torch.tensor([math.log(0.1)])]
    # (ln(1) + ln(3)) / sqrt(2) = ln(3) / sqrt(2); ln(1 / 9).
    assert confidences(log_p).tolist() == pytest.approx([math.log(3) / 2**0.5, -math.log(9)], abs=1e-6)


def test_certainty_and_impossibility_stay_finite() -> None:
    found = confidences([torch.tensor([0.0]), torch.tensor([-80.0])])
    assert found.tolist() == pytest.approx([-math.log(torch.finfo(torch.float32).eps), -80.0])


def test_few_shadows_share_one_variance() -> None:
    reference = LiraReference.fit(PHI, MEMBERSHIP)
    assert reference.members.means.tolist() == [4.0, 7.0]
    assert reference.outsiders.means.tolist() == [1.0, 1.0]
    # Squares within users: 1 + 1 twice, over one degree of freedom each.
    assert reference.members.deviations.tolist() == pytest.approx([math.sqrt(2)] * 2)
    # User 0 at the IN mean: (3 / sqrt 2)^2 / 2 against 0. User 1 half way between the means: no evidence.
    assert reference.log_ratio(torch.tensor([4.0, 4.0])).tolist() == pytest.approx([9 / 4, 0.0])
    assert reference.offline_z(torch.tensor([4.0, -1.0])).tolist() == pytest.approx(
        [3 / math.sqrt(2), -math.sqrt(2)]
    )


def test_whoever_is_known_less_than_any_outsider_is_no_member() -> None:
    # IN varies more than OUT. With two variances the ratio would rise again far below the OUT mean.
    phi = torch.tensor([[0.0], [4.0], [-3.1], [-2.9]])
    reference = LiraReference.fit(phi, torch.tensor([[True], [True], [False], [False]]))
    ratios = [float(reference.log_ratio(torch.tensor([value]))) for value in (2.0, -3.0, -10.0, -100.0)]
    assert ratios == sorted(ratios, reverse=True)


def test_enough_shadows_have_their_own_variance() -> None:
    phi = torch.tensor([[0.0, 0.0], [2.0, 6.0]])
    everybody = torch.ones(2, 2, dtype=torch.bool)
    own = Gaussians.fit(phi, everybody, own_variance_from=2)
    # Squares 1 + 1 and 9 + 9, one degree of freedom each; pooled they would be 10.
    assert own.deviations.square().tolist() == pytest.approx([2.0, 18.0])
    pooled = Gaussians.fit(phi, everybody, own_variance_from=3)
    assert pooled.deviations.square().tolist() == pytest.approx([10.0, 10.0])


def test_a_user_with_one_shadow_borrows_the_others_variance() -> None:
    chosen = torch.tensor([[True, True], [True, False]])
    found = Gaussians.fit(torch.tensor([[0.0, 5.0], [2.0, 99.0]]), chosen)
    assert found.means.tolist() == [1.0, 5.0]
    assert found.deviations.square().tolist() == pytest.approx([2.0, 2.0])


def test_the_density_is_the_normal_one() -> None:
    found = Gaussians(torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 3.0]).double())
    candidate = torch.tensor([0.3, 4.0])
    expected = torch.distributions.Normal(found.means, found.deviations).log_prob(candidate.double())
    torch.testing.assert_close(found.log_density(candidate), expected)


@pytest.mark.parametrize("membership", [torch.ones_like(MEMBERSHIP), torch.zeros_like(MEMBERSHIP)])
def test_both_kinds_of_shadow_are_needed(membership: torch.Tensor) -> None:
    with pytest.raises(InvalidEvaluation, match="user 0 has no shadow"):
        LiraReference.fit(PHI, membership)


@pytest.mark.parametrize(
    ("phi", "membership"),
    [
        (PHI, MEMBERSHIP[:2]),
        (PHI[0], MEMBERSHIP[0]),
        (PHI[:0], MEMBERSHIP[:0]),
        (PHI, MEMBERSHIP.long()),
        (PHI / 0, MEMBERSHIP),
        (torch.ones(4, 2), MEMBERSHIP),  # no variation
        (PHI[1:3], MEMBERSHIP[1:3]),  # one shadow of a kind each
    ],
)
def test_what_cannot_be_fitted_is_refused(phi: torch.Tensor, membership: torch.Tensor) -> None:
    with pytest.raises(InvalidEvaluation):
        LiraReference.fit(phi, membership)
