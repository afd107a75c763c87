"""The base model of an installation: the operator's, or one that has read nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.settings import Settings
from recommender import Base, BaseConfig, InteractionData, draw_base, save_base
from recommender.base import lacks_style
from worker.first_fit.errors import FirstFitError
from worker.process import load_worker_base


def require_style(settings: Settings) -> None:
    """Check that the base says what it reads. Taken for item tokens, an adapter on text prompts would go live.

    Raises:
        FirstFitError: it has a tokenizer and no `style.json`.
    """
    if is_there(settings) and lacks_style(settings.base):
        raise FirstFitError(
            f"LETHE_BASE: {settings.base} has a tokenizer and no style.json: describe your prompt there, as in "
            "docs/how-to/prompt-styles.md; if each item is one token, say so with "
            '{"style": "item_tokens", …} as in docs/examples/item_tokens'
        )


def load_or_make_base(settings: Settings, data: InteractionData, seed: int) -> Base:
    """The base in LETHE_BASE. If that folder does not exist, a base is drawn at random over the data's catalogue.

    No forget request can change a base. So a base that Lethe makes is trained on nobody: only the adapter learns about
    users.

    Raises:
        SettingError: an earlier release trained the base on users of this service.
        ModelLoadError: the base cannot be loaded.
    """
    if not is_there(settings):
        _make(Path(settings.base), data, seed)
    return load_worker_base(settings)


def is_there(settings: Settings) -> bool:
    """Whether LETHE_BASE names a folder that exists, or a model of the hub. No weights are read."""
    directory = Path(settings.base)
    # A hub id is not a local path; load_base recognises it.
    return directory.exists() or not (directory.is_absolute() or settings.base.startswith("."))


def _make(directory: Path, data: InteractionData, seed: int) -> None:
    config = BaseConfig()
    model = draw_base(data.catalogue, config, seed=seed)
    # Build the base in another folder and move it when it is complete: the next start would load half a base.
    building = directory.with_name(directory.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    save_base(model, data.catalogue, config.style(data.catalogue), building)
    building.rename(directory)
