"""A version that may not serve never does, and the last good one goes on as long as it may (I3, I9)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from model_store import ADAPTER_WEIGHTS, Floor, LocalStore, Store, StoreUnavailable
from tests.unit.app.serving.marker_world import (
    PATIENCE_SECONDS,
    ControlDatabase,
    World,
    eventually,
    histories,
    subject,
)
from tests.unit.app.serving.replica_rig import Replica

Start = Callable[..., Replica]
HISTORY = histories(1)[0]


def test_a_pointer_edited_to_a_version_below_the_floor_is_not_followed(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    old = world.publish(store, world.low, forget_epoch=3)
    live = world.publish(store, world.high, forget_epoch=5)
    replica = start()
    control.point(live, floor=5)
    replica.serves(live)
    control.point(old)
    eventually(lambda: replica.reported().error == "below_erasure_floor")
    assert replica.reported().live_digest == live
    assert replica.ask(subject(1), HISTORY) == (world.offline(world.high, HISTORY), live)
    assert old not in replica.loader.resident_versions()
    # Even with the floor itself edited: this process remembers what it has promised.
    control.point(old, floor=0)
    replica.looked()
    assert replica.reported().error == "below_erasure_floor"
    assert replica.engine.status().erasure_floor == 5
    assert replica.ask(subject(1), HISTORY)[1] == live
    control.point(live, floor=5)
    eventually(lambda: replica.reported().error is None)


def test_a_live_version_below_a_raised_floor_stops_at_once_and_its_memory_goes(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    low = world.publish(store, world.low, forget_epoch=3)
    replica = start()
    control.point(low, floor=3)
    replica.serves(low)
    replica.ask(subject(1), HISTORY)
    control.point(low, floor=4)
    replica.serves(None)
    answer = replica.engine.recommend(subject(1), HISTORY, 5)
    assert (answer.personalised, answer.fallback_reason) == (False, "below_erasure_floor")
    assert answer.version == replica.fallback.version
    assert answer.generation is None
    eventually(lambda: replica.reported().resident_versions == ())
    assert replica.reported().live_digest is None
    assert not replica.engine.status().ready
    good = world.publish(store, world.high, forget_epoch=4)
    control.point(good)
    replica.serves(good)
    assert replica.ask(subject(1), HISTORY) == (world.offline(world.high, HISTORY), good)


def test_a_replica_that_starts_on_a_pointer_below_the_floor_serves_only_the_fallback(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    control.point(world.publish(store, world.low, forget_epoch=3), floor=4)
    replica = start()
    eventually(
        lambda: replica.engine.recommend(subject(1), HISTORY, 5).fallback_reason == "below_erasure_floor"
    )
    assert replica.reported().error == "below_erasure_floor"
    assert replica.loader.resident_versions() == ()


def test_a_prepared_candidate_is_dropped_when_the_floor_passes_it(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    live = world.publish(store, world.high, forget_epoch=6)
    candidate = world.publish(store, world.low, forget_epoch=3)
    replica = start()
    control.point(live, candidate=candidate)
    eventually(lambda: replica.reported().ready_digest == candidate)
    control.point(live, floor=4, candidate=candidate)
    eventually(lambda: replica.reported().error == "below_erasure_floor")
    assert replica.reported().ready_digest is None
    eventually(lambda: replica.reported().resident_versions == (live,))


def test_what_the_store_vouches_for_holds_where_every_row_was_edited_back(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    """Its bytes and no tombstone are there again too, as in a copy of the store."""
    old = world.publish(store, world.low, forget_epoch=3)
    live = world.publish(store, world.high, forget_epoch=5)
    store.raise_floor(Floor(5, "2026-01-01T00:00:00+00:00"))
    control.point(old, floor=0)
    replica = start()
    eventually(
        lambda: replica.engine.recommend(subject(1), HISTORY, 5).fallback_reason == "below_erasure_floor"
    )
    eventually(lambda: replica.engine.status().erasure_floor == 5)
    assert replica.reported().error == "below_erasure_floor"
    assert replica.loader.resident_versions() == ()
    control.point(live)
    replica.serves(live)
    # The floor's row is still what somebody made of it, and it is said.
    eventually(lambda: replica.reported().error == "floor_lowered")
    control.point(live, floor=5)
    eventually(lambda: replica.reported().error is None)


def test_what_serves_already_stops_when_the_store_has_a_higher_floor(
    world: World, store: Store, control: ControlDatabase, start: Start
) -> None:
    """A replica that was cut off while the row stood higher has not seen it."""
    old = world.publish(store, world.low, forget_epoch=3)
    replica = start(floor_interval_seconds=0.01)
    control.point(old, floor=3)
    replica.serves(old)
    store.raise_floor(Floor(4, "2026-01-01T00:00:00+00:00"))
    replica.serves(None)
    assert replica.engine.recommend(subject(1), HISTORY, 5).fallback_reason == "below_erasure_floor"
    eventually(lambda: replica.reported().error == "below_erasure_floor")


def test_a_pointer_that_nobody_vouches_for_is_not_followed(
    world: World, store: Store, control: ControlDatabase, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was put back to an older state, and its journal has not been replayed."""
    live = world.publish(store, world.low)
    replica = start()
    generation = control.point(live)
    replica.serves(live)
    read = replica.line.read
    monkeypatch.setattr(replica.line, "read", lambda after: replace(read(after), vouched=False))
    replica.looked()
    # In that state nothing served yet.
    control.point(None, floor=7)
    replica.looked()
    assert replica.reported().error == "feed_rewound"
    status = replica.engine.status()
    assert (status.live_digest, status.generation, status.erasure_floor) == (live, generation, 0)
    assert replica.engine.recommend(subject(1), HISTORY, 5).fallback_reason == "stale_feed"
    monkeypatch.undo()
    replica.serves(None)


