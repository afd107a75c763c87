"""A tiny but real service: a base trained on a panel, an adapter fitted on its users, one subject who leaves."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers.utils import logging as transformers_logging

from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    BaseConfig,
    Catalogue,
    ItemTokenStyle,
    Split,
    TrainingConfig,
    build_base,
    leave_two_out,
    load_base,
    save_base,
)
from tests.unit.unlearning.worlds import first_leave
from unlearning import ForgetTask

ITEMS, WINDOW = 40, 12
ADAPTER = AdapterConfig(r=4, alpha=8)
TRAINING = TrainingConfig(epochs=6, lr=1e-2, batch_size=8, patience=None, seed=3)


def _history(user: int) -> list[int]:
    # Half of each history follows one of four tastes, half is the user's own; lengths straddle the window.
    generator = random.Random(user)
    taste = [item for item in range(ITEMS) if item % 4 == user % 4]
    own = [item for item in range(ITEMS) if item % 4 != user % 4]
    length = generator.choice([6, 9, 14, 18])
    history = generator.sample(taste, min(length // 2, len(taste))) + generator.sample(
        own, length - length // 2
    )
    generator.shuffle(history)
    return history


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder: Path = tmp_path_factory.mktemp("base")
    names = tuple(f"i{item}" for item in range(ITEMS))
    catalogue = Catalogue(names, names)
    config = BaseConfig(layers=2, width=16, heads=2, feed_forward=32, window=WINDOW)
    panel = [_history(user) for user in range(1000, 1012)]
    model = build_base(
        catalogue, panel, config, TrainingConfig(epochs=3, batch_size=8, patience=None, seed=1)
    )
    save_base(model, catalogue, ItemTokenStyle(ITEMS, window=WINDOW), folder)
    return load_base(folder)


@pytest.fixture(scope="session")
def splits() -> tuple[Split, ...]:
    return tuple(leave_two_out(_history(user)) for user in range(40))


@pytest.fixture(scope="session")
def adapter(task: ForgetTask) -> Adapter:
    return task.adapter


@pytest.fixture(scope="session")
def retained(splits: tuple[Split, ...]) -> tuple[Split, ...]:
    return splits[3:]


@pytest.fixture(scope="session")
def task(base: Base, splits: tuple[Split, ...]) -> ForgetTask:
    """Forget the first three of forty users; no cached statistics."""
    return first_leave(3, splits, base, TRAINING, ADAPTER, seed=11)
