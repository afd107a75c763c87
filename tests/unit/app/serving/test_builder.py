"""Preparing versions: in order of urgency, one at a time, again after a failure, and never below the floor."""

import threading
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from app.serving import BelowErasureFloor, Ranker, WrongBase
from app.serving.builder import RankerBuilder
from app.serving.metrics import ServingMetrics
from app.serving.transformers_ranker import TransformersLoader, TransformersRanker
from model_store import Store, StoreUnavailable
from tests.unit.app.serving.marker_world import PATIENCE_SECONDS, World, eventually


class Workshop:
    """A builder of real rankers that can be held up or made to fail."""

    def __init__(self, world: World, store: Store) -> None:
        self.loader = TransformersLoader(world.base, store)
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.attempts: list[tuple[str, int]] = []
        self.failures: dict[str, Exception] = {}
        self.changes = 0
        self.registry = CollectorRegistry()
        self.builder = RankerBuilder(
            self.build, on_change=self.changed, metrics=ServingMetrics(self.registry), retry_seconds=0.01
        )
        self.builder.start()

    def build(self, digest: str, floor: int) -> Ranker:
        self.attempts.append((digest, floor))
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        if digest in self.failures:
            raise self.failures[digest]
        return self.loader.load(digest, floor)

    def changed(self) -> None:
        self.changes += 1


@pytest.fixture
def workshop(world: World, store: Store) -> Iterator[Workshop]:
    workshop = Workshop(world, store)
    yield workshop
    workshop.gate.set()
    workshop.builder.stop(PATIENCE_SECONDS)


@pytest.fixture
def digests(world: World, store: Store) -> list[str]:
    return [world.publish(store, world.low, seed=seed, forget_epoch=seed) for seed in range(3)]


def test_what_is_wanted_becomes_ready_most_urgent_first(workshop: Workshop, digests: list[str]) -> None:
    workshop.builder.want([digests[1], digests[0], digests[1]], 0)
    eventually(lambda: all(workshop.builder.ready(digest) for digest in digests[:2]))
    assert workshop.attempts == [(digests[1], 0), (digests[0], 0)]
    ranker = workshop.builder.ready(digests[0])
    assert ranker is not None
    assert ranker.digest == digests[0]
    workshop.builder.want([digests[1], digests[0]], 0)
    eventually(lambda: workshop.changes == 2)
    assert len(workshop.attempts) == 2, "nothing is loaded twice"


def test_what_is_no_longer_wanted_is_dropped_even_while_it_loads(
    workshop: Workshop, digests: list[str]
) -> None:
    workshop.builder.want(digests[:1], 0)
    eventually(lambda: workshop.builder.ready(digests[0]) is not None)
    workshop.gate.clear(), workshop.entered.clear()
    workshop.builder.want(digests[1:2], 0)
    assert workshop.builder.ready(digests[0]) is None
    assert workshop.entered.wait(PATIENCE_SECONDS)
    workshop.builder.want(digests[2:3], 0)
    workshop.gate.set()
    eventually(lambda: workshop.builder.ready(digests[2]) is not None)
    assert workshop.builder.ready(digests[1]) is None


def test_what_was_ready_and_is_lost_is_loaded_anew(
    workshop: Workshop, digests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.builder.want(digests[:1], 0)
    eventually(lambda: workshop.builder.ready(digests[0]) is not None)
    with monkeypatch.context() as failing:
        failing.setattr(TransformersRanker, "lost", True)
        workshop.builder.want(digests[:1], 0)
    eventually(lambda: len(workshop.attempts) == 2)
    eventually(lambda: workshop.builder.ready(digests[0]) is not None)


def test_a_floor_that_rises_drops_what_is_ready_and_what_is_loading(
    workshop: Workshop, digests: list[str]
) -> None:
    workshop.builder.want(digests[1:2], 0)
    eventually(lambda: workshop.builder.ready(digests[1]) is not None)
    workshop.gate.clear(), workshop.entered.clear()
    workshop.builder.want([digests[1], digests[0]], 0)
    assert workshop.entered.wait(PATIENCE_SECONDS)
    workshop.builder.want([digests[1], digests[0]], 2)
    assert workshop.builder.ready(digests[1]) is None
    workshop.gate.set()
    eventually(lambda: workshop.builder.error(digests[0]) == BelowErasureFloor.code)
    eventually(lambda: workshop.builder.error(digests[1]) == BelowErasureFloor.code)
    assert workshop.builder.ready(digests[0]) is None


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (WrongBase(), "wrong_base"),
        (StoreUnavailable("not mounted"), "store_unavailable"),
        (ZeroDivisionError(), "build_failed"),
    ],
)
def test_a_failure_is_named_and_tried_again(
    workshop: Workshop, digests: list[str], failure: Exception, code: str
) -> None:
    workshop.failures[digests[0]] = failure
    workshop.builder.want(digests[:1], 0)
    eventually(lambda: len(workshop.attempts) >= 3)
    assert workshop.builder.error(digests[0]) == code
    assert workshop.builder.ready(digests[0]) is None
    count = workshop.registry.get_sample_value("lethe_serving_refusals_total", {"error": code})
    assert count is not None
    assert count >= 2
    del workshop.failures[digests[0]]
    eventually(lambda: workshop.builder.ready(digests[0]) is not None)
    assert workshop.builder.error(digests[0]) is None


def test_one_that_fails_does_not_hold_up_the_other(workshop: Workshop, digests: list[str]) -> None:
    workshop.failures[digests[0]] = WrongBase()
    workshop.builder.want(digests[:2], 0)
    eventually(lambda: workshop.builder.ready(digests[1]) is not None)
    assert workshop.builder.error(digests[0]) == "wrong_base"


def test_pauses_between_failures_grow_to_a_limit() -> None:
    now, attempts = 0.0, []
    failed: Callable[[], bool]

    def build(_digest: str, _floor: int) -> Ranker:
        attempts.append(now)
        raise WrongBase

    builder = RankerBuilder(
        build,
        on_change=lambda: None,
        metrics=ServingMetrics(CollectorRegistry()),
        retry_seconds=1.0,
        clock=lambda: now,
    )
    builder.start()
    for expected in (0, 1, 3, 7, 15, 31, 63, 95, 127):
        if expected:
            now = expected - 0.5
            builder.want(["d"], 0)
            now = float(expected)
        builder.want(["d"], 0)
        failed = lambda expected=expected: attempts[-1:] == [float(expected)]  # noqa: E731
        eventually(failed)
        eventually(lambda: builder.error("d") == "wrong_base")
        # The failure must be on the books before time moves on.
        eventually(lambda: builder._failures["d"].attempts == len(attempts))
    assert attempts == [0, 1, 3, 7, 15, 31, 63, 95, 127]
    builder.stop(PATIENCE_SECONDS)


def test_after_stop_nothing_is_kept_or_begun(workshop: Workshop, digests: list[str]) -> None:
    workshop.builder.want(digests[:1], 0)
    eventually(lambda: workshop.builder.ready(digests[0]) is not None)
    workshop.builder.stop(PATIENCE_SECONDS)
    assert workshop.builder.ready(digests[0]) is None
    workshop.builder.want(digests, 0)
    assert len(workshop.attempts) == 1
