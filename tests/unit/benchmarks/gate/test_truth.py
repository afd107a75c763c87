import pytest
import torch

from benchmarks.gate.truth import Truth, everybody
from benchmarks.study.orders import shadows
from benchmarks.study.workshop import Workshop
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed
from unlearning.levels.never_seen import reading_variance


@pytest.fixture(scope="module")
def truth(workshop: Workshop) -> Truth:
    return Truth.read(workshop)


def test_z_is_0_at_the_mean_and_negative_for_who_is_still_known(truth: Truth) -> None:
    mean, deviation = float(truth.means[3]), float(truth.deviations[3])
    assert truth.z(3, mean) == truth.gap(3, mean) == 0.0
    # Less surprised by the user's items than an adapter that never saw them: it knows them.
    assert truth.z(3, mean - 2 * deviation) == pytest.approx(-2.0)
    assert truth.z(3, mean + deviation) == pytest.approx(1.0)
    assert truth.gap(3, mean - 0.25) == pytest.approx(-0.25)


def test_everybody_has_a_truth(truth: Truth, workshop: Workshop) -> None:
    users = len(workshop.population.service) + len(workshop.population.outsiders)
    assert len(everybody(workshop.population)) == users
    assert truth.means.shape == truth.deviations.shape == (users,)
    assert bool((truth.deviations > 0).all())


def test_a_truth_comes_only_from_fits_that_never_saw_the_user(truth: Truth, workshop: Workshop) -> None:
    population = workshop.population
    places = [0, 20, len(population.service)]  # A development user, a report user, an outsider.
    users = everybody(population)
    losses = {
        shadow.members: [
            float(smoothed(-log_p, workshop.policy.evaluation.smoothing, len(population.catalogue)).mean())
            for log_p in item_log_likelihoods(workshop.base, workshop.fit(shadow.order).adapter, users)
        ]
        for shadow in shadows(population)
    }
    for place in places:
        unseen = [found[place] for members, found in losses.items() if place not in members]
        seen = [found[place] for members, found in losses.items() if place in members]
        assert len(unseen) == len(seen) == 8
        assert float(truth.means[place]) == pytest.approx(sum(unseen) / 8)
        assert sum(seen) / 8 < float(truth.means[place])


def test_a_deviation_is_that_of_one_more_adapter_around_the_mean_of_eight(
    truth: Truth, workshop: Workshop
) -> None:
    users = everybody(workshop.population)
    readings = torch.zeros(8, len(users), dtype=torch.float64)
    filled = [0] * len(users)
    for shadow in shadows(workshop.population):
        found = item_log_likelihoods(workshop.base, workshop.fit(shadow.order).adapter, users)
        for place in set(range(len(users))) - shadow.members:
            soft = smoothed(
                -found[place], workshop.policy.evaluation.smoothing, len(workshop.population.catalogue)
            )
            readings[filled[place], place] = float(soft.mean())
            filled[place] += 1
    one = reading_variance(readings, torch.tensor([float(len(user)) for user in users], dtype=torch.float64))
    torch.testing.assert_close(truth.deviations**2, one * 9 / 8)
