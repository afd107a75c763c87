"""The base model of an installation: the operator's, or one that has read nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.settings import Settings
from recommender import Base, BaseConfig, InteractionData, draw_base, save_base
from worker.process import load_worker_base


def load_or_make_base(settings: Settings, data: InteractionData, seed: int) -> Base:
    """The base in LETHE_BASE. If that folder does not exist, a base is drawn at random over the data's catalogue.

    No forget request can change a base. So a base that Lethe makes is trained on nobody: only the adapter learns about
    users.

    Raises:
        SettingError: an earlier release trained the base on users of this service.
        ModelLoadError: the base cannot be loaded.
    """
    directory = Path(settings.base)
    # A hub id is not a local path; load_base recognises it.
    if not directory.exists() and (directory.is_absolute() or settings.base.startswith(".")):
        _make(directory, data, seed)
    return load_worker_base(settings)


def _make(directory: Path, data: InteractionData, seed: int) -> None:
    config = BaseConfig()
    model = draw_base(data.catalogue, config, seed=seed)
    # Build the base in another folder and move it when it is complete: the next start would load half a base.
    building = directory.with_name(directory.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    save_base(model, data.catalogue, config.style(data.catalogue), building)
    building.rename(directory)
