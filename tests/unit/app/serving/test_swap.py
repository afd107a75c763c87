"""Swapping versions under load: no answer mixes two, every answer names the one that computed it (I4)."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from app.serving import RankerLoader
from model_store import Store
from tests.unit.app.serving.marker_world import (
    HIGH,
    LOW,
    PATIENCE_SECONDS,
    ControlDatabase,
    Gate,
    World,
    eventually,
    held,
    histories,
    subject,
)
from tests.unit.app.serving.replica_rig import Replica

SWAPS, READERS = 30, 6
Start = Callable[..., Replica]
Answer = Future[tuple[list[int], str]]


def serving_low(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> tuple[str, str, Replica]:
    """Both versions are published, and the first one serves."""
    low, high = world.publish(store, world.low), world.publish(store, world.high)
    replica = start()
    control.point(low)
    replica.serves(low)
    return low, high, replica


@contextmanager
def two_callers(replica: Replica, history: tuple[int, ...]) -> Iterator[tuple[Gate, Answer, Answer]]:
    """The batch of the first is held at the gate, and the second waits in the queue."""
    with ThreadPoolExecutor(2) as callers, held(replica.engine) as gate:
        first = callers.submit(replica.ask, subject(1), history)
        assert gate.entered.wait(PATIENCE_SECONDS)
        second = callers.submit(replica.ask, subject(2), history)
        eventually(lambda: replica.engine.status().queue_depth == 1)
        yield gate, first, second


@pytest.mark.parametrize("cache_entries", [0, 1000])
def test_no_answer_is_torn_or_mislabelled_through_thirty_swaps(
    world: World,
    store: Store,
    control: ControlDatabase,
    start: Start,
    make_loader: Callable[[Store], RankerLoader],
    cache_entries: int,
) -> None:
    """The marker test, for every way of inference: two adapters that rank disjoint items first."""
    digests = [world.publish(store, world.low), world.publish(store, world.high)]
    asked = histories(12)
    expected = {
        (digest, history): world.offline(adapter, history)
        for digest, adapter in zip(digests, (world.low, world.high), strict=True)
        for history in asked
    }
    assert not {
        item for (digest, _), items in expected.items() if digest == digests[0] for item in items
    } & set(HIGH)
    replica = start(cache_entries=cache_entries, loader=make_loader(store))
    generation_of = {control.point(digests[0]): digests[0]}
    replica.serves(digests[0])
    over = threading.Event()

    def read(seed: int) -> list[tuple[tuple[int, ...], list[int], str, int | None, bool]]:
        draw, answers = random.Random(seed), []
        # A pause: answers from the cache cost nothing, and six spinning threads would leave no time to swap.
        while not over.wait(0.001):
            number = draw.randrange(len(asked))
            answer = replica.engine.recommend(subject(number), asked[number], 5)
            items = [item.item for item in answer.items]
            answers.append((asked[number], items, answer.version, answer.generation, answer.personalised))
        return answers

    with ThreadPoolExecutor(READERS) as readers:
        reading = [readers.submit(read, seed) for seed in range(READERS)]
        try:
            for swap in range(1, SWAPS + 1):
                digest = digests[swap % 2]
                generation = control.point(digest)
                generation_of[generation] = digest
                replica.serves(digest, generation)
        finally:
            over.set()
        answers = [answer for future in reading for answer in future.result(PATIENCE_SECONDS)]

    assert {version for _, _, version, _, _ in answers} == set(digests)
    torn = [answer for answer in answers if answer[1] not in (expected[d, answer[0]] for d in digests)]
    mislabelled = [answer for answer in answers if answer[1] != expected[answer[2], answer[0]]]
    misnumbered = [answer for answer in answers if generation_of[answer[3] or 0] != answer[2]]
    fallbacks = [answer for answer in answers if not answer[4]]
    assert (len(torn), len(mislabelled), len(misnumbered), len(fallbacks)) == (0, 0, 0, 0)
    assert replica.value("swaps_total") == SWAPS + 1
    eventually(lambda: replica.loader.resident_versions() == (digests[0],))


def test_a_batch_under_way_finishes_on_its_version_and_the_next_uses_the_new_one(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low, high, replica = serving_low(world, store, control, start)
    history = histories(1)[0]
    with two_callers(replica, history) as (gate, under_way, queued):
        control.point(high)
        replica.serves(high)
        assert replica.loader.resident_versions() == tuple(sorted((low, high))), "still needed by its batch"
        gate.open()
        assert under_way.result(PATIENCE_SECONDS) == (world.offline(world.low, history), low)
        assert queued.result(PATIENCE_SECONDS) == (world.offline(world.high, history), high)


def test_a_caller_that_waits_does_not_keep_the_version_alive_that_served_when_it_came(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low, high, replica = serving_low(world, store, control, start)
    history = histories(1)[0]
    with two_callers(replica, history) as (first_gate, first, second):
        control.point(high)
        replica.serves(high)
        with held(replica.engine) as second_gate:
            first_gate.open()
            assert first.result(PATIENCE_SECONDS)[1] == low
            assert second_gate.entered.wait(PATIENCE_SECONDS)
            eventually(lambda: replica.loader.resident_versions() == (high,))
        assert second.result(PATIENCE_SECONDS)[1] == high


def test_a_retired_version_is_given_back_without_anyone_asking(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low, high, replica = serving_low(world, store, control, start)
    for number, history in enumerate(histories(10)):
        replica.ask(subject(number), history)
    control.point(high)
    replica.serves(high)
    eventually(lambda: replica.reported().resident_versions == (high,))
    assert replica.value("resident_versions") == 1
    assert replica.value("resident_version", version=high) == 1
    assert low not in replica.exposition()
    eventually(lambda: (row := control.replica("replica-1")) is not None and row.resident_versions == [high])


def test_an_answer_below_a_floor_that_rose_meanwhile_is_computed_again(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low = world.publish(store, world.low)
    high = world.publish(store, world.high, forget_epoch=1)
    replica = start()
    control.point(low)
    replica.serves(low)
    control.announce(high)
    eventually(lambda: replica.reported().ready_digest == high)
    history = histories(1)[0]
    with ThreadPoolExecutor(1) as callers, held(replica.engine) as gate:
        under_way = callers.submit(replica.engine.recommend, subject(1), history, 5)
        assert gate.entered.wait(PATIENCE_SECONDS)
        control.point(high, floor=1)
        replica.serves(high)
        gate.open()
        answer = under_way.result(PATIENCE_SECONDS)
    assert (answer.version, answer.personalised) == (high, True)
    assert [item.item for item in answer.items] == world.offline(world.high, history)
    assert replica.value("repeats_total") == 1


def test_a_candidate_is_prepared_but_serves_nobody_until_the_pointer_says_so(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low, high, replica = serving_low(world, store, control, start)
    control.announce(high)
    eventually(lambda: replica.reported().ready_digest == high)
    assert replica.reported().live_digest == low
    history = histories(1)[0]
    assert replica.ask(subject(1), history) == (world.offline(world.low, history), low)
    built = replica.value("build_seconds_count")
    control.point(high)
    replica.serves(high)
    assert replica.value("build_seconds_count") == built, "what was prepared is what serves"
    assert replica.ask(subject(1), history) == (world.offline(world.high, history), high)
    eventually(
        lambda: (control.replica("replica-1") or 0) and control.replica("replica-1").live_digest == high
    )  # type: ignore[union-attr]


def test_a_withdrawn_candidate_is_dropped(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low, high, replica = serving_low(world, store, control, start)
    control.announce(high)
    eventually(lambda: replica.reported().ready_digest == high)
    control.announce(None)
    eventually(lambda: replica.reported().resident_versions == (low,))
    assert replica.reported().ready_digest is None


def test_the_same_version_under_a_new_generation_is_not_loaded_again(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low = world.publish(store, world.low)
    replica = start()
    first = control.point(low)
    replica.serves(low, first)
    history = histories(1)[0]
    replica.ask(subject(1), history)
    second = control.point(low)
    replica.serves(low, second)
    assert replica.value("build_seconds_count") == 1
    answer = replica.engine.recommend(subject(1), history, 5)
    assert (answer.version, answer.generation) == (low, second)
    assert replica.value("cache_lookups_total", result="hit") == 1


def test_memory_stays_flat_over_many_swaps(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    replica = start()
    for seed in range(12):
        digest = world.publish(store, world.low if seed % 2 else world.high, seed=seed)
        control.point(digest)
        replica.serves(digest)
        assert len(replica.loader.resident_versions()) <= 2
    eventually(lambda: replica.loader.resident_versions() == (digest,))
    assert replica.loader.resident.counts() == {digest: 1 + len(world.low.tensors)}
    assert all(item in LOW for item in replica.ask(subject(1), (20, 21))[0])
