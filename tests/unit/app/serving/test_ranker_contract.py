"""The contract of a ranker and of its loader, for every way of inference."""

import gc
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from app.serving import (
    BelowErasureFloor,
    CorruptVersion,
    FingerprintMismatch,
    RankerLoader,
    RankingRequest,
    VersionDestroyed,
    VersionRefused,
    WrongBase,
    WrongCatalogue,
)
from model_store import ADAPTER_WEIGHTS, LocalStore, MemoryStore, Store, StoreUnavailable
from tests.unit.app.serving.marker_world import HIGH, ITEMS, LOW, K, World, eventually, histories

MakeLoader = Callable[[Store], RankerLoader]


@pytest.fixture
def loader(make_loader: MakeLoader, store: MemoryStore) -> RankerLoader:
    return make_loader(store)


def test_it_ranks_as_the_same_adapter_does_offline(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    ranker = loader.load(world.publish(store, world.low), 0)
    requests = [RankingRequest(history, K) for history in histories(20)]
    answers = ranker.rank(requests)
    for request, answer in zip(requests, answers, strict=True):
        assert [item.item for item in answer] == world.offline(world.low, request.history)
        assert all(item.item in LOW for item in answer)
    assert answers[0][0].item_id == f"i{answers[0][0].item}"
    assert answers[0][0].title == f"Item {answers[0][0].item}"
    assert [item.score for item in answers[0]] == sorted((item.score for item in answers[0]), reverse=True)


def test_it_says_which_version_it_is_and_what_that_covers(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    digest = world.publish(store, world.low, forget_epoch=3)
    ranker = loader.load(digest, 3)
    assert (ranker.digest, ranker.forget_epoch) == (digest, 3)
    assert ranker.catalogue.digest == loader.catalogue.digest == world.base.catalogue.digest
    assert [loader.catalogue.index(item) for item in loader.catalogue.item_ids] == list(range(ITEMS))
    assert len(loader.catalogue) == len(loader.catalogue.titles) == ITEMS


def test_seen_items_are_never_ranked_even_when_few_are_left(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    ranker = loader.load(world.publish(store, world.low), 0)
    seen = tuple(range(27))
    few, many = ranker.rank([RankingRequest(seen, 10), RankingRequest((20,), 29)])
    assert sorted(item.item for item in few) == [27, 28, 29]
    assert sorted(item.item for item in many) == [item for item in range(30) if item != 20]
    assert list(ranker.rank([RankingRequest(tuple(range(30)), 3)])) == [()]


def test_an_answer_does_not_depend_on_the_rest_of_its_batch(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    ranker = loader.load(world.publish(store, world.low), 0)
    draw = random.Random(3)
    requests = [RankingRequest(history, draw.randint(1, 9)) for history in histories(12, seed=3)]
    together = [[item.item for item in answer] for answer in ranker.rank(requests)]
    assert together == [[item.item for item in ranker.rank([request])[0]] for request in requests]
    assert [len(answer) for answer in together] == [request.k for request in requests]
    assert list(ranker.rank([])) == []


def test_a_longer_history_takes_up_no_fewer_tokens_of_a_batch(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    ranker = loader.load(world.publish(store, world.low), 0)
    tokens = [ranker.tokens(RankingRequest((20,) * length, K)) for length in range(1, 40)]
    assert tokens == sorted(tokens)
    assert tokens[0] >= 1


def test_two_versions_answer_side_by_side_each_for_itself(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    low = loader.load(world.publish(store, world.low), 0)
    high = loader.load(world.publish(store, world.high), 0)
    for history in histories(3):
        for ranker, marked in ((low, LOW), (high, HIGH), (low, LOW)):
            (answer,) = ranker.rank([RankingRequest(history, K)])
            assert all(item.item in marked for item in answer)


def test_a_version_is_resident_as_long_as_its_ranker_is_held(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    low, high = world.publish(store, world.low), world.publish(store, world.high)
    assert loader.resident_versions() == ()
    held = {digest: loader.load(digest, 0) for digest in (low, high)}
    assert loader.resident_versions() == tuple(sorted((low, high)))
    del held[low]
    eventually(lambda: loader.resident_versions() == (high,))
    held.clear()
    eventually(lambda: loader.resident_versions() == ())


def test_a_refused_version_does_not_stay_in_memory(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    with pytest.raises(VersionRefused):
        loader.load(world.publish(store, world.low, canary_fingerprint=[]), 0)
    gc.collect()
    eventually(lambda: loader.resident_versions() == ())


def test_a_version_below_the_floor_is_refused_before_its_bytes_are_read(
    world: World, make_loader: MakeLoader
) -> None:
    store = MemoryStore()
    digest = world.publish(store, world.low, forget_epoch=4)
    with pytest.raises(BelowErasureFloor):
        make_loader(UnmountedStore(store)).load(digest, 5)


def test_a_version_at_the_floor_may_serve(world: World, store: MemoryStore, loader: RankerLoader) -> None:
    assert loader.load(world.publish(store, world.low, forget_epoch=4), 4).forget_epoch == 4


def test_a_destroyed_version_is_refused(world: World, store: MemoryStore, loader: RankerLoader) -> None:
    digest = world.publish(store, world.low)
    store.destroy(digest)
    with pytest.raises(VersionDestroyed):
        loader.load(digest, 0)


def test_a_version_for_another_base_or_catalogue_is_refused(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    with pytest.raises(WrongBase):
        loader.load(world.publish(store, world.low, base_digest="0" * 64), 0)
    with pytest.raises(WrongCatalogue):
        loader.load(world.publish(store, world.low, catalogue_digest="0" * 64), 0)


def test_what_was_never_published_or_has_no_valid_name_is_refused(loader: RankerLoader) -> None:
    for digest in ("0" * 64, "../../etc/passwd", "", "A" * 64):
        with pytest.raises(CorruptVersion):
            loader.load(digest, 0)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_blob_is_refused(
    world: World, make_loader: MakeLoader, tmp_path: Path, damage: str
) -> None:
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
        make_loader(store).load(digest, 0)


def test_wrong_scaling_is_found_by_the_fingerprint_alone(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    lie = {**world.low.config, "lora_alpha": world.low.config["lora_alpha"] * 2}
    with pytest.raises(FingerprintMismatch):
        loader.load(world.publish(store, world.low, adapter_config=lie), 0)


def test_other_weights_than_those_measured_are_found_by_the_fingerprint(
    world: World, store: MemoryStore, loader: RankerLoader
) -> None:
    other = world.manifest(world.high).canary_fingerprint
    with pytest.raises(FingerprintMismatch):
        loader.load(world.publish(store, world.low, canary_fingerprint=other), 0)
    with pytest.raises(FingerprintMismatch):
        loader.load(world.publish(store, world.low, canary_fingerprint=[]), 0)


class UnmountedStore(MemoryStore):
    """What is left of a store whose place has gone away: its manifests, and no blob."""

    def __init__(self, mounted: MemoryStore) -> None:
        super().__init__()
        self._objects = mounted._objects

    def read_blob(self, version: str, digest: str) -> bytes:
        raise StoreUnavailable(f"cannot read {digest}: the volume is not mounted")


def test_a_store_that_cannot_be_read_is_not_the_versions_fault(world: World, make_loader: MakeLoader) -> None:
    store = MemoryStore()
    digest = world.publish(store, world.low)
    with pytest.raises(StoreUnavailable):
        make_loader(UnmountedStore(store)).load(digest, 0)
