"""One workshop for all tests of the gate's benchmark: its fits are made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fits import Regime
from benchmarks.population import Population
from benchmarks.study.workshop import Workshop


@pytest.fixture(scope="session")
def workshop(data: Path, regime: Regime, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(data, tmp_path_factory.mktemp("gate"), regime)


@pytest.fixture(scope="session")
def population(workshop: Workshop) -> Population:
    return workshop.population
