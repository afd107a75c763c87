from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.serving.vllm_ranker import VllmLoader
from model_store import MemoryStore
from tests.fake_vllm import FakeVllm
from tests.unit.app.serving.marker_world import World
from tests.unit.app.serving.vllm_rig import loader_for

OpenLoader = Callable[..., VllmLoader]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "adapters"


@pytest.fixture
def open_loader(world: World, store: MemoryStore, fake_vllm: FakeVllm, place: Path) -> Iterator[OpenLoader]:
    """Opens loaders of the fake server, and closes them at the end."""
    loaders: list[VllmLoader] = []

    def open_loader(**options: object) -> VllmLoader:
        loaders.append(loader_for(fake_vllm, world.base, store, place, **options))  # type: ignore[arg-type]
        return loaders[-1]

    yield open_loader
    for loader in loaders:
        loader.close()
