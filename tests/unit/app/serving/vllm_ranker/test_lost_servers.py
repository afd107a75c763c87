"""A server that is gone, silent or has forgotten its adapters: the fallback, and the version again when it is back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.serving import RankingRequest, VersionLost
from app.serving.vllm_ranker import VllmLoader
from model_store import MemoryStore, Store
from tests.fake_vllm import FakeVllm
from tests.unit.app.serving.marker_world import LOW, K, World, eventually
from tests.unit.app.serving.replica_rig import ALICE, BOB, HISTORY, Replica, reason

OpenLoader = Callable[..., VllmLoader]
Start = Callable[..., Replica]


@pytest.fixture
def replica(start: Start, open_loader: OpenLoader, low: str) -> Replica:
    # The silence of a server is soon noticed; nobody looks at the canary.
    replica = start(loader=open_loader(timeout_seconds=2.0), cache_entries=0)
    replica.serves(low)
    return replica


def serves_again(replica: Replica, low: str) -> None:
    eventually(lambda: reason(replica) is None)
    items, version = replica.ask(ALICE, HISTORY)
    assert version == low
    assert set(items) <= set(LOW)


def test_a_restarted_server_never_answers_and_gets_the_version_again(
    fake_vllm: FakeVllm, replica: Replica, low: str
) -> None:
    fake_vllm.restart()
    assert reason(replica) == "no_version"
    serves_again(replica, low)
    assert replica.value("swaps_total") == 2, "once it was lost, and loaded anew"
    assert replica.value("batch_failures_total") == 0


def test_a_restart_is_noticed_without_a_request(
    world: World, store: Store, fake_vllm: FakeVllm, start: Start, open_loader: OpenLoader, low: str
) -> None:
    replica = start(loader=open_loader(check_seconds=0.05))
    replica.serves(low)
    fake_vllm.restart()
    eventually(lambda: replica.value("swaps_total") == 2)
    serves_again(replica, low)


def test_a_silent_server_costs_one_timeout_and_then_nobody_waits_for_it(
    fake_vllm: FakeVllm, replica: Replica, low: str
) -> None:
    fake_vllm.answering.clear()
    assert reason(replica) == "no_version"
    replica.serves(None)
    assert replica.engine.status().ready is False
    asked = len(fake_vllm.calls)
    assert [reason(replica) for _ in range(20)] == ["no_version"] * 20
    assert fake_vllm.calls[asked:].count("/v1/completions") <= 2, "only the loader still tries"
    fake_vllm.answering.set()
    serves_again(replica, low)


def test_a_lost_version_is_reported_with_the_reason(fake_vllm: FakeVllm, replica: Replica, low: str) -> None:
    fake_vllm.restart()
    fake_vllm.runtime_updating = False
    assert reason(replica) == "no_version"
    eventually(lambda: replica.reported().error == "engine_unavailable")
    assert replica.reported().live_digest is None
    fake_vllm.runtime_updating = True
    fake_vllm.lies.add("unknown names are the base")
    eventually(lambda: replica.reported().error == "engine_untrusted")
    assert reason(replica) == "no_version"
    fake_vllm.lies.clear()
    serves_again(replica, low)


def test_suppression_and_the_floor_hold_as_in_this_process(
    world: World, store: Store, control: object, fake_vllm: FakeVllm, replica: Replica, low: str
) -> None:
    forwards = fake_vllm.forwards
    replica.engine.suppress(1, BOB)
    assert reason(replica, BOB) == "suppressed"
    assert fake_vllm.forwards == forwards
    assert reason(replica, ALICE) is None
    control.point(low, floor=1)  # type: ignore[attr-defined]
    eventually(lambda: reason(replica, ALICE) == "below_erasure_floor")
    eventually(lambda: replica.reported().resident_versions == ())
    assert fake_vllm.names() == set()


def test_a_failed_answer_keeps_nothing_of_the_request(
    world: World, store: MemoryStore, fake_vllm: FakeVllm, open_loader: OpenLoader, place: Path
) -> None:
    ranker = open_loader().load(world.publish(store, world.low), 0)
    fake_vllm.restart()
    with pytest.raises(VersionLost) as raised:
        ranker.rank([RankingRequest((20, 21), K)])
    assert raised.value.__cause__ is None
    assert "20" not in str(raised.value)
    with pytest.raises(VersionLost):
        ranker.rank([RankingRequest((20, 21), K)])
