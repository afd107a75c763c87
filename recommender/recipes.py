"""The operator's training recipe, read from a JSON file that holds fields of `TrainingConfig`."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from recommender.errors import ConfigError
from recommender.training import TrainingConfig

RECIPE_FILE = "training.json"
_WHOLE = ("epochs", "batch_size", "patience", "seed")


def read_recipe(path: Path) -> TrainingConfig:
    """Read a recipe. Fields left out have the defaults of `TrainingConfig`; `"patience": null` trains every epoch.

    Raises:
        ConfigError: the file is missing or not JSON, or a field is unknown, of another type or out of range. The
            message is one line that names file and field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the recipe {path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"the recipe {path} is not a JSON object")
    known = [field.name for field in fields(TrainingConfig)]
    unknown = sorted(content.keys() - set(known))
    if unknown:
        raise ConfigError(
            f"the recipe {path} has unknown fields: {', '.join(unknown)}; known: {', '.join(known)}"
        )
    for name, value in content.items():
        if not _has_right_type(name, value):
            raise ConfigError(f"the recipe {path}: {name} cannot be {json.dumps(value)}")
    try:
        # Without `keeps`, `from_plain` would assume an earlier release; a recipe means the present default.
        return TrainingConfig.from_plain({"keeps": TrainingConfig.keeps, **content})
    except ConfigError as error:
        raise ConfigError(f"the recipe {path}: {error}") from error


def _has_right_type(name: str, value: Any) -> bool:
    if name in ("schedule", "keeps"):
        return isinstance(value, str)
    if name == "betas":
        return isinstance(value, list) and all(_is_number(item, whole=False) for item in value)
    return (name == "patience" and value is None) or _is_number(value, whole=name in _WHOLE)


def _is_number(value: Any, *, whole: bool) -> bool:
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)
