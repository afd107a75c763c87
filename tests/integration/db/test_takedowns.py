"""An item is taken down: its events are hidden and dropped, on both databases, also after a restore (I10, I15)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import delete, insert, update

from app.audit.transaction import Transaction
from app.audit.verification import verify
from app.db.models import ForgetRequest, Interaction, ItemTakedown, PublicEvent, TakenItemId
from app.db.session import Database, open_database
from app.forget_requests import decisions
from app.forget_requests.decisions import Decision
from app.forget_requests.policy import RequestPolicy
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.replicas.service import DatabaseControlPlane
from app.restoration.service import join_timeline
from app.selections import queries as selections
from app.takedowns import queries as takedowns
from app.takedowns import service as takedown_service
from model_store import JournalConflict, JournalEntry, MemoryStore
from tests.integration.backup import back_up
from tests.integration.db.conftest import NOON, Service
from tests.integration.db.test_selections import A, about, finish, select_events, shown, store_events, stored
from tests.integration.takedowns import take_down, takedown_of

B = "b" * 64


def histories(service: Service) -> dict[str, list[str]]:
    with service.database.read() as session:
        return interaction_queries.histories(session, up_to=10**9)


def test_its_events_are_hidden_at_once_from_everything_that_reads_events(service: Service) -> None:
    store_events(service, "x", "y", "z")
    store_events(service, "x", "y", subject=B)
    take_down(service.database, service.audit, "x")
    assert shown(service) == {"y", "z"}
    assert histories(service) == {A: ["y", "z"], B: ["y"]}
    with service.database.read() as session:
        assert interaction_queries.rated_histories(session, up_to=10**9)[B] == [("y", None)]
        assert interaction_queries.newest_rated_items(session, B, limit=9) == [("y", None)]
        assert interaction_queries.popularity(session, limit=9) == ["y", "z"]
        assert dict(interaction_queries.histories_without(session, (A,), up_to=10**9)) == {B: ["y"]}
        # Whoever asks for everything must be forgotten with the hidden event too, of which the ladder sees nothing.
        assert selections.hidden_among(session, [A, B], up_to=10**9) == {A, B}
        assert takedowns.newest_epoch(session) == 1


def test_new_events_are_dropped_and_counted_in_any_spelling(service: Service) -> None:
    take_down(service.database, service.audit, "42")
    with service.database.unit_of_work() as session:
        result = interactions.ingest(
            session,
            [NewInteraction(A, item, 1) for item in ("42", "42.0", " 42 ", "43")]
            + [NewInteraction(B, "42", 1)],
        )
    assert (result.stored, result.taken_down, result.suppressed, result.duplicates) == (1, 4, 0, 0)
    assert (result.taken_items, result.of_taken_items) == (frozenset({"42"}), frozenset({A, B}))
    assert shown(service) == {"43"}
    # Of somebody who is suppressed it is dropped for that reason; the item is named all the same.
    service.accept("a")
    with service.database.unit_of_work() as session:
        result = interactions.ingest(session, [NewInteraction(A, "42", 2)])
    assert (result.suppressed, result.taken_down, result.taken_items) == (1, 0, frozenset({"42"}))


def test_an_event_that_an_earlier_release_stored_in_another_spelling_is_hidden_too(service: Service) -> None:
    with service.database.unit_of_work() as session:
        session.execute(
            insert(Interaction),
            [{"subject_hmac": A, "item_id": item, "timestamp": 1} for item in ("42.0", "420", "null")],
        )
    take_down(service.database, service.audit, "42")
    assert shown(service) == {"420", "null"}


def test_a_repeat_is_the_same_takedown(service: Service) -> None:
    first = take_down(service.database, service.audit, "x")
    again = take_down(service.database, service.audit, " x")
    assert (again.id, again.epoch, again.taken_down_at) == (first.id, first.epoch, first.taken_down_at)
    with service.database.read() as session:
        assert session.query(ItemTakedown).count() == 1
        (event,) = session.query(PublicEvent).all()
    assert (event.name, event.item_id, event.takedown_id, event.status) == (
        "item.taken_down",
        "x",
        first.id,
        "hidden",
    )


def test_replicas_read_it_in_the_feed(service: Service) -> None:
    plane = DatabaseControlPlane(service.database)
    service.accept("a")
    taken = take_down(service.database, service.audit, "x")
    state = plane.read(0)
    assert (state.taken_down, state.epoch) == (((taken.epoch, "x"),), taken.epoch)
    assert state.suppressed == ((1, A),)
    assert plane.read(taken.epoch).taken_down == ()


def test_what_a_lifted_selection_shows_again_stays_hidden_if_its_item_was_taken_down(
    service: Service,
) -> None:
    store_events(service, "x", "y")
    request_id = select_events(service, about("x", "y"), RequestPolicy(cancel_window_hours=1)).request.id
    take_down(service.database, service.audit, "x")
    with service.database.unit_of_work() as session:
        request = session.get_one(ForgetRequest, request_id)
        decisions.cancel(Transaction(session, service.audit), request, Decision("tests", NOON, "other"))
    assert shown(service) == {"y"}


def test_a_selection_erases_events_of_an_item_that_was_taken_down(service: Service) -> None:
    store_events(service, "x", "y")
    take_down(service.database, service.audit, "x")
    assert select_events(service, about("x")).request.selected_events == 1
    finish(service)
    assert stored(service) == 1


def test_the_log_verifies_and_says_when_a_takedown_is_gone_or_changed_by_hand(service: Service) -> None:
    store = MemoryStore()
    join_timeline(service.database, service.audit, store)
    taken = take_down(service.database, service.audit, "x")
    store.append_journal(takedown_service.journal_entry(taken))
    assert verify(service.database, service.audit, store).problems == ()

    def problem_after(*statements: object) -> str:
        restore = back_up(service.database.engine)
        with service.database.unit_of_work() as session:
            for statement in statements:
                session.execute(statement)  # type: ignore[call-overload]
        problems = verify(service.database, service.audit, store).problems
        restore()
        return "; ".join(problems)

    gone = problem_after(delete(TakenItemId), delete(ItemTakedown))
    assert "the item was taken down, and its row is gone" in gone
    assert "the journal in the store has a takedown that this database does not" in gone
    assert "its item is not the one" in problem_after(update(ItemTakedown).values(item_id="other"))
    assert "no entry says that it was erased" in problem_after(update(ItemTakedown).values(erased_at=NOON))


def test_a_restored_database_takes_the_item_down_again(service: Service) -> None:
    store = MemoryStore()
    join_timeline(service.database, service.audit, store)
    store_events(service, "x", "y")
    restore = back_up(service.database.engine)
    service.accept("b")
    taken = take_down(service.database, service.audit, "x")
    entry = takedown_service.journal_entry(taken)
    store.append_journal(entry)
    # Writing it twice is harmless.
    store.append_journal(entry)
    assert JournalEntry.from_bytes(entry.to_bytes()) == entry
    restore()
    assert shown(service) == {"x", "y"}
    assert join_timeline(service.database, service.audit, store) == 1
    assert shown(service) == {"y"}
    again = takedown_of(service.database, "x")
    assert (again.id, again.epoch > taken.epoch, again.erased_at) == (taken.id, True, None)
    assert store_events(service, "x") == 0
    assert join_timeline(service.database, service.audit, store) == 0
    assert verify(service.database, service.audit, store).broken is None


def test_a_takedown_that_only_a_replica_knows_is_taken_over_from_it(service: Service) -> None:
    store = MemoryStore()
    join_timeline(service.database, service.audit, store)
    restore = back_up(service.database.engine)
    take_down(service.database, service.audit, "x")
    restore()
    join_timeline(service.database, service.audit, store, {}, {"x": 1})
    assert takedown_of(service.database, "x").requested_by == "erasure-journal"


def test_an_epoch_that_was_handed_out_twice_does_not_lose_the_takedown(
    service: Service, database_url: str
) -> None:
    store = MemoryStore()
    join_timeline(service.database, service.audit, store)
    restore = back_up(service.database.engine)
    taken = take_down(service.database, service.audit, "x")
    store.append_journal(takedown_service.journal_entry(taken))
    restore()
    # Nobody has noticed the restore yet: another item gets the same epoch.
    unaware = Database(open_database(database_url))
    other = take_down(unaware, service.audit, "z")
    unaware.dispose()
    assert other.epoch == taken.epoch
    join_timeline(service.database, service.audit, store)
    assert {takedown_of(service.database, item).item_id for item in "xz"} == {"x", "z"}
    moved = takedown_of(service.database, "z")
    assert moved.epoch > other.epoch
    with service.database.unit_of_work() as session:
        waiting = outbox.take(session, Topic.TAKEN_DOWN, now=NOON.replace(year=2100), again_after=NOON - NOON)
    assert {moved.id, takedown_of(service.database, "x").id} <= set(waiting)
    store.append_journal(takedown_service.journal_entry(moved))


def test_an_entry_about_another_item_is_no_repeat(service: Service) -> None:
    entry = takedown_service.journal_entry(take_down(service.database, service.audit, "x"))
    store = MemoryStore()
    store.append_journal(entry)
    with pytest.raises(JournalConflict):
        store.append_journal(replace(entry, item="y"))
