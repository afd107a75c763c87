"""What a place for named bytes must do, for every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store import HostileArtefact, StoreError
from model_store.directory import DirectoryObjects
from model_store.memory import MemoryObjects
from model_store.objects import Objects, read_whole
from model_store.s3 import S3Objects

LIMIT = 2**30


@pytest.fixture(params=["directory", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "s3":
        return S3Objects("plain", request.getfixturevalue("bucket_url").removeprefix("s3://plain/"))
    return DirectoryObjects(tmp_path / "store") if request.param == "directory" else MemoryObjects()


def test_what_was_created_is_read_whole_and_in_pieces(objects: Objects) -> None:
    data = bytes(range(256)) * 10_000
    assert objects.create("blobs/v/d", [data[:7], b"", data[7:]])
    found: list[bytes] = []
    assert objects.read("blobs/v/d", LIMIT, found.append)
    assert len(found) > 1
    assert b"".join(found) == data == read_whole(objects, "blobs/v/d", len(data))
    assert objects.create("floors/1.json", [])
    assert read_whole(objects, "floors/1.json", 0) == b""


def test_a_key_belongs_to_whoever_created_it(objects: Objects) -> None:
    assert objects.create("a/b", [b"first"])
    assert not objects.create("a/b", [b"second"])
    assert read_whole(objects, "a/b", LIMIT) == b"first"


def test_what_breaks_off_leaves_nothing(objects: Objects) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise StoreError("the source has ended")

    with pytest.raises(StoreError, match="the source has ended"):
        objects.create("a/b", broken())
    assert not objects.exists("a/b")
    assert objects.names("a") == []
    objects.sweep()
    assert objects.create("a/b", [b"whole"])


def test_nothing_is_nothing(objects: Objects) -> None:
    assert read_whole(objects, "a/b", LIMIT) is None
    assert not objects.exists("a/b")
    assert objects.names("a") == []
    objects.delete("a/b")


def test_too_many_bytes_are_refused_before_the_first(objects: Objects) -> None:
    objects.create("a/b", [b"123"])
    found: list[bytes] = []
    with pytest.raises(HostileArtefact, match="at most 2"):
        objects.read("a/b", 2, found.append)
    assert found == []


def test_what_is_deleted_is_gone_and_can_be_created_again(objects: Objects) -> None:
    objects.create("a/b/c", [b"1"])
    objects.delete("a/b/c")
    objects.delete("a/b/c")
    assert (objects.exists("a/b/c"), objects.names("a/b")) == (False, [])
    assert objects.create("a/b/c", [b"2"])


def test_a_listing_tells_the_next_part_below_a_prefix_and_nothing_else(objects: Objects) -> None:
    for key in ("a/1", "a/2", "ab/3", "b/a/4", "b/a/5", "b/c/6"):
        objects.create(key, [b""])
    assert sorted(objects.names("a")) == ["1", "2"]
    assert sorted(objects.names("b")) == ["a", "c"]
    assert sorted(objects.names("b/a")) == ["4", "5"]
    assert objects.names("c") == []


def test_it_can_be_written_and_holds_nothing_of_that(objects: Objects) -> None:
    assert objects.health().writable
    assert [objects.names(prefix) for prefix in ("blobs", "manifests")] == [[], []]
