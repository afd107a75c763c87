"""An engine put together from settings, as the gateway does it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.serving import ServingEngine
from app.serving.assembly import build_engine
from app.serving.fallback import popularity_fallback
from app.settings import Settings
from model_store import Store
from recommender import ModelLoadError
from tests.unit.app.serving.marker_world import (
    PATIENCE_SECONDS,
    ControlDatabase,
    World,
    eventually,
    make_base,
    subject,
)

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    make_base(tmp_path / "base")
    return Settings(environment="development", base=str(tmp_path / "base"), feed_lease_seconds=5.0)


@pytest.fixture
def engine(settings: Settings, store: Store, control: ControlDatabase) -> Iterator[ServingEngine]:
    engine = build_engine(settings, store, control.plane, CollectorRegistry())
    engine.start()
    yield engine
    engine.stop()


def test_it_follows_the_control_plane_and_falls_back_on_the_latest_list(
    world: World, store: Store, control: ControlDatabase, engine: ServingEngine
) -> None:
    assert [item.item_id for item in engine.fall_back(3, "unknown_user").items] == ["i0", "i1", "i2"]
    # The last is the first in another spelling.
    items = ["i4", "not-in-the-catalogue", "i2", " i4"]
    engine.replace_fallback(popularity_fallback(engine.catalogue, items))
    assert [item.item_id for item in engine.fall_back(3, "unknown_user").items] == ["i4", "i2", "i0"]
    # The base is the same bytes as the world's, so the world's adapters fit it.
    digest = world.publish(store, world.low)
    control.point(digest)
    assert engine.wait_for_version(PATIENCE_SECONDS)
    eventually(lambda: engine.recommend(subject(1), (20, 21), 5).version == digest)


LOADED = """
import gc, sys
from prometheus_client import CollectorRegistry
from app.serving.assembly import build_engine
from app.settings import Settings
from model_store import open_store
assert "torch" not in sys.modules
settings = Settings(environment="development", base=sys.argv[1])
engine = build_engine(settings, open_store(sys.argv[2]), None, CollectorRegistry())
print(len(gc.get_objects()), gc.get_freeze_count())
"""


def test_a_collection_of_garbage_does_not_look_through_what_the_engine_has_loaded(
    settings: Settings, tmp_path: Path
) -> None:
    """It would stop the whole gateway for a quarter of a second."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, settings.base, str(tmp_path / "store")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    looked_through, left_alone = map(int, done.stdout.split())
    assert looked_through < left_alone / 5


def test_each_process_is_another_replica(settings: Settings, store: Store, control: ControlDatabase) -> None:
    engines = [build_engine(settings, store, control.plane, CollectorRegistry()) for _ in range(2)]
    names = {engine.config.replica_id for engine in engines}
    assert len(names) == 2
    assert all(len(name) <= 64 for name in names)
    assert all(engine.config.lease_seconds == 5.0 for engine in engines)


def test_a_base_that_is_not_there_is_said_at_start(
    settings: Settings, store: Store, control: ControlDatabase
) -> None:
    missing = settings.model_copy(update={"base": "/nowhere/at/all"})
    with pytest.raises(ModelLoadError, match="/nowhere/at/all"):
        build_engine(missing, store, control.plane, CollectorRegistry())
