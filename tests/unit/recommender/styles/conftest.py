"""Titles, a tokenizer trained on them, and a base that reads them."""

from pathlib import Path

import pytest
import torch

from recommender import (
    Base,
    Catalogue,
    InteractionData,
    SyntheticConfig,
    TrainingConfig,
    generate_synthetic,
    save_base,
)
from recommender import load_base as load
from recommender.styles import LettersStyle
from recommender.text_base import TextBaseConfig, build_text_base, letters_style


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data() -> InteractionData:
    return generate_synthetic(
        SyntheticConfig(users=30, items=40, tastes=4, mean_length=6, min_length=4, personal=1)
    )


@pytest.fixture(scope="session")
def catalogue(data: InteractionData) -> Catalogue:
    return data.catalogue


@pytest.fixture(scope="session")
def letters(catalogue: Catalogue) -> LettersStyle:
    return letters_style(catalogue, labels="ABCDE")


@pytest.fixture(scope="session")
def base(data: InteractionData, letters: LettersStyle, tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder: Path = tmp_path_factory.mktemp("text-base")
    panel = [data.items(user) for user in list(data.histories)[:6]]
    training = TrainingConfig(epochs=1, patience=None)
    model = build_text_base(letters, panel, TextBaseConfig(width=16, heads=2, feed_forward=32), training)
    save_base(model, data.catalogue, letters, folder)
    return load(folder)
