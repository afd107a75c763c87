"""Synthetic interactions as a user would bring them, and a regime that trains in a moment."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers.utils import logging as transformers_logging

from benchmarks.fits import Regime
from recommender import AdapterConfig, BaseConfig, SyntheticConfig, TrainingConfig, generate_synthetic


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)


def written(folder: Path, *, users: int) -> Path:
    """The folder, with the interactions and titles of generated users."""
    generated = generate_synthetic(
        SyntheticConfig(users=users, items=60, tastes=6, mean_length=14.0, min_length=8, seed=4)
    )
    names = generated.catalogue.item_ids
    events = [
        f"{user},{names[event.item]},{event.timestamp}"
        for user, history in generated.histories.items()
        for event in history
    ]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]))
    titles = [f"{name},{title}" for name, title in zip(names, generated.catalogue.titles, strict=True)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *titles]))
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("data"), users=90)


@pytest.fixture(scope="session")
def regime() -> Regime:
    return Regime(
        base_config=BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=12),
        base_training=TrainingConfig(epochs=2, patience=None),
        adapter_config=AdapterConfig(r=4, alpha=8),
        adapter_training=TrainingConfig(epochs=2, lr=1e-2, patience=None),
    )
