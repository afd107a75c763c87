"""What a replica reads of the control plane, and what everybody's fallback is made of (I2, I10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from app.db.session import Database, open_database
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.replicas.service import DatabaseControlPlane
from tests.integration.db.conftest import Service


def after_the_first_statement(database: Database, happens: Callable[[], Any]) -> None:
    """It happens once, in the middle of the next read."""
    happened: list[bool] = []

    @event.listens_for(database.engine, "after_cursor_execute")
    def _listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and not happened:
            happened.append(True)
            happens()


def test_a_look_promises_no_epoch_whose_suppression_it_has_not_seen(
    service: Service, database_url: str
) -> None:
    """Somebody is suppressed in the middle of it: either they are in it, or its epoch lies below theirs."""
    service.accept("a")
    reading = Database(open_database(database_url))
    epochs: list[int] = []
    after_the_first_statement(reading, lambda: epochs.append(service.accept("b").request.epoch))
    state = DatabaseControlPlane(reading).read(0)
    reading.dispose()
    assert epochs
    assert state.epoch < epochs[0] or "b" * 64 in {subject for _, subject in state.suppressed}


def test_nothing_of_a_suppressed_subject_is_in_what_is_popular(service: Service) -> None:
    with service.database.unit_of_work() as session:
        interactions.ingest(
            session,
            [NewInteraction("a" * 64, "hers", 1), NewInteraction("b" * 64, "his", 1)],
        )
    service.accept("a")
    with service.database.read() as session:
        assert interaction_queries.popularity(session, limit=10) == ["his"]
