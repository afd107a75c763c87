"""Invariant I16: whatever fits again, fits the operator's adapter again, with all of its configuration and recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import unlearning.methods.shared.fitting
from app.db.session import Database
from app.settings import Settings
from recommender import AdapterConfig, TrainingConfig
from tests.integration.tiny_model import USERS, FirstFit, install_version
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.consolidating import assert_fitted_on, request_consolidation
from tests.integration.worker.observing import live, run_of
from tests.integration.worker.test_levels import REFIT, ladder
from worker.execution import execute
from worker.process import WorkerProcess, open_process
from worker.versions import load_version

# This is about what a worker decides. What depends on the database is tested on both, in files beside this one.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SHAPE = AdapterConfig(
    r=2,
    alpha=2.5,
    target_modules=("lm_head", "q_proj", "v_proj"),
    dropout=0.0,
    options={"use_rslora": True, "rank_pattern": {"q_proj": 3}, "init_lora_weights": "gaussian"},
)
RECIPE = TrainingConfig(
    epochs=2,
    lr=1e-3,
    batch_size=4,
    schedule="cosine",
    warmup_ratio=0.1,
    betas=(0.9, 0.95),
    patience=None,
    seed=5,
)


@pytest.fixture
def process(settings: Settings, database: Database) -> Iterator[WorkerProcess]:
    install_version(settings, database, FirstFit(training=RECIPE, shape=SHAPE))
    opened = open_process(settings)
    yield opened
    opened.database.dispose()


def test_refit_half_fits_and_consolidation_follow_the_operators_recipe(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[tuple[AdapterConfig, TrainingConfig]] = []
    real = unlearning.methods.shared.fitting.fit_adapter

    def seen(base: Any, sequences: Any, shape: AdapterConfig, recipe: TrainingConfig, **named: Any) -> Any:
        fits.append((shape, recipe))
        return real(base, sequences, shape, recipe, **named)

    monkeypatch.setattr(unlearning.methods.shared.fitting, "fit_adapter", seen)
    process = ladder(process, REFIT)
    operators = load_version(process.store, live(process)).adapter
    execute(process, request_forgetting(process, "user-1"))
    refitted = load_version(process.store, live(process))
    run_id = request_consolidation(process)
    execute(process, run_id)
    consolidated = load_version(process.store, live(process))
    assert consolidated.digest != refitted.digest
    # Four half fits, the re-fit, the consolidation: each draws its own seed and changes nothing else.
    assert len(fits) == 6
    for shape, recipe in fits:
        assert shape == SHAPE
        assert {**recipe.to_plain(), "seed": 5} == RECIPE.to_plain()
    for version in (refitted, consolidated):
        assert (version.exact, version.fit.adapter_config, version.fit.training) == (True, SHAPE, RECIPE)
        assert {**version.adapter.config, "peft_version": None} == {**operators.config, "peft_version": None}
        assert {name: tensor.shape for name, tensor in version.adapter.tensors.items()} == {
            name: tensor.shape for name, tensor in operators.tensors.items()
        }
    others = {user: history for user, history in USERS.items() if user != "user-1"}
    assert_fitted_on(process, others, seed=run_of(process, run_id).covers_epoch or 0)
