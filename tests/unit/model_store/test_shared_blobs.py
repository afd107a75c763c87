"""A store of an earlier release, in which versions share their blobs, is one of this release once it was opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from model_store import BlobMissing, DigestMismatch, LocalStore, VersionDestroyed, read_version
from model_store.content_addressed import ContentAddressedStore
from model_store.digests import sha256_hex
from model_store.directory import DirectoryObjects
from tests.unit.model_store.examples import publish, safetensors, weights_of


@pytest.fixture
def shared(local: LocalStore, root: Path) -> tuple[str, str, str]:
    """Two versions of the same weights and one that was destroyed, as an earlier release left them."""
    one, other = publish(local), publish(local, forget_epoch=9)
    gone = publish(local, safetensors(fill=2))
    blobs = {version: weights_of(local, version) for version in (one, other, gone)}
    for version in (one, other, gone):
        digest = blobs[version]
        (root / "blobs" / digest[:2]).mkdir(exist_ok=True)
        (root / "blobs" / version / digest).replace(root / "blobs" / digest[:2] / digest)
        (root / "blobs" / version).rmdir()
    shutil.copy(root / "blobs" / blobs[gone][:2] / blobs[gone], root / "copy")
    ContentAddressedStore(DirectoryObjects(root)).destroy(gone)
    return one, other, gone


def test_each_living_version_gets_its_own_and_the_shared_ones_go(
    local: LocalStore, root: Path, shared: tuple[str, str, str]
) -> None:
    one, other, gone = shared
    with pytest.raises(BlobMissing):
        read_version(local, one)
    for _ in range(2):
        opened = LocalStore(root)
        assert read_version(opened, one)[1] == read_version(opened, other)[1]
        with pytest.raises(VersionDestroyed):
            read_version(opened, gone)
        held = {path.relative_to(root / "blobs").parts[0] for path in (root / "blobs").glob("*/*")}
        assert held == {one, other}
    local.destroy(one)
    assert read_version(local, other)


def test_what_a_killed_opening_left_is_finished_by_the_next(
    local: LocalStore, root: Path, shared: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, _ = shared
    monkeypatch.setattr("model_store.directory.DirectoryObjects.delete", _killed)
    with pytest.raises(KeyboardInterrupt):
        LocalStore(root)
    monkeypatch.undo()
    assert read_version(LocalStore(root), one)[1] == read_version(local, other)[1]


def damage(root: Path, digest: str) -> tuple[Path, bytes]:
    """The manifest's file, now a byte short, and what was in it."""
    path = root / "manifests" / f"{digest}.json"
    before = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(before[:-1])
    return path, before


def test_a_damaged_manifest_keeps_what_it_may_name(
    local: LocalStore, root: Path, shared: tuple[str, str, str]
) -> None:
    one, other, _ = shared
    path, before = damage(root, one)
    assert read_version(LocalStore(root), other)
    path.write_bytes(before)
    assert read_version(LocalStore(root), one)


def test_shared_bytes_do_not_outlive_a_destruction(
    local: LocalStore, root: Path, shared: tuple[str, str, str]
) -> None:
    one, other, _ = shared
    path, before = damage(root, one)
    opened = LocalStore(root)
    with pytest.raises(DigestMismatch):
        opened.destroy(other)
    path.write_bytes(before)
    opened.destroy(one)
    opened.destroy(other)
    assert [path for path in (root / "blobs").rglob("*") if path.is_file()] == []


def test_bytes_that_come_back_in_the_old_layout_go_with_the_next_sweep(
    local: LocalStore, root: Path, shared: tuple[str, str, str]
) -> None:
    opened = LocalStore(root)
    digest = sha256_hex((root / "copy").read_bytes())
    (root / "blobs" / digest[:2]).mkdir(exist_ok=True)
    shutil.copy(root / "copy", root / "blobs" / digest[:2] / digest)
    opened.delete_orphans()
    assert not (root / "blobs" / digest[:2] / digest).exists()


def test_who_destroys_while_another_converts_has_the_last_word(
    local: LocalStore, root: Path, shared: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _, _ = shared
    create = DirectoryObjects.create

    def create_after_destruction(objects: DirectoryObjects, key: str, pieces: Iterable[bytes]) -> bool:
        if key.startswith(f"blobs/{one}/"):
            monkeypatch.setattr(DirectoryObjects, "create", create)
            ContentAddressedStore(objects).destroy(one)
        return create(objects, key, pieces)

    monkeypatch.setattr(DirectoryObjects, "create", create_after_destruction)
    LocalStore(root)
    assert [path for path in (root / "blobs" / one).rglob("*") if path.is_file()] == []


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
