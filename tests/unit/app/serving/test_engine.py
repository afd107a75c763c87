"""What a caller gets: personal answers, labelled fallbacks, back-pressure, and an end without loss."""

import hashlib
import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.serving import InvalidRequest, PopularityFallback, QueueFull
from model_store import Store
from recommender import Catalogue
from tests.unit.app.serving.marker_world import (
    PATIENCE_SECONDS,
    ControlDatabase,
    World,
    eventually,
    held,
    histories,
    subject,
)
from tests.unit.app.serving.replica_rig import ALICE, BOB, HISTORY, POPULARITY, Replica, reason

Start = Callable[..., Replica]


def test_a_known_user_gets_what_the_live_version_computes(
    world: World, control: ControlDatabase, replica: Replica, low: str
) -> None:
    answer = replica.engine.recommend(ALICE, HISTORY, 7)
    assert [item.item for item in answer.items] == world.offline(world.low, HISTORY, 7)
    assert (answer.personalised, answer.fallback_reason) == (True, None)
    assert (answer.version, answer.generation) == (low, replica.engine.status().generation)
    assert not {item.item for item in answer.items} & set(HISTORY)
    status = replica.engine.status()
    assert (status.ready, replica.engine.serves_a_version, replica.engine.feed_is_stale) == (
        True,
        True,
        False,
    )
    eventually(lambda: (row := control.replica("replica-1")) is not None and row.live_digest == low)
    assert replica.engine.reason_to_fall_back(ALICE) is None


def test_an_unknown_user_gets_the_same_list_as_everyone_else(world: World, replica: Replica) -> None:
    answer = replica.engine.recommend(ALICE, (), 4)
    assert (answer.personalised, answer.fallback_reason, answer.generation) == (False, "unknown_user", None)
    assert [item.item for item in answer.items] == [29, 28, 27, 26]
    assert [item.item_id for item in answer.items] == ["i29", "i28", "i27", "i26"]
    assert all(item.score is None for item in answer.items)
    assert replica.value("fallbacks_total", reason="unknown_user") == 1


def test_without_a_version_everyone_gets_the_fallback(start: Start) -> None:
    replica = start()
    replica.looked()
    assert reason(replica) == "no_version"
    assert replica.engine.reason_to_fall_back(ALICE) is not None
    assert not replica.engine.wait_for_version(0.0)


def test_before_the_feed_was_ever_read_nobody_is_personalised(start: Start, low: str) -> None:
    replica = start(cut=True)
    assert reason(replica) == "stale_feed"
    assert replica.value("feed_age_seconds") == math.inf
    replica.line.cut = False
    replica.serves(low)
    assert reason(replica) is None


@pytest.mark.parametrize("k", [0, -1, 31])
def test_k_outside_the_catalogue_is_the_callers_mistake(replica: Replica, k: int) -> None:
    with pytest.raises(InvalidRequest):
        replica.engine.recommend(ALICE, HISTORY, k)
    with pytest.raises(InvalidRequest):
        replica.engine.fall_back(k, "unknown_user")


@pytest.mark.parametrize("history", [(30,), (-1,), (3, 99)])
def test_an_item_outside_the_catalogue_is_the_callers_mistake(
    replica: Replica, history: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidRequest):
        replica.engine.recommend(ALICE, history, 5)


def test_the_whole_catalogue_may_be_asked_for(replica: Replica) -> None:
    answer = replica.engine.recommend(ALICE, (20, 21), 30)
    assert sorted(item.item for item in answer.items) == [item for item in range(30) if item not in (20, 21)]
    assert len(replica.engine.recommend(ALICE, (), 30).items) == 30


def test_a_repeated_question_is_answered_from_the_cache_under_the_same_label(replica: Replica) -> None:
    first = replica.engine.recommend(ALICE, HISTORY, 5)
    batches = replica.value("batch_requests_count")
    assert replica.engine.recommend(ALICE, HISTORY, 5) == first
    assert replica.value("batch_requests_count") == batches
    assert replica.value("cache_lookups_total", result="hit") == 1
    replica.engine.recommend(ALICE, (*HISTORY, 25), 5)
    replica.engine.recommend(ALICE, HISTORY, 6)
    replica.engine.recommend(BOB, HISTORY, 5)
    assert replica.value("batch_requests_count") == batches + 3


def test_a_swap_empties_the_cache(
    world: World, store: Store, control: ControlDatabase, replica: Replica
) -> None:
    replica.engine.recommend(ALICE, HISTORY, 5)
    high = world.publish(store, world.high)
    control.point(high)
    replica.serves(high)
    assert len(replica.engine._cache) == 0
    assert replica.ask(ALICE, HISTORY) == (world.offline(world.high, HISTORY), high)


