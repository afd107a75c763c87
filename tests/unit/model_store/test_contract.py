"""The contract of a store, for every backend."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

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
    Store,
    VersionBelowFloor,
    VersionDestroyed,
    read_version,
)
from tests.unit.model_store.examples import (
    OTHER_SUBJECT,
    checkpoint,
    entry,
    floor,
    manifest,
    publish,
    safetensors,
    timeline,
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
    data = bytes(range(256)) * 100
    assert store.put_blob(data) == hashlib.sha256(data).hexdigest()
    assert store.read_blob(hashlib.sha256(data).hexdigest()) == data


def test_the_empty_blob_is_a_blob(store: Store) -> None:
    assert store.read_blob(store.put_blob(b"")) == b""


def test_putting_a_blob_again_changes_nothing(store: Store) -> None:
    assert store.put_blob(b"same") == store.put_blob(b"same")
    assert store.read_blob(store.put_blob(b"same")) == b"same"


def test_a_blob_nobody_put_is_missing(store: Store) -> None:
    with pytest.raises(BlobMissing, match=ABSENT):
        store.read_blob(ABSENT)


@pytest.mark.parametrize("digest", MALFORMED_DIGESTS)
def test_a_malformed_digest_is_refused_everywhere(store: Store, digest: str) -> None:
    for method in (store.read_blob, store.read_manifest, store.destroy, store.is_destroyed):
        with pytest.raises(InvalidDigest):
            method(digest)


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


def test_a_manifest_whose_blob_is_missing_is_not_published(store: Store) -> None:
    with pytest.raises(BlobMissing):
        store.put_manifest(manifest({ADAPTER_WEIGHTS: BlobRef(ABSENT, 10)}))
    assert store.versions() == []


def test_a_manifest_that_states_the_wrong_size_is_not_published(store: Store) -> None:
    ref = BlobRef(store.put_blob(safetensors()), len(safetensors()) - 1)
    with pytest.raises(DigestMismatch, match="bytes"):
        store.put_manifest(manifest({ADAPTER_WEIGHTS: ref}))
    assert store.versions() == []


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
    store: Store, name: str, data: bytes
) -> None:
    good = BlobRef(store.put_blob(safetensors()), len(safetensors()))
    bad = BlobRef(store.put_blob(data), len(data))
    with pytest.raises(HostileArtefact, match=name):
        store.put_manifest(manifest({ADAPTER_WEIGHTS: good, name: bad}))
    assert store.versions() == []


def test_a_version_is_read_with_its_artefacts(store: Store) -> None:
    gates, weights, notes = safetensors(2, fill=7), safetensors(9), b'{ "any": ["layout"] }'
    artefacts = {ADAPTER_WEIGHTS: weights, "ucan_gates.safetensors": gates, "notes.json": notes}
    refs = {name: BlobRef(store.put_blob(data), len(data)) for name, data in artefacts.items()}
    digest = store.put_manifest(manifest(refs))
    assert read_version(store, digest) == (store.read_manifest(digest), artefacts)
    assert read_version(store, digest, [ADAPTER_WEIGHTS])[1] == {ADAPTER_WEIGHTS: weights}
    with pytest.raises(InvalidManifest, match=r"statistics\.safetensors"):
        read_version(store, digest, ["statistics.safetensors"])


def test_the_journal_comes_back_in_order_and_after_an_epoch(store: Store) -> None:
    assert list(store.journal()) == []
    for epoch in (11, 2, 999_999_999_999, 1, 100):
        store.append_journal(entry(epoch))
    assert [item.epoch for item in store.journal()] == [1, 2, 11, 100, 999_999_999_999]
    assert list(store.journal(after=11)) == [entry(100), entry(999_999_999_999)]
    assert list(store.journal(after=999_999_999_999)) == []


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
    blob = store.read_manifest(digest).blobs[ADAPTER_WEIGHTS].digest
    assert not store.is_destroyed(digest)
    destruction = store.destroy(digest)
    assert (destruction.version, destruction.deleted, destruction.kept) == (digest, (blob,), ())
    assert store.is_destroyed(digest)
    assert store.read_manifest(digest).digest == digest
    assert store.versions() == [digest]
    with pytest.raises(VersionDestroyed, match=digest):
        store.read_blob(blob)
    with pytest.raises(VersionDestroyed, match=digest):
        read_version(store, digest)


def test_blobs_that_no_living_version_names_are_deleted_and_the_others_are_not(store: Store) -> None:
    living = publish(store, safetensors(fill=1))
    shared = publish(store, safetensors(fill=1), method="other")
    gone = publish(store, safetensors(fill=2))
    store.destroy(gone)
    store.destroy(shared)
    orphan = store.put_blob(safetensors(fill=3))
    assert store.delete_orphans() == (orphan,)
    assert store.delete_orphans() == ()
    kept = store.read_manifest(living).blobs["adapter_model.safetensors"].digest
    assert store.read_blob(kept) == safetensors(fill=1)
    with pytest.raises(BlobMissing):
        store.put_manifest(manifest({"adapter_model.safetensors": BlobRef(orphan, len(safetensors(fill=3)))}))


def test_destroying_again_reports_the_same(store: Store) -> None:
    digest = publish(store)
    assert store.destroy(digest) == store.destroy(digest)


def test_a_destroyed_version_cannot_be_published_again(store: Store) -> None:
    digest = publish(store)
    store.destroy(digest)
    with pytest.raises(VersionDestroyed):
        publish(store)
    assert store.is_destroyed(digest)


def test_a_blob_goes_with_the_last_version_that_uses_it(store: Store) -> None:
    shared, own = safetensors(fill=1), safetensors(fill=2)
    refs = [BlobRef(store.put_blob(data), len(data)) for data in (shared, own)]
    first = store.put_manifest(manifest({ADAPTER_WEIGHTS: refs[0], "ucan_gates.safetensors": refs[1]}))
    second = publish(store, shared, parent=first)

    destruction = store.destroy(first)
    assert (destruction.deleted, destruction.kept) == ((refs[1].digest,), (refs[0].digest,))
    assert read_version(store, second)[1] == {ADAPTER_WEIGHTS: shared}

    assert store.destroy(second).deleted == (refs[0].digest,)
    # Asked again, the first version's own account now includes what it once had to leave behind.
    assert store.destroy(first).deleted == tuple(sorted(ref.digest for ref in refs))


def test_one_blob_under_two_names_of_one_version_goes_once(store: Store) -> None:
    ref = BlobRef(store.put_blob(safetensors()), len(safetensors()))
    digest = store.put_manifest(manifest({ADAPTER_WEIGHTS: ref, "copy.safetensors": ref}))
    assert store.destroy(digest).deleted == (ref.digest,)


def test_bytes_put_again_after_a_destruction_can_be_read_again(store: Store) -> None:
    digest = publish(store)
    blob = store.read_manifest(digest).blobs[ADAPTER_WEIGHTS].digest
    store.destroy(digest)
    store.put_blob(safetensors())
    assert store.read_blob(blob) == safetensors()
    # As bytes; the version that they were of does not come back with them.
    with pytest.raises(VersionDestroyed, match="only its manifest is left"):
        read_version(store, digest)


def test_many_threads_that_put_the_same_things_agree(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: publish(store), range(32)))
        list(pool.map(lambda number: store.append_journal(entry(number % 4 + 1)), range(32)))
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
