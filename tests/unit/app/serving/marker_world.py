"""A tiny real world to serve: a base, and two adapters that rank disjoint items first.

Whatever history a user has, "low" puts items 0-9 on top and "high" items 10-19, so a glance at an answer tells which
version computed it. The histories used in tests are drawn from items 20-29, which nobody ranks first.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from app.db.base import utc_now
from app.db.models import Ledger, Replica, ServingPointer, Suppression
from app.db.session import Database, open_database
from app.replicas.service import DatabaseControlPlane
from app.serving import ServingEngine
from app.serving.transformers_ranker import TransformersRanker
from model_store import ADAPTER_WEIGHTS, BlobRef, Manifest, Store
from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    BaseConfig,
    Catalogue,
    Scorer,
    TrainingConfig,
    attach,
    build_base,
    canary_fingerprint,
    fit_adapter,
    load_base,
    save_base,
    top_k,
)

ITEMS = 30
LOW, HIGH, NEUTRAL = range(10), range(10, 20), range(20, 30)
K = 5
PATIENCE_SECONDS = 30.0


SHAPE = BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=12)
# vLLM takes heads of 32 at the least.
SHAPE_FOR_VLLM = BaseConfig(layers=1, width=64, heads=2, feed_forward=128, window=12)


def make_base(directory: Path, *, seed: int = 0, shape: BaseConfig = SHAPE) -> Base:
    catalogue = Catalogue(
        tuple(f"i{item}" for item in range(ITEMS)), tuple(f"Item {item}" for item in range(ITEMS))
    )
    draw = random.Random(seed)
    panel = [draw.choices(group, k=12) for _ in range(20) for group in (LOW, HIGH, NEUTRAL)]
    training = TrainingConfig(epochs=15, lr=1e-2, batch_size=16, patience=None, seed=seed)
    save_base(build_base(catalogue, panel, shape, training), catalogue, shape.style(catalogue), directory)
    return load_base(directory)


def fit_marker(base: Base, marked: range, *, seed: int) -> Adapter:
    """An adapter whose users want the marked items, whatever else they have seen."""
    draw = random.Random(seed)
    # After a neutral item always a marked one: a wide margin, so that no processor's rounding can turn the order.
    sequences = [
        [draw.choice(marked if position % 2 else NEUTRAL) for position in range(12)] for _ in range(30)
    ]
    training = TrainingConfig(epochs=20, lr=2e-2, batch_size=8, patience=None, seed=seed)
    return fit_adapter(base, sequences, AdapterConfig(r=8, alpha=32), training)


def histories(count: int, *, seed: int = 0) -> list[tuple[int, ...]]:
    """Different histories of different lengths, some longer than the window."""
    draw = random.Random(seed)
    return [tuple(draw.choices(NEUTRAL, k=draw.randint(1, 20))) for _ in range(count)]


@dataclass(frozen=True)
class World:
    base: Base
    low: Adapter
    high: Adapter
    scorers: dict[int, Scorer] = field(default_factory=dict)

    def manifest(self, adapter: Adapter, *, forget_epoch: int = 0, seed: int = 0) -> Manifest:
        """Everything true about a version of this adapter. The seed makes it another."""
        return Manifest(
            base_digest=self.base.digest,
            catalogue_digest=self.base.catalogue_digest,
            catalogue_items=ITEMS,
            parent=None,
            forget_epoch=forget_epoch,
            method="fit",
            config={},
            report={},
            policy_hash=None,
            canary_fingerprint=canary_fingerprint(Scorer(attach(self.base, adapter), self.base.style)),
            adapter_config=dict(adapter.config),
            blobs={ADAPTER_WEIGHTS: BlobRef.of(adapter.to_bytes())},
            trained_on={"seed": seed},
            created_at="2026-01-01T00:00:00+00:00",
            library_versions={},
        )

    def publish(
        self,
        store: Store,
        adapter: Adapter,
        *,
        forget_epoch: int = 0,
        seed: int = 0,
        weights: bytes | None = None,
        **lies: object,
    ) -> str:
        """Put a version into the store; ``lies`` replace fields of its manifest, ``weights`` those of the adapter."""
        data = adapter.to_bytes() if weights is None else weights
        manifest = replace(
            self.manifest(adapter, forget_epoch=forget_epoch, seed=seed),
            **{"blobs": {ADAPTER_WEIGHTS: BlobRef.of(data)}, **lies},  # type: ignore[arg-type]
        )
        return store.publish(manifest, {ADAPTER_WEIGHTS: data})

    def offline(self, adapter: Adapter, history: tuple[int, ...], k: int = K) -> list[int]:
        """The ranking of one history, computed alone and outside any engine."""
        if id(adapter) not in self.scorers:
            self.scorers[id(adapter)] = Scorer(attach(self.base, adapter), self.base.style)
        scores = self.scorers[id(adapter)].scores([history])
        order: list[int] = top_k(scores, k)[0].tolist()
        return order


class ControlDatabase:
    """The real control plane over a database of its own, and the hands that move its rows."""

    def __init__(self, path: Path) -> None:
        self.database = Database(open_database(f"sqlite:///{path}"))
        self.plane = DatabaseControlPlane(self.database)

    def point(self, digest: str | None, *, floor: int | None = None, candidate: str | None = None) -> int:
        """Edit the pointer as only a hand could: no check of any kind. The new generation."""
        with self.database.unit_of_work() as session:
            row = session.get_one(ServingPointer, 1)
            row.digest, row.candidate_digest = digest, candidate
            row.generation += 1
            if floor is not None:
                row.erasure_floor = floor
            return row.generation

    def announce(self, candidate: str | None) -> None:
        with self.database.unit_of_work() as session:
            session.get_one(ServingPointer, 1).candidate_digest = candidate

    def suppress(self, subject: str) -> int:
        with self.database.unit_of_work() as session:
            ledger = session.get_one(Ledger, 1)
            ledger.epoch += 1
            session.add(Suppression(epoch=ledger.epoch, subject_hmac=subject, suppressed_at=utc_now()))
            return ledger.epoch

    def rewind(self, epoch: int) -> None:
        """What restoring an old backup does."""
        with self.database.unit_of_work() as session:
            session.get_one(Ledger, 1).epoch = epoch
            session.query(Suppression).where(Suppression.epoch > epoch).delete()

    def replica(self, replica_id: str) -> Replica | None:
        with self.database.read() as session:
            return session.get(Replica, replica_id)

    def close(self) -> None:
        self.database.dispose()


def subject(number: int) -> str:
    return f"{number:064x}"


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something another thread does; how long it takes proves nothing."""
    pause = Event()
    for _ in range(int(PATIENCE_SECONDS / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("never came about")


class Gate:
    """Holds a version's forward passes until it is opened."""

    def __init__(self) -> None:
        self.entered, self._open = Event(), Event()

    def open(self) -> None:
        self._open.set()

    def hold(self, *_: object) -> None:
        self.entered.set()
        assert self._open.wait(PATIENCE_SECONDS)


@contextmanager
def held(engine: ServingEngine) -> Iterator[Gate]:
    """While inside, the version that serves now stops in the middle of its next batch until the gate is opened."""
    ranker = engine._live.serving.ranker
    assert isinstance(ranker, TransformersRanker)
    gate = Gate()
    hook = ranker.scorer._model.register_forward_pre_hook(gate.hold)
    del ranker
    try:
        yield gate
    finally:
        gate.open()
        hook.remove()
