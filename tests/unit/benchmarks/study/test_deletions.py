from pathlib import Path

import pytest

from benchmarks.population import Population, load_population
from benchmarks.study.deletions import deletions
from benchmarks.study.development import SINGLES, development_deletions
from benchmarks.study.scenarios import SCENARIOS, Scenario, user_share


@pytest.fixture(scope="module")
def population(data: Path) -> Population:
    return load_population(data)


ALL = [*SCENARIOS.values(), user_share(0.03)]


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_only_report_users_are_forgotten(population: Population, scenario: Scenario) -> None:
    for deletion in deletions(population, scenario, seed=1):
        assert set(deletion.places) <= set(population.report_users)
        assert [population.service[place].train for place in deletion.places] == list(deletion.subjects)


def test_a_batch_leaves_everybody_else(population: Population) -> None:
    (deletion,) = deletions(population, SCENARIOS["users-20"], seed=0)
    assert len(deletion.subjects) == round(0.2 * len(population.service))
    assert len(deletion.retained) + len(deletion.subjects) == len(population.service)
    assert not set(deletion.subjects) & set(deletion.retained_sequences)
    assert deletion.items == sum(map(len, deletion.subjects))
    assert deletion.name == "users-20/0"


def test_seeds_draw_other_users(population: Population) -> None:
    drawn = {deletions(population, SCENARIOS["users-5"], seed)[0].places for seed in range(5)}
    assert len(drawn) == 5


def test_forgotten_interactions_leave_every_history(population: Population) -> None:
    (deletion,) = deletions(population, SCENARIOS["interactions-25"], seed=0)
    assert deletion.counted is not None
    assert len(deletion.retained) == len(population.service)
    left_over = {place: deletion.retained[place].train for place in deletion.places}
    for place, subject, marks in zip(deletion.places, deletion.subjects, deletion.counted, strict=True):
        left = [item for item, gone in zip(subject, marks, strict=True) if not gone]
        assert list(left_over[place]) == left
        assert left
        assert sum(marks) == min(round(0.25 * len(subject)), len(subject) - 1)
    untouched = deletion.retained[: population.development]
    assert untouched == population.service[: population.development]


def test_single_requests_are_light_and_heavy_and_share_their_re_fits(population: Population) -> None:
    singles = deletions(population, SCENARIOS["single"], seed=0)
    assert len(singles) == 12
    lengths = [len(deletion.subjects[0]) for deletion in singles]
    assert max(lengths[:6]) <= min(lengths[6:])
    assert len({deletion.retained for deletion in singles}) == 1
    for deletion in singles:
        assert len(deletion.still_there) == 11
        assert deletion.subjects[0] not in deletion.task_sequences
        assert len(deletion.task_sequences) == len(population.service) - 1


def test_a_sequence_asks_twenty_times(population: Population) -> None:
    requests = deletions(population, SCENARIOS["sequence"], seed=0)
    assert len({deletion.places for deletion in requests}) == 20


def test_choices_are_made_on_development_users(population: Population) -> None:
    found = development_deletions(population)
    batch, singles = found["batch"], found["single"]
    places = [place for deletion in (*batch, *singles) for place in deletion.places]
    assert set(places) <= set(population.development_users)
    assert len(set(places)) == len(places)
    assert len(singles) == SINGLES
