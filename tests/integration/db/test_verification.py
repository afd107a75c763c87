"""The audit log against whoever has every right in the database and no key (invariant I12)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from app.audit.checkpoints import write_checkpoint
from app.audit.log import AuditLog
from app.audit.verification import Verification, verify
from app.db.models import Ledger
from app.forget_requests import service as forget_requests
from app.restoration.service import confirm_timeline, join_timeline
from app.versions.floor import vouch_for_floor
from model_store import Checkpoint, LocalStore, MemoryStore
from tests.integration.backup import back_up
from tests.integration.db.conftest import Service
from tests.integration.db.test_audit import tamper

WIPED = f"UPDATE ledger SET audit_sequence = 0, audit_head = '{'0' * 64}', audit_seal = ''"
EVERYTHING = (
    "DELETE FROM audit_entries",
    WIPED,
    "UPDATE ledger SET timeline = NULL",
    "DELETE FROM forget_requests",
    "DELETE FROM suppressions",
    "DELETE FROM audit_nodes",
    "DELETE FROM audit_references",
    "UPDATE audit_tree SET size = 0",
)


@pytest.fixture
def joined(service: Service, store: MemoryStore) -> Service:
    """One that has joined, and forgotten "a"."""
    join_timeline(service.database, service.audit, store)
    accept(service, store, "a")
    claim = service.claimed(service.queued_run())
    service.publish(claim, "1")
    service.finish(claim)
    return service


def accept(service: Service, store: MemoryStore, subject: str) -> str:
    request = service.accept(subject).request
    store.append_journal(forget_requests.journal_entry(request))
    return request.id


def checkpoint(service: Service, store: MemoryStore) -> Checkpoint:
    written = write_checkpoint(service.database, service.audit, store)
    assert written is not None
    return written


def look(service: Service, store: MemoryStore) -> Verification:
    return verify(service.database, service.audit, store)


def edit(service: Service, statement: str) -> None:
    with service.database.engine.begin() as connection:
        connection.execute(text(statement))


def assert_found(found: Verification, words: str) -> None:
    assert not found.holds
    assert any(words in problem for problem in found.problems), found.problems


def test_an_honest_log_agrees_with_everything(joined: Service, store: MemoryStore) -> None:
    accept(joined, store, "b")
    assert look(joined, store).notices == (
        "no checkpoint of timeline 1 yet: only the database vouches for the log's tail",
    )
    written = checkpoint(joined, store)
    assert look(joined, store) == Verification(None, (), ())
    # Nothing new: nothing is written.
    assert write_checkpoint(joined.database, joined.audit, store) is None
    accept(joined, store, "c")
    assert look(joined, store) == Verification(None, (), ())
    assert checkpoint(joined, store).sequence == written.sequence + 1


def test_a_wiped_log_does_not_verify(joined: Service, store: MemoryStore) -> None:
    last = checkpoint(joined, store).sequence
    tamper(joined, "DELETE FROM audit_entries", WIPED)
    found = look(joined, store)
    assert_found(found, f"entries 1..{last} are gone")
    assert_found(found, "no entry says that timeline 1 was started")
    # Nor when it has grown past its old length again.
    for subject in "bcdef0123456":
        accept(joined, store, subject)
    found = look(joined, store)
    assert found.broken is None
    assert_found(found, f"entry {last} is not the one that the store vouches for")
    # And no later checkpoint takes the place of the one that shows it.
    assert write_checkpoint(joined.database, joined.audit, store) is None


def test_a_wiped_log_does_not_verify_with_its_requests_wiped_too(joined: Service, store: MemoryStore) -> None:
    tamper(
        joined,
        "DELETE FROM audit_entries",
        WIPED,
        "DELETE FROM forget_requests",
        "DELETE FROM suppressions",
    )
    assert_found(look(joined, store), "epoch 1: the journal in the store has a suppression")


def test_a_tree_that_was_changed_is_a_problem(joined: Service, store: MemoryStore) -> None:
    """Also one that goes on: what was added after the checkpoint is looked at as well."""
    checkpoint(joined, store)
    edit(joined, f"UPDATE audit_nodes SET digest = '{'0' * 64}' WHERE level = 0 AND place = 2")
    assert_found(look(joined, store), "the Merkle tree's node over entries 3..3 is not what the entries give")


def test_a_row_that_cannot_be_read_is_where_the_chain_breaks(joined: Service, store: MemoryStore) -> None:
    if joined.database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL takes nothing into the column that is no JSON")
    tamper(joined, "UPDATE audit_entries SET data = '{' WHERE sequence = 2")
    found = look(joined, store)
    assert found.broken == 2
    assert_found(found, "a row of the log cannot be read")


def test_a_cut_tail_does_not_verify_though_its_own_seal_was_kept(joined: Service, store: MemoryStore) -> None:
    """Whoever reads the ledger's row at any time can put it back later."""
    with joined.database.read() as session:
        row = session.get_one(Ledger, 1)
        sequence, head, seal = row.audit_sequence, row.audit_head, row.audit_seal
    request = accept(joined, store, "b")
    last = checkpoint(joined, store).sequence
    tamper(
        joined,
        f"DELETE FROM audit_entries WHERE sequence > {sequence}",
        f"UPDATE ledger SET audit_sequence = {sequence}, audit_head = '{head}', audit_seal = '{seal}'",
    )
    found = look(joined, store)
    assert found.broken is None
    assert_found(found, f"entries {sequence + 1}..{last} are gone")
    assert_found(found, f"request {request}: no entry says that it was accepted")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE forget_requests SET due_at = '2030-01-01 00:00:00+00:00'", "due at 2030"),
        ("UPDATE forget_requests SET epoch = 7", "its epoch is 7, its entry says 1"),
        (f"UPDATE forget_requests SET subject_hmac = '{'e' * 64}'", "its subject is not the one"),
        ("UPDATE forget_requests SET status = 'queued'", "its entry says that it was completed"),
        ("UPDATE forget_requests SET outcome = 'no_data'", "its outcome is no_data, its entry says erased"),
        (
            "UPDATE forget_requests SET completed_at = '2020-01-01 00:00:00+00:00'",
            "it was not completed when",
        ),
        ("DELETE FROM forget_requests", "its row is gone"),
        (f"UPDATE suppressions SET subject_hmac = '{'e' * 64}'", "of another subject than its request"),
        (f"UPDATE suppressions SET subject_hmac = '{'e' * 64}'", "the journal in the store has"),
        ("DELETE FROM suppressions", "its request has no suppression"),
    ],
)
def test_rows_that_do_not_say_what_their_entries_say(
    joined: Service, store: MemoryStore, statement: str, words: str
) -> None:
    checkpoint(joined, store)
    edit(joined, statement)
    assert_found(look(joined, store), words)


