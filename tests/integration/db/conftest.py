"""Steps of a run's life, as the worker takes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.models import Attempt, Version
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.forget_requests.service import Acceptance
from app.runs import completion
from app.runs import service as runs
from app.runs.service import Claim
from app.runs.splitting import NOBODY, SplitOut
from app.versions import service as pointer

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)


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
