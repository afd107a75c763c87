"""A database that is restored, or taken over by a copy that lags, under processes that work with it (I10, I15)."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.errors import DatabaseRewound, FenceLost
from app.db.models import ForgetRequest, Ledger
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.replicas.service import DatabaseControlPlane
from app.restoration.queries import timeline_stands
from app.restoration.service import join_timeline
from app.serving.suppression import SuppressionSet
from app.versions import queries as pointer
from model_store import (
    Floor,
    JournalConflict,
    JournalEntry,
    MemoryStore,
    StoreEmptied,
    StoreUnavailable,
    Timeline,
)
from tests.integration.backup import back_up
from tests.integration.db.conftest import NOON, Service, Start
from tests.integration.killing import killed_at
from tests.unit.model_store.examples import publish


def accept(service: Service, store: MemoryStore, *subjects: str, journal: bool = True) -> None:
    for subject in subjects:
        request = service.accept(subject).request
        if journal:
            store.append_journal(forget_requests.journal_entry(request))


def rewound(start: Start, store: MemoryStore) -> Service:
    """A process that has accepted somebody whom its database does not know any more."""
    service = start()
    restore = back_up(service.database.engine)
    accept(service, store, "a")
    restore()
    return service


def epoch_of(service: Service) -> int:
    with service.database.read() as session:
        return session.get_one(Ledger, 1).epoch


def token_of(service: Service) -> str:
    with service.database.read() as session:
        token = session.get_one(Ledger, 1).timeline
    assert token is not None
    return token


def look(feed: SuppressionSet, service: Service) -> bool:
    """One look of a replica; whether it may personalise then."""
    after = feed.cursor
    feed.catch_up(after, DatabaseControlPlane(service.database).read(after), read_started=time.monotonic())
    return not feed.is_stale(1.0)


def test_the_first_process_starts_the_first_timeline_and_the_others_join_it(
    start: Start, store: MemoryStore
) -> None:
    first, second = start(), start()
    timeline = store.newest_timeline()
    assert timeline is not None
    assert timeline.number == 1
    accept(first, store, "a")
    accept(second, store, "b")
    assert timeline_stands(first.database, store)
    start()
    assert store.newest_timeline() == timeline


def test_no_entry_of_the_journal_is_read_twice_and_none_that_comes_meanwhile_is_missed(
    start: Start, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    restore = back_up(service.database.engine)
    accept(service, store, "a", "b")
    late = forget_requests.journal_entry(service.accept("c").request)
    restore()
    read, real, newest_timeline = [], store._journal.read, store.newest_timeline

    def count(number: int) -> JournalEntry:
        read.append(number)
        return real(number)

    def while_it_waits_for_the_lock() -> Timeline | None:
        if read:
            store.append_journal(late)
        return newest_timeline()

    monkeypatch.setattr(store._journal, "read", count)
    monkeypatch.setattr(store, "newest_timeline", while_it_waits_for_the_lock)
    join_timeline(service.database, service.audit, store)
    assert sorted(read) == sorted({*read}) == store.journal_epochs()
    assert service.suppressed() == {"a", "b", "c"}


@pytest.mark.parametrize("sign", ["token", "journal", "seen", "floor", "no timeline"])
def test_each_sign_alone_says_that_the_timeline_does_not_stand(
    start: Start, store: MemoryStore, database: Database, audit: AuditLog, sign: str
) -> None:
    service = start()
    accept(service, store, "a")
    # A process that has not seen anything: only what it is shown can tell it.
    blind = Service(database, audit)
    assert timeline_stands(service.database, store)
    assert timeline_stands(blind.database, store)
    match sign:
        case "token":
            with database.unit_of_work() as session:
                session.get_one(Ledger, 1).timeline = "0" * 32
        case "journal":
            store.append_journal(JournalEntry(9, "b" * 64, NOON.isoformat()))
        case "seen":
            database.timeline.join(token_of(service), 9)
        case "floor":
            store.raise_floor(Floor(1, NOON.isoformat()))
        case "no timeline":
            store = MemoryStore()
    assert not timeline_stands(blind.database, store)


def test_a_row_below_the_floor_that_the_store_vouches_for_is_raised(start: Start, store: MemoryStore) -> None:
    service = start()
    store.raise_floor(Floor(3, NOON.isoformat()))
    assert join_timeline(service.database, service.audit, store) == 0
    with service.database.read() as session:
        assert pointer.current(session).erasure_floor == 3
    assert timeline_stands(service.database, store)


def test_what_is_live_below_it_in_a_database_that_never_joined_is_withdrawn(
    start: Start, store: MemoryStore, database: Database
) -> None:
    live = publish(store, forget_epoch=3)
    store.raise_floor(Floor(4, NOON.isoformat()))
    with database.unit_of_work() as session:
        pointer.current(session).digest = live
    with start().database.read() as session:
        serving = pointer.current(session)
    assert (serving.digest, serving.previous_digest, serving.erasure_floor) == (None, live, 4)


def test_nothing_is_written_into_a_restored_database_before_the_journal_is_replayed(
    start: Start, store: MemoryStore
) -> None:
    service = start()
    accept(service, store, "a")
    restore = back_up(service.database.engine)
    accept(service, store, "b")
    # Nobody came to write this one down.
    accept(service, store, "c", journal=False)
    restore()
    assert not timeline_stands(service.database, store)
    with pytest.raises(DatabaseRewound):
        service.accept("d")
    with pytest.raises(DatabaseRewound), service.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction("b" * 64, "item", 1)])
    assert (
        join_timeline(
            service.database, service.audit, store, dict.fromkeys(("a" * 64, "b" * 64, "c" * 64), 9)
        )
        == 2
    )
    assert service.suppressed() == {"a", "b", "c"}
    with service.database.unit_of_work() as session:
        assert interactions.ingest(session, [NewInteraction("b" * 64, "item", 1)]).suppressed == 1
    assert not service.accept("b").created
    assert service.audit is not None
    with service.database.read() as session:
        assert service.audit.first_broken(session) is None


def test_epochs_and_fences_never_come_again(start: Start, store: MemoryStore) -> None:
    service = start()
    accept(service, store, "a")
    restore = back_up(service.database.engine)
    accept(service, store, "b")
    run_id = service.accept("c").run_id or ""
    zombie = service.claimed(run_id)
    head = epoch_of(service)
    restore()
    # The claim ticked the epoch too, and a version of that claim may be in the store.
    publish(store, forget_epoch=head + 5)
    join_timeline(service.database, service.audit, store)
    assert epoch_of(service) > head + 5
    claim = service.claimed(service.queued_run())
    assert claim.fence > zombie.fence
    with pytest.raises(FenceLost):
        service.publish(zombie, "1")


def test_a_rewind_that_no_entry_of_the_journal_shows_starts_a_timeline_too(
    start: Start, store: MemoryStore
) -> None:
    """A claim of a consolidation ticks the epoch; a 202 whose gateway died wrote no entry."""
    service, other = start(), start()
    restore = back_up(service.database.engine)
    zombie = service.claimed(service.accept("d").run_id)
    feed = SuppressionSet()
    assert look(feed, other)
    restore()
    assert join_timeline(service.database, service.audit, store) == 0
    timeline = store.newest_timeline()
    assert timeline is not None
    assert timeline.number == 2
    claim = service.claimed(service.accept("e").run_id)
    assert claim.fence > zombie.fence
    assert claim.covers_epoch > zombie.covers_epoch
    assert not look(feed, other)
    join_timeline(other.database, other.audit, store, feed.epochs())
    look(feed, other)
    assert look(feed, other)
    assert {subject[0] for subject in feed.epochs()} == {"d", "e"} == other.suppressed()


def test_whoever_asks_again_under_the_same_epoch_gets_another_one(start: Start, store: MemoryStore) -> None:
    """The journal has one entry for an epoch, and the next restore must learn of both requests."""
    service = start()
    restore = back_up(service.database.engine)
    accept(service, store, "a")
    restore()
    with service.database.unit_of_work(joining=True) as session:
        request = forget_requests.accept(
            Transaction(session, service.audit),
            subject_hmac="a" * 64,
            requested_by="tests",
            now=NOON + timedelta(seconds=1),
        ).request
    with pytest.raises(JournalConflict):
        store.append_journal(forget_requests.journal_entry(request))
    join_timeline(service.database, service.audit, store)
    with service.database.read() as session:
        numbered_anew = session.get_one(ForgetRequest, request.id)
    assert numbered_anew.epoch > request.epoch
    store.append_journal(forget_requests.journal_entry(numbered_anew))
    assert [entry.request for entry in store.journal()][1] == request.id


def test_a_replica_that_was_cut_off_reads_the_feed_anew(start: Start, store: MemoryStore) -> None:
    """Its cursor lies past the epochs that have been handed out meanwhile."""
    cut_off, working = start(), start()
    feed = SuppressionSet()
    accept(working, store, "a")
    restore = back_up(working.database.engine)
    accept(working, store, "b", "c", "d", "e", "f")
    assert look(feed, cut_off)
    restore()
    join_timeline(working.database, working.audit, store)
    accept(working, store, "7", "8")
    assert not look(feed, cut_off)
    join_timeline(cut_off.database, cut_off.audit, store, feed.epochs())
    # The first look learns of the other timeline, the second reads it from its beginning.
    assert not look(feed, cut_off)
    assert look(feed, cut_off)
    assert {subject[0] for subject in feed.epochs()} == set("abcdef78")
    assert feed.epoch == epoch_of(working)


def test_an_epoch_that_was_handed_out_twice_before_anybody_noticed(
    start: Start, store: MemoryStore, database: Database, audit: AuditLog
) -> None:
    service = start()
    restore = back_up(service.database.engine)
    accept(service, store, "a", "b")
    restore()
    # A process that had seen nothing of them, and no store.
    blind = Service(database, audit)
    accept(blind, store, "e", "f", journal=False)
    assert join_timeline(service.database, service.audit, store) == 2
    assert service.suppressed() == {"a", "b", "e", "f"}
    with service.database.read() as session:
        requests = session.scalars(select(ForgetRequest)).all()
    assert len({request.epoch for request in requests}) == 4
    for request in requests:
        # None is in the way of another.
        store.append_journal(forget_requests.journal_entry(request))
    assert {entry.subject_hmac[0] for entry in store.journal()} == {"a", "b", "e", "f"}
    assert join_timeline(service.database, service.audit, store) == 0


def test_another_database_under_the_same_store_learns_everybody(
    start: Start, store: MemoryStore, database: Database, audit: AuditLog
) -> None:
    for number, subject in enumerate("abc", 1):
        store.append_journal(JournalEntry(number, subject * 64, NOON.isoformat()))
    empty = start()
    assert empty.suppressed() == {"a", "b", "c"}
    # Whoever had joined the database before it does not go on as if nothing were.
    before = store.newest_timeline()
    assert before is not None
    with database.unit_of_work() as session:
        session.get_one(Ledger, 1).timeline = "0" * 32
    with pytest.raises(DatabaseRewound):
        empty.accept("d")
    assert join_timeline(empty.database, audit, store) == 0
    after = store.newest_timeline()
    assert after is not None
    assert after.number == before.number + 1
    assert empty.accept("d").created


def test_without_the_store_nobody_joins(
    start: Start, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = rewound(start, store)

    def away(*_: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(store, "journal", away)
        with pytest.raises(StoreUnavailable):
            join_timeline(service.database, service.audit, store)
    with pytest.raises(DatabaseRewound):
        service.accept("b")
    assert join_timeline(service.database, service.audit, store) == 1


def test_an_empty_store_is_not_taken_for_one_in_which_nobody_asked(start: Start, store: MemoryStore) -> None:
    """A mount that is missing after a restore: its journal would say that there is nobody to forget."""
    service = rewound(start, store)
    with pytest.raises(StoreEmptied):
        join_timeline(service.database, service.audit, MemoryStore())
    with pytest.raises(DatabaseRewound):
        service.accept("b")
    assert join_timeline(service.database, service.audit, store) == 1
    # Unless a person says that this is all there is.
    join_timeline(service.database, service.audit, MemoryStore(), restored=True)


def test_a_crash_between_store_and_database_is_made_up_for(start: Start, store: MemoryStore) -> None:
    service = rewound(start, store)
    with killed_at("app.restoration.service.readoption.readopt"):
        join_timeline(service.database, service.audit, store)
    assert service.suppressed() == set()
    assert start().suppressed() == {"a"}