def test_a_suppression_empties_the_cache_of_its_subject_by_either_way(
    control: ControlDatabase, replica: Replica
) -> None:
    for user in (ALICE, BOB, subject(3)):
        replica.engine.recommend(user, HISTORY, 5)
    assert len(replica.engine._cache) == 3
    replica.engine.suppress(1, ALICE)
    assert len(replica.engine._cache) == 2
    control.suppress(BOB)
    eventually(lambda: len(replica.engine._cache) == 1)
    assert reason(replica, subject(3)) is None


def test_a_fallback_is_named_by_what_it_consists_of(world: World, replica: Replica) -> None:
    catalogue = world.base.catalogue
    named = {"catalogue": catalogue.digest, "items": [f"i{item}" for item in POPULARITY]}
    canonical = json.dumps(named, sort_keys=True, separators=(",", ":"))
    expected = f"fallback:{hashlib.sha256(canonical.encode()).hexdigest()}"
    assert replica.engine.recommend(ALICE, (), 3).version == expected
    other = PopularityFallback(catalogue, [5, 7])
    replica.engine.replace_fallback(other)
    answer = replica.engine.fall_back(4, "unknown_user")
    assert [item.item for item in answer.items] == [5, 7, 0, 1]
    assert answer.version == other.version != expected
    assert PopularityFallback(catalogue, [5, 7, 0]).version == other.version, (
        "the same order has the same name"
    )


@pytest.mark.parametrize("ranking", [[1, 1], [30], [-1]])
def test_a_ranking_with_strangers_or_repeats_is_refused(world: World, ranking: list[int]) -> None:
    with pytest.raises(ValueError, match="at most once"):
        PopularityFallback(world.base.catalogue, ranking)


def test_a_fallback_for_another_catalogue_is_refused(replica: Replica) -> None:
    with pytest.raises(ValueError, match="another catalogue"):
        replica.engine.replace_fallback(PopularityFallback(Catalogue(("a",), ("A",)), [0]))


def test_a_full_queue_is_refused_with_a_time_to_come_back(start: Start, low: str) -> None:
    replica = start(max_queue=1)
    replica.serves(low)
    with ThreadPoolExecutor(2) as callers, held(replica.engine) as gate:
        under_way = callers.submit(reason, replica, ALICE)
        assert gate.entered.wait(PATIENCE_SECONDS)
        queued = callers.submit(reason, replica, BOB)
        eventually(lambda: replica.engine.status().queue_depth == 1)
        with pytest.raises(QueueFull) as refusal:
            replica.engine.recommend(subject(3), HISTORY, 5)
        assert refusal.value.retry_after_seconds >= 1
        assert replica.engine.recommend(subject(3), (), 5).fallback_reason == "unknown_user", (
            "costs no inference"
        )
        gate.open()
        assert (under_way.result(PATIENCE_SECONDS), queued.result(PATIENCE_SECONDS)) == (None, None)


def test_many_callers_at_once_are_each_answered_for_themselves(
    world: World, replica: Replica, low: str
) -> None:
    asked = histories(80, seed=3)
    expected = {history: world.offline(world.low, history) for history in asked}
    with ThreadPoolExecutor(40) as callers:
        answers = list(callers.map(lambda number: replica.ask(subject(number), asked[number]), range(80)))
    assert answers == [(expected[history], low) for history in asked]


def test_stop_answers_what_was_asked_and_falls_back_afterwards(replica: Replica, low: str) -> None:
    with ThreadPoolExecutor(4) as callers, held(replica.engine) as gate:
        under_way = callers.submit(replica.ask, ALICE, HISTORY)
        assert gate.entered.wait(PATIENCE_SECONDS)
        queued = [callers.submit(replica.ask, subject(number), HISTORY) for number in (2, 3)]
        eventually(lambda: replica.engine.status().queue_depth == 2)
        stopping = callers.submit(replica.engine.stop)
        eventually(lambda: replica.engine.status().draining)
        assert reason(replica, subject(4)) == "draining"
        gate.open()
        assert stopping.result(PATIENCE_SECONDS)
        assert [future.result(PATIENCE_SECONDS)[1] for future in (under_way, *queued)] == [low] * 3
    assert reason(replica) == "draining"
    assert not replica.engine.status().ready
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lethe-")]


def test_no_metric_ever_holds_a_subject_or_an_item(replica: Replica) -> None:
    reason(replica, ALICE)
    replica.engine.suppress(1, BOB)
    reason(replica, BOB)
    text = replica.exposition()
    assert "lethe_serving_answers_total 1.0" in text
    assert 'lethe_serving_fallbacks_total{reason="suppressed"} 1.0' in text
    assert not [secret for secret in (ALICE, BOB, "Item ") if secret in text]
