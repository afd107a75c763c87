"""A layer that was trained far from where it began is still the base's; one of another base is not, however near."""

import pytest
import torch

from recommender.errors import AdapterMismatch
from recommender.imports.matrices import Matrix, resolve
from recommender.imports.report import Report

BASE = torch.randn(60, 16, generator=torch.Generator().manual_seed(0)) * 0.02
OTHER = torch.randn(60, 16, generator=torch.Generator().manual_seed(1)) * 0.02


@pytest.mark.parametrize("times", [0.5, 1.5, 3.0])
def test_an_output_layer_may_be_trained_to_several_times_its_length(times: float) -> None:
    trained = BASE + times * OTHER
    found = resolve(Matrix("output layer", trained=trained), BASE, Report())
    assert found.trained is trained
    assert torch.equal(found.start, BASE)


@pytest.mark.parametrize("length", [0.01, 1.0, 10.0])
def test_an_unrelated_layer_is_refused_at_every_length(length: float) -> None:
    with pytest.raises(AdapterMismatch, match="as unlike this base's as an unrelated one"):
        resolve(Matrix("output layer", trained=length * OTHER), BASE, Report())
