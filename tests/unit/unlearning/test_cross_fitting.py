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
from unlearning.cross_fitting import halves
from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.reading import read
from unlearning.methods.fitting import Fitted, fit_anew

USERS = 12
QUICK = replace(TRAINING, epochs=2)


class Recording:
    """Fits as ever, and remembers on whom and how."""

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
    found = halves(users, pairs=3, seed=5)
    assert len(found) == 6
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert sorted(one.members + other.members) == list(range(users))
        assert abs(len(one.members) - len(other.members)) <= 1
    assert Counter(place for half in found for place in half.members) == dict.fromkeys(range(users), 3)


def test_halves_are_drawn_anew_for_each_pair_and_seed_and_are_the_same_again() -> None:
    first, _, second, _ = halves(40, pairs=2, seed=5)
    assert first.members != second.members
    assert len({half.seed for half in halves(40, pairs=4, seed=5)}) == 8
    assert halves(40, pairs=2, seed=5) == halves(40, pairs=2, seed=5)
    assert first.members != halves(40, pairs=2, seed=6)[0].members


@pytest.mark.parametrize(("users", "pairs"), [(3, 2), (40, 1), (0, 2)])
def test_too_little_to_cross_fit_is_refused(users: int, pairs: int) -> None:
    with pytest.raises(InvalidEvaluation, match=f"not {pairs} and {users}"):
        halves(users, pairs, seed=0)


def test_a_level_is_read_under_the_halves_without_the_user(
    base: Base, adapter: Adapter, splits: tuple[Split, ...]
) -> None:
    users, recording = splits[:USERS], Recording()
    found = cross(base, adapter, users, fit=recording)
    assert [seed for _, seed, _ in recording.calls] == [half.seed for half in halves(USERS, 2, seed=7)]

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
    # The levels are noisy and this model is tiny: nearly everybody, and on average clearly.
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
