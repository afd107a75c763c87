"""A request that stays too long in one state is stalled, and that is recorded once (R-4), on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import select, update

from app.audit import queries as audit
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.audit.verification import verify
from app.db.models import AuditEntry, ForgetRequest, RequestStatus
from app.db.models.statuses import SETTLED
from app.events import queries as events
from app.forget_requests import decisions, dwelling, unverified, verification
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision
from app.forget_requests.policy import LongestHours, RequestPolicy
from app.runs.splitting import SplitOut
from model_store import MemoryStore
from tests.integration.backup import back_up
from tests.integration.db.conftest import NOON, Service, Start
from tests.integration.db.test_decisions import accept, approve, decide, hold
from tests.integration.killing import killed_at
from worker.sweeper import tell_stalled

# Each state by its own number, so that no two are mixed up.
LONGEST = LongestHours(**{  # type: ignore[arg-type]  # all are hours
    status.value: hours
    for hours, status in enumerate((one for one in RequestStatus if one not in SETTLED), 2)
})  # fmt: skip
NOTHING = timedelta()
ABOVE = timedelta(minutes=1)


def of(service: Service, request_id: str) -> ForgetRequest:
    with service.database.read() as session:
        return session.get_one(ForgetRequest, request_id)


def since(service: Service, request_id: str) -> datetime:
    found = of(service, request_id).status_since
    assert found is not None
    return found


def told(service: Service) -> list[tuple[str, str, str, float]]:
    with service.database.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "forget.stalled"))
        return [tuple(entry.data.values()) for entry in entries.all()]  # type: ignore[misc]


def sweep(service: Service, now: datetime, longest: LongestHours = LONGEST) -> int:
    """What a worker's sweep does, at a time of ours."""
    with service.database.read() as session:
        found = dwelling.to_tell(session, longest, now)
    with Transaction.begin(service.database, service.audit) as transaction:
        return dwelling.tell(transaction, found, longest, now)


def past(service: Service, request_id: str) -> datetime:
    """When the request has just been too long in the state that it is in."""
    request = of(service, request_id)
    return since(service, request_id) + LONGEST.of(RequestStatus(request.status)) + ABOVE


def test_r4_every_state_that_is_no_end_has_a_limit() -> None:
    assert set(LongestHours.model_fields) == {status for status in RequestStatus if status not in SETTLED}


def test_r4_a_request_is_stalled_by_the_limit_of_its_state_wherever_it_is_asked(service: Service) -> None:
    """The condition of queries and the answer about one request are the same, in every state and at every edge."""
    request_id = accept(service, "a")
    moments = (None, NOON - timedelta(hours=9), NOON + timedelta(hours=1))
    seen = set()
    for status, ends, late in product(RequestStatus, moments, (-ABOVE, NOTHING, ABOVE)):
        with service.database.unit_of_work() as session:
            session.execute(
                update(ForgetRequest).values(
                    status=status,
                    status_since=NOON,
                    since_status=status,
                    verify_until=ends,
                    cancel_until=ends,
                    review_at=ends,
                )
            )
        begins, limit = NOON, NOTHING if status in SETTLED else LONGEST.of(status)
        if status in (RequestStatus.PENDING_VERIFICATION, RequestStatus.SCHEDULED):
            begins = ends or NOON
        now = begins + limit + late
        expected = status not in SETTLED and late > NOTHING
        if status is RequestStatus.ON_HOLD and ends is not None and ends < now:
            expected = True
        with service.database.read() as session:
            request = session.get_one(ForgetRequest, request_id)
            counted = dwelling.counts(session, LONGEST, now)
            found = dwelling.to_tell(session, LONGEST, now)
        assert dwelling.is_stalled(request, LONGEST, now) == expected, (status, ends, late)
        assert counted == ({status: 1} if expected else {}), (status, ends, late)
        assert list(found) == ([request_id] if expected else [])
        seen.add((status, expected))
    assert len(seen) == len(RequestStatus) + len(LongestHours.model_fields)


def test_r4_the_time_in_a_state_is_that_of_the_entry_that_tells_of_the_change(service: Service) -> None:
    request_id = accept(service, "a")
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("forget.accepted", lambda: None),
        ("forget.held", lambda: decide(service, request_id, hold)),
        ("forget.released", lambda: decide(service, request_id, decisions.release)),
        ("forget.approved", lambda: decide(service, request_id, approve)),
        ("forget.expedited", lambda: decide(service, request_id, decisions.expedite)),
        ("run.claimed", lambda: service.claimed(service.queued_run())),
    )
    for action, step in steps:
        step()
        with service.database.read() as session:
            request = session.get_one(ForgetRequest, request_id)
            entries = audit.of_request(session, request)
        (entry,) = (entry for entry in entries if entry.action == action)
        assert request.status_since == entry.recorded_at, action


