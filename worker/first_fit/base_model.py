"""The base model of an installation: the operator's, or one that has read nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.settings import Settings
from recommender import Base, BaseConfig, InteractionData, draw_base, save_base
from worker.process import load_worker_base


def load_or_make_base(settings: Settings, data: InteractionData, seed: int) -> Base:
    """The base in LETHE_BASE; where that folder does not exist, one is drawn at random over the data's catalogue.

    A base is what no request to be forgotten can change. So one of our own making is trained on nobody: all that is
    learnt about users is learnt by the adapter.

    Raises:
        SettingError: the base was trained on users of this service by an earlier release.
        ModelLoadError: it cannot be loaded.
    """
    directory = Path(settings.base)
    # A hub id is not a path of this machine; it is recognised by load_base.
    if not directory.exists() and (directory.is_absolute() or settings.base.startswith(".")):
        _make(directory, data, seed)
    return load_worker_base(settings)


def _make(directory: Path, data: InteractionData, seed: int) -> None:
    config = BaseConfig()
    model = draw_base(data.catalogue, config, seed=seed)
    # Built beside its place and moved there whole: half a base would be taken for one next time.
    building = directory.with_name(directory.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    save_base(model, data.catalogue, config.style(data.catalogue), building)
    building.rename(directory)
