"""Requests live through whatever people, workers, replicas and restores do to them, in any order (R-2; I1, I2, I5,
I10, I11, I12, I15), on both databases. Each step is predicted by `request_record`, and the database is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, event, select

from app.audit.log import AuditLog
from app.audit.verification import verify
from app.db.models import AuditEntry, ForgetRequest, Interaction, Ledger, Run, Suppression
from app.db.session import Database, open_database
from app.interactions import queries as interactions
from app.replicas.service import ControlState, DatabaseControlPlane
from app.restoration.service import join_timeline
from app.serving.suppression import SuppressionSet
from app.suppressions import queries as suppressions
from tests.integration.backup import back_up
from tests.integration.db.request_decisions import SUBJECTS, numbers
from tests.integration.db.request_record import SETTLED, Record
from tests.integration.db.request_workers import Workers


class RequestLife(Workers):
    """Adds one replica, which may hear the feed late, and one backup."""

    def __init__(self, engine: Engine, audit: AuditLog, empty: Callable[[], None]) -> None:
        super().__init__(engine, audit, empty)
        self.under_way: list[tuple[int, ControlState]] = []
        self.backup: tuple[Callable[[], None], Record] | None = None
        # Whether the replica has seen all that it knows in the timeline in force.
        self.replica_is_new = True
        self.heard: str | None = None  # the timeline that the replica follows
        self.moment = 0.0

    # What a replica hears.

    def _read(self) -> tuple[int, ControlState]:
        after = self.replica.cursor
        return after, DatabaseControlPlane(self.database).read(after)

    def _hear(self, after: int, state: ControlState) -> None:
        self.moment += 1
        self.replica.catch_up(after, state, read_started=self.moment)
        self.heard = state.timeline if state.vouched else self.heard

    @rule()
    def ask(self) -> None:
        self.under_way.append(self._read())

    @precondition(lambda self: self.under_way)
    @rule(number=numbers, again=st.booleans())
    def answer(self, number: int, again: bool) -> None:
        place = number % len(self.under_way)
        after, state = self.under_way[place] if again else self.under_way.pop(place)
        self._hear(after, state)

    @rule()
    def read_to_the_end(self) -> None:
        for _ in range(2):  # A database that was set back is read again from the start.
            self._hear(*self._read())
        with self.database.read() as session:
            epochs = suppressions.suppression_epochs(session)
        if self.replica_is_new:
            assert self.replica.epochs() == epochs
        else:
            assert set(self.replica.epochs()) >= set(epochs)

    # What happens to the database.

    @rule()
    def back_up(self) -> None:
        self.backup = back_up(self.engine), deepcopy(self.record)

    @precondition(lambda self: self.backup)
    @rule(restarted=st.booleans(), heard=st.booleans())
    def restore(self, restarted: bool, heard: bool) -> None:
        assert self.backup is not None
        put_back, record = self.backup
        put_back()
        self.claims.clear()
        self.under_way.clear()
        self.replica_is_new = restarted
        if restarted:
            self.database, self.replica = Database(self.engine), SuppressionSet(lambda: 0.0)
        elif heard:
            self._hear(*self._read())
        with self.database.read() as session:
            before = session.get_one(Ledger, 1).timeline
        self.record = deepcopy(record)
        again = self.record.restore(self.ever, self.withdrawn)
        assert join_timeline(self.database, self.audit, self.store) == len(again)
        with self.database.read() as session:
            for one in again:
                request = session.get_one(ForgetRequest, one.id)
                assert request.epoch > one.epoch
                # The journal knows of no window and no hold.
                self.record.requests[one.id] = replace(
                    one,
                    epoch=request.epoch,
                    status="queued",
                    cancel_until=None,
                    held_from=None,
                    since=None,
                    stalled=False,
                )
            if session.get_one(Ledger, 1).timeline != before:
                for row in session.scalars(select(Run).where(Run.status == "running")):
                    self.record.runs[row.id].claims = row.claims

    # What always holds.

    @invariant()
    def the_database_is_as_predicted(self) -> None:
        with self.database.read() as session:
            rows = session.scalars(select(ForgetRequest)).all()
            in_force = suppressions.suppression_epochs(session)
            working = session.scalars(select(Run.id).where(Run.status == "running")).all()
            waiting = set(session.scalars(select(Run.kind).where(Run.status == "queued")))
            began = {row.epoch: row.lifted_epoch for row in session.scalars(select(Suppression))}
            epoch = session.get_one(Ledger, 1).epoch
        assert {row.id: (row.status, row.due_at, row.epoch) for row in rows} == {
            one.id: (one.status, one.due_at, one.epoch) for one in self.record.requests.values()
        }
        over = (*SETTLED, "pending_verification")
        alive = Counter(row.subject_hmac for row in rows if row.scope == "user" and row.status not in over)
        assert all(number == 1 for number in alive.values())
        assert set(in_force) == {subject for subject in SUBJECTS if self.record.suppressed(subject)}
        assert list(working) == [run for run in [self.record.working()] if run is not None]
        queued = {row.scope for row in rows if row.status == "queued"}
        assert {"user": "forget", "interactions": "selection"}.keys() >= queued
        assert {{"user": "forget", "interactions": "selection"}[scope] for scope in queued} <= waiting
        assert all(lifted is None or began_at < lifted <= epoch for began_at, lifted in began.items())

    @invariant()
    def what_stays_in_a_state_keeps_its_time_and_what_leaves_it_does_not(self) -> None:
        with self.database.read() as session:
            rows = session.scalars(select(ForgetRequest)).all()
            told = session.scalars(select(AuditEntry.recorded_at)).all()
        for row in rows:
            known = self.record.requests[row.id]
            # Every change of a state has an entry of its transaction.
            assert row.status_since in told
            assert known.since in (None, row.status_since)
            known.since = row.status_since
            assert (row.stalled_at is not None) == known.stalled

    @invariant()
    def nothing_is_read_of_whoever_asked_to_be_forgotten(self) -> None:
        record = self.record
        with self.database.read() as session:
            stored = {
                tuple(row)
                for row in session.execute(
                    select(Interaction.subject_hmac, Interaction.item_id, Interaction.timestamp)
                )
            }
            histories = interactions.histories(session, up_to=2**40)
            without = dict(interactions.histories_without(session, suppressed(record), up_to=2**40))
            newest = {one: interactions.newest_items(session, one, limit=99) for one in SUBJECTS}
            popular = interactions.popularity(session, limit=99)
        assert stored == record.events
        shown = {subject: record.shown(subject) for subject in SUBJECTS}
        assert {one: sorted(items) for one, items in newest.items()} == shown
        assert {one: sorted(items) for one, items in histories.items()} == {
            one: items for one, items in shown.items() if items
        }
        admitted = {one: items for one, items in shown.items() if items and not record.suppressed(one)}
        assert {one: sorted(items) for one, items in without.items()} == admitted
        assert set(popular) == {item for items in admitted.values() for item in items}

    @invariant()
    def nothing_is_stored_that_a_completed_request_speaks_of(self) -> None:
        for one in self.record.requests.values():
            if one.status == "completed" and one.in_force:
                assert not [
                    stored
                    for stored in self.record.events
                    if stored[0] == one.subject and (one.criteria is None or one.criteria.selects(*stored))
                ]

    @invariant()
    def a_replica_errs_towards_suppression(self) -> None:
        state = DatabaseControlPlane(self.database).read(0)
        if self.heard != state.timeline:
            return
        lifted = {subject: 0 for _, subject in state.suppressed}
        for epoch, subject in state.lifted:
            lifted[subject] = max(epoch, lifted[subject])
        for epoch, subject in state.suppressed:
            if lifted[subject] < epoch <= self.replica.epoch:
                assert subject in self.replica

    def teardown(self) -> None:
        assert verify(self.database, self.audit, self.store).problems == ()


def suppressed(record: Record) -> set[str]:
    return {subject for subject in SUBJECTS if record.suppressed(subject)}


@pytest.fixture
def engine(database_url: str) -> Any:
    opened = open_database(database_url)
    if opened.dialect.name == "sqlite":
        # No power fails here.
        event.listen(opened, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    yield opened
    opened.dispose()


def test_r2_every_order_of_steps_leaves_what_was_predicted(engine: Engine, audit: AuditLog) -> None:
    examples, steps = (25, 25) if engine.dialect.name == "sqlite" else (8, 20)
    empty = back_up(engine)
    run_state_machine_as_test(
        lambda: RequestLife(engine, audit, empty),  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
