import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from app.db.schema import migrate
from app.db.session import open_database
from app.serving import RankerLoader
from app.serving.transformers_ranker import TransformersLoader
from app.serving.vllm_ranker import VllmLoader
from model_store import MemoryStore, Store
from recommender import load_base
from tests.fake_vllm import FakeVllm
from tests.unit.app.serving.marker_world import (
    HIGH,
    LOW,
    ControlDatabase,
    World,
    eventually,
    fit_marker,
    make_base,
)
from tests.unit.app.serving.replica_rig import Replica
from tests.unit.app.serving.vllm_rig import REAL, Server, loader_for

StartReplica = Callable[..., Replica]
MakeLoader = Callable[[Store], RankerLoader]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """With a real vLLM server, on the base that it serves."""
    base = make_base(tmp_path_factory.mktemp("base")) if REAL is None else load_base(REAL.folder / "base")
    return World(base, fit_marker(base, LOW, seed=1), fit_marker(base, HIGH, seed=2))


@pytest.fixture
def fake_vllm(world: World) -> Iterator[FakeVllm]:
    with FakeVllm(world.base).served() as fake:
        yield fake


@pytest.fixture(params=["transformers", "vllm", *(["real_vllm"] if REAL else [])])
def make_loader(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Iterator[MakeLoader]:
    """Every way of inference; what runs with this fixture is the contract of a ranker and its loader.

    With a real vLLM server that too, see `vllm_rig`.
    """
    if request.param == "transformers":
        yield lambda store: TransformersLoader(world.base, store)
        return
    server: Server | None = REAL
    place = REAL.folder / "adapters" if REAL else tmp_path / "adapters"
    if request.param == "vllm":
        server, place = request.getfixturevalue("fake_vllm"), tmp_path / "adapters"
    assert server is not None
    loaders: list[VllmLoader] = []

    def vllm(store: Store) -> RankerLoader:
        loader = loader_for(server, world.base, store, place)
        loaders.append(loader)
        # A real server may still hold what the test before has left.
        eventually(lambda: loader.resident_versions() == ())
        return loader

    yield vllm
    for loader in loaders:
        loader.close()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; each test gets a copy of the file."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def control(empty_database: Path, tmp_path: Path) -> Iterator[ControlDatabase]:
    control = ControlDatabase(Path(shutil.copy(empty_database, tmp_path / "control.sqlite3")))
    yield control
    control.close()


@pytest.fixture
def start(world: World, store: Store, control: ControlDatabase) -> Iterator[StartReplica]:
    """Starts replicas of the same store and control plane, and stops them at the end."""
    replicas: list[Replica] = []

    def start(**settings: object) -> Replica:
        replicas.append(Replica(world, settings.pop("store", store), control, **settings))  # type: ignore[arg-type]
        return replicas[-1]

    yield start
    for replica in replicas:
        replica.stop()


@pytest.fixture
def low(world: World, store: Store, control: ControlDatabase) -> str:
    digest = world.publish(store, world.low)
    control.point(digest)
    return digest


@pytest.fixture
def replica(start: StartReplica, low: str) -> Replica:
    replica = start()
    replica.serves(low)
    return replica
