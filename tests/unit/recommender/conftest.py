"""A tiny world, trained by our own code once per run: 24 items, a base on a panel, an adapter on other users."""

from pathlib import Path

import pytest
import torch

from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    BaseConfig,
    Catalogue,
    TrainingConfig,
    build_base,
    fit_adapter,
    load_base,
    save_base,
)

CATALOGUE = Catalogue(
    item_ids=tuple(f"i{index}" for index in range(24)), titles=tuple(f"Title {index}" for index in range(24))
)
BASE = BaseConfig(layers=2, width=16, heads=2, feed_forward=32, window=6)
ADAPTER = AdapterConfig(r=4, alpha=8, dropout=0.1)
TRAINING = TrainingConfig(epochs=4, batch_size=4, lr=1e-2, seed=3)


def draw_sequences(count: int, seed: int) -> list[list[int]]:
    """Sequences of 3 to 15 distinct items, so that some are shorter and some longer than the window."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 16, (count,), generator=draw).tolist()
    return [torch.randperm(len(CATALOGUE), generator=draw)[:length].tolist() for length in lengths]


@pytest.fixture(scope="session")
def sequences() -> list[list[int]]:
    return draw_sequences(12, seed=1)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    model = build_base(CATALOGUE, draw_sequences(6, seed=0), BASE, TRAINING)
    save_base(model, CATALOGUE, BASE.style(CATALOGUE), folder)
    return folder


@pytest.fixture(scope="session")
def base(base_folder: Path) -> Base:
    return load_base(base_folder)


@pytest.fixture(scope="session")
def adapter(base: Base, sequences: list[list[int]]) -> Adapter:
    return fit_adapter(base, sequences, ADAPTER, TRAINING)
