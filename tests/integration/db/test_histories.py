"""Histories in memory follow the database: what another process writes is seen at the next look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.models import ForgetRequest, Ledger
from app.db.session import Database
from app.forget_requests import decisions
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision
from app.forget_requests.policy import WITHOUT_STEPS
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.recommendations.histories import Histories
from app.recommendations.history_cache import History
from app.recommendations.prompt_reader import PromptReader
from app.selections.criteria import Criteria, item_digests
from app.takedowns import service as takedowns
from tests.integration.db.conftest import NOON

ALICE, BOB = "a" * 64, "b" * 64
UNTIL = int(NOON.timestamp())


class Counted(PromptReader):
    """A reader that counts what it is asked."""

    asked = 0

    async def read_soon(self, question):  # type: ignore[no-untyped-def]
        self.asked += 1
        return await super().read_soon(question)


class Rig:
    def __init__(self, database: Database, audit: AuditLog) -> None:
        self.database, self.audit = database, audit
        self.taken_down: frozenset[int] = frozenset()
        self.reader = Counted(database, 30)
        self.histories = Histories(
            database,
            self.reader,
            index_of=lambda item: int(item[1:]) if item.startswith("i") else None,
            event=None,
            limit=5,
            taken_down=lambda: self.taken_down,
            every_seconds=1.0,
            lease_seconds=60.0,
        )

    def of(self, subject: str) -> tuple[int, ...]:
        history: History = asyncio.run(self.histories.read(subject))
        return history.events

    def store(self, subject: str, *numbers: int) -> None:
        with self.database.unit_of_work() as session:
            interactions.ingest(session, [NewInteraction(subject, f"i{n}", n) for n in numbers])


@pytest.fixture
def rig(database: Database, audit: AuditLog) -> Iterator[Rig]:
    made = Rig(database, audit)
    made.store(ALICE, 1, 2)
    made.store(BOB, 7)
    made.histories.refresh()
    yield made
    made.reader.close()


def test_a_history_is_read_once_until_it_changes(rig: Rig) -> None:
    assert rig.of(ALICE) == (1, 2)
    assert rig.of(BOB) == (7,)
    rig.histories.refresh()
    assert (rig.of(ALICE), rig.of(BOB), rig.reader.asked) == ((1, 2), (7,), 2)
    rig.store(ALICE, 3)
    rig.histories.refresh()
    assert (rig.of(ALICE), rig.of(BOB), rig.reader.asked) == ((1, 2, 3), (7,), 3)


def test_what_is_stored_while_nothing_is_kept_is_seen_as_well(rig: Rig) -> None:
    rig.store(ALICE, 3)
    rig.histories.refresh()
    assert rig.of(ALICE) == (1, 2, 3)
    rig.store(ALICE, 4)
    rig.histories.refresh()
    assert rig.of(ALICE) == (1, 2, 3, 4)


def test_events_that_another_process_hides_are_gone_at_the_next_look(rig: Rig) -> None:
    assert rig.of(ALICE) == (1, 2)
    assert rig.of(BOB) == (7,)
    with rig.database.unit_of_work() as session:
        accepted = forget_requests.accept_selection(
            Transaction(session, rig.audit),
            criteria=Criteria(item_digests(ALICE, ["i2"]), None, None, UNTIL),
            subject_hmac=ALICE,
            requested_by="tests",
            now=NOON,
            policy=WITHOUT_STEPS,
        )
    rig.histories.refresh()
    assert (rig.of(ALICE), rig.of(BOB), rig.reader.asked) == ((1,), (7,), 3)
    with rig.database.unit_of_work() as session:
        request = session.get_one(ForgetRequest, accepted.request.id)
        decisions.cancel(Transaction(session, rig.audit), request, Decision("tests", NOON))
    rig.histories.refresh()
    assert (rig.of(ALICE), rig.reader.asked) == ((1, 2), 4)


def test_a_history_with_an_item_that_was_taken_down_is_read_again(rig: Rig) -> None:
    assert (rig.of(ALICE), rig.of(BOB)) == ((1, 2), (7,))
    rig.histories.refresh()
    with rig.database.unit_of_work() as session:
        takedowns.take_down(
            Transaction(session, rig.audit), "i2", spellings=["i2"], requested_by="tests", now=NOON
        )
    rig.taken_down = frozenset({2})
    assert (rig.of(ALICE), rig.of(BOB), rig.reader.asked) == ((1,), (7,), 3)


@pytest.mark.parametrize("change", [{"timeline": "another"}, {"epoch": -1}])
def test_a_database_that_was_restored_empties_the_memory(rig: Rig, change: dict[str, object]) -> None:
    assert rig.of(BOB) == (7,)
    with rig.database.unit_of_work() as session:
        session.execute(update(Ledger).values(**change))
    rig.histories.refresh()
    assert len(rig.histories.cache) == 0


def test_more_new_events_than_can_be_named_empty_the_memory(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.recommendations.histories._MOST_NEW", 3)
    assert rig.of(BOB) == (7,)
    rig.store(ALICE, *range(10, 15))
    rig.histories.refresh()
    assert len(rig.histories.cache) == 0
    assert rig.of(ALICE) == (10, 11, 12, 13, 14)
    # Those that were not named at that look are named at the next.
    rig.histories.refresh()
    assert rig.of(ALICE) == (10, 11, 12, 13, 14)
    assert rig.reader.asked == 3