@pytest.mark.parametrize("step", ["again", "extended", "expedited", "denied by one", "taken over"])
def test_r4_what_changes_no_state_moves_no_time(service: Service, step: str) -> None:
    request_id = accept(service, "a", RequestPolicy())
    run_id = service.queued_run()
    if step == "taken over":
        service.claimed(run_id)
    before = since(service, request_id)
    assert sweep(service, past(service, request_id)) == 1
    match step:
        case "again":
            assert accept(service, "a", RequestPolicy()) == request_id
        case "extended":
            decide(service, request_id, decisions.extend)
        case "expedited":
            decide(service, request_id, decisions.expedite)
        case "denied by one":
            decide(service, request_id, decisions.deny)
        case "taken over":
            service.claimed(run_id, NOON + timedelta(hours=1))
    request = of(service, request_id)
    assert request.status_since == before
    assert request.stalled_at is not None


def test_r4_it_is_told_once_for_each_stay_and_told_to_others(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy())
    queued_since = since(service, request_id)
    assert sweep(service, queued_since + LONGEST.of(RequestStatus.QUEUED)) == 0
    late = past(service, request_id)
    assert [sweep(service, late), sweep(service, late), sweep(service, late + timedelta(days=9))] == [1, 0, 0]
    claim = service.claimed(service.queued_run())
    assert (of(service, request_id).stalled_at, sweep(service, NOON)) == (None, 0)
    working_since = since(service, request_id)
    assert sweep(service, past(service, request_id)) == 1
    # It leaves its run, and waits for another one: a stay of its own.
    service.publish(claim, "1", split=SplitOut(returned={request_id: 1}))
    queued_again = since(service, request_id)
    assert queued_since < working_since < queued_again
    assert sweep(service, past(service, request_id)) == 1
    limits = LONGEST.queued, LONGEST.unlearning, LONGEST.queued
    times = (queued_since, working_since, queued_again)
    assert told(service) == [
        (request_id, status, moment.isoformat(), hours)
        for status, moment, hours in zip(("queued", "unlearning", "queued"), times, limits, strict=True)
    ]
    with service.database.read() as session:
        names = [one.name for one in events.following(session, 0, limit=100) if one.request_id == request_id]
    assert names.count("forget.stalled") == 3


def test_r4_two_sweeps_that_find_the_same_tell_it_once_and_a_killed_one_tells_nothing(
    service: Service,
) -> None:
    request_id, moved = accept(service, "a", RequestPolicy()), accept(service, "b", RequestPolicy())
    late = past(service, moved)
    with service.database.read() as session:
        found = dwelling.to_tell(session, LONGEST, late)
    assert sorted(found) == sorted((request_id, moved))
    with killed_at("app.audit.log.AuditLog.append", after=True):
        sweep(service, late)
    assert (told(service), of(service, request_id).stalled_at) == ([], None)
    # A run takes one of them between the look and the transaction.
    decide(service, moved, decisions.expedite)
    assert [one.id for one in service.claimed(service.queued_run(), max_subjects=1).requests] == [moved]
    counts = []
    for _ in range(2):
        with Transaction.begin(service.database, service.audit) as transaction:
            counts.append(dwelling.tell(transaction, found, LONGEST, late))
    assert counts == [1, 0]
    assert [one[0] for one in told(service)] == [request_id]
    assert verify(service.database, service.audit, MemoryStore()).broken is None


def test_r4_one_sweep_tells_a_hundred_and_the_next_ones_the_rest(service: Service) -> None:
    subjects = [f"{number:064x}" for number in range(130)]
    for subject in subjects:
        with Transaction.begin(service.database, service.audit) as transaction:
            forget_requests.accept(transaction, subject_hmac=subject, requested_by="tests", now=NOON)
    late = past(service, told_last(service))
    assert [sweep(service, late) for _ in range(3)] == [100, 30, 0]
    assert len({one[0] for one in told(service)}) == 130


def told_last(service: Service) -> str:
    with service.database.read() as session:
        return session.scalars(select(ForgetRequest.id).order_by(ForgetRequest.epoch.desc())).first() or ""


