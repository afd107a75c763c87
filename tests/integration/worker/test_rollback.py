"""Going back to an earlier version undoes nobody's erasure, and nobody is forgotten by it (I3, I13)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.db.base import utc_now
from app.db.models import ForgetRequest, ItemTakedown, Version
from app.readers import queries as readers
from app.readers.readership import Readership
from app.versions import queries as version_queries
from app.versions.rollback import Guard, RollbackRefused, roll_back, way_back
from model_store import ADAPTER_WEIGHTS, Floor
from tests.integration.takedowns import take_down, takedown_of
from tests.integration.tiny_model import USERS, subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.going_back import go_back
from tests.integration.worker.observing import install, live, outcome, serving, store_again
from worker.execution import execute
from worker.process import WorkerProcess

# This is about what the guards decide. Pointer, floor and readers are tested on both databases elsewhere.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

EVERYBODY = Readership.of(subject_of(user) for user in USERS)
AND_A_GUEST = Readership.of(subject_of(user) for user in (*USERS, "guest"))


def make_live(process: WorkerProcess, readership: Readership | None = EVERYBODY, *, epoch: int = 0) -> str:
    """Another version becomes live, as an import would make one; its digest."""
    digest = store_again(process, readership, forget_epoch=epoch)
    install_stored(process, digest, epoch=epoch)
    return digest


def install_stored(process: WorkerProcess, digest: str, *, epoch: int = 0) -> None:
    version = Version(digest=digest, forget_epoch=epoch, method="fit", exact=True, published_at=utc_now())
    install(process, version, parent=live(process))


def assert_refused(process: WorkerProcess, digest: str, guard: Guard) -> None:
    before = serving(process).generation
    with pytest.raises(RollbackRefused) as refused:
        go_back(process, digest)
    assert refused.value.guard == guard
    assert serving(process).generation == before


def settle(process: WorkerProcess, user: str) -> None:
    """As a run leaves a request that finds nothing to edit: the floor does not rise."""
    with process.database.unit_of_work() as session:
        session.add(
            ForgetRequest(
                id="fr_" + "0" * 32, subject_hmac=subject_of(user), status="completed", outcome="no_data",
                epoch=5, requested_by="tests", received_at=utc_now(), due_at=utc_now(),
            )
        )  # fmt: skip


def test_an_earlier_version_serves_again_where_nobody_was_forgotten_between(process: WorkerProcess) -> None:
    first = live(process)
    second = make_live(process)
    third = make_live(process)
    generation = serving(process).generation
    done = go_back(process, first)
    assert (done.version, done.from_version, done.generation) == (first, third, generation + 1)
    assert (live(process), serving(process).previous_digest) == (first, third)
    assert_refused(process, first, Guard.SERVES_ALREADY)
    assert_refused(process, "0" * 64, Guard.NEVER_SERVED)
    # There and back again, and whoever asks now is unlearned from what serves.
    go_back(process, second)
    execute(process, request_forgetting(process, "user-1"))
    assert outcome(process, "user-1") == ("completed", "erased")
    assert all(process.store.is_destroyed(one) for one in (first, second, third))


def test_whom_the_version_that_is_left_has_read_stays_on_record(process: WorkerProcess) -> None:
    first = live(process)
    left = make_live(process, AND_A_GUEST)
    go_back(process, first)
    with process.database.read() as session:
        assert readers.past_readers_among(session, [subject_of("guest")])
    # What serves has never read them. What was left has, so they are not told that nothing had.
    execute(process, request_forgetting(process, "guest"))
    assert outcome(process, "guest") == ("completed", "erased")
    assert process.store.is_destroyed(left)


def test_a_version_without_a_record_leaves_everybody_on_record(process: WorkerProcess) -> None:
    first = store_again(process, None)
    install_stored(process, first)
    make_live(process)
    go_back(process, first)
    with process.database.read() as session:
        everybody = {subject_of(user) for user in USERS}
        assert readers.past_readers_among(session, everybody) == everybody


def test_behind_a_forget_request_there_is_no_way_back(process: WorkerProcess) -> None:
    old = live(process)
    execute(process, request_forgetting(process, "user-1"))
    assert_refused(process, old, Guard.DESTROYED)
    # Nor by edited rows.
    with process.database.unit_of_work() as session:
        session.get_one(Version, old).destroyed_at = None
    assert_refused(process, old, Guard.BELOW_FLOOR)
    with process.database.unit_of_work() as session:
        session.get_one(Version, old).forget_epoch = 99
    assert_refused(process, old, Guard.DESTROYED)


def test_the_floor_of_row_and_store_each_refuse(process: WorkerProcess) -> None:
    first = live(process)
    make_live(process)
    with process.database.unit_of_work() as session:
        version_queries.current(session).erasure_floor = 1
    assert_refused(process, first, Guard.BELOW_FLOOR)
    # Nor does an edited epoch of the version help.
    with process.database.unit_of_work() as session:
        session.get_one(Version, first).forget_epoch = 1
    assert_refused(process, first, Guard.BELOW_FLOOR)
    with process.database.unit_of_work() as session:
        version_queries.current(session).erasure_floor = 0
    process.store.raise_floor(Floor(1, "2026-01-01T00:00:00+00:00"))
    assert_refused(process, first, Guard.BELOW_FLOOR)


@pytest.mark.parametrize("readership", [AND_A_GUEST, None], ids=["read", "no record"])
def test_whoever_is_settled_without_a_raised_floor_is_not_brought_back(
    process: WorkerProcess, readership: Readership | None
) -> None:
    knows = make_live(process, readership, epoch=9)
    clean = make_live(process, epoch=9)
    settle(process, "guest")
    assert_refused(process, knows, Guard.READ_SETTLED)
    # Whom it has not read may be settled.
    make_live(process, AND_A_GUEST, epoch=9)
    go_back(process, clean)


def test_whoever_is_settled_between_the_look_and_the_move_is_not_brought_back(process: WorkerProcess) -> None:
    knows = make_live(process, AND_A_GUEST)
    make_live(process)
    way = way_back(process.database, process.store, knows)
    settle(process, "guest")
    with process.transaction() as transaction, pytest.raises(RollbackRefused) as refused:
        roll_back(transaction, way, actor="tests", now=transaction.now())
    assert refused.value.guard == Guard.READ_SETTLED


def test_nobody_is_overtaken(process: WorkerProcess) -> None:
    first = live(process)
    make_live(process)
    way = way_back(process.database, process.store, first)
    make_live(process)
    with process.transaction() as transaction, pytest.raises(RollbackRefused) as refused:
        roll_back(transaction, way, actor="tests", now=transaction.now())
    assert refused.value.guard == Guard.MOVED_MEANWHILE


def test_what_may_have_read_an_erased_item_does_not_come_back(process: WorkerProcess) -> None:
    first = live(process)
    make_live(process)
    take_down(process.database, process.audit, "i7")
    # Until it is erased, the takedown hides it from whatever serves.
    go_back(process, first)
    make_live(process)
    with process.database.unit_of_work() as session:
        session.get_one(ItemTakedown, takedown_of(process.database, "i7").id).erased_at = utc_now()
    assert_refused(process, first, Guard.READ_TAKEN_ITEM)


def test_a_damaged_version_does_not_come_back(process: WorkerProcess) -> None:
    first = live(process)
    make_live(process)
    blob = process.store.read_manifest(first).blobs[ADAPTER_WEIGHTS].digest
    for path in Path(process.settings.store_url).rglob("*"):
        if path.is_file() and blob in str(path):
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert_refused(process, first, Guard.NOT_IN_STORE)


@pytest.mark.parametrize(
    ("change", "guard"),
    [({"base_digest": "b" * 64}, Guard.OTHER_BASE), ({"catalogue_items": 7}, Guard.OTHER_ITEMS)],
    ids=["base", "items"],
)
def test_what_no_replica_would_load_does_not_come_back(
    process: WorkerProcess, change: dict[str, str | int], guard: Guard
) -> None:
    first = live(process)
    manifest = process.store.read_manifest(first)
    contents = {name: process.store.read_blob(first, ref.digest) for name, ref in manifest.blobs.items()}
    other = process.store.publish(replace(manifest, **change), contents)  # type: ignore[arg-type]
    install_stored(process, other)
    with process.database.unit_of_work() as session:
        version_queries.current(session).digest = first
    assert_refused(process, other, guard)
