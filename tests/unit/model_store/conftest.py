import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store import LocalStore, MemoryStore, Store, open_store
from tests.s3_server import S3Server, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server of S3's API, a process of its own, with the bucket ``plain``."""
    with s3_server() as server:
        server.make_bucket("plain")
        yield server


@pytest.fixture
def bucket_url(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new and empty store in a bucket; the environment says how to get there."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://plain/{secrets.token_hex(8)}/store"


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Every backend; what runs with this fixture is the contract."""
    if request.param == "s3":
        return open_store(request.getfixturevalue("bucket_url"))
    return LocalStore(tmp_path / "store") if request.param == "local" else MemoryStore()


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path, local: LocalStore) -> Path:
    """The folder of ``local``."""
    return tmp_path / "store"