def test_a_request_that_nobody_completed(joined: Service, store: MemoryStore) -> None:
    request = accept(joined, store, "b")
    edit(joined, f"UPDATE forget_requests SET status = 'completed' WHERE id = '{request}'")
    assert_found(look(joined, store), f"request {request}: it is completed, and no entry says")


def test_a_restored_database_says_what_it_has_lost(joined: Service, store: MemoryStore) -> None:
    restore = back_up(joined.database.engine)
    last = checkpoint(joined, store).sequence
    accept(joined, store, "b")
    lost = checkpoint(joined, store).sequence
    assert lost == last + 1
    restore()
    assert_found(look(joined, store), f"entries {lost}..{lost} are gone")
    join_timeline(joined.database, joined.audit, store)
    assert_found(
        look(joined, store), f"entries {lost}..{lost} of timeline 1 are not in this database: it was"
    )
    # As `lethe recover` does.
    assert confirm_timeline(joined.database, joined.audit, store)
    assert not confirm_timeline(joined.database, joined.audit, store)
    found = look(joined, store)
    assert found.holds
    assert f"restored: entries {lost}..{lost} of timeline 1 are not in this database" in found.notices
    # It is said for ever, also when the log is longer than it was, and with a checkpoint of its own.
    accept(joined, store, "c")
    checkpoint(joined, store)
    assert look(joined, store).notices == (
        f"restored: entries {lost}..{lost} of timeline 1 are not in this database",
    )


def test_a_restore_that_no_epoch_shows_is_one_once_a_person_says_so(
    joined: Service, store: MemoryStore
) -> None:
    """Nobody was accepted or claimed since the backup; only the log had gone on."""
    accept(joined, store, "b")
    claim = joined.claimed(joined.queued_run())
    joined.publish(claim, "2")
    restore = back_up(joined.database.engine)
    joined.finish(claim)
    lost = checkpoint(joined, store).sequence
    restore()
    join_timeline(joined.database, joined.audit, store)
    assert_found(look(joined, store), f"..{lost} are gone")
    assert write_checkpoint(joined.database, joined.audit, store) is None
    # As `lethe recover` does.
    join_timeline(joined.database, joined.audit, store, restored=True)
    confirm_timeline(joined.database, joined.audit, store)
    found = look(joined, store)
    assert found.holds, found.problems
    assert found.notices[0].startswith("restored: entries ")
    checkpoint(joined, store)
    timeline = store.newest_timeline()
    join_timeline(joined.database, joined.audit, store, restored=True)
    assert store.newest_timeline() == timeline


