"""Steps of a run's life, as the worker takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.models import Attempt, Version
from app.db.session import Database, open_database
from app.forget_requests import service as forget_requests
from app.forget_requests.policy import WITHOUT_STEPS, RequestPolicy
from app.forget_requests.service import Acceptance
from app.restoration.service import join_timeline
from app.runs import completion
from app.runs import queries as run_queries
from app.runs import service as runs
from app.runs.service import Claim
from app.runs.splitting import NOBODY, SplitOut
from app.suppressions import queries as suppressions
from app.versions import service as pointer
from model_store import MemoryStore

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)


Start = Callable[..., "Service"]


class Service:
    """Accepts, claims and publishes against one database."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self.database = database
        self.audit = audit

    def accept(self, subject: str, now: datetime = NOON) -> Acceptance:
        with self.database.unit_of_work() as session:
            return forget_requests.accept(
                Transaction(session, self.audit), subject_hmac=subject * 64, requested_by="tests", now=now
            )

    def accepted_run(self, subject: str = "a") -> str:
        run_id = self.accept(subject).run_id
        assert run_id is not None
        return run_id

    def queued_run(self) -> str | None:
        with self.database.read() as session:
            return run_queries.queued_run(session)

    def suppressed(self) -> set[str]:
        """The letters of the subjects."""
        with self.database.read() as session:
            return {subject[0] for subject in suppressions.suppressed_subjects(session)}

    def claim(
        self, run_id: str, now: datetime = NOON, *, max_claims: int = 3, max_subjects: int = 64
    ) -> Claim | None:
        with self.database.unit_of_work() as session:
            return runs.claim(
                Transaction(session, self.audit),
                run_id,
                now=now,
                lease=LEASE,
                max_claims=max_claims,
                max_subjects=max_subjects,
                policy={"name": "tests"},
                policy_hash="f" * 64,
            )

    def claimed(
        self, run_id: str | None, now: datetime = NOON, *, max_claims: int = 3, max_subjects: int = 64
    ) -> Claim:
        """The claim of a run that is there and free."""
        assert run_id is not None
        claim = self.claim(run_id, now, max_claims=max_claims, max_subjects=max_subjects)
        assert claim is not None
        return claim

    def due(self, now: datetime = NOON) -> list[str]:
        """The runs that are dispatched now; not again within half a minute."""
        with self.database.unit_of_work() as session:
            return list(runs.due_for_dispatch(session, now=now, redispatch_after=timedelta(seconds=30)))

    def hand_back(self, claim: Claim, now: datetime = NOON) -> None:
        with self.database.unit_of_work() as session:
            runs.hand_back(Transaction(session, self.audit), claim, now)

    def install(self, version: Version, *, parent: str | None = None, now: datetime = NOON) -> None:
        """Make a version live as the operator does."""
        with self.database.unit_of_work() as session:
            pointer.install(
                Transaction(session, self.audit),
                version,
                parent=parent,
                readers=(),
                base_digest="b" * 64,
                actor="tests",
                now=now,
            )

    def publish(
        self, claim: Claim, digest: str, *, forget_epoch: int | None = None, split: SplitOut = NOBODY
    ) -> int:
        epoch = claim.covers_epoch if forget_epoch is None else forget_epoch
        version = Version(
            digest=digest * 64,
            parent_digest=claim.parent_digest,
            forget_epoch=epoch,
            method="refit",
            run_id=claim.run_id,
            published_at=NOON,
        )
        with self.database.unit_of_work() as session:
            return pointer.publish(
                Transaction(session, self.audit),
                claim,
                version,
                watermark=0,
                base_digest="b" * 64,
                now=NOON,
                split=split,
            )

    def finish(self, claim: Claim) -> None:
        with self.database.unit_of_work() as session:
            completion.erase_subjects(
                Transaction(session, self.audit), claim, unread=frozenset(), base_digest="b" * 64
            )
        with self.database.unit_of_work() as session:
            completion.complete(Transaction(session, self.audit), claim, (), now=NOON)


@pytest.fixture
def service(database: Database, audit: AuditLog) -> Service:
    return Service(database, audit)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def start(database_url: str, audit: AuditLog, store: MemoryStore) -> Iterator[Start]:
    """Starts another process on the same database."""
    opened: list[Database] = []

    def start(policy: RequestPolicy = WITHOUT_STEPS) -> Service:
        opened.append(Database(open_database(database_url)))
        join_timeline(opened[-1], audit, store, policy=policy)
        return Service(opened[-1], audit)

    yield start
    for database in opened:
        database.dispose()


def attempt(run_id: str, fence: int) -> Attempt:
    return Attempt(
        run_id=run_id,
        fence=fence,
        step=0,
        method="ucan",
        config={},
        policy_hash="f" * 64,
        started_at=NOON,
        finished_at=NOON,
        decision="fail",
        accepted=False,
        report={},
        verdict={},
    )
