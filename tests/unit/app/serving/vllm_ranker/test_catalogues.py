"""Which catalogues a vLLM server can be asked about, and what the assembly makes of the settings."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.failures import SettingError
from app.serving import EngineUnavailable, RankingRequest
from app.serving.assembly import build_engine
from app.serving.vllm_ranker import VllmLoader
from app.serving.vllm_ranker.loader import open_loader
from app.settings import Settings
from model_store import MemoryStore
from recommender import (
    AdapterConfig,
    Base,
    BaseConfig,
    Catalogue,
    ConfigError,
    TrainingConfig,
    draw_base,
    fit_adapter,
    load_base,
    save_base,
)
from tests.fake_vllm import BASE_NAME, KEY, FakeVllm
from tests.unit.app.serving.marker_world import (
    PATIENCE_SECONDS,
    ControlDatabase,
    World,
    eventually,
    subject,
)
from tests.unit.app.serving.vllm_rig import loader_for

MANY = 130


def base_of(items: int, folder: Path) -> Base:
    catalogue = Catalogue(
        tuple(f"i{item}" for item in range(items)), tuple(f"T {item}" for item in range(items))
    )
    shape = BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=4)
    save_base(draw_base(catalogue, shape, seed=1), catalogue, shape.style(catalogue), folder)
    return load_base(folder)


def test_more_items_than_can_be_named_take_the_whole_vocabulary_and_a_server_that_gives_it(
    store: MemoryStore, tmp_path: Path
) -> None:
    base = base_of(MANY, tmp_path / "base")
    training = TrainingConfig(epochs=1, patience=None)
    adapter = fit_adapter(base, [[1, 2, 3], [120, 4]], AdapterConfig(r=4, alpha=8), training)
    world = World(base, adapter, adapter)
    manifest = world.manifest(adapter)
    digest = world.publish(
        store, adapter, catalogue_items=MANY, canary_fingerprint=manifest.canary_fingerprint
    )
    with FakeVllm(base).served() as fake:
        loader = loader_for(fake, base, store, tmp_path / "adapters")
        try:
            with pytest.raises(EngineUnavailable, match="Requested sample logprobs"):
                loader.load(digest, 0)
            fake.max_logprobs = -1
            ranker = loader.load(digest, 0)
            (answer,) = ranker.rank([RankingRequest((7, 8), 9)])
            assert [item.item for item in answer] == world.offline(adapter, (7, 8), 9)
            # Few candidates are named, however large the catalogue is.
            fake.max_logprobs = 20
            (few,) = ranker.rank([RankingRequest((7, 8), 9, (129, 3, 7))])
            assert sorted(item.item for item in few) == [3, 129]
        finally:
            loader.close()


def test_a_vocabulary_that_is_too_large_to_send_is_refused_at_the_start(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_of(MANY, tmp_path / "base")
    monkeypatch.setattr("app.serving.vllm_ranker.loader.MOST_TOKENS", MANY)
    with pytest.raises(ConfigError, match="LETHE_ENGINE=transformers"):
        loader_for(fake_vllm, base, store, tmp_path / "adapters")
    assert fake_vllm.calls == []


def settings_for(fake: FakeVllm, base: str, adapters: Path) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        environment="development",
        base=base,
        feed_lease_seconds=5.0,
        engine="vllm",
        vllm_url=fake.url,
        vllm_model=BASE_NAME,
        vllm_adapters=adapters,
        vllm_api_key=KEY,  # type: ignore[arg-type]
    )


def test_the_settings_make_an_engine_that_serves_from_the_server(
    world: World, store: MemoryStore, control: ControlDatabase, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    save_base(world.base.model, world.base.catalogue, world.base.style, folder)
    assert load_base(folder).digest == world.base.digest
    # The way of the process: it loads no weights.
    settings = settings_for(fake_vllm, str(folder), tmp_path / "adapters")
    engine = build_engine(settings, store, control.plane, CollectorRegistry())
    engine.start()
    try:
        digest = world.publish(store, world.low)
        control.point(digest)
        assert engine.wait_for_version(PATIENCE_SECONDS)
        eventually(lambda: engine.recommend(subject(1), (20, 21), 5).version == digest)
        assert fake_vllm.names() == {digest}
    finally:
        engine.stop()
        assert isinstance(engine._loader, VllmLoader)
        engine._loader.close()


def test_a_folder_that_cannot_be_made_is_said_at_the_start(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    save_base(world.base.model, world.base.catalogue, world.base.style, tmp_path / "base")
    (tmp_path / "file").write_text("")
    settings = settings_for(fake_vllm, str(tmp_path / "base"), tmp_path / "file" / "adapters")
    with pytest.raises(SettingError, match="LETHE_VLLM_ADAPTERS"):
        open_loader(settings, store)
