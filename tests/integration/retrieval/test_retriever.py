"""The retriever over a real database: whoever is suppressed is subtracted, and nobody else changes."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from app.audit.log import AuditLog
from app.db.base import utc_now
from app.db.errors import DatabaseUnavailable
from app.db.models import Interaction, Suppression
from app.db.session import Database
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.retrieval import CoVisits, Retriever
from app.retrieval import retriever as module
from recommender import Catalogue
from tests.integration.takedowns import take_down

NAMES = tuple(f"i{number}" for number in range(12))
CATALOGUE = Catalogue(NAMES, NAMES)
PEOPLE = {"a" * 64: [0, 1, 2], "b" * 64: [0, 1, 3], "c" * 64: [0, 4, 4, 5], "d" * 64: [6, 7]}


@pytest.fixture
def suppressed() -> set[str]:
    return set()


@pytest.fixture
def retriever(database: Database, suppressed: set[str]) -> Retriever:
    with database.unit_of_work() as session:
        interactions.ingest(
            session,
            [
                NewInteraction(subject, NAMES[item], time)
                for subject, items in PEOPLE.items()
                for time, item in enumerate(items)
            ],
        )
    made = Retriever(database, CATALOGUE, lambda: frozenset(suppressed))
    made.refresh()
    return made


def counted(*without: str) -> CoVisits:
    counts = CoVisits()
    for subject, items in PEOPLE.items():
        if subject not in without:
            counts.add(items)
    return counts


def test_it_counts_everybody_and_names_itself(retriever: Retriever) -> None:
    found = retriever.candidates([0], 3)
    assert found.items == tuple(counted().candidates([0], 3))
    assert found.retriever == "co-visits:4-0"
    assert retriever._counts == counted()


def test_who_is_suppressed_is_subtracted_at_once(retriever: Retriever, suppressed: set[str]) -> None:
    suppressed.add("a" * 64)
    retriever.refresh()
    assert retriever._counts == counted("a" * 64)
    assert retriever.candidates([0], 3).retriever == "co-visits:3-1"
    # Looking again subtracts nobody twice.
    retriever.refresh()
    assert retriever._counts == counted("a" * 64)


def test_whose_events_are_erased_already_is_counted_out(
    retriever: Retriever, suppressed: set[str], database: Database
) -> None:
    with database.unit_of_work() as session:
        session.execute(delete(Interaction).where(Interaction.subject_hmac == "b" * 64))
    suppressed.add("b" * 64)
    retriever.refresh()
    assert retriever._counts == counted("b" * 64)


def test_what_comes_later_counts_from_the_next_recount_on(
    retriever: Retriever, database: Database, suppressed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction("a" * 64, NAMES[9], 99)])
    retriever.refresh()
    assert retriever._counts == counted()
    # An event that the counts do not hold is not subtracted with its person.
    suppressed.add("a" * 64)
    retriever.refresh()
    assert retriever._counts == counted("a" * 64)
    suppressed.clear()
    monkeypatch.setattr(module, "RECOUNT_SECONDS", 0.0)
    retriever.refresh()
    everybody = counted("a" * 64)
    everybody.add([0, 1, 2, 9])
    assert retriever._counts == everybody


def suppress(database: Database, subject: str, epoch: int) -> None:
    with database.unit_of_work() as session:
        session.add(Suppression(subject_hmac=subject, epoch=epoch, suppressed_at=utc_now()))


def test_whom_the_database_knows_and_this_process_not_yet_is_left_out_once(
    retriever: Retriever, suppressed: set[str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted elsewhere, and not read from the feed yet: a recount leaves them out, and nothing subtracts them."""
    suppress(database, "a" * 64, 1)
    monkeypatch.setattr(module, "RECOUNT_SECONDS", 0.0)
    retriever.refresh()
    assert retriever._counts == counted("a" * 64)
    monkeypatch.setattr(module, "RECOUNT_SECONDS", 300.0)
    suppressed.add("a" * 64)
    retriever.refresh()
    assert retriever._counts == counted("a" * 64)
    assert retriever.candidates([1], 5).items


def test_who_was_never_counted_costs_no_recount(retriever: Retriever, suppressed: set[str]) -> None:
    before = retriever._recounted
    suppressed.add("e" * 64)
    retriever.refresh()
    assert retriever._recounted == before
    assert retriever.candidates([0], 3).retriever == "co-visits:4-1"


def test_counts_that_cannot_be_freed_of_somebody_are_not_served_from_for_long(
    retriever: Retriever, suppressed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def read(self, **_options: bool) -> None:
            raise DatabaseUnavailable

    monkeypatch.setattr(retriever, "_database", Away())
    suppressed.add("a" * 64)
    retriever.refresh()
    assert retriever.candidates([0], 3).items
    monkeypatch.setattr(module, "MOST_SECONDS_BEHIND", -1.0)
    assert retriever.candidates([0], 3).items == ()


def test_an_item_that_was_taken_down_is_no_candidate_and_soon_counts_nowhere(
    retriever: Retriever, database: Database, suppressed: set[str]
) -> None:
    taken: set[int] = {1}
    retriever._taken_down = lambda: frozenset(taken)
    assert 1 not in retriever.candidates([0], 9).items
    # Its events still count until the next look, which does not subtract what is hidden by now.
    assert retriever._counts == counted()
    take_down(database, AuditLog(b"an audit key for tests, 32 bytes"), "i1")
    suppressed.add("a" * 64)
    retriever.refresh()
    counts = CoVisits()
    for subject, items in PEOPLE.items():
        if subject != "a" * 64:
            counts.add([item for item in items if item != 1])
    assert retriever._counts == counts
