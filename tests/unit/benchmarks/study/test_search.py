import math
from typing import Any

import pytest

from benchmarks.study.search import SPACES, TRIALS, Trial, chosen, trials
from benchmarks.study.variants import Tuned, Variant
from unlearning import METHODS

SEARCHED = sorted({name for spaces in SPACES.values() for name in spaces})


@pytest.mark.parametrize("setting", SPACES)
@pytest.mark.parametrize("name", SEARCHED)
def test_every_method_has_the_same_budget(setting: str, name: str) -> None:
    assert math.prod(map(len, SPACES[setting][name].values())) == TRIALS


def test_every_trial_is_a_valid_configuration() -> None:
    tried = trials([name for name in METHODS if name != "sharded"])
    assert all(trial.variant.plain() for trial in tried if trial.variant.config)
    # Methods with nothing to choose stand beside the others once per setting.
    assert sum(trial.variant.name == "do_nothing" for trial in tried) == 2


def test_the_least_distance_wins_in_each_setting() -> None:
    def trial(setting: str, factor: float) -> Trial:
        return Trial(setting, Variant("uniform_shrink", "uniform_shrink", {"factor": factor}))

    found: list[tuple[Trial, dict[str, Any]]] = [
        (trial("batch", 0.9), {"distance": 2.0}),
        (trial("batch", 0.5), {"distance": 1.0}),
        (trial("batch", 0.4), {"distance": 1.0}),
        (trial("single", 0.9), {"distance": 0.5}),
        (Trial("batch", Variant("refit", "refit", {})), {"distance": 0.1}),
    ]
    best = chosen(found)
    assert best == {
        "batch": {"uniform_shrink": {"factor": 0.5}},
        "single": {"uniform_shrink": {"factor": 0.9}},
    }
    assert Tuned(best).variant("uniform_shrink", "single").config == {"factor": 0.9}
    assert Tuned(best).variant("npo", "single").config == {}


def test_the_packaged_configurations_are_valid() -> None:
    tuned = Tuned.load()
    assert all(tuned.variant(name, setting).plain() is not None for setting in SPACES for name in METHODS)
