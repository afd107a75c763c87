import math

import pytest

from recommender import Adapter, Base, DataError, Scorer, attach, canary_fingerprint, fingerprints_match


def test_the_same_version_has_the_same_fingerprint(base: Base, adapter: Adapter):
    first, second = (canary_fingerprint(Scorer(attach(base, adapter), base.style)) for _ in range(2))
    assert fingerprints_match(first, second, tolerance=1e-6)
    assert len(first) == 4
    assert all(len(row) == 16 and all(value < 0 for value in row) for row in first)


def test_another_batching_is_within_a_small_tolerance(base: Base, adapter: Adapter):
    model = attach(base, adapter)
    one, other = (Scorer(model, base.style, token_budget=budget) for budget in (1, 999))
    assert fingerprints_match(canary_fingerprint(one), canary_fingerprint(other), tolerance=1e-4)


@pytest.mark.parametrize("change", ["no adapter", "alpha", "one tensor"])
def test_another_model_has_another_fingerprint(base: Base, adapter: Adapter, change: str):
    model = attach(base, adapter)
    expected = canary_fingerprint(Scorer(model, base.style))
    if change == "no adapter":
        wrong = base.model
    elif change == "alpha":
        wrong = attach(base, Adapter({**adapter.config, "lora_alpha": 16}, adapter.tensors))
    else:
        name = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"
        wrong = attach(base, adapter.replace({**adapter.tensors, name: adapter.tensors[name] * 0}))
    assert not fingerprints_match(expected, canary_fingerprint(Scorer(wrong, base.style)), tolerance=1e-3)


def test_matching_by_hand():
    assert fingerprints_match([[1.0, 2.0]], [[1.05, 2.0]], tolerance=0.1)
    assert not fingerprints_match([[1.0, 2.0]], [[1.2, 2.0]], tolerance=0.1)
    assert not fingerprints_match([[1.0, 2.0]], [[1.0], [2.0]], tolerance=0.1)
    assert not fingerprints_match([[math.nan]], [[math.nan]], tolerance=0.1)
    assert not fingerprints_match([], [[1.0]], tolerance=0.1)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan])
def test_a_tolerance_is_positive(tolerance: float):
    with pytest.raises(DataError, match="tolerance"):
        fingerprints_match([[1.0]], [[1.0]], tolerance)
