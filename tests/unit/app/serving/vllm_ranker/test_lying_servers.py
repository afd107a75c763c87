"""A server that does not do what it says is refused before it serves, or noticed while it does."""

from collections.abc import Callable

import pytest

from app.serving import (
    EngineUntrusted,
    FingerprintMismatch,
    RankingRequest,
    VersionLost,
)
from app.serving.vllm_ranker import VllmLoader
from model_store import MemoryStore
from tests.fake_vllm import FakeVllm
from tests.unit.app.serving.marker_world import HIGH, K, World, eventually

OpenLoader = Callable[..., VllmLoader]
ASKED = [RankingRequest((20, 21), K)]


def test_a_server_that_falls_through_to_the_base_is_refused_before_it_hears_of_an_adapter(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader
) -> None:
    fake_vllm.lies.add("unknown names are the base")
    with pytest.raises(EngineUntrusted, match="a name that nobody has"):
        open_loader().load(world.publish(store, world.low), 0)
    assert "/v1/load_lora_adapter" not in fake_vllm.calls


def test_a_server_that_begins_to_fall_through_never_answers_from_the_base(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader
) -> None:
    ranker = open_loader().load(world.publish(store, world.low), 0)
    fake_vllm.restart()
    fake_vllm.lies.add("unknown names are the base")
    with pytest.raises(VersionLost):
        ranker.rank(ASKED)
    assert ranker.lost


def test_a_server_that_only_says_it_has_loaded_is_refused(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader
) -> None:
    fake_vllm.lies.add("loading does nothing")
    with pytest.raises(EngineUntrusted, match="does not list"):
        open_loader().load(world.publish(store, world.low), 0)


@pytest.mark.parametrize(
    "lie", ["the base answers under any adapter's name", "every folder is the first one"]
)
def test_another_model_under_the_right_name_fails_the_canary(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader, lie: str
) -> None:
    loader = open_loader()
    low, high = world.publish(store, world.low), world.publish(store, world.high)
    kept = loader.load(low, 0)
    # A second load of the first folder is the same model: only the other version shows the lie.
    fake_vllm.lies.add(lie)  # type: ignore[arg-type]
    fake_vllm._first_path = fake_vllm._names[low].path
    with pytest.raises(FingerprintMismatch):
        loader.load(high, 0)
    eventually(lambda: loader.resident_versions() == (low,))
    assert fake_vllm.names() == {low}
    assert kept.digest == low


def test_an_adapter_that_somebody_exchanges_under_its_name_is_noticed(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader
) -> None:
    loader = open_loader(check_seconds=0.05)
    low, high = (loader.load(world.publish(store, adapter), 0) for adapter in (world.low, world.high))
    fake_vllm.exchange(low.digest, fake_vllm._names[high.digest].path)  # type: ignore[arg-type]
    eventually(lambda: low.lost)
    with pytest.raises(VersionLost):
        low.rank(ASKED)
    assert not high.lost
    assert {item.item for item in high.rank(ASKED)[0]} <= set(HIGH)


@pytest.mark.parametrize("lie", ["unloading does nothing", "unloaded names still answer"])
def test_a_version_that_the_server_does_not_let_go_of_stays_resident_and_is_not_loaded_again(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader, lie: str
) -> None:
    loader = open_loader()
    low = world.publish(store, world.low)
    ranker = loader.load(low, 0)
    fake_vllm.lies.add(lie)  # type: ignore[arg-type]
    # What it is told and what it is asked until the lie shows.
    last = "/v1/models" if lie == "unloading does nothing" else "/v1/completions"
    calls = fake_vllm.calls.count(last)
    del ranker
    eventually(lambda: fake_vllm.calls.count(last) > calls)
    assert loader.resident_versions() == (low,)
    with pytest.raises(EngineUntrusted, match=r"told to remove|does not have"):
        loader.load(low, 0)
    assert loader.resident_versions() == (low,)
    # As soon as it does what it says, the version goes.
    fake_vllm.lies.clear()
    eventually(lambda: loader.resident_versions() == ())
    assert fake_vllm.names() == set()
