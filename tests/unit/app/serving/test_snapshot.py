"""What a version must prove before it may serve, what it shares, and that its memory is given back."""

import gc
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.serving import (
    BelowErasureFloor,
    CorruptVersion,
    FingerprintMismatch,
    IncompatibleAdapter,
    InferenceFailed,
    VersionDestroyed,
    WrongBase,
    WrongCatalogue,
    build_snapshot,
)
from app.serving.resident import ResidentVersions
from app.serving.snapshot import RankingRequest
from model_store import ADAPTER_WEIGHTS, BlobRef, HostileArtefact, LocalStore, MemoryStore, StoreUnavailable
from recommender import AdapterConfig, TrainingConfig, fit_adapter
from tests.unit.app.serving.marker_world import HIGH, LOW, K, World, histories, make_base


def test_it_ranks_as_the_same_adapter_does_offline(world: World, store: MemoryStore) -> None:
    snapshot = build_snapshot(store, world.publish(store, world.low, forget_epoch=3), world.base, floor=3)
    requests = [RankingRequest(history, K) for history in histories(20)]
    answers = snapshot.rank(requests)
    for request, answer in zip(requests, answers, strict=True):
        assert [item.item for item in answer] == world.offline(world.low, request.history)
        assert all(item.item in LOW for item in answer)
    assert answers[0][0].item_id == f"i{answers[0][0].item}"
    assert answers[0][0].title == f"Item {answers[0][0].item}"
    assert [item.score for item in answers[0]] == sorted((item.score for item in answers[0]), reverse=True)
    assert snapshot.forget_epoch == 3


def test_seen_items_are_never_ranked_even_when_few_are_left(world: World, store: MemoryStore) -> None:
    snapshot = build_snapshot(store, world.publish(store, world.low), world.base, 0)
    seen = tuple(range(27))
    few, many = snapshot.rank([RankingRequest(seen, 10), RankingRequest((20,), 29)])
    assert sorted(item.item for item in few) == [27, 28, 29]
    assert sorted(item.item for item in many) == [item for item in range(30) if item != 20]
    assert snapshot.rank([RankingRequest(tuple(range(30)), 3)]) == [()]


def test_a_model_that_computes_no_number_fails_instead_of_ranking(world: World, store: MemoryStore) -> None:
    snapshot = build_snapshot(store, world.publish(store, world.low), world.base, 0)

    def overflow(_module: object, _input: object, output: Any) -> None:
        output.logits.fill_(torch.nan)

    hook = snapshot.scorer._model.register_forward_hook(overflow)
    try:
        with pytest.raises(InferenceFailed):
            snapshot.rank([RankingRequest((20,), 3)])
    finally:
        hook.remove()


def test_it_shares_every_base_tensor_and_changes_none(world: World, store: MemoryStore) -> None:
    before = {name: tensor.clone() for name, tensor in world.base.model.state_dict().items()}
    snapshot = build_snapshot(store, world.publish(store, world.low), world.base, 0)
    theirs = {tensor.data_ptr() for tensor in snapshot.scorer._model.state_dict().values()}
    assert {tensor.data_ptr() for tensor in world.base.model.state_dict().values()} <= theirs
    snapshot.rank([RankingRequest((20, 21), K)])
    after = world.base.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_its_memory_is_given_back_with_the_last_reference(world: World, store: MemoryStore) -> None:
    low, high = world.publish(store, world.low), world.publish(store, world.high)
    resident = ResidentVersions()
    first = build_snapshot(store, low, world.base, 0, resident=resident)
    second = build_snapshot(store, high, world.base, 0, resident=resident)
    # The tree itself and the adapter's own matrices.
    assert resident.counts() == {low: 1 + len(world.low.tensors), high: 1 + len(world.high.tensors)}
    request = [RankingRequest((20,), K)]
    first.rank(request), second.rank(request)
    gc.collect()
    gc.disable()
    try:
        # Without the cycle collector: the release does not wait for one.
        del first
        assert resident.versions() == (high,)
        assert [item.item in HIGH for item in second.rank(request)[0]] == [True] * K
        del second
        assert resident.versions() == ()
    finally:
        gc.enable()


def test_a_version_below_the_floor_is_refused_before_its_bytes_are_read(
    world: World, store: MemoryStore
) -> None:
    digest = world.publish(store, world.low, forget_epoch=4)
    with pytest.raises(BelowErasureFloor):
        build_snapshot(store, digest, world.base, floor=5)
    build_snapshot(store, digest, world.base, floor=4)


def test_a_destroyed_version_is_refused(world: World, store: MemoryStore) -> None:
    digest = world.publish(store, world.low)
    store.destroy(digest)
    with pytest.raises(VersionDestroyed):
        build_snapshot(store, digest, world.base, 0)


def test_a_version_for_another_base_or_catalogue_is_refused(world: World, store: MemoryStore) -> None:
    with pytest.raises(WrongBase):
        build_snapshot(store, world.publish(store, world.low, base_digest="0" * 64), world.base, 0)
    with pytest.raises(WrongCatalogue):
        build_snapshot(store, world.publish(store, world.low, catalogue_digest="0" * 64), world.base, 0)


