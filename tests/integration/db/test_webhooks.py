"""Deliveries in the database: planned once, claimed by one process, retried for three days, replayed (R-42)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, update

from app.audit.transaction import Transaction
from app.db.models import AuditEntry, DeliveryState, EndpointState, WebhookDelivery, WebhookEndpoint
from app.events import service as events
from app.webhooks import queries
from app.webhooks import service as webhooks
from app.webhooks.sending import Answer, Code
from app.webhooks.service import PAUSES, Attempt
from tests.integration.db.conftest import NOON, Service

LATER = timedelta(seconds=webhooks.ATTEMPT_SECONDS + 1)
REFUSED = Answer(Code.STATUS_REFUSED, 500)


def register(service: Service, name: str = "crm", *names: str, active: bool = True) -> str:
    with Transaction.begin(service.database, service.audit) as transaction:
        endpoint = webhooks.register(
            transaction, name=name, url="https://hooks.example.com/", events=names, actor="tests", now=NOON
        )
    if active:
        [challenge] = [one for one in claim(service, NOON) if one.delivery.endpoint_id == endpoint.id]
        settle(service, challenge, Answer(Code.DELIVERED, 200))
        with Transaction.begin(service.database, service.audit) as transaction:
            webhooks.activate(transaction, endpoint.id)
    return endpoint.id


def claim(service: Service, now: datetime, *, but: tuple[str, ...] = ()) -> list[Attempt]:
    with service.database.unit_of_work() as session:
        webhooks.plan(session, now)
        return webhooks.claim(session, now, limit=8, but=but)


def settle(service: Service, attempt: Attempt, answer: Answer, now: datetime = NOON) -> None:
    with service.database.unit_of_work() as session:
        webhooks.settle(session, attempt, answer, now=now)


def log(service: Service, endpoint: str) -> list[tuple[int | None, str, str]]:
    with service.database.read() as session:
        rows = session.scalars(
            select(WebhookDelivery)
            .where(WebhookDelivery.endpoint_id == endpoint, WebhookDelivery.sequence.is_not(None))
            .order_by(WebhookDelivery.sequence)
        )
        return [(row.sequence, row.name, row.state) for row in rows]


def entries(service: Service) -> list[str]:
    with service.database.read() as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.sequence))
        return [action for action in actions if action.startswith("webhook.")]


def test_an_endpoint_that_has_not_answered_its_challenge_is_told_nothing_else(service: Service) -> None:
    endpoint = register(service, active=False)
    service.accept("a")
    [attempt] = claim(service, NOON)
    assert (attempt.delivery.name, attempt.event, attempt.number) == ("webhook.challenge", None, 1)
    assert log(service, endpoint) == []
    settle(service, attempt, Answer(Code.DELIVERED, 200))
    with Transaction.begin(service.database, service.audit) as transaction:
        webhooks.activate(transaction, endpoint)
    # What happened since the registration is told then.
    assert [one.delivery.sequence for one in claim(service, NOON)] == [1]
    assert entries(service) == ["webhook.registered", "webhook.activated"]


def test_an_endpoint_is_told_what_it_wants_in_order_and_one_at_a_time(service: Service) -> None:
    everything = register(service)
    some = register(service, "dpo", "forget.accepted")
    service.accept("a")
    service.accept("b")
    first = claim(service, NOON)
    assert {(one.delivery.endpoint_id, one.delivery.sequence) for one in first} == {
        (everything, 1),
        (some, 1),
    }
    assert claim(service, NOON, but=(everything, some)) == []
    for attempt in first:
        settle(service, attempt, Answer(Code.DELIVERED, 204))
    assert {one.delivery.sequence for one in claim(service, NOON)} == {2, 3}
    assert [row[:2] for row in log(service, some)] == [(1, "forget.accepted"), (3, "forget.accepted")]
    assert [row[0] for row in log(service, everything)] == [1, 2, 3, 4]


def test_each_attempt_is_made_by_one_of_several_processes(service: Service) -> None:
    endpoints = {register(service, f"crm-{number}") for number in range(6)}
    service.accept("a")
    with ThreadPoolExecutor(4) as pool:
        found = [attempt for some in pool.map(lambda _: claim(service, NOON), range(8)) for attempt in some]
    claimed = [(one.delivery.endpoint_id, one.delivery.sequence, one.number) for one in found]
    assert len(claimed) == len(set(claimed))
    while more := claim(service, NOON):
        claimed += [(one.delivery.endpoint_id, one.delivery.sequence, one.number) for one in more]
    assert sorted(claimed) == sorted((endpoint, number, 1) for endpoint in endpoints for number in (1, 2))


def test_an_attempt_whose_process_died_is_made_again_and_the_dead_changes_nothing(service: Service) -> None:
    register(service)
    service.accept("a")
    [dead] = claim(service, NOON)
    assert [one.delivery.sequence for one in claim(service, NOON)] == [2]
    again = claim(service, NOON + LATER)[0]
    assert (again.delivery.sequence, again.number) == (1, 2)
    settle(service, dead, REFUSED)
    settle(service, again, Answer(Code.DELIVERED, 204))
    assert log(service, dead.delivery.endpoint_id)[0] == (1, "forget.accepted", "delivered")


def test_a_failure_is_tried_again_for_three_days_and_then_given_up(service: Service) -> None:
    endpoint = register(service, "crm", "forget.accepted")
    service.accept("a")
    now, starts = NOON, [NOON]
    for number in range(1, len(PAUSES) + 2):
        [attempt] = claim(service, now)
        assert attempt.number == number
        settle(service, attempt, REFUSED, now)
        assert claim(service, now) == []
        with service.database.read() as session:
            row = session.get_one(WebhookDelivery, attempt.delivery.id)
            assert (row.last_code, row.last_status) == ("status_refused", 500)
            assert session.get_one(WebhookEndpoint, endpoint).failing_since == NOON
            now = row.due_at
        starts += [now] if number <= len(PAUSES) else []
    assert [row[2] for row in log(service, endpoint)] == [DeliveryState.FAILED]
    for pause, (before, after) in zip(PAUSES, pairwise(starts), strict=True):
        assert 0.8 * pause <= (after - before).total_seconds() <= 1.2 * pause
    assert (
        timedelta(days=3)
        < sum((timedelta(seconds=pause) for pause in PAUSES), timedelta())
        < timedelta(days=4)
    )


def test_a_success_ends_the_failing(service: Service) -> None:
    endpoint = register(service)
    service.accept("a")
    [first] = claim(service, NOON)
    settle(service, first, REFUSED)
    [second] = claim(service, NOON)
    settle(service, second, Answer(Code.DELIVERED, 200))
    with service.database.read() as session:
        assert session.get_one(WebhookEndpoint, endpoint).failing_since is None


def test_a_disabled_endpoint_is_told_nothing_until_it_answers_again_and_then_all_it_missed(
    service: Service,
) -> None:
    endpoint = register(service, "crm", "forget.accepted")
    service.accept("a")
    [missed] = claim(service, NOON)
    settle(service, missed, Answer(Code.GONE, 410))
    with Transaction.begin(service.database, service.audit) as transaction:
        assert webhooks.disable(transaction, endpoint, "gone")
        assert not webhooks.disable(transaction, endpoint, "gone")
    service.accept("b")
    assert claim(service, NOON + LATER) == []
    with Transaction.begin(service.database, service.audit) as transaction:
        row = transaction.session.get_one(WebhookEndpoint, endpoint)
        assert (row.state, row.disabled_reason) == (EndpointState.DISABLED, "gone")
        webhooks.challenge_again(transaction, row, actor="tests", now=NOON)
    [challenge] = claim(service, NOON + LATER)
    assert challenge.event is None
    with Transaction.begin(service.database, service.audit) as transaction:
        webhooks.activate(transaction, endpoint)
    settle(service, claim(service, NOON + LATER)[0], Answer(Code.DELIVERED, 200))
    assert [one.delivery.sequence for one in claim(service, NOON + LATER)] == [3]
    assert entries(service)[2:] == ["webhook.disabled", "webhook.challenged", "webhook.activated"]


def test_what_has_arrived_is_sent_again_alone_or_in_a_range(service: Service) -> None:
    endpoint = register(service, "crm", "forget.accepted")
    for subject in "abc":
        service.accept(subject)
    for _ in range(3):
        [attempt] = claim(service, NOON)
        settle(service, attempt, Answer(Code.DELIVERED, 200))
    with Transaction.begin(service.database, service.audit) as transaction:
        row = transaction.session.get_one(WebhookEndpoint, endpoint)
        assert webhooks.replay(transaction, row, first=2, last=100, actor="tests", now=NOON) == 2
    again = []
    for _ in range(2):
        [attempt] = claim(service, NOON)
        settle(service, attempt, Answer(Code.DELIVERED, 200))
        again.append((attempt.delivery.sequence, attempt.number))
    assert again == [(3, 1), (5, 1)]
    with Transaction.begin(service.database, service.audit) as transaction:
        delivery = transaction.session.get_one(WebhookDelivery, attempt.delivery.id)
        webhooks.redeliver(transaction, delivery, actor="tests", now=NOON)
    assert [one.delivery.sequence for one in claim(service, NOON)] == [5]


def test_a_replay_is_not_lost_with_the_end_of_an_attempt_that_was_under_way(service: Service) -> None:
    endpoint = register(service, "crm", "forget.accepted")
    service.accept("a")
    [attempt] = claim(service, NOON)
    with Transaction.begin(service.database, service.audit) as transaction:
        row = transaction.session.get_one(WebhookEndpoint, endpoint)
        # It has seen the delivery as it was before the attempt ended.
        transaction.session.get_one(WebhookDelivery, attempt.delivery.id)
        if transaction.session.get_bind().dialect.name == "postgresql":
            settle(service, attempt, Answer(Code.DELIVERED, 200))
        webhooks.replay(transaction, row, first=1, last=9, actor="tests", now=NOON)
    settle(service, attempt, Answer(Code.DELIVERED, 200))
    assert [row[2] for row in log(service, endpoint)] == ["pending"]
    assert len(claim(service, NOON)) == 1


def test_an_event_that_is_no_longer_kept_is_not_sent_and_no_fault_of_the_endpoint(service: Service) -> None:
    endpoint = register(service)
    service.accept("a")
    claim(service, NOON)
    with service.database.unit_of_work() as session:
        events.drop_old(session, before=NOON + timedelta(days=3650))
    [attempt] = claim(service, NOON)
    assert attempt.event is None
    assert attempt.delivery.sequence == 2
    settle(service, attempt, Answer(Code.EVENT_DROPPED))
    assert log(service, endpoint)[1][2] == "failed"
    with service.database.read() as session:
        assert session.get_one(WebhookEndpoint, endpoint).failing_since is None
    with Transaction.begin(service.database, service.audit) as transaction:
        row = transaction.session.get_one(WebhookDelivery, attempt.delivery.id)
        with pytest.raises(webhooks.NotKept):
            webhooks.redeliver(transaction, row, actor="tests", now=NOON)


def test_old_deliveries_are_dropped_and_an_endpoint_is_removed_with_its_own(service: Service) -> None:
    old, kept = register(service, "old"), register(service, "kept")
    service.accept("a")
    claim(service, NOON)
    with service.database.unit_of_work() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.endpoint_id == old)
            .values(created_at=NOON - timedelta(days=8))
        )
        webhooks.drop_old(session, before=NOON - timedelta(days=7))
    assert (log(service, old), len(log(service, kept))) == ([], 2)
    with Transaction.begin(service.database, service.audit) as transaction:
        row = transaction.session.get_one(WebhookEndpoint, kept)
        webhooks.remove(transaction, row, actor="tests")
    with service.database.read() as session:
        assert [row.id for row in queries.endpoints(session)] == [old]


def test_names_are_unique_and_endpoints_are_bounded(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(service, active=False)
    with pytest.raises(webhooks.NameTaken):
        register(service, active=False)
    monkeypatch.setattr(webhooks, "_MOST_ENDPOINTS", 1)
    with pytest.raises(webhooks.TooManyEndpoints):
        register(service, "other", active=False)
    assert entries(service) == ["webhook.registered"]