def test_a_store_that_is_away_does_not_stop_what_serves(
    world: World, store: Store, control: ControlDatabase, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = world.publish(store, world.high, forget_epoch=5)
    store.raise_floor(Floor(5, "2026-01-01T00:00:00+00:00"))
    replica = start(floor_interval_seconds=0.01)
    control.point(live, floor=5)
    replica.serves(live)
    looked = Event()

    def away() -> int:
        looked.set()
        raise StoreUnavailable

    monkeypatch.setattr(store, "erasure_floor", away)
    assert looked.wait(PATIENCE_SECONDS)
    control.point(live, floor=0)
    replica.looked()
    assert replica.ask(subject(1), HISTORY)[1] == live
    assert replica.engine.status().erasure_floor == 5


LIES = {
    "wrong_base": {"base_digest": "0" * 64},
    "wrong_catalogue": {"catalogue_digest": "0" * 64},
    "fingerprint_mismatch": {"canary_fingerprint": [[0.0]]},
}


@pytest.mark.parametrize(
    "code", [*LIES, "wrong_alpha", "corrupt_version", "version_destroyed", "never_published"]
)
@pytest.mark.parametrize("as_candidate", [False, True], ids=["live", "candidate"])
def test_a_bad_version_is_refused_while_the_old_one_goes_on(
    world: World, control: ControlDatabase, start: Start, tmp_path: Path, code: str, as_candidate: bool
) -> None:
    store = LocalStore(tmp_path / "store")
    good = world.publish(store, world.low)
    replica = start(store=store)
    control.point(good)
    replica.serves(good)
    expected = code
    if code in LIES:
        bad = world.publish(store, world.high, **LIES[code])
    elif code == "wrong_alpha":
        bad = world.publish(store, world.high, adapter_config={**world.high.config, "lora_alpha": 1})
        expected = "fingerprint_mismatch"
    elif code == "never_published":
        bad, expected = "f" * 64, "corrupt_version"
    else:
        bad = world.publish(store, world.high)
        if code == "version_destroyed":
            store.destroy(bad)
        else:
            blob = store.read_manifest(bad).blobs[ADAPTER_WEIGHTS].digest
            (path,) = (tmp_path / "store").rglob(blob)
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    if as_candidate:
        control.announce(bad)
    else:
        control.point(bad)
    eventually(lambda: replica.reported().error == expected)
    assert replica.reported().ready_digest is None
    assert replica.reported().live_digest == good
    assert replica.ask(subject(1), HISTORY) == (world.offline(world.low, HISTORY), good)
    eventually(lambda: (row := control.replica("replica-1")) is not None and row.error == expected)
    assert replica.value("refusals_total", error=expected) >= 1
    control.point(good)
    eventually(lambda: replica.reported().error is None)


def test_a_version_that_becomes_readable_is_loaded_without_being_asked_again(
    world: World, control: ControlDatabase, start: Start, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "store")
    digest = world.publish(store, world.low)
    blob = store.read_manifest(digest).blobs[ADAPTER_WEIGHTS].digest
    (path,) = (tmp_path / "store").rglob(blob)
    away = path.rename(tmp_path / "away")
    control.point(digest)
    replica = start(store=store)
    replica.looked()
    eventually(lambda: replica.reported().error == "corrupt_version")
    assert replica.engine.recommend(subject(1), HISTORY, 5).fallback_reason == "no_version"
    away.rename(path)
    replica.serves(digest)
    eventually(lambda: replica.reported().error is None)
    assert replica.ask(subject(1), HISTORY) == (world.offline(world.low, HISTORY), digest)
