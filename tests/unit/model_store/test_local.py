"""The local backend: what lies on the disk, who may read it, and what a writer that dies leaves."""

import fcntl
import os
import shutil
import stat
from pathlib import Path

import pytest

from model_store import (
    ADAPTER_WEIGHTS,
    BlobMissing,
    BlobRef,
    DigestMismatch,
    HostileArtefact,
    InvalidJournalEntry,
    InvalidManifest,
    JournalConflict,
    LocalStore,
    StoreUnavailable,
    VersionDestroyed,
    read_version,
)
from model_store.digests import sha256_hex
from model_store.manifest import MAX_MANIFEST_BYTES
from tests.modes import open_to_others
from tests.unit.model_store.examples import (
    OTHER_SUBJECT,
    checkpoint,
    entry,
    floor,
    manifest,
    publish,
    refs,
    safetensors,
    timeline,
    weights_of,
)

ABANDONED = ".writing-" + "0" * 32


def blob_path(root: Path, version: str) -> Path:
    """The one blob of a version."""
    (path,) = (root / "blobs" / version).iterdir()
    return path


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o640)
    path.write_bytes(data)


def test_the_layout_is_as_documented(local: LocalStore, root: Path) -> None:
    version = publish(local)
    local.append_journal(entry(42))
    local.destroy(publish(local, safetensors(5)))
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    destroyed = next(digest for digest in local.versions() if local.is_destroyed(digest))
    assert files == {
        f"blobs/{version}/{weights_of(local, version)}",
        f"manifests/{version}.json",
        f"manifests/{destroyed}.json",
        "journal/000000000042.json",
        f"tombstones/{destroyed}.json",
    }
    assert blob_path(root, version).read_bytes() == safetensors()
    assert (root / "manifests" / f"{version}.json").read_bytes() == local.read_manifest(version).to_bytes()


def test_objects_are_read_only_from_birth(local: LocalStore, root: Path) -> None:
    path = blob_path(root, publish(local))
    assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0


def test_another_opening_sees_the_same(local: LocalStore, root: Path) -> None:
    version = publish(local)
    local.append_journal(entry())
    other = LocalStore(root)
    assert other.versions() == [version]
    assert list(other.journal()) == [entry()]
    other.destroy(version)
    assert local.is_destroyed(version)


@pytest.mark.parametrize(
    "damage",
    [b"", safetensors()[:-1], safetensors() + b"!", safetensors(fill=2)],
    ids=["emptied", "cut", "longer", "other"],
)
def test_a_damaged_blob_is_never_returned_nor_overwritten(
    local: LocalStore, root: Path, tmp_path: Path, damage: bytes
) -> None:
    version = publish(local)
    path = blob_path(root, version)
    rewrite(path, damage)
    target = tmp_path / "saved"
    for attempt in (
        lambda: local.read_blob(version, path.name),
        lambda: local.save_blob(version, path.name, target),
        lambda: publish(local),
    ):
        with pytest.raises(DigestMismatch, match="restore it from a copy"):
            attempt()
    assert path.read_bytes() == damage
    assert [found.name for found in tmp_path.iterdir()] == ["store"]


def test_a_damaged_blob_cannot_be_published(local: LocalStore, root: Path) -> None:
    version = publish(local)
    # As a publisher leaves it that was killed before the manifest.
    (root / "manifests" / f"{version}.json").unlink()
    rewrite(blob_path(root, version), safetensors()[:-1] + b"?")
    with pytest.raises(DigestMismatch):
        publish(local)
    assert local.versions() == []


def test_a_damaged_manifest_is_refused(local: LocalStore, root: Path) -> None:
    version = publish(local)
    path = root / "manifests" / f"{version}.json"
    rewrite(path, path.read_bytes().replace(b'"forget_epoch":3', b'"forget_epoch":9'))
    for attempt in (local.read_manifest, local.destroy):
        with pytest.raises(DigestMismatch):
            attempt(version)
    assert not local.is_destroyed(version)


def test_a_manifest_with_the_right_digest_and_a_wrong_form_is_refused(local: LocalStore, root: Path) -> None:
    publish(local)
    for data in (b"{}", b'{"schema":1}', b"not json"):
        path = root / "manifests" / f"{sha256_hex(data)}.json"
        path.write_bytes(data)
        with pytest.raises(InvalidManifest):
            local.read_manifest(sha256_hex(data))


