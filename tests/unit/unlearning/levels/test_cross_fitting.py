import math
import statistics
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Adapter, Base, Interrupted, Split, attach
from tests.unit.unlearning.conftest import ADAPTER, TRAINING
from unlearning import NeverSeen, Progress, cross_fit
from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.reading import read
from unlearning.levels.cross_fitting import HALVES, LARGE, PartReadings, Scheme, parts, scheme_for
from unlearning.methods.shared.fitting import Fitted, fit_anew

USERS = 12
QUICK = replace(TRAINING, epochs=2)


class Recording:
    """Fits as usual, and records on which users and how."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[tuple[int, ...], ...], int, Adapter]] = []

    def __call__(
        self, base: Base, sequences: Any, adapter_config: Any, training: Any, **named: Any
    ) -> Fitted:
        fitted = fit_anew(base, sequences, adapter_config, training, **named)
        self.calls.append((sequences, training.seed, fitted.adapter))
        return fitted


def cross(base: Base, parent: Adapter, users: tuple[Split, ...], **named: Any) -> tuple[NeverSeen, ...]:
    arguments: dict[str, Any] = {
        "adapter_config": ADAPTER,
        "training": QUICK,
        "smoothing": 0.2,
        "seed": 7,
    }
    return cross_fit(base, parent, users, **(arguments | named))


@pytest.mark.parametrize("users", [4, 9, 40])
def test_every_user_is_left_out_of_one_half_of_each_pair(users: int) -> None:
    found = parts(users, Scheme(rounds=3, parts=2), seed=5)
    assert len(found) == 6
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert sorted(one.members + other.members) == list(range(users))
        assert abs(len(one.members) - len(other.members)) <= 1
    assert Counter(place for half in found for place in half.members) == dict.fromkeys(range(users), 3)


@pytest.mark.parametrize("most", [None, 7, 3])
def test_samples_share_nobody_and_are_no_larger_than_they_may_be(most: int | None) -> None:
    scheme = Scheme(rounds=1, parts=4, most=most)
    found = parts(30, scheme, seed=5)
    drawn = [place for part in found for place in part.members]
    assert len(set(drawn)) == len(drawn) == (30 if most is None else 4 * min(most, 7))
    for user in range(30):
        assert sum(user not in part.members for part in found) >= scheme.readings == 3


def test_a_large_service_pays_a_re_fit_and_less_for_its_levels() -> None:
    def refits(users: int) -> float:
        return sum(len(part.members) for part in parts(users, scheme_for(users), seed=0)) / users

    assert scheme_for(LARGE - 1) == HALVES
    assert [refits(users) for users in (LARGE - 1, LARGE, 2 * LARGE, 5 * LARGE)] == [2.0, 1.0, 0.5, 0.5]


def test_parts_are_drawn_anew_for_each_round_and_seed_and_are_the_same_again() -> None:
    first, _, second, _ = parts(40, HALVES, seed=5)
    assert first.members != second.members
    assert len({part.seed for part in parts(40, Scheme(rounds=4, parts=2), seed=5)}) == 8
    assert parts(40, HALVES, seed=5) == parts(40, HALVES, seed=5)
    assert first.members != parts(40, HALVES, seed=6)[0].members


@pytest.mark.parametrize(("users", "scheme"), [(3, HALVES), (0, HALVES), (5, Scheme(rounds=1, parts=6))])
def test_too_few_users_to_cross_fit_are_refused(users: int, scheme: Scheme) -> None:
    with pytest.raises(InvalidEvaluation, match=f"not {users}"):
        parts(users, scheme, seed=0)


@pytest.mark.parametrize("wrong", [{"rounds": 1, "parts": 2}, {"rounds": 2, "parts": 1}, {"most": 0}])
def test_a_scheme_that_says_nothing_about_how_readings_vary_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidEvaluation, match="two readings"):
        Scheme(**({"rounds": 2, "parts": 2} | wrong))


def test_a_level_is_read_under_the_halves_without_the_user(
    base: Base, adapter: Adapter, splits: tuple[Split, ...]
) -> None:
    users, recording = splits[:USERS], Recording()
    found = cross(base, adapter, users, fit=recording)
    assert [seed for _, seed, _ in recording.calls] == [part.seed for part in parts(USERS, HALVES, seed=7)]

    def losses(fitted: Adapter, sequence: tuple[int, ...]) -> torch.Tensor:
        return smoothed(read(attach(base, fitted), base.style, [sequence], ranked=0)[0].nll, 0.2, 40)

    def later(fitted: Adapter, user: Split) -> torch.Tensor:
        return losses(fitted, (*user.train, user.validation, user.test))[-2:]

    met = Counter(item for user in users for item in set(user.train))

    def popularity(*items: int) -> list[float]:
        return [math.log1p(met[item]) for item in items]

    gained, places = [], []
    for user in users:
        saw = [fitted for sequences, _, fitted in recording.calls if user.train in sequences]
        assert len(saw) == 2
        gained += (
            later(adapter, user) - torch.stack([later(fitted, user) for fitted in saw]).mean(0)
        ).tolist()
        places += popularity(user.validation, user.test)
    slope, start = statistics.linear_regression(places, gained)

    def level(place: int) -> float:
        own = users[place]
        without = [fitted for sequences, _, fitted in recording.calls if own.train not in sequences]
        unseen = torch.stack([losses(fitted, own.train).mean() for fitted in without])
        return float(unseen.mean()) + start + slope * statistics.fmean(popularity(*own.train))

    for place in (0, USERS - 1):
        assert found[place].smoothed_nll == pytest.approx(level(place), rel=1e-5)
        seen = losses(adapter, users[place].train).mean()
        assert found[place].seen_smoothed_nll == pytest.approx(float(seen), rel=1e-5)


def test_who_was_seen_is_predicted_better_than_the_level(
    base: Base, adapter: Adapter, splits: tuple[Split, ...]
) -> None:
    found = cross(base, adapter, splits, training=TRAINING)
    below = [level.smoothed_nll - level.seen_smoothed_nll for level in found]
    # The levels are noisy and the model is tiny: so nearly every user, and a clear mean.
    assert sum(gap > 0 for gap in below) > 0.8 * len(below)
    assert sum(below) / len(below) > 0.1


def test_two_makings_agree_bit_for_bit_and_tell_how_far_they_are(
    base: Base, adapter: Adapter, splits: tuple[Split, ...]
) -> None:
    seen: list[Progress] = []
    first = cross(base, adapter, splits[:USERS], on_step=seen.append)
    assert first == cross(base, adapter, splits[:USERS])
    steps = [step.step for step in seen]
    assert steps == sorted(steps)
    assert steps[0] > 0
    # Two pairs are four halves.
    assert (seen[-1].stage, seen[-1].step, seen[-1].steps) == ("cross-fit", 400, 400)


def test_it_stops_when_asked(base: Base, adapter: Adapter, splits: tuple[Split, ...]) -> None:
    seen: list[Progress] = []
    with pytest.raises(Interrupted):
        cross(base, adapter, splits[:USERS], on_step=seen.append, should_stop=lambda: len(seen) >= 3)
    assert len(seen) == 3


def test_halves_that_were_read_before_are_not_fitted_again_and_nothing_else_changes(
    base: Base, adapter: Adapter, splits: tuple[Split, ...]
) -> None:
    users, read_before = splits[:USERS], dict[int, PartReadings]()
    expected = cross(base, adapter, users, on_part=read_before.__setitem__)
    assert sorted(read_before) == [0, 1, 2, 3]
    for known in ([], [0], [1], [0, 1, 2], [2, 3]):
        recording = Recording()
        done = {number: read_before[number] for number in known}
        assert cross(base, adapter, users, done=done, fit=recording) == expected
        assert len(recording.calls) == 4 - len(known)


def test_the_other_half_of_a_pair_has_the_others_whoever_is_gone_since() -> None:
    """Half 1 was fitted on users 0 to 4 of ten. Two of them have left, and the others are renumbered."""
    found = parts(8, HALVES, seed=5, known={1: frozenset({0, 1, 2})})
    assert found[1].members == (0, 1, 2)
    assert found[0].members == (3, 4, 5, 6, 7)
    assert found[2:] == parts(8, HALVES, seed=5)[2:]
    assert [half.seed for half in found] == [half.seed for half in parts(8, HALVES, seed=5)]


def test_samples_that_are_left_are_drawn_from_those_in_no_other() -> None:
    known = {1: frozenset({0, 1, 2}), 2: frozenset({7, 8})}
    found = parts(20, Scheme(rounds=1, parts=4, most=4), seed=5, known=known)
    assert (found[1].members, found[2].members) == ((0, 1, 2), (7, 8))
    drawn = [*found[0].members, *found[3].members]
    assert len(drawn) == len(set(drawn)) == 8
    assert not set(drawn) & {0, 1, 2, 7, 8}


def test_samples_tell_the_level_of_everybody_also_of_those_in_none(
    base: Base, adapter: Adapter, splits: tuple[Split, ...]
) -> None:
    users, recording = splits[:USERS], Recording()
    scheme = Scheme(rounds=1, parts=4, most=2)
    found = cross(base, adapter, users, fit=recording, scheme=scheme)
    assert [len(sequences) for sequences, _, _ in recording.calls] == [2, 2, 2, 2]
    assert len(found) == USERS
    # Fits on two users know almost nothing, and the parent's gain is that on the members' held-out items.
    assert all(level.smoothed_nll > 0 and level.deviation > 0 for level in found)
    read_before = dict[int, PartReadings]()
    assert cross(base, adapter, users, scheme=scheme, on_part=read_before.__setitem__) == found
    resumed = Recording()
    done = {number: read_before[number] for number in (1, 3)}
    cross(base, adapter, users, scheme=scheme, done=done, fit=resumed)
    assert len(resumed.calls) == 2
