"""Requesting, the order of runs, and what attenuation adds up to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from app.audit.transaction import Transaction
from app.consolidations import queries as consolidation_queries
from app.consolidations import service as consolidations
from app.consolidations.service import Requested
from app.db.errors import NothingToConsolidate
from app.db.models import AuditEntry, ConsolidationReason, Run, Version
from app.runs import queries as run_queries
from app.runs import service as runs
from app.runs.queries import next_queued_run
from tests.integration.db.conftest import LEASE, NOON, Service

PATIENCE = timedelta(hours=1)
LATER = NOON + PATIENCE


def install(
    service: Service,
    digest: str,
    parent: str | None = None,
    *,
    exact: bool = True,
    subjects: int = 0,
    utility_change: float | None = None,
    at: datetime = NOON,
) -> None:
    version = Version(
        digest=digest * 64,
        parent_digest=parent and parent * 64,
        forget_epoch=10**6,
        method="fit" if exact else "ucan",
        exact=exact,
        subjects=subjects,
        utility_change=utility_change,
        published_at=at,
    )
    service.install(version, parent=parent and parent * 64, now=at)


def request(service: Service, now: datetime = NOON) -> Requested:
    with service.database.unit_of_work() as session:
        return consolidations.request(
            Transaction(session, service.audit),
            reason=ConsolidationReason.ON_DEMAND,
            requested_by="somebody",
            patience=PATIENCE,
            now=now,
        )


def turn(service: Service, now: datetime = NOON) -> str | None:
    with service.database.read() as session:
        return next_queued_run(session, now)


def test_many_simultaneous_requests_become_one_and_are_on_record_once(service: Service) -> None:
    install(service, "1")
    with ThreadPoolExecutor(8) as pool:
        requested = list(pool.map(lambda _: request(service), range(16)))
    assert sum(item.created for item in requested) == 1
    assert len({item.run.id for item in requested}) == 1
    with service.database.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "consolidation.requested"))
        assert [(entry.actor, entry.data) for entry in entries] == [
            ("somebody", {"run": requested[0].run.id, "reason": "on_demand"})
        ]


def test_while_one_works_a_request_is_that_one(service: Service) -> None:
    install(service, "1")
    first = request(service).run.id
    claim = service.claimed(first)
    assert (claim.kind, claim.subjects) == ("consolidation", ())
    assert request(service).run.id == first
    service.finish(claim)
    assert request(service).run.id != first


def test_without_a_live_version_there_is_nothing_to_consolidate(service: Service) -> None:
    with pytest.raises(NothingToConsolidate):
        request(service)
    with service.database.read() as session:
        assert run_queries.newest(session, limit=1) == []


def test_a_consolidation_takes_no_forget_request_with_it(service: Service) -> None:
    install(service, "1")
    consolidation = request(service).run.id
    forget = service.accept("a").run_id
    assert forget is not None
    claim = service.claimed(consolidation, LATER)
    assert claim.subjects == ()
    service.publish(claim, "2", forget_epoch=10**6)
    service.finish(claim)
    assert service.accept("a").request.status == "queued"
    assert service.claimed(forget, LATER).subjects == ("a" * 64,)


def test_forget_runs_go_first_until_the_consolidation_has_yielded_long_enough(service: Service) -> None:
    install(service, "1")
    consolidation = request(service).run.id
    assert turn(service) == consolidation
    forget = service.accept("a").run_id
    assert forget is not None
    assert turn(service) == forget
    assert service.claim(consolidation, LATER - timedelta(seconds=1)) is None
    assert turn(service, LATER) == consolidation
    assert service.claim(forget, LATER) is None
    claim = service.claimed(consolidation, LATER)
    assert service.claim(forget, LATER) is None
    service.finish(claim)
    assert turn(service, LATER) == forget


def test_the_bell_rings_for_the_run_whose_turn_it_is(service: Service) -> None:
    install(service, "1")
    consolidation = request(service).run.id
    forget = service.accept("a").run_id
    assert service.due(NOON) == [forget]
    assert service.due(NOON) == []
    assert service.due(LATER) == [consolidation]
    service.claimed(consolidation, LATER)
    assert service.due(LATER + LEASE / 2) == []


def test_a_consolidation_left_by_a_dead_worker_is_counted_like_any_run(service: Service) -> None:
    install(service, "1")
    run_id = request(service).run.id
    epochs = [service.claimed(run_id, NOON + number * 2 * LEASE).covers_epoch for number in range(3)]
    assert epochs == sorted(set(epochs))
    assert service.claim(run_id, NOON + 6 * LEASE) is None
    with service.database.read() as session:
        run = session.get_one(Run, run_id)
        assert (run.status, run.detail_code) == ("needs_attention", "claims_exhausted")


def test_spending_adds_up_the_edits_since_the_last_exact_fit(service: Service) -> None:
    def spending() -> consolidation_queries.Spending:
        with service.database.read() as session:
            return consolidation_queries.spending(session)

    assert spending() == consolidation_queries.Spending(None, 0, 0, 0.0)
    install(service, "0", exact=False, subjects=9, utility_change=-0.5)
    install(service, "1", "0", at=NOON + timedelta(days=1))
    assert spending() == consolidation_queries.Spending(NOON + timedelta(days=1), 0, 0, 0.0)
    install(service, "2", "1", exact=False, subjects=3, utility_change=-0.1, at=NOON + timedelta(days=2))
    install(service, "3", "2", exact=False, subjects=1, at=NOON + timedelta(days=3))
    install(service, "4", "3", exact=False, subjects=2, utility_change=-0.2, at=NOON + timedelta(days=4))
    found = spending()
    assert (found.since, found.attenuations, found.subjects) == (NOON + timedelta(days=1), 3, 6)
    # 0.9 of 0.8 of the exact version's utility is left.
    assert found.utility_loss == pytest.approx(1 - 0.9 * 0.8)
    install(service, "5", "4", at=NOON + timedelta(days=5))
    assert spending() == consolidation_queries.Spending(NOON + timedelta(days=5), 0, 0, 0.0)


def test_one_that_needs_attention_is_not_repeated_by_itself_for_the_same_version(service: Service) -> None:
    def may_start() -> bool:
        with service.database.read() as session:
            return consolidation_queries.may_start_by_itself(session)

    install(service, "1", exact=False)
    assert may_start()
    run_id = request(service).run.id
    assert not may_start()
    claim = service.claimed(run_id)
    assert not may_start()
    with service.database.unit_of_work() as session:
        run = runs.owned(session, run_id, claim.fence)
        runs.give_up(Transaction(session, service.audit), run, code="tests", detail="tests")
    assert not may_start()
    assert request(service, LATER).created
    install(service, "2", "1", exact=False)
    assert not may_start()
    second = service.claimed(request(service, LATER).run.id, LATER)
    service.finish(second)
    assert may_start()


def test_the_budget_is_announced_and_replaced(service: Service) -> None:
    with service.database.read() as session:
        assert consolidation_queries.announced_budget(session) == {}
    for budget in ({"max_attenuations": 3}, {"max_attenuations": None}):
        with service.database.unit_of_work() as session:
            consolidations.announce_budget(session, budget)
        with service.database.read() as session:
            assert consolidation_queries.announced_budget(session) == budget
