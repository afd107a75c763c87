from pathlib import Path

import pytest

from model_store import LocalStore, MemoryStore, Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Every backend; what runs with this fixture is the contract."""
    return LocalStore(tmp_path / "store") if request.param == "local" else MemoryStore()


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path, local: LocalStore) -> Path:
    """The folder of ``local``."""
    return tmp_path / "store"