def test_a_manifest_too_large_is_not_read(local: LocalStore, root: Path) -> None:
    publish(local)
    path = root / "manifests" / f"{'0' * 64}.json"
    with path.open("wb") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)
    with pytest.raises(HostileArtefact, match="at most"):
        local.read_manifest("0" * 64)


def test_a_version_published_behind_the_stores_back_is_checked_when_read(
    local: LocalStore, root: Path
) -> None:
    """Whoever can write files can write a consistent manifest over a pickle; no loader ever sees it."""
    bad = b"\x80\x04\x95" + b"\0" * (len(safetensors()) - 3)
    forged = manifest(refs({ADAPTER_WEIGHTS: bad}))
    for path, data in (
        (root / "blobs" / forged.digest / BlobRef.of(bad).digest, bad),
        (root / "manifests" / f"{forged.digest}.json", forged.to_bytes()),
    ):
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    with pytest.raises(HostileArtefact, match="pickle"):
        read_version(local, forged.digest)


def test_a_link_is_not_followed(local: LocalStore, root: Path, tmp_path: Path) -> None:
    version = publish(local)
    path = blob_path(root, version)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostileArtefact, match="link"):
        local.read_blob(version, path.name)
    with pytest.raises(HostileArtefact, match="link"):
        publish(local)


