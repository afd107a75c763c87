from pathlib import Path

import pytest

from model_store import LocalStore, MemoryStore, StoreUnavailable, UnsupportedStoreUrl, open_store
from tests.unit.model_store.examples import publish


def test_memory_is_new_every_time() -> None:
    store = open_store("memory:")
    assert isinstance(store, MemoryStore)
    assert store.versions() == []
    publish(store)
    assert open_store("memory:").versions() == []


def test_a_plain_path_and_a_file_address_are_the_same_place(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    digest = publish(open_store(str(folder)))
    for address in (folder.as_uri(), f"file://localhost{folder.as_uri().removeprefix('file://')}"):
        store = open_store(address)
        assert isinstance(store, LocalStore)
        assert store.versions() == [digest]


def test_a_relative_path_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("some/store")
    digest = publish(store)
    monkeypatch.chdir("/")
    assert store.versions() == [digest]
    assert (tmp_path / "some" / "store" / "blobs").is_dir()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "   ",
        "s3://bucket/prefix",
        "http://host/store",
        "memory://x",
        "memory:shared",
        "file://host/path",
        "file:relative",
        "file://",
        "file:///path?mode=ro",
        "file:///path#part",
        "file:///path%00",
        "path\0",
    ],
)
def test_any_other_address_is_refused_with_the_choices(url: str) -> None:
    with pytest.raises(UnsupportedStoreUrl, match="use memory:, file:///absolute/path, or a plain path"):
        open_store(url)


def test_a_file_in_the_place_of_the_folder_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreUnavailable, match="store"):
        open_store(str(tmp_path / "store"))
