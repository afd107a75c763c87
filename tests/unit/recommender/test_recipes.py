import json
from pathlib import Path
from typing import Any

import pytest

from recommender import ConfigError, TrainingConfig
from recommender.recipes import read_recipe


def written(folder: Path, content: Any) -> Path:
    path = folder / "training.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_is_not_named_is_the_default(tmp_path: Path):
    recipe = {"epochs": 3, "lr": 2e-4, "schedule": "cosine", "warmup_ratio": 0.03, "patience": None}
    assert read_recipe(written(tmp_path, recipe)) == TrainingConfig(
        epochs=3, lr=2e-4, schedule="cosine", warmup_ratio=0.03, patience=None
    )
    assert read_recipe(written(tmp_path, {})) == TrainingConfig()


def test_every_field_can_be_named(tmp_path: Path):
    recipe = TrainingConfig(
        epochs=2, lr=1e-4, batch_size=8, schedule="linear", weight_decay=0.0, max_grad_norm=0.5, patience=3, seed=7,
        warmup_ratio=0.1, betas=(0.8, 0.95),
    )  # fmt: skip
    assert read_recipe(written(tmp_path, recipe.to_plain())) == recipe


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        (
            {"learning_rate": 1e-4, "num_epochs": 3},
            "unknown fields: learning_rate, num_epochs; known: epochs, lr,",
        ),
        ({"epochs": "three"}, 'epochs cannot be "three"'),
        ({"epochs": 2.5}, "epochs cannot be 2.5"),
        ({"epochs": True}, "epochs cannot be true"),
        ({"lr": None}, "lr cannot be null"),
        ({"betas": 0.9}, "betas cannot be 0.9"),
        ({"schedule": 3}, "schedule cannot be 3"),
        ({"schedule": "polynomial"}, "schedule must be one of"),
        ({"epochs": 0}, "at least 1"),
        ({"warmup_ratio": 0.1}, "one_cycle has a warm-up"),
        ('{"lr": NaN}', "lr and max_grad_norm must be positive"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, content: Any, message: str):
    path = written(tmp_path, content)
    with pytest.raises(ConfigError, match=message) as refused:
        read_recipe(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.json cannot be read: No such file"):
        read_recipe(tmp_path / "none.json")
