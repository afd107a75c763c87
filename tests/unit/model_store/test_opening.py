import sys
from pathlib import Path

import pytest

from model_store import LocalStore, MemoryStore, StoreUnavailable, UnsupportedStoreUrl, open_store
from model_store.s3 import S3Store
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
        "gs://bucket/prefix",
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
    with pytest.raises(
        UnsupportedStoreUrl, match="use memory:, file:///absolute/path, s3://bucket/prefix, or a plain path"
    ):
        open_store(url)


def test_a_bucket_is_opened_without_a_word_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for address, place in (
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/", "s3://bucket/"),
        ("s3://my-bucket.eu/a/b_c/", "s3://my-bucket.eu/a/b_c"),
    ):
        store = open_store(address)
        assert isinstance(store, S3Store)
        assert store._objects.place == place


@pytest.mark.parametrize(
    "url",
    [
        "s3:",
        "s3://",
        "s3:///prefix",
        "s3://Bucket/prefix",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/a b",
        "s3://bucket/%2e%2e",
        "s3://bucket?versionId=1",
        "s3://bucket/#x",
        "s3://key:secret@bucket/x",
        "s3://bucket:9000/x",
    ],
)
def test_a_malformed_address_of_a_bucket_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(UnsupportedStoreUrl, match="is s3://bucket/prefix") as refused:
        open_store(url)
    assert "secret@" not in str(refused.value)


def test_without_obstore_a_bucket_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_store.s3", None)
    with pytest.raises(UnsupportedStoreUrl, match=r"pip install 'lethe\[s3\]'"):
        open_store("s3://bucket/prefix")


def test_a_file_in_the_place_of_the_folder_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreUnavailable, match="store"):
        open_store(str(tmp_path / "store"))