def test_r4_a_worker_sweeps_by_the_clock_of_the_database(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy())
    assert tell_stalled(service.database, service.audit, LONGEST) == 0
    with service.database.unit_of_work() as session:
        request = session.get_one(ForgetRequest, request_id)
        request.status_since = since(service, request_id) - timedelta(days=1)
    assert tell_stalled(service.database, service.audit, LONGEST) == 1
    assert tell_stalled(service.database, service.audit, LONGEST) == 0


def test_r4_what_an_earlier_release_moved_counts_from_the_first_look(service: Service) -> None:
    request_id, over = accept(service, "a", RequestPolicy()), accept(service, "b", RequestPolicy())
    decide(service, over, decisions.cancel)
    with service.database.unit_of_work() as session:
        session.execute(update(ForgetRequest).values(status_since=None, since_status=None))
    look = NOON + timedelta(days=90)
    with service.database.read() as session:
        assert dwelling.counts(session, LONGEST, look) == {}
        assert not dwelling.is_stalled(session.get_one(ForgetRequest, request_id), LONGEST, look)
    assert sweep(service, look) == 0
    assert (since(service, request_id), of(service, over).status_since) == (look, None)
    assert sweep(service, look + LONGEST.of(RequestStatus.QUEUED) + ABOVE) == 1


def test_r4_what_an_earlier_release_moves_has_no_time_in_its_new_state(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy())
    late = since(service, request_id) + LONGEST.of(RequestStatus.QUEUED) + ABOVE
    assert sweep(service, late) == 1
    with service.database.unit_of_work() as session:
        session.execute(update(ForgetRequest).values(status=RequestStatus.UNLEARNING))
    look = late + LONGEST.of(RequestStatus.UNLEARNING)
    with service.database.read() as session:
        assert dwelling.counts(session, LONGEST, look) == {}
    # It counts from the first look, and is told again in this state.
    assert sweep(service, look) == 0
    assert since(service, request_id) == look
    assert sweep(service, look + LONGEST.of(RequestStatus.UNLEARNING) + ABOVE) == 1


def test_r4_a_request_that_the_journal_brings_back_counts_from_the_restore(
    start: Start, store: MemoryStore, audit: AuditLog
) -> None:
    service = start()
    restore = back_up(service.database.engine)
    accepted = service.accept("a").request
    store.append_journal(forget_requests.journal_entry(accepted))
    lost = since(service, accepted.id)
    restore()
    restored = start()
    request = of(restored, accepted.id)
    # Its deadline counts from the request, as before; its time in the queue from when it came into this one.
    assert (request.received_at, request.status, request.stalled_at) == (NOON, "queued", None)
    assert lost < since(restored, accepted.id)


def test_r4_a_hold_is_stalled_from_its_review_on_and_a_wait_for_a_person_from_the_end_of_its_own(
    service: Service,
) -> None:
    held = accept(service, "a")
    decide(service, held, hold)
    waits = received(service, "b")
    verify_until, review_at = of(service, waits).verify_until, of(service, held).review_at
    assert verify_until is not None
    assert review_at is not None
    # Nobody swept when its time was over.
    moments = (verify_until + LONGEST.of(RequestStatus.PENDING_VERIFICATION), review_at)
    for request_id, moment in zip((waits, held), moments, strict=True):
        before, after = (
            dwelling.is_stalled(
                of(service, request_id), LongestHours(on_hold=8784, pending_verification=2), at
            )
            for at in (moment, moment + ABOVE)
        )
        assert (before, after) == (False, True)
    with Transaction.begin(service.database, service.audit) as transaction:
        assert unverified.expire(transaction, moments[0]) == 1
    assert not dwelling.is_stalled(of(service, waits), LONGEST, moments[0] + ABOVE)


def received(service: Service, subject: str) -> str:
    with Transaction.begin(service.database, service.audit) as transaction:
        return verification.receive(
            transaction,
            subject_hmac=subject * 64,
            requested_by="user",
            now=NOON,
            policy=RequestPolicy(verification_hours=24),
        ).request.id


def test_r4_a_retry_begins_a_stay_of_its_own(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy())
    service.publish(service.claimed(service.queued_run()), "1", split=SplitOut(exhausted=(request_id,)))
    assert sweep(service, past(service, request_id)) == 1
    waited_since = since(service, request_id)

    def retry(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
        forget_requests.retry(transaction, request.id, actor=decision.actor, now=decision.now)

    assert decide(service, request_id, retry).stalled_at is None
    assert since(service, request_id) > waited_since
