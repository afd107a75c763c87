"""Publishing, destroying and sweeping at once, step by step, in many orders: what an object store would see.

Each of them runs in a thread of its own and stops before each thing that it asks of the backend. Which of them goes on
is drawn, so that a seed is an order. Nothing keeps them apart but what they leave in the store for each other.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from model_store import (
    ADAPTER_WEIGHTS,
    Destruction,
    MemoryStore,
    PublicationSwept,
    Store,
    VersionDestroyed,
    read_version,
)
from model_store.content import Content
from model_store.content_addressed import ContentAddressedStore
from model_store.memory import MemoryObjects
from tests.unit.model_store.examples import publish, publish_all, safetensors

ORDERS = 100
PATIENCE = 30.0
STEPS = {"create", "read", "exists", "delete", "names"}


class Turns:
    """The objects of a store, for one actor who takes one step of it at a time, when told to."""

    def __init__(self, objects: MemoryObjects, act: Callable[[Store], Any]) -> None:
        self._objects = objects
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.done = False
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(act,), daemon=True)
        self._thread.start()
        assert self._stopped.acquire(timeout=PATIENCE)

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._objects, name)
        return partial(self._in_turn, step) if name in STEPS else step

    def go_on(self) -> None:
        self._go.release()
        assert self._stopped.acquire(timeout=PATIENCE)

    def _in_turn(self, step: Callable[..., Any], *arguments: Any) -> Any:
        self._stopped.release()
        assert self._go.acquire(timeout=PATIENCE)
        return step(*arguments)

    def _run(self, act: Callable[[Store], Any]) -> None:
        try:
            self.result = act(ContentAddressedStore(self))
        except Exception as error:  # noqa: BLE001  (what came of it is looked at by the test)
            self.result = error
        self.done = True
        self._stopped.release()


def at_once(store: MemoryStore, seed: int, acts: Iterable[Callable[[Store], Any]]) -> list[Any]:
    """What each returned or raised."""
    actors = [Turns(store._objects, act) for act in acts]  # type: ignore[arg-type]
    order = random.Random(seed)
    # From all alike to some much faster than others.
    pace = {id(actor): order.random() ** (seed % 5) for actor in actors}
    while waiting := [actor for actor in actors if not actor.done]:
        order.choices(waiting, [pace[id(actor)] for actor in waiting])[0].go_on()
    return [actor.result for actor in actors]


def publish_several(store: Store, **changes: Any) -> str:
    """Blobs enough for a sweep to come between them."""
    contents: dict[str, Content] = {f"part{fill}.safetensors": safetensors(fill=fill) for fill in range(4)}
    return publish_all(store, {ADAPTER_WEIGHTS: safetensors(), **contents}, **changes)


def sweep(store: Store) -> Any:
    """Several times, or the first look would mostly come before there is anything."""
    return [store.delete_orphans() for _ in range(6)]


def _destroy(version: str, store: Store) -> Destruction:
    return store.destroy(version)


@pytest.mark.parametrize("sweepers", [1, 2])
def test_what_was_published_can_be_read_whoever_sweeps_meanwhile(sweepers: int) -> None:
    outcomes = set()
    for seed in range(ORDERS):
        store = MemoryStore()
        result, *_ = at_once(store, seed, [publish_several, *[sweep] * sweepers])
        if isinstance(result, str):
            assert read_version(store, result)
        else:
            assert isinstance(result, PublicationSwept)
            # As another version, of the same content, it gets through.
            assert read_version(store, publish_several(store, forget_epoch=9))
        outcomes.add(type(result))
    # Or the orders that matter were not among them.
    assert outcomes == {str, PublicationSwept}


def test_what_was_destroyed_is_gone_whoever_publishes_it_meanwhile() -> None:
    outcomes = set()
    for seed in range(ORDERS):
        store = MemoryStore()
        version = publish(store)
        destroy = partial(_destroy, version)
        acts: list[Callable[[Store], Any]] = [publish, destroy, partial(publish, forget_epoch=9), destroy]
        result, destruction, other, _ = at_once(store, seed, acts)
        assert destruction.version == version
        assert result == version or isinstance(result, VersionDestroyed)
        assert read_version(store, other)
        # Also what the publisher put after the destroyer had looked.
        store.delete_orphans()
        with pytest.raises(VersionDestroyed):
            read_version(store, version)
        assert store._objects.names("blobs") == [other]
        outcomes.add(type(result))
    assert outcomes == {str, VersionDestroyed}
