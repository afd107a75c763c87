"""`lethe store check`: what database or store has lost is found, and repaired only where nothing has to be guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from app.db.models import AuditEntry, Ledger, Run, Version
from app.readers.readership import Readership
from app.restoration.inventory import Inventory, Lack, take_inventory
from app.takedowns import service as takedowns
from app.versions import queries as version_queries
from model_store import ADAPTER_WEIGHTS, JournalEntry
from tests.integration.tiny_model import USERS, subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.observing import live, outcome, store_again
from worker.execution import execute
from worker.process import WorkerProcess
from worker.sweeping import sweep_store

# The database's part is a few plain queries.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

EVERYBODY = Readership.of(subject_of(user) for user in USERS)


def look(process: WorkerProcess, *, repair: bool = False) -> Inventory:
    return take_inventory(process.database, process.audit, process.store, repair=repair)


def found(inventory: Inventory) -> list[tuple[str, str, bool]]:
    return [(one.lack, one.about, one.repaired) for one in inventory.findings]


def folder(process: WorkerProcess) -> Path:
    return Path(process.settings.store_url)


def weights_file(process: WorkerProcess, digest: str) -> Path:
    ref = process.store.read_manifest(digest).blobs[ADAPTER_WEIGHTS]
    return folder(process) / "blobs" / digest / ref.digest


@pytest.fixture
def forgotten(process: WorkerProcess) -> tuple[str, str]:
    """The version before user-1 was forgotten, and the one that serves since."""
    old = live(process)
    execute(process, request_forgetting(process, "user-1"))
    assert outcome(process, "user-1") == ("completed", "erased")
    return old, live(process)


def test_nothing_is_wrong_with_what_a_service_has_done(
    process: WorkerProcess, forgotten: tuple[str, str]
) -> None:
    inventory = look(process)
    assert found(inventory) == []
    assert inventory.versions == 1
    assert inventory.destroyed == len(process.store.versions()) - 1
    assert inventory.journal == 1


def test_a_half_done_destruction_is_finished_and_put_on_record(
    process: WorkerProcess, forgotten: tuple[str, str]
) -> None:
    old, _ = forgotten
    before = weights_file(process, old)
    # A copy of the store has brought the bytes back without the tombstone, and the row has lost its mark.
    before.parent.mkdir(exist_ok=True)
    before.write_bytes(b"somebody's weights")
    (folder(process) / "tombstones" / f"{old}.json").unlink()
    assert found(look(process)) == [(Lack.DESTRUCTION_HALF_DONE, old, False)]
    with process.database.unit_of_work() as session:
        session.get_one(Version, old).destroyed_at = None
    # Now it is a version below the floor, as far as anybody can tell.
    assert found(look(process)) == [(Lack.VERSION_BELOW_FLOOR, old, False)]
    assert before.exists()
    assert found(look(process, repair=True)) == [(Lack.VERSION_BELOW_FLOOR, old, True)]
    assert not before.exists()
    assert process.store.is_destroyed(old)
    with process.database.read() as session:
        assert session.get_one(Version, old).destroyed_at is not None
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
    assert entry is not None
    assert (entry.action, entry.data["version"]) == ("version.destruction_finished", old)
    assert found(look(process)) == []


def test_a_run_that_is_under_way_is_left_to_finish_what_it_does(
    process: WorkerProcess, forgotten: tuple[str, str]
) -> None:
    old, _ = forgotten
    with process.database.unit_of_work() as session:
        session.get_one(Version, old).destroyed_at = None
        session.scalars(select(Run)).one().status = "running"
    assert found(look(process, repair=True)) == [(Lack.DESTRUCTION_HALF_DONE, old, False)]


def test_the_journal_is_completed_from_the_database(
    process: WorkerProcess, forgotten: tuple[str, str]
) -> None:
    (entry,) = (folder(process) / "journal").iterdir()
    written = entry.read_bytes()
    entry.unlink()
    assert found(look(process)) == [(Lack.JOURNAL_GAP, "1", False)]
    assert found(look(process, repair=True)) == [(Lack.JOURNAL_GAP, "1", True)]
    assert entry.read_bytes() == written
    entry.chmod(0o600)
    entry.write_bytes(b"{")
    assert found(look(process, repair=True)) == [(Lack.JOURNAL_DAMAGED, "1", False)]
    entry.write_bytes(written.replace(subject_of("user-1").encode(), b"ab" * 32))
    assert found(look(process, repair=True)) == [(Lack.JOURNAL_UNKNOWN, "1", False)]
    assert entry.read_bytes() != written
    entry.rename(entry.with_name("000000000009.json"))
    (problem,) = [one for one in look(process, repair=True).findings if one.lack is Lack.JOURNAL_DAMAGED]
    assert problem.about == "9"


def test_blobs_nobody_names_go_and_damage_is_told(process: WorkerProcess) -> None:
    first = live(process)
    stray = folder(process) / "blobs" / ("5a" * 32) / ("5b" * 32)
    stray.parent.mkdir()
    stray.write_bytes(b"half a publication")
    assert found(look(process)) == [(Lack.BLOBS_WITHOUT_MANIFEST, "5a" * 32, False)]
    assert found(look(process, repair=True)) == [(Lack.BLOBS_WITHOUT_MANIFEST, "5a" * 32, True)]
    assert not stray.exists()
    weights = weights_file(process, first)
    whole = weights.read_bytes()
    weights.chmod(0o600)
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert found(look(process, repair=True)) == [(Lack.BLOB_DAMAGED, first, False)]
    weights.unlink()
    assert found(look(process, repair=True)) == [(Lack.BLOB_MISSING, first, False)]
    weights.write_bytes(whole)
    manifest = folder(process) / "manifests" / f"{first}.json"
    said = manifest.read_bytes()
    manifest.chmod(0o600)
    manifest.write_bytes(said.replace(b'"forget_epoch":0', b'"forget_epoch":7'))
    assert found(look(process, repair=True)) == [(Lack.MANIFEST_DAMAGED, first, False)]
    manifest.unlink()
    # Without a manifest its blobs look like those of an interrupted publication; what serves is not taken for that.
    assert (Lack.MANIFEST_MISSING, first, False) in found(look(process, repair=True))
    assert weights.exists()
    manifest.write_bytes(said)
    assert found(look(process)) == []


def test_the_live_version_is_never_destroyed_whatever_row_or_floor_say(process: WorkerProcess) -> None:
    first = live(process)
    spare = store_again(process, EVERYBODY)
    with process.database.unit_of_work() as session:
        version_queries.current(session).erasure_floor = 99
    # A floor beyond all epochs is an error of the row and says nothing about any version.
    assert found(look(process, repair=True)) == []
    with process.database.unit_of_work() as session:
        session.get_one(Ledger, 1).epoch = 99
    assert found(look(process, repair=True)) == [
        (Lack.FLOOR_BEHIND, "", True),
        *sorted(
            [(Lack.LIVE_UNSERVABLE, first, False), (Lack.VERSION_BELOW_FLOOR, spare, True)],
            key=lambda one: one[1],
        ),
    ]
    assert not process.store.is_destroyed(first)
    assert process.store.erasure_floor() == 99


def test_a_store_of_another_timeline_is_not_repaired_by_this_database(
    process: WorkerProcess, forgotten: tuple[str, str]
) -> None:
    with process.database.unit_of_work() as session:
        session.get_one(Ledger, 1).timeline = "0" * 32
    (entry,) = (folder(process) / "journal").iterdir()
    entry.unlink()
    assert [lack for lack, _, _ in found(look(process, repair=True))] == [Lack.TIMELINE, Lack.JOURNAL_GAP]
    assert not entry.exists()


def test_an_entry_that_the_database_knows_nothing_of_is_told(process: WorkerProcess) -> None:
    process.store.append_journal(JournalEntry(1, "ab" * 32, "2026-01-01T00:00:00+00:00", "fr_" + "0" * 32))
    assert found(look(process, repair=True)) == [(Lack.JOURNAL_UNKNOWN, "1", False)]


def test_a_sweep_leaves_the_blobs_of_a_live_version_whose_manifest_is_lost(process: WorkerProcess) -> None:
    weights = weights_file(process, live(process))
    (folder(process) / "manifests" / f"{live(process)}.json").unlink()
    sweep_store(process)
    assert weights.exists()


def test_the_entry_of_a_takedown_is_part_of_the_journal(process: WorkerProcess) -> None:
    with process.transaction() as transaction:
        taken = takedowns.take_down(
            transaction, item_id="i1", spellings=(), requested_by="tests", now=transaction.now()
        )
        epoch = taken.takedown.epoch
    assert found(look(process)) == [(Lack.JOURNAL_GAP, str(epoch), False)]
    assert found(look(process, repair=True)) == [(Lack.JOURNAL_GAP, str(epoch), True)]
    assert found(look(process)) == []
