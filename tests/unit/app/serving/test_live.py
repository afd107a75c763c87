"""The reference that a swap replaces never leads below the erasure floor, whoever asks for it (I3)."""

import pytest

from app.serving.live import LiveVersion, Serving
from app.serving.transformers_ranker import TransformersLoader
from model_store import MemoryStore
from tests.unit.app.serving.marker_world import World


def test_a_ranker_below_the_floor_cannot_be_what_serves(world: World, store: MemoryStore) -> None:
    ranker = TransformersLoader(world.base, store).load(world.publish(store, world.low, forget_epoch=3), 0)
    assert Serving(ranker, 1, 3).ranker is ranker
    with pytest.raises(ValueError, match="below the erasure floor"):
        Serving(ranker, 1, 4)


def test_the_floor_of_what_serves_only_grows() -> None:
    live = LiveVersion()
    live.publish(Serving(None, 1, 5))
    with pytest.raises(ValueError, match="only grows"):
        live.publish(Serving(None, 2, 4))
    assert live.serving.floor == 5
    live.publish(Serving(None, 2, 5))
    assert live.serving.generation == 2
