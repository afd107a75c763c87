"""A real vLLM server. The contract of a ranker and the marker test run on it too, where there is one."""

from pathlib import Path

import httpx
import pytest

from app.serving import RankingRequest
from model_store import MemoryStore
from tests.unit.app.serving.marker_world import LOW, K, World, eventually
from tests.unit.app.serving.vllm_rig import REAL, loader_for

pytestmark = pytest.mark.skipif(
    REAL is None,
    reason="needs a vLLM server: LETHE_TEST_VLLM_URL, LETHE_TEST_VLLM_FOLDER (tests/vllm_base.py)",
)


def in_memory() -> set[str]:
    """The numbers of the adapters that the server's workers hold, which only its mode for developers tells."""
    assert REAL is not None
    answer = httpx.post(f"{REAL.url}/collective_rpc", json={"method": "list_loras"}, trust_env=False)
    return {str(number) for held in answer.raise_for_status().json()["results"] for number in held}


def test_weights_that_were_unloaded_are_in_its_memory_until_they_are_displaced(
    world: World, store: MemoryStore
) -> None:
    assert REAL is not None
    place: Path = REAL.folder / "adapters"
    loader = loader_for(REAL, world.base, store, place)
    try:
        eventually(lambda: loader.resident_versions() == ())
        before = in_memory()
        ranker = loader.load(world.publish(store, world.low), 0)
        (number,) = in_memory() - before
        assert {item.item for item in ranker.rank([RankingRequest((20, 21), K)])[0]} <= set(LOW)
        loader._client.unload(ranker.digest)
        assert number in in_memory(), "this is why a name that is gone proves nothing"
        del ranker
        eventually(lambda: loader.resident_versions() == ())
        assert number not in in_memory()
        assert [path for path in place.iterdir() if path.is_dir()] == []
    finally:
        loader.close()
