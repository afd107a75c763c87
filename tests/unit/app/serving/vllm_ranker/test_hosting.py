"""What the server holds because of us, and that it holds it no longer before we say so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.serving import EngineUnavailable, IncompatibleAdapter, RankingRequest
from app.serving.vllm_ranker import VllmLoader
from app.serving.vllm_ranker.client import VllmClient
from app.serving.vllm_ranker.folders import AdapterFolders
from app.serving.vllm_ranker.hosting import Hosting
from model_store import MemoryStore
from tests.fake_vllm import FakeVllm
from tests.ports import free_port
from tests.unit.app.serving import vllm_rig
from tests.unit.app.serving.marker_world import LOW, K, World, eventually

OpenLoader = Callable[..., VllmLoader]
ASKED = [RankingRequest((20, 21), K)]


def test_a_version_has_its_digest_for_a_name_and_a_salt_and_its_folder_is_an_ordinary_one(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader, place: Path
) -> None:
    low = world.publish(store, world.low)
    ranker = open_loader().load(low, 0)
    assert {item.item for item in ranker.rank(ASKED)[0]} <= set(LOW)
    assert fake_vllm.names() == {low}
    assert fake_vllm.salts == {(low, low)}
    assert sorted(path.name for path in (place / low).iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert json.loads((place / low / "adapter_config.json").read_text())["r"] == world.low.config["r"]


def test_unloading_a_name_frees_nothing_so_blank_adapters_displace_its_weights(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader, place: Path
) -> None:
    loader = open_loader()
    low, high = world.publish(store, world.low), world.publish(store, world.high)
    first = loader.load(low, 0)
    second = loader.load(high, 0)
    assert fake_vllm.folders_in_memory() == {low, high}
    del first
    eventually(lambda: loader.resident_versions() == (high,))
    assert low not in fake_vllm.folders_in_memory()
    assert fake_vllm.names() == {high}
    assert [path.name for path in place.iterdir() if path.is_dir()] == [high]
    # That one may have been displaced as well, and is read from its folder again.
    assert second.rank(ASKED)


def test_a_version_counts_as_resident_until_its_weights_are_displaced(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader
) -> None:
    loader = open_loader()
    low = world.publish(store, world.low)
    ranker = loader.load(low, 0)
    fake_vllm.runtime_updating = False
    del ranker
    failed = len(fake_vllm.calls)
    eventually(lambda: len(fake_vllm.calls) > failed)
    assert loader.resident_versions() == (low,)
    fake_vllm.runtime_updating = True
    eventually(lambda: loader.resident_versions() == ())
    assert low not in fake_vllm.folders_in_memory()


def test_what_a_killed_process_has_left_is_resident_until_the_next_one_has_taken_it_off(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader, place: Path
) -> None:
    killed = open_loader()
    low, high = world.publish(store, world.low), world.publish(store, world.high)
    held = [killed.load(low, 0), killed.load(high, 0)]
    killed.close()
    (place / "partial-1").mkdir()
    fake_vllm.answering.clear()
    try:
        loader = open_loader()
        assert loader.resident_versions() == tuple(sorted((low, high)))
    finally:
        fake_vllm.answering.set()
    eventually(lambda: loader.resident_versions() == ())
    assert fake_vllm.names() == set()
    assert not fake_vllm.folders_in_memory() & {low, high}
    assert [path for path in place.iterdir() if path.is_dir()] == []
    del held


def test_a_later_process_has_the_same_engine_unless_server_or_folder_is_another(
    fake_vllm: FakeVllm, open_loader: OpenLoader, place: Path
) -> None:
    first = open_loader().outside_engine
    assert open_loader().outside_engine == first
    folders = AdapterFolders(place, "/vllm")
    elsewhere = VllmClient("http://127.0.0.1:1", timeout_seconds=1)
    assert Hosting(elsewhere, folders, base_name="b", places=1).identity != first
    elsewhere.close()
    shutil.rmtree(place)
    # What the server holds is on record nowhere now.
    assert open_loader().outside_engine != first


def test_names_that_nobody_here_has_a_folder_of_are_taken_off_too(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader, tmp_path: Path
) -> None:
    world.low.save(tmp_path / "elsewhere")
    stranger = "5" * 64
    fake_vllm.exchange(stranger, tmp_path / "elsewhere")
    fake_vllm.exchange("an-operators-own", tmp_path / "elsewhere")
    loader = open_loader()
    low = world.publish(store, world.low)
    ranker = loader.load(low, 0)
    eventually(lambda: loader.resident_versions() == (low,))
    assert fake_vllm.names() == {low, "an-operators-own"}
    assert ranker.rank(ASKED)


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("updates", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
        ("folder", "LETHE_VLLM_ADAPTERS_SEEN_AS"),
        ("model", "LETHE_VLLM_MODEL"),
        ("key", "401"),
        ("itself", "ConnectError"),
    ],
)
def test_what_the_server_lacks_is_said_and_is_not_the_adapters_fault(
    world: World,
    store: MemoryStore,
    fake_vllm: FakeVllm,
    open_loader: OpenLoader,
    monkeypatch: pytest.MonkeyPatch,
    lacks: str,
    said: str,
) -> None:
    if lacks == "updates":
        fake_vllm.runtime_updating = False
    elif lacks == "model":
        monkeypatch.setattr(vllm_rig, "BASE_NAME", "another-base")
    elif lacks == "key":
        monkeypatch.setattr(vllm_rig, "KEY", "wrong")
    elif lacks == "itself":
        fake_vllm.url = f"http://127.0.0.1:{free_port()}"
    loader = open_loader(seen_as="/not/there" if lacks == "folder" else None)
    low = world.publish(store, world.low)
    with pytest.raises(EngineUnavailable, match=said):
        loader.load(low, 0)
    assert fake_vllm.names() == set()


def test_an_adapter_that_the_server_does_not_take_is_refused(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader
) -> None:
    low = world.publish(store, world.low)
    fake_vllm.max_lora_rank = 4
    loader = open_loader()
    with pytest.raises(IncompatibleAdapter, match="max_lora_rank"):
        loader.load(low, 0)
    fake_vllm.max_lora_rank = 64
    assert loader.load(low, 0).rank(ASKED)


def test_trained_rows_are_refused_because_the_server_would_leave_them_out(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader
) -> None:
    config = {**world.low.config, "lethe_trained_rows": {"embed": [[2, 4]], "head": []}}
    with pytest.raises(IncompatibleAdapter, match="trained rows"):
        open_loader().load(world.publish(store, world.low, adapter_config=config), 0)
    assert fake_vllm.calls == []
