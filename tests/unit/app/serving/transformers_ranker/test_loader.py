"""What an adapter must prove before it is loaded, what it shares with the base, and that its memory is given back."""

import gc
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.serving import (
    CorruptVersion,
    FingerprintMismatch,
    IncompatibleAdapter,
    InferenceFailed,
    RankingRequest,
    WrongBase,
)
from app.serving.transformers_ranker import TransformersLoader
from model_store import ADAPTER_WEIGHTS, BlobRef, HostileArtefact, LocalStore, MemoryStore
from recommender import AdapterConfig, TrainingConfig, fit_adapter
from tests.unit.app.serving.marker_world import HIGH, K, World, make_base


@pytest.fixture
def loader(world: World, store: MemoryStore) -> TransformersLoader:
    return TransformersLoader(world.base, store)


def test_a_model_that_computes_no_number_fails_instead_of_ranking(
    world: World, store: MemoryStore, loader: TransformersLoader
) -> None:
    ranker = loader.load(world.publish(store, world.low), 0)

    def overflow(_module: object, _input: object, output: Any) -> None:
        output.logits.fill_(torch.nan)

    hook = ranker.scorer._model.register_forward_hook(overflow)
    try:
        with pytest.raises(InferenceFailed):
            ranker.rank([RankingRequest((20,), 3)])
    finally:
        hook.remove()


def test_a_request_takes_up_what_the_model_reads_and_one_token_to_begin_with(
    world: World, store: MemoryStore, loader: TransformersLoader
) -> None:
    ranker = loader.load(world.publish(store, world.low), 0)
    window = world.base.style.window
    lengths = (1, window - 1, window, window + 1, 10 * window)
    tokens = [ranker.tokens(RankingRequest((20,) * length, K)) for length in lengths]
    assert tokens == [2, window, window + 1, window + 1, window + 1]


def test_it_shares_every_base_tensor_and_changes_none(
    world: World, store: MemoryStore, loader: TransformersLoader
) -> None:
    before = {name: tensor.clone() for name, tensor in world.base.model.state_dict().items()}
    ranker = loader.load(world.publish(store, world.low), 0)
    theirs = {tensor.data_ptr() for tensor in ranker.scorer._model.state_dict().values()}
    assert {tensor.data_ptr() for tensor in world.base.model.state_dict().values()} <= theirs
    ranker.rank([RankingRequest((20, 21), K)])
    after = world.base.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_its_memory_is_given_back_with_the_last_reference(
    world: World, store: MemoryStore, loader: TransformersLoader
) -> None:
    low, high = world.publish(store, world.low), world.publish(store, world.high)
    first = loader.load(low, 0)
    second = loader.load(high, 0)
    # The tree itself and the adapter's own matrices.
    expected = {low: 1 + len(world.low.tensors), high: 1 + len(world.high.tensors)}
    assert loader.resident.counts() == expected
    request = [RankingRequest((20,), K)]
    first.rank(request), second.rank(request)
    gc.collect()
    gc.disable()
    try:
        # Without the cycle collector: the release does not wait for one.
        del first
        assert loader.resident_versions() == (high,)
        assert [item.item in HIGH for item in second.rank(request)[0]] == [True] * K
        del second
        assert loader.resident_versions() == ()
    finally:
        gc.enable()


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
        TransformersLoader(world.base, store).load(forged.digest, 0)


def test_an_adapter_file_without_tensors_does_not_fit(
    world: World, store: MemoryStore, loader: TransformersLoader
) -> None:
    data = world.low.replace({}).to_bytes()
    with pytest.raises(IncompatibleAdapter):
        loader.load(world.publish(store, world.low, weights=data), 0)


def test_an_adapter_that_does_not_fit_is_refused(
    world: World, store: MemoryStore, loader: TransformersLoader
) -> None:
    lie = {**world.low.config, "r": 4}
    with pytest.raises(IncompatibleAdapter):
        loader.load(world.publish(store, world.low, adapter_config=lie), 0)
    lie = {**world.low.config, "use_dora": True}
    with pytest.raises(IncompatibleAdapter):
        loader.load(world.publish(store, world.low, adapter_config=lie), 0)
    data = world.low.replace(
        {name.replace("q_", "z_"): t for name, t in world.low.tensors.items()}
    ).to_bytes()
    with pytest.raises(IncompatibleAdapter):
        loader.load(world.publish(store, world.low, weights=data), 0)


def test_an_adapter_for_another_base_of_the_same_shape_is_found_even_when_the_digest_lies(
    world: World, store: MemoryStore, loader: TransformersLoader, tmp_path: Path
) -> None:
    other = make_base(tmp_path / "other", seed=9)
    training = TrainingConfig(epochs=1, patience=None)
    foreign = fit_adapter(other, [[20, 21, 22]], AdapterConfig(r=8, alpha=32), training)
    manifest = World(other, foreign, foreign).manifest(foreign)
    with pytest.raises(WrongBase):
        loader.load(store.publish(manifest, {ADAPTER_WEIGHTS: foreign.to_bytes()}), 0)
    fingerprint = manifest.canary_fingerprint
    with pytest.raises(FingerprintMismatch):
        loader.load(world.publish(store, foreign, canary_fingerprint=fingerprint), 0)
