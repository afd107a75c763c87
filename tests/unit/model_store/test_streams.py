"""Large blobs: from a file into the store and back, piece by piece."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from model_store import (
    ADAPTER_WEIGHTS,
    BlobMissing,
    BlobRef,
    DigestMismatch,
    HostileArtefact,
    LocalStore,
    Store,
    StoreUnavailable,
    inspect_safetensors,
    read_version,
)
from model_store.content import PIECE_BYTES
from tests.unit.model_store.examples import manifest, publish, publish_all, safetensors, weights_of

LARGE = 48 * PIECE_BYTES
WHOLE = 8 * PIECE_BYTES  # less than that is held at any time


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A well-formed file, written without holding it either."""
    path = tmp_path / ADAPTER_WEIGHTS
    path.write_bytes(safetensors(LARGE // 4)[: -LARGE + 1])
    with path.open("ab") as file:
        file.truncate(file.tell() - 1 + LARGE)
    return path


def test_a_file_is_published_and_read_like_bytes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(safetensors(PIECE_BYTES))
    version = publish(store, path)
    assert version == publish(store, path.read_bytes())
    assert read_version(store, version)[1] == {ADAPTER_WEIGHTS: path.read_bytes()}
    store.save_blob(version, weights_of(store, version), tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == path.read_bytes()
    assert inspect_safetensors(path) == inspect_safetensors(path.read_bytes())


def test_what_is_large_is_never_held_whole(local: LocalStore, large: Path, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        version = publish(local, large)
        # It stands there by now, and is verified.
        assert publish(local, large) == version
        local.save_blob(version, weights_of(local, version), tmp_path / "saved")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "saved").stat().st_size == large.stat().st_size > LARGE
    assert peak < WHOLE


def test_a_file_that_changes_while_it_is_published_is_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(safetensors())
    described = manifest({ADAPTER_WEIGHTS: BlobRef.of(path)})
    path.write_bytes(safetensors(fill=2))
    with pytest.raises(DigestMismatch, match=ADAPTER_WEIGHTS):
        store.publish(described, {ADAPTER_WEIGHTS: path})
    assert store.versions() == []
    assert store.delete_orphans() == ()


def test_a_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot read .*nothing"):
        publish(store, tmp_path / "nothing")


def test_the_header_of_a_file_is_judged_like_that_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"", b"\x80\x04\x95" + b"\0" * 9, safetensors()[:-1], safetensors() + b"!"):
        path.write_bytes(data)
        with pytest.raises(HostileArtefact) as of_bytes:
            inspect_safetensors(data)
        with pytest.raises(HostileArtefact) as of_file:
            inspect_safetensors(path)
        assert str(of_file.value) == str(of_bytes.value)


def test_a_blob_gets_its_name_only_when_it_is_verified(store: Store, tmp_path: Path) -> None:
    version = publish_all(store, {ADAPTER_WEIGHTS: safetensors()})
    target = tmp_path / "target"
    with pytest.raises(BlobMissing):
        store.save_blob(version, "0" * 64, target)
    with pytest.raises(StoreUnavailable):
        store.save_blob(version, weights_of(store, version), tmp_path / "no folder" / "target")
    assert not target.exists()
    target.write_bytes(b"before")
    store.save_blob(version, weights_of(store, version), target)
    assert target.read_bytes() == safetensors()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".unverified")] == []
