"""Who must not be personalised is not: suppressed subjects, and everybody once the feed is too old to know (I2)."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_store import LocalStore
from tests.unit.app.serving.marker_world import (
    PATIENCE_SECONDS,
    ControlDatabase,
    World,
    eventually,
    held,
    subject,
)
from tests.unit.app.serving.replica_rig import ALICE, BOB, HISTORY, LEASE_SECONDS, Replica, reason

Start = Callable[..., Replica]


def test_a_suppression_from_another_replica_arrives_by_the_feed(
    control: ControlDatabase, replica: Replica
) -> None:
    assert reason(replica) is None
    epoch = control.suppress(ALICE)
    eventually(lambda: reason(replica) == "suppressed")
    assert reason(replica, BOB) is None
    eventually(lambda: (row := control.replica("replica-1")) is not None and row.epoch == epoch)
    assert reason(replica, history=()) == "suppressed"
    assert replica.engine.reason_to_fall_back(ALICE) is not None
    assert replica.engine.reason_to_fall_back(BOB) is None


def test_a_suppression_accepted_here_counts_at_once(control: ControlDatabase, replica: Replica) -> None:
    replica.line.cut = True
    replica.engine.suppress(control.suppress(ALICE), ALICE)
    assert reason(replica) == "suppressed"
    assert replica.engine.is_suppressed(ALICE)


def test_a_suppressed_user_gets_nothing_personal_not_even_a_gap(replica: Replica) -> None:
    replica.engine.suppress(1, ALICE)
    everyone = replica.engine.recommend(BOB, (), 10).items
    assert replica.engine.recommend(ALICE, (29, 28), 10).items == everyone


def test_whoever_is_suppressed_while_in_a_batch_gets_the_fallback_and_leaves_no_trace(
    replica: Replica,
) -> None:
    with ThreadPoolExecutor(2) as callers, held(replica.engine) as gate:
        hers = callers.submit(reason, replica, ALICE)
        assert gate.entered.wait(PATIENCE_SECONDS)
        his = callers.submit(reason, replica, BOB)
        replica.engine.suppress(1, ALICE)
        gate.open()
        assert hers.result(PATIENCE_SECONDS) == "suppressed"
        assert his.result(PATIENCE_SECONDS) is None
    assert len(replica.engine._cache) == 1, "his alone"


def test_the_feed_is_followed_while_a_version_loads_and_a_report_is_stuck(
    world: World, control: ControlDatabase, start: Start, tmp_path: Path
) -> None:
    gate, loading = threading.Event(), threading.Event()

    class SlowStore(LocalStore):
        def read_blob(self, version: str, digest: str) -> bytes:
            loading.set()
            assert gate.wait(PATIENCE_SECONDS)
            return super().read_blob(version, digest)

    store = SlowStore(tmp_path / "store")
    gate.set()
    first, second = world.publish(store, world.low), world.publish(store, world.high)
    replica = start(store=store)
    control.point(first)
    replica.serves(first)
    gate.clear(), loading.clear()
    replica.line.write_gate.clear()
    try:
        control.point(second)
        assert loading.wait(PATIENCE_SECONDS)
        control.suppress(ALICE)
        eventually(lambda: reason(replica) == "suppressed")
        assert replica.engine.recommend(BOB, HISTORY, 5).version == first
    finally:
        gate.set()
        replica.line.write_gate.set()
    replica.serves(second)


def test_a_lapsed_lease_stops_personalising_until_the_line_is_back(replica: Replica, low: str) -> None:
    replica.line.cut = True
    eventually(lambda: replica.value("control_failures_total", call="read") >= 1)
    assert reason(replica) is None, "the lease still runs"
    replica.clock.jumped += LEASE_SECONDS + 1
    assert reason(replica) == "stale_feed"
    assert replica.engine.feed_is_stale
    assert not replica.engine.status().ready
    assert replica.value("feed_age_seconds") > LEASE_SECONDS
    replica.line.cut = False
    eventually(lambda: reason(replica) is None)
    assert replica.engine.recommend(ALICE, HISTORY, 5).version == low


def test_a_lease_that_lapses_during_the_batch_keeps_the_answer_in(replica: Replica) -> None:
    with ThreadPoolExecutor(1) as callers, held(replica.engine) as gate:
        under_way = callers.submit(reason, replica)
        assert gate.entered.wait(PATIENCE_SECONDS)
        replica.line.cut = True
        failures = replica.value("control_failures_total", call="read")
        eventually(lambda: replica.value("control_failures_total", call="read") > failures)
        replica.clock.jumped += LEASE_SECONDS + 1
        gate.open()
        assert under_way.result(PATIENCE_SECONDS) == "stale_feed"


def test_a_reconcile_loop_that_fails_for_an_unknown_reason_fails_closed_and_heals(replica: Replica) -> None:
    replica.line.garbled = True
    eventually(lambda: reason(replica) == "stale_feed")
    replica.line.garbled = False
    eventually(lambda: reason(replica) is None)


def test_a_database_put_back_forgets_no_suppression(control: ControlDatabase, replica: Replica) -> None:
    for number in range(3):
        control.suppress(subject(100 + number))
    eventually(lambda: reason(replica, subject(102)) == "suppressed")
    control.rewind(1)
    replica.looked()
    # The epochs 2 and 3 are handed out again, to others.
    control.suppress(subject(200))
    eventually(lambda: reason(replica, subject(200)) == "suppressed")
    assert all(reason(replica, subject(100 + number)) == "suppressed" for number in range(3))
    assert reason(replica) is None


def test_an_answer_that_waited_to_be_sent_is_looked_at_again(replica: Replica) -> None:
    """A process may be stopped between the computation and the socket."""
    hers, his = (replica.engine.recommend(who, HISTORY, 4) for who in (ALICE, BOB))
    assert replica.engine.still_holds(ALICE, hers, 4) is hers
    replica.engine.suppress(1, ALICE)
    assert replica.engine.still_holds(ALICE, hers, 4).fallback_reason == "suppressed"
    assert replica.engine.still_holds(BOB, his, 4) is his
    replica.line.cut = True
    replica.clock.jumped += LEASE_SECONDS + 1
    late = replica.engine.still_holds(BOB, his, 4)
    assert (late.fallback_reason, len(late.items)) == ("stale_feed", 4)
    assert late.items == replica.engine.recommend(BOB, (), 4).items
