"""The contract of a store, for every backend."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_store import (
    ADAPTER_WEIGHTS,
    BlobMissing,
    BlobRef,
    DigestMismatch,
    HostileArtefact,
    InvalidDigest,
    InvalidManifest,
    JournalConflict,
    ManifestMissing,
    PublicationSwept,
    Store,
    StoreUnavailable,
    VersionBelowFloor,
    VersionDestroyed,
    read_version,
)
from model_store.content import Content
from model_store.content_addressed import ContentAddressedStore
from tests.unit.model_store.examples import (
    OTHER_SUBJECT,
    checkpoint,
    entry,
    floor,
    manifest,
    publish,
    publish_all,
    refs,
    safetensors,
    timeline,
    weights_of,
)

ABSENT = "0" * 64
MALFORMED_DIGESTS = [
    "",
    "a" * 63,
    "a" * 65,
    "A" * 64,
    "g" * 64,
    "a" * 64 + "\n",
    "../" + "a" * 61,
    "/etc/passwd",
    "٣" * 64,  # a digit to str.isdigit, but not a hexadecimal one
]


def test_a_blob_is_named_by_its_sha256_and_comes_back_unchanged(store: Store) -> None:
    data = safetensors(values=25_600)
    version = publish(store, data)
    assert weights_of(store, version) == hashlib.sha256(data).hexdigest()
    assert store.read_blob(version, hashlib.sha256(data).hexdigest()) == data


def test_a_blob_nobody_put_is_missing(store: Store) -> None:
    for version in (ABSENT, publish(store)):
        with pytest.raises(BlobMissing, match=ABSENT):
            store.read_blob(version, ABSENT)


@pytest.mark.parametrize("digest", MALFORMED_DIGESTS)
def test_a_malformed_digest_is_refused_everywhere(store: Store, digest: str) -> None:
    for method in (store.read_manifest, store.destroy, store.is_destroyed):
        with pytest.raises(InvalidDigest):
            method(digest)
    for version, blob in ((digest, ABSENT), (ABSENT, digest)):
        with pytest.raises(InvalidDigest):
            store.read_blob(version, blob)


def test_a_version_is_named_by_its_manifest_and_comes_back_equal(store: Store) -> None:
    digest = publish(store)
    found = store.read_manifest(digest)
    assert found.digest == digest == hashlib.sha256(found.to_bytes()).hexdigest()
    assert found.forget_epoch == 3
    assert found.canary_fingerprint == [[0.5, -1.25], [3.0, 1e-7]]
    assert store.versions() == [digest]


def test_publishing_again_changes_nothing(store: Store) -> None:
    assert publish(store) == publish(store)
    assert len(store.versions()) == 1


def test_versions_are_sorted_and_complete(store: Store) -> None:
    published = {publish(store, forget_epoch=epoch) for epoch in range(5)}
    assert store.versions() == sorted(published)


def test_a_version_nobody_published_is_missing(store: Store) -> None:
    for method in (store.read_manifest, store.destroy):
        with pytest.raises(ManifestMissing, match=ABSENT):
            method(ABSENT)
    assert not store.is_destroyed(ABSENT)


def test_a_manifest_is_published_with_exactly_the_artefacts_it_names(store: Store) -> None:
    named = manifest(refs({ADAPTER_WEIGHTS: safetensors()}))
    for contents in ({}, {ADAPTER_WEIGHTS: safetensors(), "more.json": b"{}"}):
        with pytest.raises(InvalidManifest, match="given are"):
            store.publish(named, contents)
    assert store.versions() == []


@pytest.mark.parametrize("change", [{"bytes": len(safetensors()) - 1}, {"digest": ABSENT}])
def test_what_is_not_what_the_manifest_states_is_not_published(store: Store, change: dict[str, Any]) -> None:
    ref = replace(BlobRef.of(safetensors()), **change)
    with pytest.raises(DigestMismatch, match="the manifest states"):
        store.publish(manifest({ADAPTER_WEIGHTS: ref}), {ADAPTER_WEIGHTS: safetensors()})
    assert store.versions() == []
    assert store.delete_orphans() == ()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (ADAPTER_WEIGHTS, b"\x80\x04\x95" + b"\0" * 40),
        (ADAPTER_WEIGHTS, safetensors()[:-1]),
        (ADAPTER_WEIGHTS, b"{}"),
        ("ucan_gates.safetensors", b""),
        ("tokenizer.json", b"{'single': 'quotes'}"),
        ("tokenizer.json", b'{"a": NaN}'),
        ("tokenizer.json", safetensors()),
    ],
)
def test_an_artefact_that_is_not_what_its_name_says_is_not_published(
    store: Store, tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / "file").write_bytes(data)
    for content in (data, tmp_path / "file"):
        with pytest.raises(HostileArtefact, match=name):
            publish_all(store, {ADAPTER_WEIGHTS: safetensors(), name: content})
    assert store.versions() == []


def test_a_version_is_read_with_its_artefacts(store: Store) -> None:
    gates, weights, notes = safetensors(2, fill=7), safetensors(9), b'{ "any": ["layout"] }'
    artefacts: dict[str, Content] = {
        ADAPTER_WEIGHTS: weights,
        "ucan_gates.safetensors": gates,
        "notes.json": notes,
    }
    digest = publish_all(store, artefacts)
    assert read_version(store, digest) == (store.read_manifest(digest), artefacts)
    assert read_version(store, digest, [ADAPTER_WEIGHTS])[1] == {ADAPTER_WEIGHTS: weights}
    with pytest.raises(InvalidManifest, match=r"statistics\.safetensors"):
        read_version(store, digest, ["statistics.safetensors"])


def test_the_journal_comes_back_in_order_and_without_what_is_known(store: Store) -> None:
    assert list(store.journal()) == []
    for epoch in (11, 2, 999_999_999_999, 1, 100):
        store.append_journal(entry(epoch))
    assert [item.epoch for item in store.journal()] == [1, 2, 11, 100, 999_999_999_999]
    assert list(store.journal(known={1, 2, 11, 5})) == [entry(100), entry(999_999_999_999)]
    assert list(store.journal(known={1, 11, 100, 999_999_999_999})) == [entry(2)]


def test_the_same_journal_entry_again_changes_nothing(store: Store) -> None:
    store.append_journal(entry())
    store.append_journal(entry())
    assert list(store.journal()) == [entry()]


def test_an_epoch_belongs_to_its_first_entry(store: Store) -> None:
    store.append_journal(entry())
    with pytest.raises(JournalConflict, match="epoch 1 "):
        store.append_journal(entry(subject=OTHER_SUBJECT))
    assert list(store.journal()) == [entry()]


def test_the_epochs_of_the_journal_are_told_without_reading_it(store: Store) -> None:
    assert store.journal_epochs() == []
    for epoch in (11, 2, 100):
        store.append_journal(entry(epoch))
    assert store.journal_epochs() == [2, 11, 100]


def test_the_newest_timeline_is_the_one_of_the_greatest_number(store: Store) -> None:
    assert store.newest_timeline() is None
    for number in (1, 3, 2):
        assert store.start_timeline(timeline(number))
    assert store.newest_timeline() == timeline(3)


def test_a_timeline_belongs_to_whoever_started_it_first(store: Store) -> None:
    assert store.start_timeline(timeline(1))
    assert store.start_timeline(timeline(1))
    assert not store.start_timeline(timeline(1, token="f" * 32))
    assert store.newest_timeline() == timeline(1)


def test_the_newest_checkpoint_of_each_timeline_is_told(store: Store) -> None:
    assert store.newest_checkpoints() == {}
    for number, sequence in ((1, 9), (1, 10), (2, 4), (12, 1)):
        assert store.put_checkpoint(checkpoint(number, sequence))
    assert store.newest_checkpoints() == {
        1: checkpoint(1, 10),
        2: checkpoint(2, 4),
        12: checkpoint(12, 1),
    }


def test_an_entry_has_one_checkpoint(store: Store) -> None:
    assert store.put_checkpoint(checkpoint())
    assert store.put_checkpoint(checkpoint())
    assert not store.put_checkpoint(checkpoint(head="0f" * 32))
    assert store.newest_checkpoints() == {1: checkpoint()}


def test_the_floor_only_grows(store: Store) -> None:
    assert store.erasure_floor() == 0
    for epoch in (5, 3, 10, 5):
        store.raise_floor(floor(epoch))
    assert store.erasure_floor() == 10


def test_below_the_floor_nothing_is_published_and_no_weights_are_read(store: Store) -> None:
    """Also if somebody has put the bytes back, and the tombstone was lost with the copy they came from."""
    version = publish(store, forget_epoch=3)
    store.raise_floor(floor(4))
    with pytest.raises(VersionBelowFloor):
        read_version(store, version)
    with pytest.raises(VersionBelowFloor):
        read_version(store, version, [ADAPTER_WEIGHTS])
    with pytest.raises(VersionBelowFloor):
        publish(store, forget_epoch=3)
    # Whom it has read must still be found out, and it can still be destroyed.
    assert read_version(store, version, [])[0].forget_epoch == 3
    store.destroy(version)
    assert read_version(store, publish(store, forget_epoch=4))[0].forget_epoch == 4


def test_a_destroyed_version_keeps_its_manifest_and_loses_its_weights(store: Store) -> None:
    digest = publish(store)
    blob = weights_of(store, digest)
    assert not store.is_destroyed(digest)
    destruction = store.destroy(digest)
    assert (destruction.version, destruction.deleted) == (digest, (blob,))
    assert store.is_destroyed(digest)
    assert store.read_manifest(digest).digest == digest
    assert store.versions() == [digest]
    with pytest.raises(VersionDestroyed, match=digest):
        store.read_blob(digest, blob)
    with pytest.raises(VersionDestroyed, match=digest):
        read_version(store, digest)


def test_nothing_counts_as_destroyed_that_is_still_there(
    store: ContentAddressedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(store)
    with monkeypatch.context() as patched:
        patched.setattr(type(store._objects), "delete", lambda _self, _key: None)
        assert store.orphans() == ()
        with pytest.raises(StoreUnavailable, match=r"1 blobs of version .* are still there"):
            store.destroy(version)
        assert store.orphans() == (version,)
    store.destroy(version)
    assert store.orphans() == ()


def test_a_blob_is_verified_where_it_lies(store: ContentAddressedStore) -> None:
    version = publish(store)
    blob = weights_of(store, version)
    store.verify_blob(version, blob)
    store._objects.delete(f"blobs/{version}/{blob}")
    with pytest.raises(BlobMissing):
        store.verify_blob(version, blob)
    store._objects.create(f"blobs/{version}/{blob}", [b"other bytes"])
    with pytest.raises(DigestMismatch):
        store.verify_blob(version, blob)


def test_blobs_without_a_manifest_are_deleted_and_the_others_are_not(store: ContentAddressedStore) -> None:
    living = publish(store)
    # As a publisher that was killed before the manifest leaves them.
    interrupted = manifest(refs({ADAPTER_WEIGHTS: safetensors()}), forget_epoch=9)
    blob = interrupted.blobs[ADAPTER_WEIGHTS].digest
    store._objects.create(f"blobs/{interrupted.digest}/{blob}", [safetensors()])
    assert store.delete_orphans() == (interrupted.digest,)
    assert store.delete_orphans() == ()
    assert read_version(store, living)
    with pytest.raises(BlobMissing):
        store.read_blob(interrupted.digest, blob)
    # One that was only slow learns of it, and publishes another one.
    with pytest.raises(PublicationSwept, match=interrupted.digest):
        store.publish(interrupted, {ADAPTER_WEIGHTS: safetensors()})
    assert read_version(store, publish(store, forget_epoch=10))


def test_destroying_again_reports_the_same(store: Store) -> None:
    digest = publish(store)
    assert store.destroy(digest) == store.destroy(digest)


def test_a_destroyed_version_cannot_be_published_again(store: Store) -> None:
    digest = publish(store)
    store.destroy(digest)
    with pytest.raises(VersionDestroyed):
        publish(store)
    assert store.is_destroyed(digest)


def test_each_version_has_blobs_of_its_own(store: Store) -> None:
    shared, own = safetensors(fill=1), safetensors(fill=2)
    first = publish_all(store, {ADAPTER_WEIGHTS: shared, "ucan_gates.safetensors": own})
    second = publish(store, shared, parent=first)
    assert store.destroy(first).deleted == tuple(sorted(BlobRef.of(data).digest for data in (shared, own)))
    assert read_version(store, second)[1] == {ADAPTER_WEIGHTS: shared}


def test_one_blob_under_two_names_of_one_version_goes_once(store: Store) -> None:
    version = publish_all(store, {ADAPTER_WEIGHTS: safetensors(), "copy.safetensors": safetensors()})
    assert len(read_version(store, version)[1]) == 2
    assert store.destroy(version).deleted == (BlobRef.of(safetensors()).digest,)


def test_a_version_that_is_read_while_it_is_destroyed_is_told_to_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(store)
    real = store.read_blob

    def destroyed_meanwhile(*arguments: str) -> bytes:
        store.destroy(version)
        return real(*arguments)

    monkeypatch.setattr(store, "read_blob", destroyed_meanwhile)
    with pytest.raises(VersionDestroyed, match=version):
        read_version(store, version)


def test_bytes_put_again_after_a_destruction_can_be_read_again(store: ContentAddressedStore) -> None:
    digest = publish(store)
    blob = weights_of(store, digest)
    store.destroy(digest)
    # As a copy of the store brings them back.
    store._objects.create(f"blobs/{digest}/{blob}", [safetensors()])
    assert store.read_blob(digest, blob) == safetensors()
    # As bytes; the version that they were of does not come back with them.
    with pytest.raises(VersionDestroyed, match="only its manifest is left"):
        read_version(store, digest)
    assert store.delete_orphans() == (digest,)
    with pytest.raises(VersionDestroyed, match="was destroyed with version"):
        store.read_blob(digest, blob)


def test_many_threads_that_put_the_same_things_agree(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: publish(store), range(8)))
        list(pool.map(lambda number: store.append_journal(entry(number % 4 + 1)), range(8)))
    assert store.versions() == sorted(digests)
    assert len(digests) == 1
    assert [item.epoch for item in store.journal()] == [1, 2, 3, 4]


def test_one_of_many_threads_wins_an_epoch(store: Store) -> None:
    def claim(number: int) -> bool:
        try:
            store.append_journal(entry(7, subject=f"{number:064x}"))
        except JournalConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(16)))
    assert sum(won) == 1
    assert [item.subject_hmac for item in store.journal()] == [f"{won.index(True):064x}"]


def test_an_empty_store_is_writable(store: Store) -> None:
    health = store.check()
    assert health.writable
    assert health.free_bytes is None or health.free_bytes > 0
    assert health.detail == ""