def test_what_was_never_published_or_has_no_valid_name_is_refused(world: World, store: MemoryStore) -> None:
    for digest in ("0" * 64, "../../etc/passwd", "", "A" * 64):
        with pytest.raises(CorruptVersion):
            build_snapshot(store, digest, world.base, 0)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_blob_is_refused(world: World, tmp_path: Path, damage: str) -> None:
    store = LocalStore(tmp_path / "store")
    digest = world.publish(store, world.low)
    blob = store.read_manifest(digest).blobs[ADAPTER_WEIGHTS].digest
    (path,) = [path for path in (tmp_path / "store").rglob("*") if path.name == blob]
    data = bytearray(path.read_bytes())
    path.chmod(0o644)
    if damage == "flip":
        data[-1] ^= 1
        path.write_bytes(data)
    elif damage == "truncate":
        path.write_bytes(data[:-1])
    else:
        path.unlink()
    with pytest.raises(CorruptVersion):
        build_snapshot(store, digest, world.base, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.",
        b"PK\x03\x04" + bytes(60),
        struct.pack("<Q", 2**40) + b"{}",
        b"",
    ],
    ids=["pickle", "zip", "header-beyond-file", "empty"],
)
def test_hostile_bytes_never_reach_a_loader(world: World, tmp_path: Path, data: bytes) -> None:
    """The store refuses to publish such a version; here someone has put its manifest there by hand."""
    store = LocalStore(tmp_path / "store")
    ref = BlobRef.of(data)
    forged = replace(store.read_manifest(world.publish(store, world.low)), blobs={ADAPTER_WEIGHTS: ref})
    with pytest.raises(HostileArtefact):
        store.publish(forged, {ADAPTER_WEIGHTS: data})
    (tmp_path / "store" / "manifests" / f"{forged.digest}.json").write_bytes(forged.to_bytes())
    (tmp_path / "store" / "blobs" / forged.digest).mkdir()
    (tmp_path / "store" / "blobs" / forged.digest / ref.digest).write_bytes(data)
    with pytest.raises(CorruptVersion):
        build_snapshot(store, forged.digest, world.base, 0)


def test_an_adapter_file_without_tensors_does_not_fit(world: World, store: MemoryStore) -> None:
    data = world.low.replace({}).to_bytes()
    with pytest.raises(IncompatibleAdapter):
        build_snapshot(store, world.publish(store, world.low, weights=data), world.base, 0)


def test_wrong_scaling_is_found_by_the_fingerprint_alone(world: World, store: MemoryStore) -> None:
    lie = {**world.low.config, "lora_alpha": world.low.config["lora_alpha"] * 2}
    with pytest.raises(FingerprintMismatch):
        build_snapshot(store, world.publish(store, world.low, adapter_config=lie), world.base, 0)


def test_other_weights_than_those_measured_are_found_by_the_fingerprint(
    world: World, store: MemoryStore
) -> None:
    other = world.manifest(world.high).canary_fingerprint
    with pytest.raises(FingerprintMismatch):
        build_snapshot(store, world.publish(store, world.low, canary_fingerprint=other), world.base, 0)
    with pytest.raises(FingerprintMismatch):
        build_snapshot(store, world.publish(store, world.low, canary_fingerprint=[]), world.base, 0)


def test_an_adapter_that_does_not_fit_is_refused(world: World, store: MemoryStore) -> None:
    lie = {**world.low.config, "r": 4}
    with pytest.raises(IncompatibleAdapter):
        build_snapshot(store, world.publish(store, world.low, adapter_config=lie), world.base, 0)
    lie = {**world.low.config, "use_dora": True}
    with pytest.raises(IncompatibleAdapter):
        build_snapshot(store, world.publish(store, world.low, adapter_config=lie), world.base, 0)
    data = world.low.replace(
        {name.replace("q_", "z_"): t for name, t in world.low.tensors.items()}
    ).to_bytes()
    with pytest.raises(IncompatibleAdapter):
        build_snapshot(store, world.publish(store, world.low, weights=data), world.base, 0)


def test_an_adapter_for_another_base_of_the_same_shape_is_found_even_when_the_digest_lies(
    world: World, store: MemoryStore, tmp_path: Path
) -> None:
    other = make_base(tmp_path / "other", seed=9)
    training = TrainingConfig(epochs=1, patience=None)
    foreign = fit_adapter(other, [[20, 21, 22]], AdapterConfig(r=8, alpha=32), training)
    manifest = World(other, foreign, foreign).manifest(foreign)
    with pytest.raises(WrongBase):
        build_snapshot(store, store.publish(manifest, {ADAPTER_WEIGHTS: foreign.to_bytes()}), world.base, 0)
    fingerprint = manifest.canary_fingerprint
    with pytest.raises(FingerprintMismatch):
        build_snapshot(store, world.publish(store, foreign, canary_fingerprint=fingerprint), world.base, 0)


class UnmountedStore(MemoryStore):
    """A store whose place has gone away."""

    def read_blob(self, version: str, digest: str) -> bytes:
        raise StoreUnavailable(f"cannot read {digest}: the volume is not mounted")


def test_a_store_that_cannot_be_read_is_not_the_versions_fault(world: World) -> None:
    mounted = MemoryStore()
    digest = world.publish(mounted, world.low)
    store = UnmountedStore()
    store._objects = mounted._objects
    with pytest.raises(StoreUnavailable):
        build_snapshot(store, digest, world.base, 0)
