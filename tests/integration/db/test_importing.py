"""Imports in slices: what is stored when somebody asks in between, when one fails, and beside forget requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.errors import DatabaseUnavailable
from app.db.models import Interaction
from app.db.precedence import Precedence
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.interactions.service import ROWS_PER_SLICE, Ingested, NewInteraction, ingest_in_slices

ASKS, STAYS = "a" * 64, "b" * 64
THREE_SLICES = 2 * ROWS_PER_SLICE + 100


class Events(list[NewInteraction]):
    """Events of which something happens before the second slice is taken."""

    def __init__(self, events: list[NewInteraction], happens: Callable[[], None]) -> None:
        super().__init__(events)
        self._happens = happens

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice) and place.start == ROWS_PER_SLICE:
            self._happens()
        return super().__getitem__(place)


def events_of_two(count: int) -> list[NewInteraction]:
    """In turn of the one who asks and of the one who stays."""
    return [NewInteraction((ASKS, STAYS)[number % 2], "i1", number) for number in range(count)]


def accept(database: Database, audit: AuditLog, subject: str) -> None:
    with database.unit_of_work() as session:
        forget_requests.accept(
            Transaction(session, audit), subject_hmac=subject, requested_by="tests", now=utc_now()
        )


def stored(database: Database, subject: str) -> int:
    with database.read() as session:
        of_subject = select(func.count()).select_from(Interaction).where(Interaction.subject_hmac == subject)
        return session.scalar(of_subject) or 0


def test_slices_add_up_and_a_repeat_changes_nothing(database: Database) -> None:
    events = events_of_two(THREE_SLICES)
    twice = [*events, events[0]]
    assert ingest_in_slices(database, twice) == Ingested(THREE_SLICES, 1, 0)
    assert ingest_in_slices(database, events) == Ingested(0, THREE_SLICES, 0)
    assert ingest_in_slices(database, []) == Ingested(0, 0, 0)
    with database.read() as session:
        in_order = session.scalars(select(Interaction.timestamp).order_by(Interaction.id)).all()
    assert list(in_order) == list(range(THREE_SLICES))


def test_who_asks_between_two_slices_is_left_out_of_the_later_ones(
    database: Database, audit: AuditLog
) -> None:
    events = Events(events_of_two(THREE_SLICES), lambda: accept(database, audit, ASKS))
    assert ingest_in_slices(database, events) == Ingested(
        stored=THREE_SLICES - THREE_SLICES // 2 + ROWS_PER_SLICE // 2,
        duplicates=0,
        suppressed=THREE_SLICES // 2 - ROWS_PER_SLICE // 2,
    )
    # Erased with the rest when the request is carried out: the deletion is by subject.
    assert stored(database, ASKS) == ROWS_PER_SLICE // 2
    assert stored(database, STAYS) == THREE_SLICES // 2


def test_a_failure_leaves_the_first_slices_and_a_repeat_stores_the_others(database: Database) -> None:
    def fail() -> None:
        raise DatabaseUnavailable

    events = events_of_two(THREE_SLICES)
    with pytest.raises(DatabaseUnavailable):
        ingest_in_slices(database, Events(events, fail))
    assert stored(database, ASKS) + stored(database, STAYS) == ROWS_PER_SLICE
    assert ingest_in_slices(database, events) == Ingested(THREE_SLICES - ROWS_PER_SLICE, ROWS_PER_SLICE, 0)


def test_forgets_are_accepted_beside_eight_imports(database: Database, audit: AuditLog) -> None:
    precedence = Precedence()
    results: list[Ingested] = []
    failures: list[Exception] = []
    started = threading.Barrier(9)

    def guarded(work: Callable[[], None]) -> None:
        try:
            started.wait(30)
            work()
        except Exception as error:  # noqa: BLE001  (whatever it is, the test must hear of it)
            failures.append(error)

    def import_(number: int) -> None:
        events = [NewInteraction(f"{number:064x}", "i1", time) for time in range(4 * ROWS_PER_SLICE)]
        results.append(ingest_in_slices(database, events, precedence))

    def forget() -> None:
        for number in range(20):
            with precedence.turn():
                accept(database, audit, f"{100 + number:064x}")

    works: list[Callable[[], None]] = [lambda number=number: import_(number) for number in range(8)]  # type: ignore[misc]
    threads = [threading.Thread(target=guarded, args=(work,)) for work in [*works, forget]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert results == [Ingested(4 * ROWS_PER_SLICE, 0, 0)] * 8
