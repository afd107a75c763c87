"""The rules of the state machine of `test_request_life` for callers, for people who decide, and for the time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from sqlalchemy import Engine

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.models import ForgetRequest
from app.db.session import Database
from app.forget_requests import decisions, dwelling, unverified, verification
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision, Refused
from app.forget_requests.policy import RequestPolicy
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.restoration.service import join_timeline
from app.selections.criteria import Criteria, item_digests
from app.serving.suppression import SuppressionSet
from app.suppressions import queries as suppressions
from app.transitions import IllegalTransition
from model_store import JournalEntry, MemoryStore
from tests.integration.db.conftest import NOON
from tests.integration.db.request_record import BEFORE_A_RUN, SETTLED, STOPPABLE, Known, Record

SUBJECTS = ("a" * 64, "b" * 64)
ITEMS = ("x", "y", "z")
POLICIES = {
    "default": RequestPolicy(),
    "window": RequestPolicy(cancel_window_hours=24),
    "strict": RequestPolicy(verification_hours=24, approval=True, cancel_window_hours=24),
}
WINDOW = timedelta(hours=24)

# Mostly the same person: most of what can go wrong is between two requests of one person.
subjects, policies = st.sampled_from((*SUBJECTS[:1] * 3, *SUBJECTS)), st.sampled_from(sorted(POLICIES))
numbers = st.integers(0, 3)
people, reasons = st.sampled_from(("portal", "officer", "counsel")), st.sampled_from(("no_match", "fraud"))


class People(RuleBasedStateMachine):
    """One database, two subjects, the callers who ask and the people who decide."""

    def __init__(self, engine: Engine, audit: AuditLog, empty: Callable[[], None]) -> None:
        super().__init__()
        self.engine, self.audit = engine, audit
        empty()
        self.database, self.store, self.now = Database(self.engine), MemoryStore(), NOON
        join_timeline(self.database, self.audit, self.store)
        self.record, self.ever, self.withdrawn = Record(), Record(), dict[str, str]()
        self.replica = SuppressionSet(lambda: 0.0)
        for subject in SUBJECTS:
            for item in ITEMS:
                self._store(subject, item, 60)

    def begin(self) -> AbstractContextManager[Transaction]:
        return Transaction.begin(self.database, self.audit)

    # What callers and people do.

    @rule(subject=subjects, policy=policies)
    def accept(self, subject: str, policy: str) -> None:
        newest = self.record.newest(subject)
        with self.begin() as transaction:
            told = forget_requests.accept(
                transaction,
                subject_hmac=subject,
                requested_by="portal",
                now=self.now,
                policy=POLICIES[policy],
            )
        if newest is not None and (newest.status not in SETTLED or newest.in_force):
            assert (told.created, told.request.id) == (False, newest.id)
            return
        self._accepted(told, policy, None)
        self.replica.apply(told.request.epoch, subject)

    @rule(subject=subjects, items=st.sets(st.sampled_from(ITEMS)), before=st.booleans(), policy=policies)
    def accept_selection(self, subject: str, items: set[str], before: bool, policy: str) -> None:
        until = int(self.now.timestamp())
        digests = item_digests(subject, items) if items else None
        criteria = Criteria(digests, None, int(NOON.timestamp()) if before else None, until)
        same = self.record.same_selection(subject, criteria)
        if self.record.suppressed(subject):
            same = self.record.newest(subject)
        with self.begin() as transaction:
            told = forget_requests.accept_selection(
                transaction,
                criteria=criteria,
                subject_hmac=subject,
                requested_by="portal",
                now=self.now,
                policy=POLICIES[policy],
            )
        if same is not None:
            assert (told.created, told.request.id) == (False, same.id)
            return
        # What is stored is selected, also where its clock goes ahead.
        reach = max([until, *(event[2] for event in self.record.meeting(subject, criteria))])
        self._accepted(told, policy, replace(criteria, until=reach))

    @rule(subject=subjects, whole=st.booleans())
    def receive(self, subject: str, whole: bool) -> None:
        criteria = (
            None
            if whole
            else Criteria(item_digests(subject, ITEMS[:1]), None, None, int(self.now.timestamp()))
        )
        same = self.record.newest(subject)
        if criteria is not None and not self.record.suppressed(subject):
            same = self.record.same_selection(subject, criteria)
        elif same is not None and same.status in SETTLED and not same.in_force:
            same = None
        same = same or self.record.waiting(subject, criteria)
        with self.begin() as transaction:
            told = verification.receive(
                transaction,
                subject_hmac=subject,
                requested_by="user",
                now=self.now,
                policy=POLICIES["strict"],
                criteria=criteria,
            )
        assert (told.began, told.created) == (False, same is None)
        if same is not None:
            assert told.request.id == same.id
            return
        request = told.request
        self.record.requests[request.id] = Known(
            request.id,
            subject,
            request.epoch,
            "pending_verification",
            request.due_at,
            self.now,
            criteria,
            verify_until=self.now + WINDOW,
            first_due_at=request.due_at,
        )

    @precondition(lambda self: self.record.requests)
    @rule(number=numbers, actor=st.sampled_from(("user", "portal")), policy=policies)
    def verify(self, number: int, actor: str, policy: str) -> None:
        known = self._request(number)
        refused = actor == "user" or self.record.suppressed(known.subject)
        expected: type[Exception] | None = Refused if refused else None
        if known.status != "pending_verification":
            expected = IllegalTransition
        told: list[forget_requests.Acceptance] = []

        def verify(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
            told.append(verification.verify(transaction, request, decision, POLICIES[policy]))

        if self._decide(known, expected, verify, actor=actor):
            del self.record.requests[known.id]
            reach = int(known.received_at.timestamp())
            criteria = known.criteria
            if criteria is not None:
                found = self.record.meeting(known.subject, criteria)
                criteria = replace(criteria, until=max([reach, *(event[2] for event in found)]))
            self._accepted(told[0], policy, criteria, since=known)
            if criteria is None:
                self.replica.apply(told[0].request.epoch, known.subject)

    def _accepted(
        self,
        told: forget_requests.Acceptance,
        policy: str,
        criteria: Criteria | None,
        *,
        since: Known | None = None,
    ) -> None:
        """``since``: what is known of the request from before it was verified."""
        assert told.began
        request = told.request
        known = Known(
            request.id,
            request.subject_hmac,
            request.epoch,
            "pending_approval",
            request.due_at,
            self.now if since is None else since.received_at,
            criteria,
            extended=since is not None and since.extended,
            denied_by=None if since is None else since.denied_by,
        )
        if since is not None:
            assert request.due_at == since.due_at
        if policy != "strict":
            known.queue(self.now, WINDOW if policy == "window" else None)
        self.record.requests[known.id] = known
        first_due_at = known.due_at if since is None else since.first_due_at
        assert first_due_at is not None
        self.ever.requests[known.id] = replace(known, due_at=first_due_at, extended=False, denied_by=None)
        self.store.append_journal(forget_requests.journal_entry(request, told.selected))

    def _decide(
        self,
        known: Known,
        expected: type[Exception] | None,
        decision: Callable[[Transaction, ForgetRequest, Decision], object],
        *,
        actor: str = "officer",
        reason: str = "other",
    ) -> bool:
        """Take a decision. Returns whether it was taken; if it must be refused, nothing may change."""

        def decide() -> list[JournalEntry]:
            with self.begin() as transaction:
                request = transaction.session.get_one(ForgetRequest, known.id)
                decision(transaction, request, Decision(actor, self.now, reason))
                return suppressions.lifts(transaction.session)

        if expected is not None:
            with pytest.raises(expected):
                decide()
            return False
        for entry in decide():
            self.store.append_journal(entry)
            if entry.request == known.id:
                known.lifted_epoch = entry.epoch
        return True

    def _request(self, number: int) -> Known:
        return list(self.record.requests.values())[-1 - number % len(self.record.requests)]

    def has_requests(self) -> bool:
        return bool(self.record.requests)

    @precondition(has_requests)
    @rule(number=numbers, actor=people, policy=st.sampled_from(("default", "strict")))
    def approve(self, number: int, actor: str, policy: str) -> None:
        known = self._request(number)
        expected = Refused if actor == "portal" else None
        if known.status != "pending_approval":
            expected = IllegalTransition
        if self._decide(
            known, expected, lambda *what: decisions.approve(*what, POLICIES[policy]), actor=actor
        ):
            known.denied_by = None
            known.queue(self.now, WINDOW if policy == "strict" else None)

    @precondition(has_requests)
    @rule(number=numbers, actor=people, reason=reasons)
    def deny(self, number: int, actor: str, reason: str) -> None:
        known = self._request(number)
        expected: type[Exception] | None = None
        if known.status not in STOPPABLE:
            expected = IllegalTransition
        elif known.denied_by is not None and known.denied_by[0] == actor:
            expected = Refused
        if self._decide(known, expected, decisions.deny, actor=actor, reason=reason):
            if known.denied_by is None or known.denied_by[1] != reason:
                known.denied_by = (actor, reason)
            else:
                self._withdraw(known, "denied")

    @precondition(has_requests)
    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        known = self._request(number)
        if self._decide(known, None if known.status in STOPPABLE else IllegalTransition, decisions.cancel):
            self._withdraw(known, "cancelled")

    def _withdraw(self, known: Known, how: str) -> None:
        known.move(how)
        if known.verify_until is None:
            self.withdrawn[known.id] = how

    @precondition(has_requests)
    @rule(number=numbers)
    def hold(self, number: int) -> None:
        known = self._request(number)
        review_at = self.now + timedelta(days=1)
        expected = None if known.status in BEFORE_A_RUN else IllegalTransition
        if self._decide(known, expected, lambda *what: decisions.hold(*what, review_at=review_at)):
            known.held_from = known.status
            known.move("on_hold")

    @precondition(has_requests)
    @rule(number=numbers)
    def release(self, number: int) -> None:
        known = self._request(number)
        expected = None if known.status == "on_hold" else IllegalTransition
        if self._decide(known, expected, decisions.release):
            if known.held_from == "pending_approval":
                known.move("pending_approval")
            elif known.cancel_until is None or known.cancel_until <= self.now:
                known.move("scheduled", "queued")
            else:
                known.move("scheduled")
            known.held_from = None

    @precondition(has_requests)
    @rule(number=numbers)
    def extend(self, number: int) -> None:
        known = self._request(number)
        refused = known.status in SETTLED or known.extended or self.now > known.due_at
        if self._decide(known, Refused if refused else None, decisions.extend):
            with self.database.read() as session:
                due_at = session.get_one(ForgetRequest, known.id).due_at
            assert known.due_at < due_at < known.received_at + timedelta(days=93)
            known.due_at, known.extended = due_at, True

    @precondition(has_requests)
    @rule(number=numbers)
    def expedite(self, number: int) -> None:
        known = self._request(number)
        allowed = known.status in ("scheduled", "queued") and not known.expedited
        if self._decide(known, None if allowed else IllegalTransition, decisions.expedite):
            known.expedited = True
            if known.status == "scheduled":
                known.cancel_until = self.now
                known.move("queued")

    @precondition(has_requests)
    @rule(number=numbers, actor=people)
    def readmit(self, number: int, actor: str) -> None:
        known = self._request(number)
        expected: type[Exception] | None = None
        if known.criteria is not None or known.readmitted_at is not None or known.status != "completed":
            expected = IllegalTransition
        elif known.readmitted_by == actor:
            expected = Refused
        if self._decide(known, expected, decisions.readmit, actor=actor):
            if known.readmitted_by is None:
                known.readmitted_by = actor
            else:
                known.readmitted_at = self.now

    @precondition(has_requests)
    @rule(number=numbers)
    def retry(self, number: int) -> None:
        known = self._request(number)
        expected = None if known.status == "needs_attention" else IllegalTransition

        def again(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
            forget_requests.retry(transaction, request.id, actor=decision.actor, now=decision.now)

        if self._decide(known, expected, again):
            known.run = None
            known.move("queued")

    @rule(subject=subjects, item=st.sampled_from(ITEMS), ago=st.sampled_from((100_000, 60, 0, -1)))
    def ingest(self, subject: str, item: str, ago: int) -> None:
        self._store(subject, item, ago)

    def _store(self, subject: str, item: str, ago: int) -> None:
        one = (subject, item, int(self.now.timestamp()) - ago)
        with self.database.unit_of_work() as session:
            told = interactions.ingest(session, [NewInteraction(*one)])
        if self.record.admits(one):
            assert (told.stored, told.duplicates) == ((0, 1) if one in self.record.events else (1, 0))
            self.record.events.add(one)
        else:
            assert told.suppressed == 1

    @rule(late=st.booleans())
    def tell_stalled(self, late: bool) -> None:
        """A sweep, long after everything has changed, or before."""
        now = NOON + timedelta(days=36_500 if late else -36_500)
        longest = POLICIES["default"].longest_hours
        unfinished = [one for one in self.record.requests.values() if one.status not in SETTLED]
        stalled = [one for one in unfinished if late and not one.stalled]
        with self.database.read() as session:
            found = dwelling.to_tell(session, longest, now)
        assert sorted(found) == sorted(one.id for one in stalled)
        for again in (False, True):
            with self.begin() as transaction:
                told = dwelling.tell(transaction, found, longest, now)
            assert told == (0 if again else len(stalled))
        for one in stalled:
            one.stalled = True

    @rule(hours=st.sampled_from((0.1, 1, 25)))
    def let_time_pass(self, hours: float) -> None:
        self.now += timedelta(hours=hours)
        over = [
            one
            for one in self.record.requests.values()
            if one.status == "scheduled" and one.cancel_until is not None and one.cancel_until <= self.now
        ]
        late = [one for one in self.record.requests.values() if one.is_late(self.now)]
        with self.begin() as transaction:
            assert forget_requests.end_windows(transaction, self.now) == len(over)
            assert unverified.expire(transaction, self.now) == len(late)
        for one in over:
            one.move("queued")
        for one in late:
            one.move("cancelled")