@pytest.mark.parametrize("folder", ["blobs", "blobs/{version}"])
def test_a_linked_folder_is_not_followed(local: LocalStore, root: Path, tmp_path: Path, folder: str) -> None:
    version = publish(local)
    digest = weights_of(local, version)
    linked = root / folder.format(version=version)
    shutil.move(linked, tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    for attempt in (lambda: local.read_blob(version, digest), lambda: publish(local)):
        with pytest.raises(HostileArtefact, match="link"):
            attempt()
    local_after = LocalStore(root)
    with pytest.raises(HostileArtefact, match="link"):
        local_after.read_blob(version, digest)


def test_a_destruction_through_a_linked_folder_deletes_nothing_there(
    local: LocalStore, root: Path, tmp_path: Path
) -> None:
    version = publish(local)
    shutil.move(root / "blobs", tmp_path / "elsewhere")
    (root / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostileArtefact):
        local.destroy(version)
    assert len([path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]) == 1
    assert local.is_destroyed(version)


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = LocalStore(tmp_path / "store")
    assert read_version(store, publish(store))


def test_what_is_not_a_file_neither_hangs_nor_passes(local: LocalStore, root: Path) -> None:
    version = publish(local)
    path = blob_path(root, version)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(HostileArtefact, match="ordinary"):
        local.read_blob(version, path.name)
    path.unlink()
    path.mkdir()
    with pytest.raises(HostileArtefact, match="ordinary"):
        local.read_blob(version, path.name)


def test_strangers_among_the_files_are_not_listed(local: LocalStore, root: Path) -> None:
    version = publish(local)
    local.append_journal(entry())
    for name in ("README", "x.json", f"{version}.json.bak", f"{version.upper()}.json", ABANDONED):
        (root / "manifests" / name).write_text("stranger")
    for name in ("1.json", "000000000002.json~", "../journal.json", ABANDONED):
        (root / "journal" / name).write_text("stranger")
    assert local.versions() == [version]
    assert list(local.journal()) == [entry()]


def test_a_damaged_journal_entry_stops_the_replay(local: LocalStore, root: Path) -> None:
    local.append_journal(entry(1))
    local.append_journal(entry(2))
    rewrite(root / "journal" / "000000000002.json", b"{")
    replay = local.journal()
    assert next(replay) == entry(1)
    with pytest.raises(InvalidJournalEntry):
        next(replay)
    with pytest.raises(JournalConflict):
        local.append_journal(entry(2))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_is_its_owners_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = LocalStore(tmp_path / "store")
        store.destroy(publish(store))
        publish(store, forget_epoch=9)
        store.append_journal(entry())
        store.start_timeline(timeline())
        store.put_checkpoint(checkpoint())
        store.raise_floor(floor())
        assert store.check().writable
    finally:
        os.umask(before)
    made = {path.relative_to(tmp_path).parts[1] for path in (tmp_path / "store").rglob("*")}
    assert made == {
        "blobs", "checkpoints", "floors", "journal", "manifests", "timelines", "tombstones",
    }  # fmt: skip
    assert open_to_others(tmp_path / "store") == []


def test_a_journal_entry_under_another_epochs_name_is_refused(local: LocalStore, root: Path) -> None:
    local.append_journal(entry(1))
    shutil.copy(root / "journal" / "000000000001.json", root / "journal" / "000000000005.json")
    with pytest.raises(InvalidJournalEntry, match=r"journal/000000000005.json is damaged \(it holds 1\)"):
        list(local.journal())


def test_an_occupied_epoch_keeps_its_bytes(local: LocalStore, root: Path) -> None:
    local.append_journal(entry())
    before = (root / "journal" / "000000000001.json").read_bytes()
    with pytest.raises(JournalConflict):
        local.append_journal(entry(subject=OTHER_SUBJECT))
    assert (root / "journal" / "000000000001.json").read_bytes() == before


def test_a_destruction_that_was_interrupted_is_finished_by_the_next_call(
    local: LocalStore, root: Path
) -> None:
    version = publish(local)
    blob = blob_path(root, version)
    first = local.destroy(version)
    for finish in (lambda: local.destroy(version), local.delete_orphans):
        # As after a crash between the tombstone and the deletion.
        blob.write_bytes(safetensors())
        with pytest.raises(VersionDestroyed):
            read_version(local, version)
        assert finish() in (first, (version,))
        assert not blob.exists()


def test_even_an_empty_tombstone_counts(local: LocalStore, root: Path) -> None:
    version = publish(local)
    (root / "tombstones").mkdir()
    (root / "tombstones" / f"{version}.json").touch()
    assert local.is_destroyed(version)
    with pytest.raises(VersionDestroyed):
        read_version(local, version)
    with pytest.raises(HostileArtefact, match="still counts as destroyed"):
        local.destroy(version)


def test_a_blob_removed_by_hand_is_missing_not_destroyed(local: LocalStore, root: Path) -> None:
    version = publish(local)
    blob = blob_path(root, version)
    blob.unlink()
    with pytest.raises(BlobMissing):
        read_version(local, version)
    # Whoever still has the bytes puts them back.
    assert publish(local) == version
    assert read_version(local, version)
    blob.unlink()
    assert local.destroy(version).deleted == (blob.name,)


def test_what_a_dead_writer_left_is_swept_and_what_a_live_one_writes_is_not(
    local: LocalStore, root: Path
) -> None:
    folder = blob_path(root, publish(local)).parent
    dead, alive = folder / ABANDONED, folder / (".writing-" + "1" * 32)
    keep = folder / ".writing-by-hand"
    for path in (dead, alive, keep):
        path.write_bytes(b"half of an adapter")
    for sweep in (lambda: LocalStore(root), local.delete_orphans):
        with alive.open("rb") as writing:
            fcntl.flock(writing, fcntl.LOCK_EX)
            sweep()
            assert not dead.exists()
            assert alive.exists()
        dead.write_bytes(b"half of an adapter")
    local.delete_orphans()
    assert not alive.exists()
    assert keep.exists()


def test_a_sweep_between_making_and_locking_a_file_costs_nothing(
    local: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    swept: list[bool] = []

    def flock(handle: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not swept:
            swept.append(True)
            LocalStore(root)
            assert list(root.rglob(".writing-*")) == []
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert read_version(local, publish(local))
    assert swept


def test_a_root_that_vanished_is_unavailable(local: LocalStore, root: Path) -> None:
    digest = publish(local)
    blob = weights_of(local, digest)
    shutil.rmtree(root)
    for attempt in (
        lambda: local.read_blob(digest, blob),
        lambda: publish(local),
        lambda: local.is_destroyed(digest),
        local.versions,
        lambda: list(local.journal()),
        lambda: local.append_journal(entry()),
    ):
        with pytest.raises(StoreUnavailable, match="check the disk and the mount"):
            attempt()
    health = local.check()
    assert not health.writable
    assert health.free_bytes is None
    assert "cannot" in health.detail


def test_a_health_check_leaves_nothing_behind(local: LocalStore, root: Path) -> None:
    assert local.check().writable
    assert list(root.iterdir()) == []
