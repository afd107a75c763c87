"""The erasure floor has two witnesses, and editing one of them brings nothing back (I3)."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
import structlog
from sqlalchemy import update

from app.audit.checkpoints import write_checkpoint
from app.audit.verification import verify
from app.db.models import Ledger, ServingPointer, Version
from app.settings import Settings
from model_store import ADAPTER_WEIGHTS, StoreReadOnly, VersionBelowFloor
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import live, outcome, run_of
from tests.integration.worker.test_outages import before
from worker.execution import execute
from worker.process import WorkerProcess
from worker.versions import load_version


def floor_of(process: WorkerProcess) -> int:
    with process.database.read() as session:
        return session.get_one(ServingPointer, 1).erasure_floor


def test_what_was_edited_and_put_back_serves_nobody(process: WorkerProcess, settings: Settings) -> None:
    first = live(process)
    blob = process.store.read_manifest(first).blobs[ADAPTER_WEIGHTS].digest
    weights = process.store.read_blob(first, blob)
    execute(process, request_forgetting(process, "user-1"))
    assert outcome(process, "user-1")[0] == "completed"
    floor = process.store.erasure_floor()
    assert floor == floor_of(process) == process.store.read_manifest(live(process)).forget_epoch
    assert process.store.is_destroyed(first)

    # Somebody with the rights of a database's owner, and a backup of the store.
    (Path(settings.store_url) / "blobs" / first / blob).write_bytes(weights)
    (Path(settings.store_url) / "tombstones" / f"{first}.json").unlink()
    with process.database.engine.begin() as connection:
        connection.execute(update(ServingPointer).values(digest=first, erasure_floor=0))
        connection.execute(update(Version).values(destroyed_at=None))
    with pytest.raises(VersionBelowFloor):
        load_version(process.store, first)

    execute(process, request_forgetting(process, "user-2"))
    assert outcome(process, "user-2")[0] == "completed"
    with process.database.read() as session:
        pointer = session.get_one(ServingPointer, 1)
        assert pointer.digest not in (None, first)
        assert process.store.read_manifest(str(pointer.digest)).forget_epoch >= pointer.erasure_floor >= floor
    # The bytes are gone again, and the log says what was found.
    assert process.store.is_destroyed(first)
    assert verify(process.database, process.audit, process.store).holds


def test_a_pointer_alone_that_was_edited_back_is_no_parent(process: WorkerProcess) -> None:
    first = live(process)
    execute(process, request_forgetting(process, "user-1"))
    with process.database.engine.begin() as connection:
        connection.execute(update(ServingPointer).values(digest=first))
    execute(process, request_forgetting(process, "user-2"))
    # The newest version that a run had published took its place.
    assert live(process) != first
    assert process.store.read_manifest(live(process)).forget_epoch >= process.store.erasure_floor() > 0
    assert outcome(process, "user-2")[0] == "completed"


def test_nothing_is_destroyed_or_completed_before_the_store_vouches(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = live(process)
    run = request_forgetting(process, "user-1")

    def refuse(*_: object) -> None:
        raise StoreReadOnly("mounted read-only")

    with monkeypatch.context() as outage:
        outage.setattr(process.store, "raise_floor", refuse)
        execute(process, run)
    assert outcome(process, "user-1")[0] == "deploying"
    assert run_of(process, run).detail_code == "store_read_only"
    assert not process.store.is_destroyed(first)
    let_the_lease_lapse(process.database, run)
    execute(process, run)
    assert outcome(process, "user-1")[0] == "completed"
    assert process.store.erasure_floor() == floor_of(process)


@pytest.mark.parametrize("kind", ["execution", "consolidation"])
def test_the_store_vouches_before_any_replica_is_waited_for(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A replica that is silent for a day must not leave the row as the only witness for a day."""
    vouched: list[tuple[int, int]] = []
    before(
        monkeypatch,
        f"worker.{kind}.wait_for_acknowledgement",
        lambda: vouched.append((process.store.erasure_floor(), floor_of(process))),
    )
    if kind == "execution":
        execute(process, request_forgetting(process, "user-1"))
    else:
        execute(process, request_consolidation(process))
    ((in_store, in_row),) = vouched
    assert in_store == in_row > 0


def test_the_store_vouches_for_a_floor_that_rose_without_a_version(process: WorkerProcess) -> None:
    """Where nothing serves, it rises when the subjects' events go: a first fit under way may have read them."""
    with process.database.engine.begin() as connection:
        connection.execute(update(ServingPointer).values(digest=None))
    execute(process, request_forgetting(process, "user-1"))
    assert outcome(process, "user-1")[0] == "completed"
    assert process.store.erasure_floor() == floor_of(process) > 0


def test_a_floor_beyond_every_epoch_is_not_taken_over(process: WorkerProcess) -> None:
    """The store never takes a floor back: an edited row must not shut every version out for good."""
    with process.database.engine.begin() as connection:
        connection.execute(update(ServingPointer).values(erasure_floor=10**9))
    execute(process, request_forgetting(process, "nobody"))
    assert process.store.erasure_floor() < 10**9


def test_each_run_leaves_a_checkpoint_of_the_log(process: WorkerProcess) -> None:
    execute(process, request_forgetting(process, "user-1"))
    with process.database.read() as session:
        ledger = session.get_one(Ledger, 1)
        sequence, head = ledger.audit_sequence, ledger.audit_head
    newest = process.store.newest_checkpoints()[1]
    assert (newest.sequence, newest.head) == (sequence, head)
    assert write_checkpoint(process.database, process.audit, process.store) is None
    assert verify(process.database, process.audit, process.store).notices == ()


def test_a_checkpoint_that_cannot_be_written_delays_nobody(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise StoreReadOnly("mounted read-only")

    before = process.store.newest_checkpoints()[1]
    with monkeypatch.context() as outage:
        outage.setattr(process.store, "put_checkpoint", refuse)
        execute(process, request_forgetting(process, "nobody"))
    assert outcome(process, "nobody")[0] == "completed"
    assert process.store.newest_checkpoints()[1] == before
    execute(process, request_forgetting(process, "nobody-else"))
    assert process.store.newest_checkpoints()[1].sequence > before.sequence


def test_a_damaged_floor_is_named_by_a_worker_at_work_and_waited_for(
    process: WorkerProcess, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = StringIO()
    # Wherever the tests before have sent the log to.
    log = structlog.wrap_logger(
        structlog.PrintLogger(written),
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    monkeypatch.setattr("worker.surroundings.log", log)
    path = Path(settings.store_url) / "floors" / "000000000001.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{")
    run = request_forgetting(process, "nobody")
    execute(process, run)
    assert outcome(process, "nobody")[0] == "queued"
    assert "floors/000000000001.json is damaged" in written.getvalue()
    path.unlink()
    execute(process, run)
    assert outcome(process, "nobody")[0] == "completed"