def test_a_wipe_that_passes_itself_off_as_a_restore_is_found(joined: Service, store: MemoryStore) -> None:
    last = checkpoint(joined, store).sequence
    tamper(joined, "DELETE FROM audit_entries", WIPED, "UPDATE ledger SET timeline = NULL")
    assert_found(look(joined, store), "does not belong to timeline 1")
    join_timeline(joined.database, joined.audit, store)
    found = look(joined, store)
    assert_found(
        found, f"the entries up to {last} of timeline 1 are not in this database: it was restored or"
    )
    assert_found(found, "no entry says that it was accepted")


def test_a_wipe_of_everything_is_found_where_nobody_has_restored_anything(
    joined: Service, store: MemoryStore
) -> None:
    """No row is left that the log could contradict; the journal's requests are accepted again."""
    last = checkpoint(joined, store).sequence
    tamper(joined, *EVERYTHING)
    join_timeline(joined.database, joined.audit, store)
    assert_found(
        look(joined, store), f"the entries up to {last} of timeline 1 are not in this database: it was"
    )
    # Nor by a word that was given for another timeline.
    accept(joined, store, "b")
    checkpoint(joined, store)
    confirm_timeline(joined.database, joined.audit, store)
    assert look(joined, store).holds
    for statement in EVERYTHING:
        edit(joined, statement)
    join_timeline(joined.database, joined.audit, store)
    assert_found(
        look(joined, store), "of timeline 2 are not in this database: it was restored or the log was wiped"
    )


def test_a_floor_that_was_edited_back(joined: Service, store: MemoryStore) -> None:
    checkpoint(joined, store)
    vouch_for_floor(joined.database, store)
    assert look(joined, store).holds
    edit(joined, "UPDATE serving_pointer SET erasure_floor = 1")
    assert_found(look(joined, store), "the erasure floor of the database is 1, that of the store 2")


def test_another_store_and_a_forged_checkpoint(joined: Service, store: MemoryStore) -> None:
    written = checkpoint(joined, store)
    assert_found(look(joined, MemoryStore()), "not the store of this database")
    forged = AuditLog(b"another key").checkpoint(1, written.sequence + 1, written.head)
    assert store.put_checkpoint(forged)
    assert_found(look(joined, store), "was not made under LETHE_AUDIT_KEY")


def test_a_checkpoint_that_comes_between_two_looks_is_no_error(
    joined: Service, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(joined, store)
    read: Callable[[], dict[int, Checkpoint]] = store.newest_checkpoints

    def then_work_goes_on() -> dict[int, Checkpoint]:
        found = read()
        monkeypatch.setattr(store, "newest_checkpoints", read)
        accept(joined, store, "b")
        checkpoint(joined, store)
        return found

    monkeypatch.setattr(store, "newest_checkpoints", then_work_goes_on)
    assert look(joined, store) == Verification(None, (), ())


def test_acceptances_of_an_earlier_release_are_said(
    joined: Service, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(AuditLog, "subject_digest", lambda *_: None)
        accept(joined, store, "b")
    checkpoint(joined, store)
    found = look(joined, store)
    assert found.holds
    assert found.notices == ("1 acceptances of an earlier release do not name their subject",)


def test_whoever_was_numbered_anew_still_agrees(
    service: Service, store: MemoryStore, audit: AuditLog
) -> None:
    join_timeline(service.database, audit, store)
    restore = back_up(service.database.engine)
    accept(service, store, "a")
    restore()
    # As a process that has seen nothing of it.
    service.database.timeline.join(str(store.newest_timeline().token), 0)  # type: ignore[union-attr]
    service.accept("e")
    join_timeline(service.database, audit, store)
    assert look(service, store).problems == ()


def test_a_verification_writes_nothing(service: Service, store: MemoryStore, tmp_path: str) -> None:
    local = LocalStore(f"{tmp_path}/store")
    join_timeline(service.database, service.audit, local)
    service.accept("a")
    assert write_checkpoint(service.database, service.audit, local) is not None
    before = (local.newest_checkpoints(), local.newest_timeline())
    with service.database.read() as session:
        sequence = session.get_one(Ledger, 1).audit_sequence
    assert verify(service.database, service.audit, local).holds
    with service.database.read() as session:
        assert session.get_one(Ledger, 1).audit_sequence == sequence
    assert (local.newest_checkpoints(), local.newest_timeline()) == before
